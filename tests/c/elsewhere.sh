#!/usr/bin/env bash
# The C tests on other processors, emulated: each whose compiler and qemu are installed, on Debian by
#   apt install cmake ninja-build qemu-user gcc-{aarch64,riscv64,s390x,i686}-linux-gnu gcc-arm-linux-gnueabihf
# 64 and 32 bits, and with s390x the other order of bytes; and x86-64 that hides a part of what AVX2 comes with.
# Usage: bash tests/c/elsewhere.sh
set -euo pipefail
cd "$(dirname "$0")/../.."
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

ran=0
run() { # NAME PROCESSOR EMULATOR CMAKE_ARGUMENT...
  echo "$1"
  cmake -S . -B "$work/$1" -G Ninja -DAECODEC_TESTS=ON -DAECODEC_WERROR=ON -DCMAKE_SYSTEM_NAME=Linux \
    -DCMAKE_SYSTEM_PROCESSOR="$2" -DCMAKE_CROSSCOMPILING_EMULATOR="$3" "${@:4}" >"$work/log" || { cat "$work/log"; exit 1; }
  cmake --build "$work/$1" >"$work/log" || { cat "$work/log"; exit 1; }
  ctest --test-dir "$work/$1" --output-on-failure
  ran=$((ran + 1))
}

for machine in aarch64-linux-gnu:aarch64 riscv64-linux-gnu:riscv64 s390x-linux-gnu:s390x \
  i686-linux-gnu:i386 arm-linux-gnueabihf:arm; do
  target=${machine%:*} emulator=qemu-${machine#*:}
  if command -v "$target-gcc" >/dev/null && command -v "$emulator" >/dev/null; then
    run "$target" "${target%%-*}" "$emulator;-L;/usr/$target" -DCMAKE_C_COMPILER="$target-gcc"
  else
    echo "$target: left out; needs $target-gcc and $emulator"
  fi
done
if [ "$(uname -m)" = x86_64 ] && command -v qemu-x86_64 >/dev/null; then
  run x86_64-without-bmi x86_64 "qemu-x86_64;-cpu;max,-bmi1,-bmi2"
fi
[ "$ran" -gt 0 ] || { echo "nothing was run" >&2; exit 1; }
