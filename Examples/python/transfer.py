#!/usr/bin/env python3
"""Transfer learning from a folder of images: freeze a pretrained base, train a new head, unfreeze, fine-tune.

    python transfer.py --data train/ --val val/ --base efficientnet-lite0:lite0.safetensors --epochs 8

Each epoch prints one line with fixed digits; the same seed and backend give the same lines with --loop fit and
--loop custom. The package `xfer` has to be on PYTHONPATH.
"""

import argparse
import sys

import xfer as keras

ARCHITECTURES = {
    "xception": ("Xception", keras.applications.xception),
    "efficientnet-lite0": ("EfficientNetLite0", keras.applications.efficientnet_lite),
    "squeezenet": ("SqueezeNet", keras.applications.squeezenet),
}


def arguments():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", required=True, metavar="DIR", help="training images, one folder a class")
    parser.add_argument("--val", metavar="DIR", help="validation images; without it a fifth of --data is set aside")
    parser.add_argument("--base", required=True, metavar="NAME:WEIGHTS", help=f"{', '.join(ARCHITECTURES)}, a colon and a weights file")
    parser.add_argument("--image-size", default="224", metavar="HxW", help="one number or two; 224")
    parser.add_argument("--epochs", type=int, default=8, metavar="N", help="of the head; 8")
    parser.add_argument("--fine-tune-epochs", type=int, default=2, metavar="N", help="of everything; 2")
    parser.add_argument("--learning-rate", type=float, default=1e-3)
    parser.add_argument("--fine-tune-rate", type=float, default=1e-5)
    parser.add_argument("--batch-size", type=int, default=32, metavar="N")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--backend", default="auto", help="auto, naive, simd, blas or a plugin's name")
    parser.add_argument("--threads", type=int, default=0, help="0: all cores")
    parser.add_argument("--loop", choices=("fit", "custom"), default="fit", help="compile and fit, or a GradientTape")
    parser.add_argument("--out", metavar="FILE", help="where to save the model (.keras)")
    return parser.parse_args()


def datasets(options, size):
    """Training and validation batches; the training ones shuffled anew every epoch, by the seed."""
    common = {"image_size": size, "batch_size": options.batch_size, "seed": options.seed, "verbose": False}
    load = keras.utils.image_dataset_from_directory
    if options.val:
        train = load(options.data, **common)
        return train, load(options.val, **{**common, "shuffle": False}, class_names=train.class_names)
    return tuple(load(options.data, validation_split=0.2, subset=part, **common) for part in ("training", "validation"))


def build(options, size, classes):
    """(base, model): pixels → preprocessing → base in inference mode for good → mean over the image → one logit a class."""
    name, _, weights = options.base.partition(":")
    if name.lower() not in ARCHITECTURES:
        sys.exit(f"--base {name}: unknown; {', '.join(ARCHITECTURES)} are built in")
    title, module = ARCHITECTURES[name.lower()]
    base = getattr(module, title)(include_top=False, weights=weights or None, input_shape=(*size, 3))
    base.trainable = False
    inputs = keras.Input(shape=(*size, 3))
    x = module.preprocess_input(inputs)
    x = base(x, training=False)
    x = keras.layers.GlobalAveragePooling2D()(x)
    return base, keras.Model(inputs, keras.layers.Dense(classes)(x))


def report(epoch, logs):
    print(
        f"epoch {epoch + 1} loss {logs['loss']:.6f} accuracy {logs['accuracy']:.4f} "
        f"val_loss {logs['val_loss']:.6f} val_accuracy {logs['val_accuracy']:.4f}", flush=True)


def train_with_fit(model, train, validation, epochs, rate):
    """Keras' own loop."""
    model.compile(
        optimizer=keras.optimizers.Adam(rate), loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=[keras.metrics.SparseCategoricalAccuracy(name="accuracy")])
    lines = keras.callbacks.LambdaCallback(on_epoch_end=report)
    model.fit(train, epochs=epochs, validation_data=validation, callbacks=[lines], verbose=0)


class Mean:
    """A mean over samples of what batches report."""

    def __init__(self):
        self.total, self.count = 0.0, 0

    def add(self, value, count):
        self.total, self.count = self.total + float(value) * count, self.count + count

    def result(self):
        return self.total / self.count


def train_by_hand(model, train, validation, epochs, rate):
    """The same with a loop of one's own."""
    loss_fn, optimizer = keras.losses.SparseCategoricalCrossentropy(from_logits=True), keras.optimizers.Adam(rate)
    accuracy = keras.metrics.SparseCategoricalAccuracy()
    for epoch in range(epochs):
        train.set_epoch(epoch)
        logs, loss = {}, Mean()
        accuracy.reset_state()
        for images, labels in train:
            with keras.GradientTape() as tape:
                predictions = model(images, training=True)
                loss_value = loss_fn(labels, predictions)
            gradients = tape.gradient(loss_value, model.trainable_weights)
            optimizer.apply_gradients(zip(gradients, model.trainable_weights))
            loss.add(loss_value, len(labels))
            accuracy.update_state(labels, predictions)
        logs.update(loss=loss.result(), accuracy=float(accuracy.result()))
        loss = Mean()
        accuracy.reset_state()
        for images, labels in validation:
            predictions = model(images)
            loss.add(loss_fn(labels, predictions), len(labels))
            accuracy.update_state(labels, predictions)
        logs.update(val_loss=loss.result(), val_accuracy=float(accuracy.result()))
        report(epoch, logs)


def bits(layer):
    return {weight.path: weight.numpy().tobytes() for weight in layer.weights}


def main():
    options = arguments()
    keras.set_threads(options.threads)
    keras.set_backend(options.backend)
    keras.set_random_seed(options.seed)
    height, _, width = options.image_size.partition("x")
    size = (int(height), int(width or height))
    train, validation = datasets(options, size)
    base, model = build(options, size, len(train.class_names))
    loop = train_by_hand if options.loop == "custom" else train_with_fit

    print(f"head: {len(model.trainable_weights)} of {len(model.weights)} weights are trained")
    before = bits(base)
    loop(model, train, validation, options.epochs, options.learning_rate)
    moved = [path for path, value in bits(base).items() if value != before[path]]
    if moved:
        sys.exit(f"frozen weights moved: {', '.join(moved)}")
    print(f"frozen: {len(before)} weights are bit-equal to before")

    if options.fine_tune_epochs:
        base.trainable = True
        print(f"fine-tune: {len(model.trainable_weights)} of {len(model.weights)} weights are trained")
        loop(model, train, validation, options.fine_tune_epochs, options.fine_tune_rate)
        still = [weight.path for weight in base.non_trainable_weights if weight.numpy().tobytes() != before[weight.path]]
        if still:
            sys.exit(f"statistics moved though the base runs in inference mode: {', '.join(still)}")
        print(f"frozen: {len(base.non_trainable_weights)} statistics are bit-equal to before")
    for skipped in train.info.get("skipped", []):
        print(f"skipped: {skipped['path']}: {skipped['reason']}", file=sys.stderr)
    if options.out:
        model.metadata = {"class_names": train.class_names}
        model.save(options.out)
        print(f"saved: {options.out}")


if __name__ == "__main__":
    try:
        main()
    except keras.XferError as error:
        sys.exit(f"transfer.py: {error} ({error.status_name})")
