#!/bin/bash
# bench.sh TREE: the kernels beside the peak of this core, the forward pass on one thread and two, the cost of a custom kernel's call, head training with
# and without kept features.
set -euo pipefail
cd "$(dirname "$0")/.."
tree=$(cd "${1:?an install tree is wanted}" && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
variant=$(Scripts/simd-plugin.sh "$tree" .venv/bin/python)
cc -O3 -march=native -o "$work/kernels" Benchmarks/kernels/bench_kernels.c -lpthread -ldl -lm
for threads in 1 2; do "$work/kernels" "$variant" "$threads"; done
"$work/kernels" "$variant" 1 "" bf16
.venv/bin/python Benchmarks/inference/threads.py --xfer "$tree/bin/xfer"
export PKG_CONFIG_PATH="$tree/lib/pkgconfig"
read -ra flags < <(pkg-config --cflags --libs xfer)
cc -O2 -std=gnu11 -o "$work/ffi" Benchmarks/ffi/bench_ffi.c "${flags[@]}" $(pkg-config --libs libffi) -lm
LD_LIBRARY_PATH="$tree/lib" "$work/ffi"
PYTHONPATH="$tree/python" .venv/bin/python Benchmarks/training/head.py
PYTHONPATH="$tree/python" .venv/bin/python Benchmarks/training/start.py
