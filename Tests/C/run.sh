#!/bin/bash
# run.sh TREE: the headers, the exports, then every program of this folder, built against the tree by pkg-config.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
tree=$(cd "${1:?an install tree is wanted}" && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

"$here/headers.sh" "$tree/include"
"$here/exports.sh" "$tree"

export PKG_CONFIG_PATH="$tree/lib/pkgconfig"
read -ra flags < <(pkg-config --cflags xfer)
read -ra libraries < <(pkg-config --libs xfer)
warnings=(-pedantic -Wall -Wextra -Werror)

# Programs run in a folder of their own, so that nothing is found by chance of the current one.
mkdir "$work/empty"
total=0 failed=0
for source in "$here"/*.c "$here"/../../Examples/c/*.c; do
  name=$(basename "$source" .c)
  cc -std=c11 -D_POSIX_C_SOURCE=200809L -O1 -g "${warnings[@]}" -I "$here" "${flags[@]}" "$source" -o "$work/$name" "${libraries[@]}" -lm -lpthread
  [[ "$source" == */Examples/* ]] && continue
  status=0
  output=$(cd "$work/empty" && LD_LIBRARY_PATH="$tree/lib" XFER_TREE="$tree" XFER_FIXTURES="$here/../CodecTests/Fixtures" TMPDIR="$work" timeout 300 "$work/$name" 2>&1) || status=$?
  last=$(tail -1 <<<"$output")
  checks=$(sed -nE 's/^([0-9]+) checks, 0 failed$/\1/p' <<<"$last")
  if [ "$status" -ne 0 ] || [ -z "$checks" ]; then
    echo "$output"
    echo "$name: FAILED (exit code $status)"
    failed=$((failed + 1))
  else
    echo "$name: $last"
    total=$((total + checks))
  fi
done

# This example needs no data: it has to learn.
learned=$(cd "$work/empty" && LD_LIBRARY_PATH="$tree/lib" timeout 300 "$work/custom_kernel")
grep -qE '^after .*"binary_accuracy":(1|0\.9[5-9])' <<<"$learned" || { echo "$learned"; echo "custom_kernel: it did not learn"; exit 1; }

[ "$failed" -eq 0 ] || { echo "C: $failed programs failed"; exit 1; }
"$here/moved.sh" "$tree"
echo "C: $total checks passed"
