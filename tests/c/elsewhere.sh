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
for machine in aarch64-linux-gnu:aarch64 riscv64-linux-gnu:riscv64 s390x-linux-gnu:s390x \
  i686-linux-gnu:i386 arm-linux-gnueabihf:arm; do
  target=${machine%:*} emulator=qemu-${machine#*:}
  if ! command -v "$target-gcc" "$emulator" >/dev/null; then
    echo "$target: left out; needs $target-gcc and $emulator"
    continue
  fi
  echo "$target"
  cmake -S . -B "$work/$target" -G Ninja -DAECODEC_TESTS=ON -DAECODEC_WERROR=ON -DCMAKE_SYSTEM_NAME=Linux \
    -DCMAKE_SYSTEM_PROCESSOR="${target%%-*}" -DCMAKE_C_COMPILER="$target-gcc" \
    -DCMAKE_CROSSCOMPILING_EMULATOR="$emulator;-L;/usr/$target" >"$work/log" || { cat "$work/log"; exit 1; }
  cmake --build "$work/$target" >"$work/log" || { cat "$work/log"; exit 1; }
  ctest --test-dir "$work/$target" --output-on-failure
  ran=$((ran + 1))
done
if [ "$(uname -m)" = x86_64 ] && command -v qemu-x86_64 >/dev/null; then
  echo "x86-64 without BMI"
  cmake -S . -B "$work/x86-64" -G Ninja -DAECODEC_TESTS=ON -DAECODEC_WERROR=ON -DCMAKE_SYSTEM_NAME=Linux \
    -DCMAKE_SYSTEM_PROCESSOR=x86_64 \
    -DCMAKE_CROSSCOMPILING_EMULATOR="qemu-x86_64;-cpu;max,-bmi1,-bmi2" >"$work/log" || { cat "$work/log"; exit 1; }
  cmake --build "$work/x86-64" >"$work/log" || { cat "$work/log"; exit 1; }
  ctest --test-dir "$work/x86-64" --output-on-failure
  ran=$((ran + 1))
fi
[ "$ran" -gt 0 ] || { echo "nothing was run" >&2; exit 1; }
