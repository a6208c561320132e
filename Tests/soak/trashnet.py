#!/usr/bin/env python3
"""Twenty epochs of a head on photos, the frozen network's outputs kept nowhere, in memory and on disk: the histories are to be the same.

    PYTHONPATH=Python XFER_LIBRARY=... python Tests/soak/trashnet.py [--network Xception|SqueezeNet] [--size 150] [--epochs 20]

Photos and weights are those of the reference data: XFER_SHARED, or `shared` beside the checkout. Without them it says so and is done.
"""

import argparse
import os
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import xfer as keras

WEIGHTS = {"Xception": "reference/xception/xception_notop_legacy.h5", "SqueezeNet": "weights/squeezenet_v1.1_notop_legacy.h5"}


def fit(options, shared, caching, augment=False):
    """The history, the head's weights, and the seconds of each epoch."""
    keras.set_random_seed(1)
    size = (options.size, options.size)
    train, val = (keras.utils.image_dataset_from_directory(
        str(shared / "data/trashnet" / part), image_size=size, batch_size=32, seed=1, shuffle=part == "train", verbose=False)
        for part in ("train", "val"))
    network = getattr(keras.applications, options.network)
    base = network(weights=str(shared / WEIGHTS[options.network]), include_top=False, input_shape=(*size, 3))
    base.trainable = False
    inputs = keras.Input((*size, 3))
    x = inputs
    if augment:
        x = keras.layers.RandomFlip("horizontal", seed=2)(x)
        x = keras.layers.RandomRotation(0.05, seed=3)(x)
    x = base(sys.modules[network.__module__].preprocess_input(x), training=False)
    model = keras.Model(inputs, keras.layers.Dense(6)(keras.layers.GlobalAveragePooling2D()(x)))
    model.compile(
        keras.optimizers.Adam(1e-3), keras.losses.SparseCategoricalCrossentropy(from_logits=True), metrics=["accuracy"])
    ends = [time.perf_counter()]
    clock = keras.callbacks.LambdaCallback(on_epoch_end=lambda epoch, logs: ends.append(time.perf_counter()))
    history = model.fit(train, validation_data=val, epochs=options.epochs, verbose=0, callbacks=[clock], **caching).history
    return history, [weight.numpy() for weight in model.layers[-1].weights], np.diff(ends)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--network", choices=list(WEIGHTS), default="Xception")
    parser.add_argument("--size", type=int, default=150)
    parser.add_argument("--epochs", type=int, default=20)
    options = parser.parse_args()
    shared = Path(os.environ.get("XFER_SHARED") or Path(__file__).resolve().parents[3] / "shared")
    for needed in ("data/trashnet/train", WEIGHTS[options.network]):
        if not (shared / needed).exists():
            print(f"skipped: {shared / needed} is absent (set XFER_SHARED to the reference data)")
            return
    folder = tempfile.TemporaryDirectory(prefix="xfer-features-")
    disk = {"cache": "disk", "cache_folder": folder.name}
    half = {"cache_dtype": "bfloat16"}
    runs = [
        ("off", {"cache": None}, False), ("memory", {}, False), ("disk", disk, False), ("disk, found there", disk, False),
        ("bfloat16", half, False), ("bfloat16, disk", {**disk, **half}, False),
        ("4 variants", {"cache_variants": 4}, True), ("4 variants, disk", {**disk, "cache_variants": 4}, True),
    ]
    print(f"{options.network} {options.size}x{options.size}, trashnet, {options.epochs} epochs of the head, {keras.get_threads()} threads")
    print(f"{'':20}{'seconds':>9}{'epoch 1':>9}{'last':>8}{'loss':>10}{'val_loss':>10}{'val_accuracy':>14}")
    seen = {}
    with folder:
        for name, caching, augment in runs:
            history, weights, seconds = seen[name] = fit(options, shared, caching, augment)
            last = [history[key][-1] for key in ("loss", "val_loss", "val_accuracy")]
            print(f"{name:20}{seconds.sum():9.2f}{seconds[0]:9.2f}{seconds[-1]:8.3f}{last[0]:10.5f}{last[1]:10.5f}{last[2]:14.4f}", flush=True)
    failed = False
    for name, same in (
        ("memory", "off"), ("disk", "off"), ("disk, found there", "off"), ("bfloat16, disk", "bfloat16"), ("4 variants, disk", "4 variants")):
        equal = seen[name][0] == seen[same][0] and all(np.array_equal(a, b) for a, b in zip(seen[name][1], seen[same][1]))
        print(f"{name} and {same}: {'the same history and weights, bit for bit' if equal else 'DIFFERENT'}")
        failed |= not equal
    if failed:
        sys.exit("trashnet: FAILED")


if __name__ == "__main__":
    main()
