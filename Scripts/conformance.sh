#!/bin/bash
# conformance.sh TREE [SHAPES] [SEED]: every backend of the install tree on SHAPES random shapes of each op between guard pages, beside the
# checks of `xfer plugin-check`. A variant this machine cannot run, or whose library is not there, is named and passed over.
set -euo pipefail
tree=$(cd "${1:?an install tree is wanted}" && pwd)
shapes=${2:-1000} seed=${3:-1}
log=$(mktemp)
trap 'rm -f "$log"' EXIT

failed=()
for name in simd-amx simd-avx512bf16 simd-avx512 simd-avx2 simd-baseline blas onednn naive; do
  if "$tree/bin/xfer" plugin-check "$tree/lib/xfer/plugins/libxfer-$name.so" --rounds 100 --shapes "$shapes" --seed "$seed" >"$log" 2>&1; then
    echo "$name: $(tail -1 "$log")"
  elif grep -q 'it cannot run here' "$log"; then
    echo "$name: passed over: $(sed -n 's/.*it cannot run here: //p' "$log")"
  else
    grep -v '^checking ' "$log" || true
    failed+=("$name")
  fi
done
if [ ${#failed[@]} -gt 0 ]; then
  echo "conformance: FAILED: ${failed[*]}" >&2
  exit 1
fi
