#!/usr/bin/env python3
"""The forecast of training beside what training took.

    PYTHONPATH=dist/python python Benchmarks/training/forecast.py [--images 128] [--batch-size 32] [--size 150]

For each depth to which an Xception is unfrozen one process asks for the forecast, and one for each way of keeping the frozen part's outputs trains: two
epochs of other images, in which plans are made and weights packed, then four epochs. "first" is the first of these, "later" the best of the others.
Memory is the peak of the process less what it had before training.
"""

import argparse
import json
import math
import resource
import subprocess
import sys
import time

DEPTHS = ["none", "last:33%", "all"]


def resident():
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * resource.getpagesize()


def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def unfreeze(base, depth):
    """As the forecast does it."""
    layers = base.layers
    first = {"none": len(layers), "all": 0}.get(depth)
    if first is None:
        weighty = [index for index, layer in enumerate(layers) if layer.weights]
        first = weighty[-math.ceil(float(depth[5:-1]) / 100 * len(weighty) - 1e-9)]
    base.trainable = depth != "none"
    for index, layer in enumerate(layers):
        layer.trainable = index >= first


def network(keras, size, depth):
    base = keras.applications.Xception(weights=None, include_top=False, input_shape=(size, size, 3))
    inputs = keras.Input((size, size, 3))
    pooled = keras.layers.GlobalAveragePooling2D()(base(inputs, training=False))
    model = keras.Model(inputs, keras.layers.Dense(1)(pooled))
    unfreeze(base, depth)
    model.compile(keras.optimizers.Adam(1e-5), keras.losses.BinaryCrossentropy(from_logits=True))
    return model


def measure(options):
    import numpy as np
    import xfer as keras

    model = network(keras, options.size, options.depth)
    x = np.random.default_rng(0).uniform(-1, 1, (options.images, options.size, options.size, 3)).astype(np.float32)
    y = (np.arange(options.images) % 2).astype(np.float32)
    if options.forecast:
        print(json.dumps(model.forecast(options.images, options.batch_size, depths=[options.depth])[0]))
        return
    before = resident()
    cache = options.cache or None
    seconds = []

    class Clock(keras.callbacks.Callback):
        def on_epoch_begin(self, epoch, logs=None):
            self.begin = time.perf_counter()

        def on_epoch_end(self, epoch, logs=None):
            seconds.append(time.perf_counter() - self.begin)

    # Other images first: plans are made, weights packed.
    model.fit(x[: options.batch_size] + 1, y[: options.batch_size], batch_size=options.batch_size, epochs=2, verbose=0, cache=cache)
    model.fit(x, y, batch_size=options.batch_size, epochs=4, shuffle=False, verbose=0, cache=cache, callbacks=[Clock()])
    print(json.dumps({"first": seconds[0], "later": min(seconds[1:]), "bytes": peak() - before}))


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=int, default=128)
    parser.add_argument("--batch-size", type=int, default=32)
    parser.add_argument("--size", type=int, default=150)
    parser.add_argument("--depth", help=argparse.SUPPRESS)
    parser.add_argument("--cache", default="", help=argparse.SUPPRESS)
    parser.add_argument("--forecast", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.depth:
        return measure(options)

    def child(*more):
        command = [sys.executable, __file__, "--images", str(options.images), "--batch-size", str(options.batch_size), "--size", str(options.size)]
        return json.loads(subprocess.run(command + list(more), check=True, stdout=subprocess.PIPE).stdout)

    print(f"Xception {options.size}x{options.size}, {options.images} images an epoch, batches of {options.batch_size}")
    print(f"{'unfrozen':10}{'epoch':18}{'forecast s':>12}{'measured s':>12}{'ratio':>8}{'forecast MB':>14}{'measured MB':>13}{'ratio':>8}")

    def row(depth, epoch, guess, got, guessed_bytes=None, got_bytes=None):
        line = f"{depth:10}{epoch:18}{guess:12.3f}{got:12.3f}{guess / got:8.2f}"
        if got_bytes:
            line += f"{guessed_bytes / 1e6:14.0f}{got_bytes / 1e6:13.0f}{guessed_bytes / got_bytes:8.2f}"
        print(line, flush=True)

    for depth in DEPTHS:
        cost = child("--depth", depth, "--forecast")
        got = child("--depth", depth)
        row(depth, "nothing kept", cost["uncached"]["seconds"], got["later"], cost["uncached"]["bytes"], got["bytes"])
        if cost["cached"]:
            got = child("--depth", depth, "--cache", "memory")
            row(depth, "first, kept", cost["cached"]["first"]["seconds"], got["first"], cost["cached"]["bytes"], got["bytes"])
            row(depth, "later, kept", cost["cached"]["later"]["seconds"], got["later"])


if __name__ == "__main__":
    main()
