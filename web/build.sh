#!/usr/bin/env bash
# Builds web/: the C core as WebAssembly (clang and wasm-ld), and the static site (node).
#
#   bash web/build.sh          the site, in web/dist: needs `npm ci` before it, and no C compiler
#   bash web/build.sh core     web/wasm/aecodec.wasm, after a change of the C core: needs clang and lld
#   bash web/build.sh check    fails unless web/wasm/aecodec.wasm was made from the sources as they are
set -euo pipefail
cd "$(dirname "$0")"

core=../aecodec/core
sources=("$core"/{cdf,container,crc32c,header,rans_decode,rans_encode,status,z_context}.c core/exports.c)
headers=("$core"/{aecodec,cursor,rans}.h core/include/string.h)
exports=(aecodec_crc32c aecodec_status_name aecodec_status_text aecodec_version aecodec_group_index_read
  aecodec_group_index_write aecodec_section_frame aecodec_tables_init aecodec_group_bound
  aecodec_group_encode aecodec_decoder_init aecodec_decoder_decode aecodec_decoder_finish
  aecodec_z_symbols aecodec_decoder_decode_z)
version=$(sed -n 's/^project(aecodec VERSION \([0-9.]*\).*/\1/p' ../CMakeLists.txt)
flags=(--target=wasm32-unknown-unknown -std=c11 -O2 -ffreestanding -nostdlib -mbulk-memory -msimd128
  -Wall -Wextra -Wconversion -Wshadow -Werror -fvisibility=hidden
  -DAECODEC_VERSION_STRING="\"$version\"" -I"$core" -Icore/include
  -Wl,--no-entry,--strip-all,--stack-first,--export=__heap_base -Wl,-z,stack-size=65536)
for name in "${exports[@]}"; do flags+=("-Wl,--export=$name"); done

# What decides the bytes of the module: every source, in this order, and the flags.
fingerprint() {
  { for file in "${sources[@]}" "${headers[@]}"; do cat "$file"; done; printf '%s\n' "${flags[@]}"; } | sha256sum | cut -d' ' -f1
}

case "${1:-site}" in
core)
  out=${WASM_OUT:-wasm}
  ${CLANG:-clang} "${flags[@]}" "${sources[@]}" -o "$out/aecodec.wasm"
  {
    echo "sources $(fingerprint)"
    echo "wasm $(sha256sum <"$out/aecodec.wasm" | cut -d' ' -f1)"
    echo "compiler $(${CLANG:-clang} --version | head -1)"
  } >"$out/aecodec.wasm.txt"
  echo "$out/aecodec.wasm: $(stat -c %s "$out/aecodec.wasm") bytes"
  ;;
check)
  grep -qx "sources $(fingerprint)" wasm/aecodec.wasm.txt ||
    { echo "web/wasm/aecodec.wasm is older than the C core; run: bash web/build.sh core" >&2; exit 1; }
  grep -qx "wasm $(sha256sum <wasm/aecodec.wasm | cut -d' ' -f1)" wasm/aecodec.wasm.txt ||
    { echo "web/wasm/aecodec.wasm is not what web/build.sh made; run: bash web/build.sh core" >&2; exit 1; }
  ;;
site)
  node scripts/site.mjs
  ;;
*)
  sed -n '2,6p' "$0" >&2
  exit 2
  ;;
esac
