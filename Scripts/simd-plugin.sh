#!/bin/bash
# simd-plugin.sh TREE PYTHON: the path of the simd variant of an install tree that runs here; nothing where there is none.
set -euo pipefail
"${1:?an install tree is wanted}/bin/xfer" plugins --json | "${2:?an interpreter is wanted}" -c 'import json, sys
plugins = [p for p in json.load(sys.stdin)["plugins"] if p["name"] == "simd"]
print(max(plugins, key=lambda p: p["score"])["path"] if plugins else "")'
