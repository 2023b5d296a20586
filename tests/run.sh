#!/usr/bin/env bash
# Everything that must hold, from nothing: a fresh virtual environment, lint and types, the C tests under
# the sanitizers with warnings as errors, the Python tests.  Usage: bash tests/run.sh [pytest arguments]
# AECODEC_TEST_EXTRAS=,ray brings Ray, a large wheel, for the tests that start a cluster; else they are skipped.
set -euo pipefail
cd "$(dirname "$0")/.."
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

python3 -m venv "$work/venv"
. "$work/venv/bin/activate"
python -m pip install -q --disable-pip-version-check -c constraints.txt torch==2.13.0
python -m pip install -q --disable-pip-version-check -c constraints.txt cmake ninja scikit-build-core
python -m pip install -q --disable-pip-version-check -c constraints.txt --no-build-isolation \
  --config-settings build-dir="$work/extension" --config-settings cmake.define.AECODEC_WERROR=ON -e ".[cpu,train,export,test,bench,dev${AECODEC_TEST_EXTRAS:-}]"

ruff check .
mypy

cmake -S . -B "$work/c" -G Ninja -DCMAKE_BUILD_TYPE=Debug \
  -DAECODEC_TESTS=ON -DAECODEC_SANITIZE=ON -DAECODEC_WERROR=ON >"$work/cmake.log" || { cat "$work/cmake.log"; exit 1; }
cmake --build "$work/c"
ctest --test-dir "$work/c" --output-on-failure

python -m pytest -q "$@"
