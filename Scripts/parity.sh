#!/bin/bash
# Xfer against Keras itself: layer by layer, then random models trained by both, on every backend.
#   KERAS_PYTHON=/path/to/python   one with keras and tensorflow, instead of a downloaded one under .cache
#   CASES=300 JOBS=2
set -euo pipefail
cd "$(dirname "$0")/.."

python=${KERAS_PYTHON:-}
if [ -z "$python" ]; then
  python=.cache/keras/bin/python
  if ! "$python" -c 'import importlib.metadata as m; assert m.version("keras") == "3.15.1" and m.version("tensorflow-cpu") == "2.21.0"' 2>/dev/null; then
    echo "parity: Keras 3.15.1 and TensorFlow 2.21.0 into .cache/keras (some 300 MB to download)"
    found=
    for name in python3 python3.13 python3.12 python3.11 python3.10 /usr/bin/python3; do
      if "$name" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14))' 2>/dev/null; then found=$name && break; fi
    done
    [ -n "$found" ] || { echo "parity: Python 3.11 to 3.13 is wanted for Keras 3.15; KERAS_PYTHON names one that has it" >&2; exit 1; }
    mkdir -p .cache
    "$found" -m venv .cache/keras
    "$python" -m pip install --quiet --disable-pip-version-check keras==3.15.1 tensorflow-cpu==2.21.0
  fi
fi

export XFER_LIBRARY=${XFER_LIBRARY:-$PWD/dist/lib/libxfer.so.1}
status=0
"$python" Tests/parity/layers.py || status=1
echo
"$python" Tests/parity/run.py --cases "${CASES:-300}" ${JOBS:+--jobs "$JOBS"} || status=1
if [ "$status" -eq 0 ]; then echo "parity: no difference beyond tolerance"; else echo "parity: FAILED" >&2; fi
exit "$status"
