"""Training that goes on: from a backup, and from a saved model with the state of its optimizer."""

import importlib.util
import os
import subprocess
import sys
import textwrap

import numpy as np
import pytest

KERAS = os.environ.get("XFER_KERAS_PYTHON") or (sys.executable if importlib.util.find_spec("keras") else None)


def classifier(keras, seed=3):
    model = keras.Sequential([
        keras.Input((4,)), keras.layers.Dense(8, activation="relu"), keras.layers.Dropout(0.3, seed=seed), keras.layers.Dense(1, activation="sigmoid")])
    generator = np.random.default_rng(0)
    model.set_weights([generator.normal(size=w.shape).astype(np.float32) * 0.3 for w in model.get_weights()])
    model.compile(keras.optimizers.Adam(0.02), "binary_crossentropy", metrics=["accuracy"])
    return model


@pytest.mark.parametrize("keep", [False, True])
def test_an_interrupted_fit_goes_on_with_the_same_numbers(keras, blobs, tmp_path, keep):
    class Stop(keras.callbacks.Callback):
        def on_epoch_begin(self, epoch, logs=None):
            if epoch == 2:
                raise KeyError("stopped")

    def backup():
        return keras.callbacks.BackupAndRestore(tmp_path / "b", delete_checkpoint=not keep)

    keras.utils.set_random_seed(1)
    whole = classifier(keras)
    keras.utils.set_random_seed(2)
    wanted = whole.fit(*blobs, epochs=5, verbose=0)
    model = classifier(keras)
    keras.utils.set_random_seed(2)
    with pytest.raises(KeyError):
        model.fit(*blobs, epochs=5, verbose=0, callbacks=[backup(), Stop()])
    keras.utils.set_random_seed(33)
    again = classifier(keras, seed=44)
    history = again.fit(*blobs, epochs=5, verbose=0, callbacks=[backup()])
    assert history.epoch == [2, 3, 4]
    for name in ("loss", "accuracy"):
        assert history.history[name] == wanted.history[name][2:]
    assert all(np.array_equal(a, b) for a, b in zip(again.get_weights(), whole.get_weights()))
    assert (tmp_path / "b").exists() == keep


def test_arguments_of_a_backup(keras, tmp_path):
    with pytest.raises(ValueError, match="backup_dir"):
        keras.callbacks.BackupAndRestore("")
    with pytest.raises(ValueError, match="save_freq"):
        keras.callbacks.BackupAndRestore(tmp_path, save_freq="batch")


def test_a_rate_that_a_schedule_gives_cannot_be_set(keras, blobs):
    model = classifier(keras)
    model.compile(keras.optimizers.SGD(keras.optimizers.schedules.ExponentialDecay(0.1, 10, 0.5)), "binary_crossentropy")
    with pytest.raises(TypeError, match="not settable"):
        model.optimizer.learning_rate = 0.1
    with pytest.raises(TypeError, match="not settable"):
        model.fit(*blobs, verbose=0, callbacks=[keras.callbacks.LearningRateScheduler(lambda epoch: 0.1)])
    with pytest.raises(TypeError, match="not settable"):
        model.fit(*blobs, epochs=4, verbose=0, callbacks=[keras.callbacks.ReduceLROnPlateau("loss", patience=1, min_delta=100)])


def losses(model, x, y):
    return model.fit(x, y, batch_size=16, epochs=3, shuffle=False, verbose=0).history["loss"]


SCRIPT = """
    import sys, numpy as np, keras
    x, y = np.load("x.npy"), np.load("y.npy")
    if sys.argv[1] == "save":
        model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(8, activation="relu"), keras.layers.Dense(1, activation="sigmoid")])
        model.compile(keras.optimizers.Adam(0.02), "binary_crossentropy")
        model.fit(x, y, batch_size=16, epochs=2, shuffle=False, verbose=0)
        model.save("keras.keras")
    else:
        model = keras.models.load_model("xfer.keras")
    np.save("losses.npy", model.fit(x, y, batch_size=16, epochs=3, shuffle=False, verbose=0).history["loss"])
"""


@pytest.mark.skipif(KERAS is None, reason="no Keras here")
def test_keras_and_xfer_go_on_from_each_others_files(keras, blobs, tmp_path):
    x, y = blobs
    np.save(tmp_path / "x.npy", x)
    np.save(tmp_path / "y.npy", y)

    def run(what):
        environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"}
        subprocess.run([KERAS, "-c", textwrap.dedent(SCRIPT), what], cwd=tmp_path, check=True, env=environment)
        return np.load(tmp_path / "losses.npy")

    wanted = run("save")
    np.testing.assert_allclose(losses(keras.models.load_model(tmp_path / "keras.keras"), x, y), wanted, atol=1e-5)
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(8, activation="relu"), keras.layers.Dense(1, activation="sigmoid")])
    model.compile(keras.optimizers.Adam(0.02), "binary_crossentropy")
    losses(model, x, y)
    model.save(tmp_path / "xfer.keras")
    found = run("go on")
    np.testing.assert_allclose(found, losses(model, x, y), atol=1e-5)
