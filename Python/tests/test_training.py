"""fit, evaluate, predict: kinds of data, callbacks, stops, errors."""

import os
import signal
import subprocess
import sys
import textwrap
import warnings

import numpy as np
import pytest


def classifier(keras, rate=0.05, metrics=("accuracy",)):
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(8, activation="relu"), keras.layers.Dense(1, activation="sigmoid")])
    model.compile(keras.optimizers.Adam(rate), "binary_crossentropy", metrics=list(metrics))
    return model


def test_learns_and_reports(keras, blobs):
    x, y = blobs
    model = classifier(keras)
    history = model.fit(x, y, epochs=5, validation_data=(x, y), verbose=0)
    assert list(history.history) == ["loss", "accuracy", "val_loss", "val_accuracy"]
    assert history.epoch == [0, 1, 2, 3, 4] and model.history is history
    assert history.history["loss"][-1] < history.history["loss"][0] and history.history["accuracy"][-1] == 1.0
    assert model.evaluate(x, y, verbose=0) == pytest.approx([history.history["val_loss"][-1], history.history["val_accuracy"][-1]])
    assert model.evaluate(x, y, verbose=0, return_dict=True).keys() == {"loss", "accuracy"}
    assert model.metrics_names == ["loss", "accuracy"]
    p = model.predict(x, verbose=0)
    assert p.shape == (64, 1) and p.flags.writeable and ((p[:, 0] > 0.5) == y).all()
    assert np.array_equal(p[:5], model.predict_on_batch(x[:5])) and np.array_equal(p, model(x))


def test_sparse_classes(keras, blobs):
    x, y = blobs
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3)])
    model.compile("adam", keras.losses.SparseCategoricalCrossentropy(from_logits=True), metrics=["accuracy"])
    for labels in (y, y.astype(np.int64), y.astype(np.uint8)[:, None]):
        logs = model.evaluate(x, labels, verbose=0, return_dict=True)
        assert logs["accuracy"] == pytest.approx((model.predict(x, verbose=0).argmax(1) == y).mean())
    with pytest.raises(keras.XferError) as refused:
        model.evaluate(x, y + 5, verbose=0)
    assert refused.value.status == 15


class Again:
    """Iterable any number of times, with no length."""

    def __init__(self, x, y, size=16):
        self.x, self.y, self.size = x, y, size

    def __iter__(self):
        for start in range(0, len(self.x), self.size):
            yield self.x[start:start + self.size], self.y[start:start + self.size]


class Indexed(Again):
    """A sequence of batches."""

    __iter__ = None

    def __len__(self):
        return len(self.x) // self.size

    def __getitem__(self, index):
        return self.x[index * self.size:(index + 1) * self.size], self.y[index * self.size:(index + 1) * self.size]


def test_every_kind_of_data_gives_the_same_training(keras, blobs):
    x, y = blobs

    def run(data, **options):
        keras.set_random_seed(4)
        model = classifier(keras)
        history = model.fit(data, epochs=2, verbose=0, validation_data=options.pop("validation", (x, y)), **options).history
        return {k: [round(v, 6) for v in values] for k, values in history.items()}

    def endless():
        while True:
            yield from Again(x, y)

    expected = run(x, y=y, batch_size=16, shuffle=False)
    batches = list(Again(x, y))
    assert run(batches) == expected
    assert run(Again(x, y)) == expected
    assert run([[np.array(a), np.array(b)] for a, b in batches]) == expected
    assert run(endless(), steps_per_epoch=4) == expected
    assert run(Again(x, y), validation=Again(x, y)) == expected
    assert run([(a, b, np.ones(16)) for a, b in batches]) == expected
    assert run(x, y=y, batch_size=16, shuffle=False, sample_weight=np.ones(64), class_weight={0: 1.0}) == expected
    Indexed.__iter__ = None
    indexed = type("Rows", (), {"__len__": Indexed.__len__, "__getitem__": Indexed.__getitem__})()
    indexed.x, indexed.y, indexed.size = x, y, 16
    assert run(indexed) == expected


def test_predict_and_evaluate_over_batches(keras, blobs):
    x, y = blobs
    model = classifier(keras)
    assert model.evaluate(Again(x, y), verbose=0) == pytest.approx(model.evaluate(x, y, batch_size=16, verbose=0))
    assert model.evaluate(Again(x, y), steps=2, verbose=0) == pytest.approx(model.evaluate(x[:32], y[:32], batch_size=16, verbose=0))
    assert np.array_equal(model.predict(Again(x, y), verbose=0), model.predict(x, batch_size=16, verbose=0))


def test_a_spent_generator_warns_and_stops(keras, blobs):
    model = classifier(keras)
    with pytest.warns(UserWarning, match="ran out of data after epoch 1 of 3"):
        history = model.fit(iter(list(Again(*blobs))), epochs=3, verbose=0)
    assert history.epoch == [0]


def test_train_on_batch(keras, blobs):
    x, y = blobs
    model = classifier(keras)
    before = model.test_on_batch(x, y)
    assert model.train_on_batch(x, y) == pytest.approx(before)
    assert model.test_on_batch(x, y, return_dict=True)["loss"] < before[0]
    assert model.optimizer.iterations == 1


def test_hooks_in_order(keras, blobs):
    x, y = blobs
    calls = []

    class Watch(keras.callbacks.Callback):
        def on_train_begin(self, logs=None):
            assert self.params["epochs"] == 2 and self.params["steps"] == 2
            calls.append("train_begin")

        def on_epoch_begin(self, epoch, logs=None):
            calls.append(f"epoch_begin {epoch}")

        def on_train_batch_begin(self, batch, logs=None):
            calls.append(f"batch_begin {batch}")

        def on_train_batch_end(self, batch, logs=None):
            assert list(logs) == ["loss", "accuracy"]
            calls.append(f"batch_end {batch}")

        def on_epoch_end(self, epoch, logs=None):
            assert list(logs) == ["loss", "accuracy", "val_loss", "val_accuracy"]
            calls.append(f"epoch_end {epoch}")

        def on_train_end(self, logs=None):
            calls.append("train_end")

    epoch = ["batch_begin 0", "batch_end 0", "batch_begin 1", "batch_end 1"]
    expected = ["train_begin", "epoch_begin 0", *epoch, "epoch_end 0", "epoch_begin 1", *epoch, "epoch_end 1", "train_end"]
    classifier(keras).fit(x, y, epochs=2, validation_data=(x, y), callbacks=[Watch()], verbose=0)
    assert calls == expected
    calls.clear()
    Watch.on_train_begin = lambda self, logs=None: calls.append("train_begin")
    classifier(keras).fit(Again(x, y, 32), epochs=2, validation_data=(x, y), callbacks=Watch(), verbose=0)
    assert calls == expected


@pytest.mark.parametrize("hook, epochs", [("on_epoch_end", 1), ("on_train_batch_end", 1), ("on_epoch_begin", 1)])
def test_stop_training(keras, blobs, hook, epochs):
    x, y = blobs
    ended = []

    def stop(*arguments):
        model.stop_training = True

    model = classifier(keras)
    watch = keras.callbacks.LambdaCallback(on_train_end=lambda logs: ended.append(logs), **{hook: stop})
    history = model.fit(x, y, epochs=5, validation_data=(x, y), callbacks=[watch], verbose=0)
    assert len(history.epoch) == epochs and len(ended) == 1
    if epochs:
        assert list(history.history) == ["loss", "accuracy", "val_loss", "val_accuracy"]
    again = model.fit(x, y, epochs=2, verbose=0)
    assert len(again.epoch) == 2


def test_exceptions_in_callbacks_and_data_come_out(keras, blobs):
    x, y = blobs

    class Mine(Exception):
        pass

    def fail(*arguments):
        raise Mine("from a callback")

    model = classifier(keras)
    for hook in ("on_train_begin", "on_epoch_begin", "on_train_batch_end", "on_epoch_end", "on_train_end"):
        with pytest.raises(Mine, match="from a callback"):
            model.fit(x, y, epochs=2, callbacks=[keras.callbacks.LambdaCallback(**{hook: fail})], verbose=0)

    def broken():
        yield x[:8], y[:8]
        raise Mine("from the data")

    with pytest.raises(Mine, match="from the data"):
        model.fit(broken(), verbose=0)
    with pytest.raises(Mine, match="from the data"):
        model.fit(x, y, validation_data=broken(), verbose=0)
    with pytest.raises(Mine, match="from the data"):
        model.evaluate(broken(), verbose=0)
    with pytest.raises(ValueError, match=r"\(x, y\)"):
        model.fit(iter([x, x]), verbose=0)
    assert len(model.fit(x, y, verbose=0).epoch) == 1


def test_an_exception_does_not_leak_the_data(keras, blobs):
    from xfer import data

    x, y = blobs
    model = classifier(keras)
    for _ in range(3):
        model.fit(Again(x, y), verbose=0)
    import gc

    gc.collect()
    assert not data._sources


def test_callbacks_may_use_the_model(keras, blobs):
    x, y = blobs
    rates, outputs = [], []

    def epoch_end(epoch, logs):
        model.optimizer.learning_rate = 0.05 / (epoch + 2)
        rates.append(model.optimizer.learning_rate)
        outputs.append(model.predict(x[:1], verbose=0))

    model = classifier(keras)
    model.fit(x, y, epochs=2, callbacks=[keras.callbacks.LambdaCallback(on_epoch_end=epoch_end)], verbose=0)
    assert rates == pytest.approx([0.025, 0.05 / 3]) and not np.array_equal(outputs[0], outputs[1])


@pytest.mark.parametrize("place", ["between", "callback", "data"])
def test_ctrl_c(library, place, tmp_path):
    program = textwrap.dedent(f"""
        import os, signal, sys, threading, time
        import numpy as np
        import xfer as keras
        x, y = np.ones((64, 4), np.float32), np.ones(64, np.float32)
        model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(1, activation="sigmoid")])
        model.compile("sgd", "binary_crossentropy")
        interrupt = lambda: os.kill(os.getpid(), signal.SIGINT)
        place = {place!r}
        def wait(*a):
            if place == "callback":
                threading.Timer(0.2, interrupt).start()
                time.sleep(30)
        def batches():
            while True:
                if place == "data":
                    threading.Timer(0.2, interrupt).start()
                    time.sleep(30)
                yield x, y
        if place == "between":
            threading.Timer(0.5, interrupt).start()
        try:
            if place == "data":
                model.fit(batches(), steps_per_epoch=4, epochs=10**6, verbose=0)
            else:
                model.fit(x, y, epochs=10**6, verbose=0, callbacks=[keras.callbacks.LambdaCallback(on_epoch_end=wait)])
        except KeyboardInterrupt:
            print("interrupted")
        assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
        place = ""
        model.fit(x, y, verbose=0)
        print("went on")
    """)
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True, timeout=60)
    assert done.stdout.split("\n")[:2] == ["interrupted", "went on"], done.stderr
    assert "Exception ignored" not in done.stderr


def test_progress_goes_to_stderr(keras, blobs, capfd):
    classifier(keras).fit(*blobs, epochs=1, verbose=2)
    out, err = capfd.readouterr()
    assert out == "" and "loss" in err


@pytest.mark.parametrize("call, status", [
    (lambda m, x, y: m.fit(x, y[:5], verbose=0), 3),
    (lambda m, x, y: m.fit(x[:, :3], y, verbose=0), 3),
    (lambda m, x, y: m.fit(x[:0], y[:0], verbose=0), 15),
    (lambda m, x, y: m.fit(np.full_like(x, np.nan), y, verbose=0), 14),
    (lambda m, x, y: m.fit(x, y, validation_split=1.5, verbose=0), 1),
    (lambda m, x, y: m.fit(x, y, batch_size=-1, verbose=0), 1),
    (lambda m, x, y: m.fit(iter([]), verbose=0), 15),
    (lambda m, x, y: m.predict(x[:, :2], verbose=0), 3),
    (lambda m, x, y: m.load_weights("absent.safetensors"), 5),
    (lambda m, x, y: m.get_layer("dens"), 5),
    (lambda m, x, y: m.compile("adam", "binary_crossentropie"), 5),
    (lambda m, x, y: m.compile("adamm", "binary_crossentropy"), 5),
    (lambda m, x, y: m.compile("adam", "binary_crossentropy", metrics=["acuracy"]), 5),
])
def test_refusals(keras, blobs, call, status):
    model = classifier(keras)
    with pytest.raises((keras.XferError, ValueError)) as refused:
        call(model, *blobs)
    assert getattr(refused.value, "status", None) == status, refused.value
    model.fit(*blobs, verbose=0)


def test_wrong_uses(keras, blobs):
    x, y = blobs
    model = classifier(keras)
    for call, words in (
        (lambda: model.fit(x), "targets"),
        (lambda: model.fit(Again(x, y), validation_split=0.5), "arrays"), (lambda: model(x, training="yes"), "bool"),
        (lambda: keras.Model(x, x), "symbols"), (lambda: keras.Sequential([3]), "layers"),
    ):
        with pytest.raises(ValueError, match=words):
            call()


def test_backend_and_threads(keras):
    names = {plugin["name"] for plugin in keras.plugins()["plugins"]}
    assert "naive" in names
    keras.set_threads(1)
    assert keras.get_threads() == 1
    keras.set_threads(0)
    assert keras.get_threads() >= 1
    with pytest.raises(keras.XferError) as refused:
        keras.set_backend("absent")
    assert refused.value.status == 9
    keras.set_backend("auto")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert keras.version().count(".") == 2
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_audit(keras, blobs):
    points, labels = blobs
    frozen = keras.layers.Dense(3, name="frozen")
    model = keras.Sequential([keras.Input((4,)), frozen, keras.layers.Dense(2, name="head")])
    frozen.trainable = False
    model.compile(keras.optimizers.Adam(0.1), keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    before = model.audit()
    assert set(before) == {w.path for w in model.weights} and all(len(d) == 32 for d in before.values())
    model.fit(points, labels, verbose=0)
    after = model.audit()
    assert all((after[w.path] == before[w.path]) == (w in model.non_trainable_weights) for w in model.weights)


def augmented_model(keras):
    """Augmentation, a frozen convolution and a head, with the same weights each time."""
    keras.set_random_seed(5)
    inputs = keras.Input((6, 6, 2))
    x = keras.layers.RandomFlip("horizontal", seed=1)(inputs)
    frozen = keras.layers.Conv2D(4, 3, activation="relu", trainable=False)
    model = keras.Model(inputs, keras.layers.Dense(1)(keras.layers.GlobalAveragePooling2D()(frozen(x))))
    model.compile("adam", "mse")
    return model


@pytest.mark.parametrize("form", [{"cache_variants": 3}, {"cache_dtype": "bfloat16"}, {"cache_variants": 2, "cache_dtype": "bfloat16"}])
def test_forms_of_kept_features_are_the_same_in_memory_and_on_disk(keras, tmp_path, form):
    generator = np.random.default_rng(2)
    x, y = generator.standard_normal((13, 6, 6, 2)).astype(np.float32), generator.standard_normal((13, 1)).astype(np.float32)

    def losses(**caching):
        history = augmented_model(keras).fit(x, y, batch_size=4, epochs=5, verbose=0, validation_data=(x, y), **form, **caching).history
        return history["loss"], history["val_loss"]

    kept = losses()
    assert losses(cache="disk", cache_folder=tmp_path) == kept
    files = {path.name: path.stat().st_size for path in tmp_path.iterdir()}
    assert losses(cache="disk", cache_folder=tmp_path) == kept
    assert {path.name: path.stat().st_size for path in tmp_path.iterdir()} == files, "nothing was computed again"
    assert len(files) == (2 if "cache_variants" in form else 1), "augmented features, and those of validation"


def test_forms_of_kept_features_that_make_no_sense(keras):
    model = augmented_model(keras)
    x, y = np.zeros((4, 6, 6, 2), np.float32), np.zeros((4, 1), np.float32)
    with pytest.raises(ValueError, match="cache_dtype.*'float16'"):
        model.fit(x, y, cache_dtype="float16")
    with pytest.raises(ValueError, match="cache_variants.*0"):
        model.fit(x, y, cache_variants=0)
    for form in ({"cache_dtype": "bfloat16"}, {"cache_variants": 2}):
        with pytest.raises(keras.XferError, match="the cache is off"):
            model.fit(x, y, cache=None, **form)


class NamedBatches:
    """Batches by index, as keras.utils.PyDataset, that name their samples."""

    def __init__(self, x, y, prefix="train/"):
        self.x, self.y, self.prefix, self.loaded = x, y, prefix, []

    def __len__(self):
        return -(-len(self.x) // 4)

    def _rows(self, index):
        return slice(4 * index, 4 * index + 4)

    def __getitem__(self, index):
        self.loaded.append(index)
        return self.x[self._rows(index)], self.y[self._rows(index)]

    def sample_names(self, index):
        return [f"{self.prefix}{number}" for number in range(len(self.x))[self._rows(index)]]


class NamedTargets(NamedBatches):
    def targets(self, index):
        return self.y[self._rows(index)], np.ones(len(self.y[self._rows(index)]), np.float32)


def frozen_model(keras):
    keras.set_random_seed(5)
    inputs = keras.Input((6, 6, 2))
    frozen = keras.layers.Conv2D(4, 3, activation="relu", trainable=False)
    model = keras.Model(inputs, keras.layers.Dense(1)(keras.layers.GlobalAveragePooling2D()(frozen(inputs))))
    model.compile("adam", "mse")
    return model


@pytest.mark.parametrize("steps", [None, 3])
@pytest.mark.parametrize("batches", [NamedBatches, NamedTargets])
def test_features_are_found_by_the_names_of_samples(keras, tmp_path, batches, steps):
    generator = np.random.default_rng(3)
    x, y = generator.standard_normal((18, 6, 6, 2)).astype(np.float32), generator.standard_normal((18, 1)).astype(np.float32)

    def fit(data, **caching):
        history = frozen_model(keras).fit(data, epochs=4, verbose=0, steps_per_epoch=steps, validation_data=batches(x[:7], y[:7], "val/"), **caching)
        return history.history

    plain = fit(batches(x, y), cache=None)
    data = batches(x, y)
    assert fit(data, cache="disk", cache_folder=tmp_path) == plain
    # What is read in the other epochs: nothing where targets can be had alone.
    assert sorted(data.loaded) == [0, 1, 2, 3, 4] if batches is NamedTargets else len(data.loaded) == 4 * (steps or 5)
    # Names are what counts, not bytes: other images of these names are taken for these, and other names of these images are others.
    assert fit(batches(np.zeros_like(x), y), cache="disk", cache_folder=tmp_path)["loss"] == plain["loss"]
    other = batches(x, y, "other/")
    assert fit(other, cache="disk", cache_folder=tmp_path) == plain and 0 in other.loaded


def test_wrong_names_of_samples_are_told(keras):
    data = NamedBatches(np.zeros((8, 6, 6, 2), np.float32), np.zeros((8, 1), np.float32))
    data.sample_names = lambda index: ["a"]
    with pytest.raises(keras.XferError, match="1 names for a batch of 4 samples"):
        frozen_model(keras).fit(data, verbose=0)
    data.sample_names = lambda index: [1, 2, 3, 4]
    with pytest.raises(TypeError, match="str for each sample, 1 was given"):
        frozen_model(keras).fit(data, verbose=0)
