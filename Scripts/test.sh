#!/bin/bash
# Every test: Swift, C against the staged tree, Python, the command. Stops at the first runner that fails.
set -euo pipefail
cd "$(dirname "$0")/.."
Scripts/setup.sh system python
Scripts/stage.sh dist

logs=$(mktemp -d)
trap 'rm -rf "$logs"' EXIT
# Nothing of what tests measure or keep goes to the user's folder.
export XFER_CACHE="$logs/cache"
run() {
  echo
  echo "== $1"
  if ! "${@:2}" 2>&1 | tee "$logs/$1"; then
    echo "make test: the $1 tests FAILED" >&2
    exit 1
  fi
}

run Swift swift test -c release --scratch-path "${XFER_TEST_BUILD:-.build/tests}" -Xswiftc -enable-testing
run C Tests/C/run.sh dist
cd Python
XFER_LIBRARY="$PWD/../dist/lib/libxfer.so.1" run Python ../.venv/bin/python -m pytest -q
cd ..
run command .venv/bin/python -m pytest -q Tests/cli

# The runners' own last words once more, in one place.
echo
for runner in Swift C Python command; do
  echo "$runner: $(grep -E 'Test run with|checks passed|[0-9]+ passed' "$logs/$runner" | tail -1)"
done
echo "All tests passed."
