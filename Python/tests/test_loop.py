"""The training loop: several inputs and outputs, the arguments of fit, callbacks of the library beside those in Python."""

import csv
import gc
import json
import os
import subprocess

import numpy as np
import pytest


def several(keras):
    a, b = keras.Input((4,), name="a"), keras.Input((2,), name="b")
    z = keras.layers.Concatenate()([keras.layers.Dense(5, activation="relu")(a), b])
    return keras.Model([a, b], [keras.layers.Dense(1, name="p", activation="sigmoid")(z), keras.layers.Dense(3, name="q")(z)])


def losses(keras):
    return {"p": "binary_crossentropy", "q": keras.losses.SparseCategoricalCrossentropy(from_logits=True)}


def classifier(keras, rate=0.05, **options):
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(8, activation="relu"), keras.layers.Dense(1, activation="sigmoid")])
    model.compile(keras.optimizers.Adam(rate), "binary_crossentropy", **{"metrics": ["accuracy"], **options})
    return model


@pytest.fixture
def ends(blobs):
    x, y = blobs
    return {"a": x, "b": x[:, :2].copy()}, {"p": y, "q": y.astype(np.int32)}


def test_no_epochs_train_nothing(keras, blobs):
    model = classifier(keras)
    before = [w.numpy() for w in model.weights]
    history = model.fit(*blobs, epochs=0, verbose=0)
    assert history.epoch == [] and history.history == {} and model.optimizer.iterations == 0
    assert all(np.array_equal(w.numpy(), old) for w, old in zip(model.weights, before))
    assert model.fit(*blobs, epochs=2, initial_epoch=2, verbose=0).epoch == []


def test_models_are_freed(keras):
    def resident():
        with open("/proc/self/statm") as file:
            return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")

    x, y = np.ones((2, 1000), np.float32), np.ones((2, 1), np.float32)

    def build():
        model = keras.Sequential([keras.Input((1000,)), keras.layers.Dense(1000), keras.layers.Dense(1)])
        model.compile(keras.optimizers.Adam(), "binary_crossentropy")
        model.fit(x, y, verbose=0)
        model.predict(x, verbose=0)
        del model
        gc.collect()

    for _ in range(5):
        build()
    before = resident()
    for _ in range(25):
        build()
    # Each model kept would be 12 MB of weights and slots.
    assert resident() - before < 100e6


def test_every_spelling_of_several_ends(keras, ends):
    x, y = ends
    weights = {"p": np.linspace(0.5, 1.5, 64, dtype=np.float32), "q": np.ones(64, np.float32)}

    def run(x, y, loss, sample_weight=None, metrics=None, **options):
        keras.set_random_seed(3)
        model = several(keras)
        model.compile(keras.optimizers.SGD(0.1), loss, metrics=metrics, loss_weights=[1.0, 0.5])
        history = model.fit(x, y, epochs=2, batch_size=16, shuffle=False, verbose=0, sample_weight=sample_weight, **options)
        return model, history.history

    lists = list(x.values()), list(y.values())
    model, expected = run(x, y, losses(keras), weights, {"p": ["accuracy"], "q": "accuracy"})
    assert list(expected) == ["loss", "p_loss", "q_loss", "p_accuracy", "q_accuracy"] == model.metrics_names
    assert run(*lists, list(losses(keras).values()), list(weights.values()), [["accuracy"], ["accuracy"]])[1] == expected
    batches = [tuple({k: v[i:i + 16] for k, v in part.items()} for part in (x, y, weights)) for i in range(0, 64, 16)]
    assert run(batches, None, losses(keras), None, {"p": "accuracy", "q": "accuracy"})[1] == expected

    validated = run(x, y, losses(keras), validation_data=(lists[0], lists[1]))[1]
    assert list(validated) == ["loss", "p_loss", "q_loss", "val_loss", "val_p_loss", "val_q_loss"]
    logs = model.evaluate(x, y, verbose=0, return_dict=True)
    assert list(logs) == model.metrics_names and model.evaluate(x, y, verbose=0) == list(logs.values())
    assert logs["loss"] == pytest.approx(logs["p_loss"] + 0.5 * logs["q_loss"])
    p, q = model.predict(x, verbose=0)
    assert p.shape == (64, 1) and q.shape == (64, 3)
    again = model.predict(lambda_batches(x), verbose=0)
    assert np.array_equal(again[1], q)
    assert list(model.train_on_batch(x, y, return_dict=True)) == model.metrics_names
    assert model.input_names == ["a", "b"] and model.output_names == ["p", "q"]


def lambda_batches(x):
    return iter([({k: v[:40] for k, v in x.items()},), ({k: v[40:] for k, v in x.items()},)])


def test_outputs_by_key(keras, ends):
    x, y = ends
    a = keras.Input((4,), name="a")
    model = keras.Model({"in": a}, {"left": keras.layers.Dense(1, activation="sigmoid")(a), "right": keras.layers.Dense(3)(a)})
    model.compile("sgd", {"left": "binary_crossentropy", "right": losses(keras)["q"]}, metrics={"right": ["accuracy"]})
    logs = model.fit({"in": x["a"]}, {"left": y["p"], "right": y["q"]}, verbose=0).history
    assert list(logs) == ["loss", "left_loss", "right_loss", "right_accuracy"]
    assert set(model.predict({"in": x["a"]}, verbose=0)) == {"left", "right"}


@pytest.mark.parametrize("options, words", [
    ({"loss": {"p": "binary_crossentropy"}}, "Expected keys"),
    ({"loss": ["binary_crossentropy"] * 3}, "losses were given"),
    ({"loss_weights": [1.0]}, "must match"),
    ({"metrics": ["accuracy"] * 3}, "Invalid `metrics`"),
    ({"metrics": {"r": ["accuracy"]}}, "Invalid `metrics`"),
    ({"metrics": "accuracy"}, "list, tuple, or dict"),
])
def test_wrong_compiles(keras, options, words):
    with pytest.raises(ValueError, match=words):
        several(keras).compile("sgd", **{"loss": losses(keras), **options})


def test_point16_weighted_metrics(keras, blobs):
    x, y = blobs
    model = classifier(keras, metrics=[keras.metrics.BinaryAccuracy(name="acc")], weighted_metrics=[keras.metrics.BinaryAccuracy(name="acc")])
    assert model.metrics_names == ["loss", "acc", "weighted_acc"]
    right = (model.predict(x, verbose=0)[:, 0] > 0.5) == y
    weights = np.where(right, 0.0, 1.0).astype(np.float32)
    logs = model.evaluate(x, y, sample_weight=weights, verbose=0, return_dict=True)
    assert logs["acc"] == pytest.approx(right.mean()) and logs["weighted_acc"] == 0
    model.compile("sgd", "binary_crossentropy")
    assert model.metrics_names == ["loss", "acc", "weighted_acc"]
    model.compile("sgd", "binary_crossentropy", metrics=[])
    assert model.metrics_names == ["loss"]


def test_arguments_of_fit(keras, blobs):
    x, y = blobs
    model = classifier(keras)
    assert list(model.fit(x, y, validation_split=0.25, validation_freq=2, epochs=4, verbose=0).history["val_loss"]).__len__() == 2
    assert len(model.fit(x, y, validation_data=(x, y), validation_freq=[1, 4], epochs=4, verbose=0).history["val_loss"]) == 2
    before = model.optimizer.iterations
    model.fit(x, y, steps_per_epoch=1, epochs=3, batch_size=16, verbose=0)
    assert model.optimizer.iterations == before + 3
    for options, words in (
        ({"validation_freq": 0}, "validation_freq"), ({"steps_per_epoch": 0}, "steps_per_epoch"), ({"verbose": 3}, "verbose"),
        ({"verbose": "loud"}, "verbose"), ({"validation_data": (x,)}, "validation_data"),
    ):
        with pytest.raises(ValueError, match=words):
            model.fit(x, y, **options)


def test_callbacks_of_both_kinds_in_order(keras, blobs):
    x, y = blobs
    seen = []

    class Adds(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            logs["mine"] = 10.0 - epoch

    class Sees(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            seen.append((epoch, logs["mine"], logs.get("learning_rate")))

        def on_test_begin(self, logs=None):
            seen.append("test")

    model = classifier(keras)
    plateau = keras.callbacks.ReduceLROnPlateau(monitor="mine", mode="max", patience=1, factor=0.5)
    stop = keras.callbacks.EarlyStopping(monitor="mine", mode="max", patience=2)
    history = model.fit(x, y, epochs=9, validation_data=(x, y), callbacks=[Adds(), plateau, Sees(), stop], verbose=0)
    assert history.epoch == [0, 1, 2] and model.stop_training and stop.stopped_epoch == 2 and stop.wait == 2 and stop.best == 10.0
    assert [s for s in seen if s != "test"] == [(0, 10.0, pytest.approx(0.05)), (1, 9.0, pytest.approx(0.05)), (2, 8.0, pytest.approx(0.025))]
    assert seen.count("test") == 3 and model.optimizer.learning_rate == pytest.approx(0.0125)
    assert list(history.history) == ["loss", "accuracy", "val_loss", "val_accuracy", "mine", "learning_rate"]


def test_a_subclass_of_a_callback_of_the_library(keras, blobs):
    class Mine(keras.callbacks.EarlyStopping):
        calls = 0

        def on_epoch_end(self, epoch, logs=None):
            super().on_epoch_end(epoch, logs)
            self.calls += 1

    mine = Mine(monitor="loss", mode="max", patience=1)
    classifier(keras).fit(*blobs, epochs=5, callbacks=[mine], verbose=0)
    assert mine.calls == 2 and mine.stopped_epoch == 1


def test_learning_rate_scheduler(keras, blobs):
    model = classifier(keras)
    scheduler = keras.callbacks.LearningRateScheduler(lambda epoch, rate: rate * 0.5)
    history = model.fit(*blobs, epochs=3, callbacks=[scheduler], verbose=0)
    assert history.history["learning_rate"] == pytest.approx([0.025, 0.0125, 0.00625])
    with pytest.raises(ValueError, match="should be a float"):
        model.fit(*blobs, callbacks=[keras.callbacks.LearningRateScheduler(lambda epoch: "fast")], verbose=0)


def test_files_of_callbacks(keras, blobs, tmp_path):
    x, y = blobs
    model = classifier(keras)
    every = keras.callbacks.ModelCheckpoint(tmp_path / "all" / "{epoch:02d}-{val_loss:.2f}.keras")
    best = keras.callbacks.ModelCheckpoint(
        str(tmp_path / "best.safetensors"), save_best_only=True, save_weights_only=True, monitor="accuracy", initial_value_threshold=2.0)
    table = keras.callbacks.CSVLogger(tmp_path / "log.csv", separator=";")
    history = model.fit(x, y, epochs=2, validation_data=(x, y), callbacks=[every, best, table], verbose=0).history
    names = [f"{i + 1:02d}-{v:.2f}.keras" for i, v in enumerate(history["val_loss"])]
    assert sorted(os.listdir(tmp_path / "all")) == names and not (tmp_path / "best.safetensors").exists()
    loaded = keras.models.load_model(tmp_path / "all" / names[-1])
    assert np.array_equal(loaded.predict(x, verbose=0), model.predict(x, verbose=0))
    with open(tmp_path / "log.csv", newline="") as file:
        rows = list(csv.DictReader(file, delimiter=";"))
    assert [row["epoch"] for row in rows] == ["0", "1"] and list(rows[0]) == ["epoch", "accuracy", "loss", "val_accuracy", "val_loss"]
    assert [float(row["loss"]) for row in rows] == history["loss"]
    batches = keras.callbacks.ModelCheckpoint(tmp_path / "b{epoch}-{batch:03d}.weights.h5".replace(".weights.h5", ".safetensors"), save_weights_only=True, save_freq=3)
    model.fit(x, y, epochs=2, batch_size=16, callbacks=[batches], verbose=0)
    assert sorted(p.name for p in tmp_path.glob("b*-*")) == ["b1-003.safetensors", "b2-002.safetensors"]
    with pytest.raises(KeyError, match="val_los.* is no figure"):
        model.fit(x, y, callbacks=[keras.callbacks.ModelCheckpoint(tmp_path / "{val_los}.keras")], verbose=0)
    for name, options in (("x.zip", {}), ("x.h5", {}), ("x.keras", {"save_weights_only": True})):
        with pytest.raises(ValueError, match=f"files that end in .*filepath={name}"):
            keras.callbacks.ModelCheckpoint(name, **options)


def test_events_for_tensorboard(keras, blobs, tmp_path):
    x, y = blobs
    board = keras.callbacks.TensorBoard(tmp_path, histogram_freq=1, update_freq=1)
    history = classifier(keras).fit(x, y, epochs=2, batch_size=32, validation_data=(x, y), callbacks=[board], verbose=0).history
    for folder in ("train", "validation"):
        assert [name.startswith("events.out.tfevents.") for name in os.listdir(tmp_path / folder)] == [True]
    python = os.environ.get("XFER_KERAS_PYTHON")
    if not python:
        pytest.skip("XFER_KERAS_PYTHON names no Python with TensorBoard")
    program = """if True:
        import json, sys
        from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
        from tensorboard.util import tensor_util
        result = {}
        for folder in ("train", "validation"):
            events = EventAccumulator(sys.argv[1] + "/" + folder, size_guidance={"tensors": 0})
            events.Reload()
            for tag in events.Tags()["tensors"]:
                result[folder + "/" + tag] = [[e.step, tensor_util.make_ndarray(e.tensor_proto).tolist() if tag != "keras" else 0] for e in events.Tensors(tag)]
        print(json.dumps(result))
    """
    out = subprocess.run([python, "-c", program, str(tmp_path)], capture_output=True, text=True, check=True).stdout
    found = json.loads(out.splitlines()[-1])
    for folder, prefix in (("train", ""), ("validation", "val_")):
        for name in ("loss", "accuracy"):
            steps = found[f"{folder}/epoch_{name}"]
            assert [s for s, _ in steps] == [0, 1] and [v for _, v in steps] == pytest.approx(history[prefix + name])
    assert [s for s, _ in found["train/batch_loss"]] == [1, 2, 3, 4]
    assert [v for _, v in found["train/epoch_learning_rate"]] == pytest.approx([0.05, 0.05])
    assert [s for s, _ in found["validation/evaluation_loss_vs_iterations"]] == [2, 4]
    kernels = next(v for k, v in found.items() if k.endswith("kernel/histogram"))
    assert len(kernels[0][1]) == 30 and sum(row[2] for row in kernels[0][1]) == 32
    assert "train/keras" in found


def test_terminate_on_nan(keras, blobs):
    x, y = blobs
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(1)])
    model.compile(keras.optimizers.SGD(1.0), keras.losses.BinaryCrossentropy(from_logits=True))
    huge = np.full_like(x, 3e38)
    history = model.fit(huge, y, epochs=5, batch_size=32, callbacks=[keras.callbacks.TerminateOnNaN()], verbose=0)
    assert history.epoch == [0] and model.stop_training


def test_hooks_of_evaluate_and_predict(keras, blobs):
    x, y = blobs
    calls = []
    watch = keras.callbacks.LambdaCallback(**{
        hook: lambda *a, hook=hook: calls.append(hook) for hook in (
            "on_test_begin", "on_test_batch_end", "on_test_end", "on_predict_begin", "on_predict_batch_begin", "on_predict_end")})
    model = classifier(keras)
    model.evaluate(x, y, batch_size=32, callbacks=[watch], verbose=0)
    model.predict(x, batch_size=32, callbacks=watch, verbose=0)
    assert calls == ["on_test_begin", "on_test_batch_end", "on_test_batch_end", "on_test_end", "on_predict_begin", "on_predict_batch_begin",
                     "on_predict_batch_begin", "on_predict_end"]


def ramp(keras):
    """A model that answers nearly the same for every row, and rows whose errors differ: the numbers below are Keras'."""
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1, activation="sigmoid", kernel_initializer=keras.initializers.Constant(0.1))])
    model.compile(keras.optimizers.SGD(0.0), "mse")
    return model, np.arange(24, dtype=np.float32).reshape(12, 2) / 10, (np.arange(12) % 2).astype(np.float32)


class Thirds:
    """Batches of three rows, any number of times."""

    def __init__(self, x, y):
        self.x, self.y = x, y

    def __iter__(self):
        return iter([(self.x[i:i + 3], self.y[i:i + 3]) for i in range(0, len(self.x), 3)])


def test_validation_steps_are_the_same_in_every_epoch(keras):
    model, x, y = ramp(keras)

    def values(**options):
        return model.fit(x, y, epochs=3, verbose=0, **options).history["val_loss"]

    first = pytest.approx([0.2543851137161255] * 3, rel=1e-5)
    assert values(validation_data=(x, y), validation_steps=1, validation_batch_size=3) == first
    assert values(validation_data=(x, y), validation_steps=1, batch_size=3) == first
    assert values(validation_data=Thirds(x, y), validation_steps=1) == first
    assert values(validation_data=list(Thirds(x, y)), validation_steps=1) == first
    assert values(validation_data=(x, y), validation_steps=9, validation_batch_size=3) == pytest.approx([0.24948883056640625] * 3, rel=1e-5)
    assert values(validation_data=Thirds(x, y), validation_steps=9) == pytest.approx([0.24948883056640625] * 3, rel=1e-5)
    assert values(validation_split=0.5, validation_steps=1, validation_batch_size=3) == pytest.approx([0.27922457456588745] * 3, rel=1e-5)
    kept = model.fit(x, y, validation_split=0.5, validation_steps=1, verbose=0).history["loss"]
    assert kept == pytest.approx([0.2460630089044571], rel=1e-5)


def test_iterators_that_are_read_once_validate_as_in_keras(keras):
    model, x, y = ramp(keras)
    # Keras keeps the first two batches, and begins every epoch with them.
    history = model.fit(x, y, epochs=3, verbose=0, validation_data=iter(Thirds(x, y))).history
    assert history["val_loss"] == pytest.approx([0.24948883056640625, 0.2460630089044571, 0.2460630089044571], rel=1e-5)
    history = model.fit(x, y, epochs=3, verbose=0, validation_data=iter(Thirds(x, y)), validation_steps=1).history
    assert history["val_loss"] == pytest.approx([0.2543851137161255] * 3, rel=1e-5)


@pytest.mark.parametrize("name", ["epochs", "initial_epoch", "batch_size", "validation_batch_size"])
def test_numbers_of_things_are_whole(keras, name):
    model, x, y = ramp(keras)
    for value in (1.5, 2.0):
        with pytest.raises(TypeError, match=f"`{name}` is to be a whole number, {value}"):
            model.fit(x, y, verbose=0, **{name: value})
    assert len(model.fit(x, y, epochs=np.int64(2), verbose=0).epoch) == 2


def test_class_weights_are_not_for_generators(keras):
    model, x, y = ramp(keras)
    with pytest.raises(ValueError, match="`class_weight` is not supported for Python generator inputs"):
        model.fit((batch for batch in Thirds(x, y)), class_weight={0: 1.0, 1: 2.0}, verbose=0)
    weighted = model.fit(Thirds(x, y), class_weight={0: 1.0, 1: 2.0}, verbose=0).history["loss"]
    assert weighted == pytest.approx([0.34602054953575134], rel=1e-5)
