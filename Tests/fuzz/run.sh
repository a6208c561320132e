#!/bin/bash
# run.sh TREE [COUNT] [SEED]: mutated files against the install tree. The driver is built with AddressSanitizer, whose allocator then serves the
# whole process: what libhdf5, the codecs and the runtime do with memory they allocated is checked where they call the C library (memcpy, free),
# not at each of their own instructions. XFER_FUZZ_SANITIZER=none builds without.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
tree=$(cd "${1:?an install tree is wanted}" && pwd)
count=${2:-4000} seed=${3:-20260725}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

export PKG_CONFIG_PATH="$tree/lib/pkgconfig"
read -ra flags < <(pkg-config --cflags xfer)
read -ra libraries < <(pkg-config --libs xfer)
sanitizer=()
compiler=$(command -v clang || command -v cc)
if [ "${XFER_FUZZ_SANITIZER:-address}" = address ]; then sanitizer=(-fsanitize=address -fno-omit-frame-pointer); fi
# The sanitizer's symbols are exported, which not every linker does.
case "$compiler" in *clang) command -v ld.lld >/dev/null && sanitizer+=(-fuse-ld=lld) ;; esac
"$compiler" -std=gnu11 -O1 -g -Wall -Wextra "${sanitizer[@]}" "${flags[@]}" "$here/fuzz.c" -o "$work/fuzz" "${libraries[@]}" -lm -lpthread
# Leaks of a process that goes on are looked for by the soak test; here memory that is large at once counts.
export ASAN_OPTIONS="detect_leaks=0:allocator_may_return_null=1:max_allocation_size_mb=4096:handle_segv=1:abort_on_error=0"
export LD_LIBRARY_PATH="$tree/lib" XFER_THREADS="${XFER_THREADS:-2}"
samples=()
for folder in "$here/samples" "$here/../CodecTests/Fixtures" "$here/../goldens/files"; do [ -d "$folder" ] && samples+=("$folder"); done
"$work/fuzz" "$count" "$seed" "${samples[@]}"
