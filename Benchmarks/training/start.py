#!/usr/bin/env python3
"""How long a program takes until it has a pretrained Xception: import of the package, and building the network on mapped weights.

    PYTHONPATH=dist/python python Benchmarks/training/start.py [--repeats 10]

Every repeat is a process of its own, which imports numpy before the clock starts. Byte code of the package is kept, as after an installation; the best
of the repeats counts. The weights are a .safetensors file of random numbers, of which nothing is read: pages come from the file when they are used.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile

CHILD = """
import ctypes, json, sys, time
import numpy
begin = time.perf_counter()
import xfer
imported = time.perf_counter()
model = xfer.applications.Xception(weights=sys.argv[1], include_top=False, input_shape=(150, 150, 3))
built = time.perf_counter()
print(json.dumps([imported - begin, built - imported]))
"""


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=10)
    options = parser.parse_args()
    import xfer

    with tempfile.TemporaryDirectory() as folder:
        weights = os.path.join(folder, "xception.safetensors")
        xfer.applications.Xception(weights=None, include_top=False, input_shape=(150, 150, 3)).save_weights(weights)
        environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
        environment["PYTHONPYCACHEPREFIX"] = folder
        times = []
        for _ in range(options.repeats + 1):
            output = subprocess.run([sys.executable, "-c", CHILD, weights], env=environment, check=True, stdout=subprocess.PIPE).stdout
            times.append(json.loads(output))
    imported, built = min(times[1:], key=sum)
    print(f"import {imported:.3f} s, Xception built on mapped weights {built:.3f} s, together {imported + built:.3f} s (best of {options.repeats})")


if __name__ == "__main__":
    main()
