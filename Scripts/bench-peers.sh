#!/bin/bash
# bench-peers.sh TREE [run.py's arguments]: Xfer beside its peers, which are downloaded into .cache/peers (some 700 MB; no CUDA).
#   PEERS="--networks Xception --threads 2"   what make passes on
set -euo pipefail
cd "$(dirname "$0")/.."
tree=$(cd "${1:?an install tree is wanted}" && pwd)
shift

python=.cache/peers/venv/bin/python
if [ ! -x "$python" ]; then
  found=
  for name in python3 python3.13 python3.12 python3.11 /usr/bin/python3; do
    if "$name" -c 'import sys, venv, ensurepip; sys.exit(not (3, 11) <= sys.version_info < (3, 14))' 2>/dev/null; then found=$name && break; fi
  done
  [ -n "$found" ] || { echo "bench-peers: Python 3.11 to 3.13 is wanted" >&2; exit 1; }
  mkdir -p .cache/peers
  "$found" -m venv .cache/peers/venv
fi
have() { "$python" -c "import importlib.metadata as m; m.version('$1')" 2>/dev/null; }
# Each by itself: one that cannot be had leaves the others.
get() {
  have "${1%%[=+]*}" || "$python" -m pip install --quiet --disable-pip-version-check "$@" || echo "bench-peers: $* cannot be had here and is left out" >&2
}
get tensorflow-cpu==2.21.0
get keras==3.15.1
get torch==2.13.0+cpu
get onnx
get onnxruntime
get openvino
export PYTHONPATH="$tree/python"
plugin=$(Scripts/simd-plugin.sh "$tree" "$python")
variant=$(basename "$plugin" .so)
results=Benchmarks/results/${variant#libxfer-simd-}
"$python" Benchmarks/peers/run.py --python "$PWD/$python" --results "$results" "$@"

[ -n "$plugin" ] || exit 0
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cc -O3 -march=native -o "$work/kernels" Benchmarks/kernels/bench_kernels.c -lpthread -ldl -lm
"$python" Benchmarks/peers/pieces.py --python "$PWD/$python" --kernels "$work/kernels" --plugin "$plugin" --results "$results"
