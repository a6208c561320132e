#!/usr/bin/env python3
"""Training a head on a frozen Xception, with and without keeping the frozen part's outputs.

    PYTHONPATH=dist/python python Benchmarks/training/head.py [--images 64] [--epochs 20] [--size 150] [--repeats 2]

Both ways and a plain forward pass run in turn in one process, best of several repeats; ratios are what counts. "Again" is a second fit, which
finds all features there. The losses of both ways are compared bit by bit.
"""

import argparse
import time

import numpy as np
import xfer as keras


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=int, default=64)
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--size", type=int, default=150)
    parser.add_argument("--repeats", type=int, default=2)
    options = parser.parse_args()
    generator = np.random.default_rng(0)
    x = generator.uniform(-1, 1, (options.images, options.size, options.size, 3)).astype(np.float32)
    y = (np.arange(options.images) % 2).astype(np.float32)[:, None]
    base = keras.applications.Xception(weights=None, include_top=False, input_shape=(options.size, options.size, 3))
    base.trainable = False

    def head():
        inputs = keras.Input((options.size, options.size, 3))
        pooled = keras.layers.GlobalAveragePooling2D()(base(inputs, training=False))
        model = keras.Model(inputs, keras.layers.Dense(1, kernel_initializer="zeros")(pooled))
        model.compile(keras.optimizers.Adam(), keras.losses.BinaryCrossentropy(from_logits=True))
        return model

    def fit(model, cache):
        begin = time.perf_counter()
        losses = model.fit(x, y, epochs=options.epochs, shuffle=False, verbose=0, cache=cache).history["loss"]
        return time.perf_counter() - begin, losses

    def forward():
        begin = time.perf_counter()
        base.predict(x, verbose=0)
        return time.perf_counter() - begin

    forward()
    best = {"forward": np.inf, "off": np.inf, "memory": np.inf, "again": np.inf}
    seen = {}
    for _ in range(options.repeats):
        best["forward"] = min(best["forward"], forward())
        for cache in ("memory", None):
            model = head()
            seconds, seen[cache] = fit(model, cache)
            name = cache or "off"
            best[name] = min(best[name], seconds)
            if cache:
                best["again"] = min(best["again"], fit(model, cache)[0])
    per_image = {name: 1000 * seconds / options.images for name, seconds in best.items()}
    print(f"Xception {options.size}x{options.size}, {options.images} images, {options.epochs} epochs of the head, {keras.get_threads()} threads")
    print(f"{'':24}{'ms an image':>12}{'of a forward':>14}")
    for name, title in (("forward", "forward pass"), ("memory", "head, features kept"), ("again", "again"), ("off", "head, nothing kept")):
        print(f"{title:24}{per_image[name]:12.2f}{per_image[name] / per_image['forward']:14.2f}")
    for name, title in (("memory", "features kept"), ("again", "again")):
        print(f"{title}: {options.epochs * best['forward'] / best[name]:.1f} times faster than {options.epochs} forward passes")
    print(f"features kept is {best['off'] / best['memory']:.1f} times faster; losses bit-equal: {seen['memory'] == seen[None]}")


if __name__ == "__main__":
    main()
