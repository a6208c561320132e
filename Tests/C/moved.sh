#!/bin/bash
# moved.sh TREE: the tree works from another folder, by pkg-config and, where there is one, by CMake; and without its plugins.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
tree=$(cd "${1:?an install tree is wanted}" && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cp -R "$tree" "$work/some where"
moved="$work/some where"

cat >"$work/version.c" <<'PROGRAM'
#include <stdio.h>
#include <xfer.h>
int main(void) {
  char text[20000];
  size_t length = 0;
  if (xfer_plugins_json(text, sizeof text, &length) != XFER_OK) return 1;
  printf("%s\n%s\n", xfer_version_string(), text);
  return 0;
}
PROGRAM

mkdir "$work/elsewhere" && cd "$work/elsewhere"
export PKG_CONFIG_PATH="$moved/lib/pkgconfig"
eval "cc ../version.c -o version $(pkg-config --cflags --libs xfer)"
output=$(LD_LIBRARY_PATH="$moved/lib" ./version)
[ "$(head -1 <<<"$output")" = "$(pkg-config --modversion xfer)" ] || { echo "moved: versions differ: $output"; exit 1; }
grep -q "$(basename "$moved")/lib/xfer/plugins/libxfer-" <<<"$output" || { echo "moved: its plugins were not found: $output"; exit 1; }
echo "moved: pkg-config"

if command -v cmake >/dev/null; then
  mkdir cmake && cp ../version.c cmake/
  printf '%s\n' 'cmake_minimum_required(VERSION 3.13)' 'project(p C)' 'find_package(xfer 0.1 REQUIRED)' 'add_executable(version version.c)' \
    'target_link_libraries(version PRIVATE xfer::xfer)' >cmake/CMakeLists.txt
  cmake -S cmake -B cmake/build -DCMAKE_PREFIX_PATH="$moved" >/dev/null
  cmake --build cmake/build >/dev/null
  cmake/build/version >/dev/null
  echo "moved: CMake"
fi
