#!/bin/bash
# stage.sh DIR: a release build of all products, laid out as an install tree. The tree may be moved anywhere.
set -euo pipefail
cd "$(dirname "$0")/.."
target=${1:?a folder is wanted}
case "$target" in -*) echo "stage.sh: a folder is wanted, $target was given" >&2; exit 2 ;; esac
build=${XFER_BUILD:-.build}

flags=(-c release --scratch-path "$build")
swift build "${flags[@]}"
bin=$(swift build "${flags[@]}" --show-bin-path)

number() { sed -n "s/^#define XFER_VERSION_$1 *//p" include/xfer.h; }
version="$(number MAJOR).$(number MINOR).$(number PATCH)"

tree="$target.new"
rm -rf "$tree"
mkdir -p "$tree"/{bin,include,python} "$tree"/lib/{pkgconfig,cmake/xfer,xfer/plugins}
place() { install -m 755 "$1" "$2" && strip --strip-unneeded "$2"; }
place "$bin/xfer-cli" "$tree/bin/xfer"
place "$bin/libxfer.so" "$tree/lib/libxfer.so.1"
ln -s libxfer.so.1 "$tree/lib/libxfer.so"
for plugin in "$bin"/libxfer-*.so; do place "$plugin" "$tree/lib/xfer/plugins/$(basename "$plugin")"; done
install -m 644 include/xfer.h include/xfer_plugin.h "$tree/include/"
for template in Scripts/packaging/*.in; do
  name=$(basename "$template" .in)
  case "$name" in
    *.pc) folder=lib/pkgconfig ;;
    *) folder=lib/cmake/xfer ;;
  esac
  sed "s/@VERSION@/$version/g" "$template" >"$tree/$folder/$name"
done
cp -R Python/xfer "$tree/python/xfer"
find "$tree/python" -name __pycache__ -prune -exec rm -rf {} +

# The old tree stays until the new one is whole.
rm -rf "$target"
mv "$tree" "$target"
echo "staged $target: xfer $version"
