#!/bin/bash
# soak.sh: tests by chance at length, and twenty epochs on photos with features kept everywhere they can be.
#   CASES=1000 SEED=1   random networks trained with and without what a plan does to them, and the first one's seed
set -euo pipefail
cd "$(dirname "$0")/.."
Scripts/setup.sh system python
Scripts/stage.sh dist
XFER_CASES=${CASES:-1000} XFER_SEED=${SEED:-1} \
  swift test -c release --scratch-path "${XFER_TEST_BUILD:-.build/tests}" -Xswiftc -enable-testing --filter PassPropertyTests
PYTHONPATH=dist/python .venv/bin/python Tests/soak/trashnet.py
echo "soak: no difference"
