#!/bin/bash
# exports.sh TREE: the library exports the functions of xfer.h, all and alone; the export list names them; it needs the
# platform's libraries alone and looks for others nowhere else.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
tree=${1:?an install tree is wanted}
library="$tree/lib/libxfer.so.1"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# The compiler's view of the header: what it declares as functions.
echo '#include <xfer.h>' | cc -std=c99 -I "$tree/include" -E -P - | tr '\n' ' ' | tr ';' '\n' \
  | grep -v typedef | grep -oE '\bxfer_[a-z0-9_]+ ?\(' | tr -d ' (' | LC_ALL=C sort -u >"$work/header"
nm -D --defined-only "$library" | awk '{ print $3 }' | LC_ALL=C sort >"$work/exported"
grep -oE 'xfer_[a-z0-9_]+' "$here/../../Sources/XferDylib/libxfer.map" | LC_ALL=C sort >"$work/listed"
[ "$(wc -l <"$work/header")" -gt 80 ] || { echo "exports: the header's functions were not found"; exit 1; }
diff "$work/header" "$work/exported" || { echo "exports: < header, > exported"; exit 1; }
diff "$work/header" "$work/listed" || { echo "exports: < header, > libxfer.map"; exit 1; }

dynamic=$(readelf -d "$library")
grep -q 'SONAME.*\[libxfer.so.1\]' <<<"$dynamic" || { echo "exports: the soname is not libxfer.so.1"; exit 1; }
needed=$(sed -n 's/.*(NEEDED).*\[\(.*\)\]/\1/p' <<<"$dynamic")
while read -r name; do
  case "$name" in
    libc.so.* | libm.so.* | libstdc++.so.* | libgcc_s.so.* | libpthread.so.* | libdl.so.* | ld-linux-*.so.* | libffi.so.*) ;;
    *) echo "exports: the library needs $name"; exit 1 ;;
  esac
done <<<"$needed"
path=$(sed -nE 's/.*\(R(UN)?PATH\).*\[(.*)\]/\2/p' <<<"$dynamic")
case "$path" in
  '' | '$ORIGIN') ;;
  *) echo "exports: the library looks for others in $path"; exit 1 ;;
esac
echo "exports: $(wc -l <"$work/exported") functions, as the header has them"
