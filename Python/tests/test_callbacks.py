"""Callbacks as objects of Python: attributes, subclasses, driven by hand; and what their logs hold."""

import json
from pathlib import Path

import numpy as np
import pytest

LOOP = json.loads((Path(__file__).parents[2] / "Tests" / "goldens" / "training_loop.json").read_text())


def line(keras, rate=0.1, metrics=()):
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(1, activation="sigmoid", kernel_initializer="zeros")])
    model.compile(keras.optimizers.SGD(rate), "binary_crossentropy", metrics=list(metrics))
    return model


def script(keras, values, name="val_loss"):
    """A callback that puts given figures into the logs."""
    return keras.callbacks.LambdaCallback(on_epoch_end=lambda epoch, logs: logs.update({name: values[epoch]}))


@pytest.mark.parametrize("case", LOOP["stopping"], ids=lambda c: f"{c['config']}-{c['script'][0]}")
def test_early_stopping_decides_as_keras(keras, case):
    model = line(keras)
    stop = keras.callbacks.EarlyStopping(**case["config"])
    stop.set_model(model)
    stop.on_train_begin()
    model.stop_training = False
    for epoch, value in enumerate(case["script"]):
        stop.on_epoch_end(epoch, {"val_loss": value})
        if model.stop_training:
            break
    assert epoch + 1 == case["epochs"]
    assert (stop.best, stop.best_epoch, stop.stopped_epoch, stop.wait) == tuple(case[k] for k in ("best", "best_epoch", "stopped_epoch", "wait"))


@pytest.mark.parametrize("case", LOOP["reducing"], ids=lambda c: f"{c['config']}-{c['script'][0]}")
def test_reducing_decides_as_keras(keras, blobs, case):
    rates = []
    watch = keras.callbacks.LambdaCallback(on_epoch_end=lambda epoch, logs: rates.append(float(model.optimizer.learning_rate)))
    model = line(keras)
    model.fit(*blobs, epochs=len(case["script"]), verbose=0, callbacks=[
        script(keras, case["script"]), keras.callbacks.ReduceLROnPlateau(**case["config"]), watch])
    np.testing.assert_allclose(rates, case["rates"], rtol=1e-5)


def test_attributes_set_later_count(keras, blobs, tmp_path):
    values = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0]
    stop = keras.callbacks.EarlyStopping(patience=4)
    stop.patience = 1
    assert len(line(keras).fit(*blobs, epochs=6, verbose=0, callbacks=[script(keras, values), stop]).epoch) == 2
    stop.patience = 3
    assert len(line(keras).fit(*blobs, epochs=6, verbose=0, callbacks=[script(keras, values), stop]).epoch) == 4
    plateau = keras.callbacks.ReduceLROnPlateau(patience=1)
    plateau.factor = 0.5
    model = line(keras)
    model.fit(*blobs, epochs=2, verbose=0, callbacks=[script(keras, values), plateau])
    assert float(model.optimizer.learning_rate) == pytest.approx(0.05)
    table = keras.callbacks.CSVLogger(tmp_path / "a.csv")
    table.filename = str(tmp_path / "b.csv")
    keeper = keras.callbacks.ModelCheckpoint(tmp_path / "a.keras")
    keeper.filepath = str(tmp_path / "{epoch}.keras")
    model.fit(*blobs, epochs=2, verbose=0, callbacks=[table, keeper])
    assert sorted(p.name for p in tmp_path.iterdir()) == ["1.keras", "2.keras", "b.csv"]


def test_a_subclass_decides(keras, blobs):
    class Later(keras.callbacks.EarlyStopping):
        def on_epoch_end(self, epoch, logs=None):
            if epoch >= 3:
                super().on_epoch_end(epoch, logs)

    values = [float(epoch) for epoch in range(9)]
    later = Later(patience=2)
    assert line(keras).fit(*blobs, epochs=9, verbose=0, callbacks=[script(keras, values), later]).epoch == [0, 1, 2, 3, 4, 5]
    assert (later.best, later.best_epoch, later.stopped_epoch) == (3.0, 3, 5)

    class Never(keras.callbacks.EarlyStopping):
        def on_epoch_end(self, epoch, logs=None):
            pass

    assert len(line(keras).fit(*blobs, epochs=4, verbose=0, callbacks=[script(keras, values), Never()]).epoch) == 4

    class Negated(keras.callbacks.EarlyStopping):
        def on_epoch_end(self, epoch, logs=None):
            logs["val_loss"] = -logs["val_loss"]
            super().on_epoch_end(epoch, logs)

    history = line(keras).fit(*blobs, epochs=4, verbose=0, callbacks=[script(keras, values), Negated()]).history
    assert history["val_loss"] == [0.0, -1.0, -2.0, -3.0]


def test_best_weights_come_back(keras, blobs):
    kept = []
    model = line(keras)
    watch = keras.callbacks.LambdaCallback(on_epoch_end=lambda epoch, logs: kept.append(model.get_weights()))
    stop = keras.callbacks.EarlyStopping(patience=2, restore_best_weights=True)
    model.fit(*blobs, epochs=9, verbose=0, callbacks=[script(keras, [3.0, 1.0, 2.0, 2.0]), watch, stop])
    assert len(kept) == 4 and all(np.array_equal(a, b) for a, b in zip(model.get_weights(), kept[1]))


@pytest.mark.parametrize("metric, direction", [
    ("acc", "up"), ("accuracy", "up"), ("AUC", "up"), ("mse", "down"), ("poisson", "down"), ("f1_score", "up"), ("cosine_similarity", "up")])
def test_directions_go_by_the_metric(keras, blobs, metric, direction):
    x, y = blobs
    values = [1.0, 2.0, 3.0] if direction == "down" else [3.0, 2.0, 1.0]
    model = line(keras, metrics=[metric])
    stop = keras.callbacks.EarlyStopping("val_" + metric)
    assert len(model.fit(x, y[:, None], epochs=3, verbose=0, callbacks=[script(keras, values, "val_" + metric), stop]).epoch) == 2


def test_unknown_directions_are_errors(keras, blobs):
    def gap(y_true, y_pred):
        return np.abs(y_true.reshape(y_pred.shape) - y_pred)

    for monitor, metrics in (("gap", [gap]), ("true_positives", [keras.metrics.TruePositives(name="true_positives")]), ("absent", [])):
        with pytest.raises(ValueError, match=f"EarlyStopping callback received monitor={monitor}.*mode='max'"):
            line(keras, metrics=metrics).fit(*blobs, verbose=0, callbacks=[keras.callbacks.EarlyStopping(monitor)])
    with pytest.raises(ValueError, match="ModelCheckpoint callback received monitor=absent"):
        line(keras).fit(*blobs, verbose=0, callbacks=[keras.callbacks.ModelCheckpoint("x.keras", monitor="absent")])
    with pytest.warns(UserWarning, match="conditioned on metric `absent` which is not available"):
        line(keras).fit(*blobs, verbose=0, callbacks=[keras.callbacks.EarlyStopping("absent", mode="min")])
    with pytest.warns(UserWarning, match="fallback to auto"):
        assert keras.callbacks.EarlyStopping(mode="most").mode == "auto"


def test_messages_go_to_stderr(keras, blobs, capfd, tmp_path):
    model = line(keras)
    model.fit(*blobs, epochs=3, verbose=0, callbacks=[
        script(keras, [1.0, 2.0, 3.0]), keras.callbacks.EarlyStopping(patience=2, verbose=1, restore_best_weights=True),
        keras.callbacks.ReduceLROnPlateau(patience=1, verbose=1),
        keras.callbacks.ModelCheckpoint(tmp_path / "m.keras", save_best_only=True, verbose=1)])
    out, err = capfd.readouterr()
    assert out == ""
    for words in (
        "Epoch 3: early stopping", "from the end of the best epoch: 1.", "Epoch 2: ReduceLROnPlateau reducing learning rate to 0.01",
        "Epoch 1: val_loss improved from None to 1.00000, saving model to", "Epoch 2: val_loss did not improve from 1.00000",
    ):
        assert words in err


def test_arguments_that_mean_nothing_any_more(keras):
    with pytest.raises(TypeError, match="epsilon"):
        keras.callbacks.ReduceLROnPlateau(epsilon=0.1)
    with pytest.raises(ValueError, match="factor=1.5"):
        keras.callbacks.ReduceLROnPlateau(factor=1.5)
    with pytest.raises(ValueError, match="save_freq: batch"):
        keras.callbacks.ModelCheckpoint("m.keras", save_freq="batch")


def test_terminate_on_nan_by_an_error(keras, blobs):
    x, y = blobs
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(1)])
    model.compile(keras.optimizers.SGD(1.0), keras.losses.BinaryCrossentropy(from_logits=True))
    with pytest.raises(RuntimeError, match="NaN or Inf loss encountered at batch"):
        model.fit(np.full_like(x, 3e38), y, epochs=2, verbose=0, callbacks=[keras.callbacks.TerminateOnNaN(raise_error=True)])


def test_what_runs_in_the_library_is_fixed(keras, blobs, tmp_path):
    board = keras.callbacks.TensorBoard(tmp_path / "logs")
    assert board.update_freq == "epoch"
    with pytest.raises(AttributeError, match="TensorBoard: 'update_freq' is fixed"):
        board.update_freq = 1
    with pytest.raises(AttributeError, match="BackupAndRestore: 'backup_dir' is fixed"):
        keras.callbacks.BackupAndRestore(tmp_path).backup_dir = "elsewhere"
    with pytest.raises(ValueError, match="TensorBoard.on_epoch_end .*by hand"):
        board.on_epoch_end(0, {})

    class Adds(keras.callbacks.TensorBoard):
        def on_epoch_end(self, epoch, logs=None):
            logs["mine"] = 41.0 + epoch
            super().on_epoch_end(epoch, logs)

    class Skips(keras.callbacks.TensorBoard):
        def on_epoch_end(self, epoch, logs=None):
            pass

    history = line(keras).fit(*blobs, epochs=2, verbose=0, callbacks=[Adds(tmp_path / "adds")]).history
    assert history["mine"] == [41.0, 42.0]
    # The library wrote what the subclass had put into the logs.
    assert b"epoch_mine" in next((tmp_path / "adds" / "train").iterdir()).read_bytes()
    with pytest.raises(ValueError, match=r"Skips.on_epoch_end did not call super\(\).on_epoch_end"):
        line(keras).fit(*blobs, verbose=0, callbacks=[Skips(tmp_path / "skips")])


def test_a_history_of_ones_own_is_the_history(keras, blobs):
    class Mine(keras.callbacks.History):
        pass

    mine = Mine()
    history = line(keras).fit(*blobs, epochs=2, verbose=0, callbacks=[mine])
    assert history is mine and history.epoch == [0, 1] and len(history.history["loss"]) == 2


def test_csv_of_arrays(keras, blobs, tmp_path):
    x, y = blobs
    model = line(keras, metrics=[keras.metrics.TruePositives(thresholds=[0.0, 1.0], name="hits")])
    model.fit(x, y, verbose=0, callbacks=[keras.callbacks.CSVLogger(tmp_path / "log.csv")])
    rows = (tmp_path / "log.csv").read_text().splitlines()
    assert rows[0] == "epoch,hits,loss,val_hits,val_loss" and rows[1].startswith('0,"""[32.0, 0.0]""",') and rows[1].endswith(",NA,NA")


def test_outputs_of_batches(keras, blobs):
    x, _ = blobs
    seen = []

    class Watch(keras.callbacks.Callback):
        def on_predict_begin(self, logs=None):
            seen.append(self.params["steps"])

        def on_predict_batch_end(self, batch, logs=None):
            seen.append((batch, logs["outputs"]))

        def on_predict_end(self, logs=None):
            seen.append("end")

    model = line(keras)
    wanted = model.predict(x, verbose=0)
    batches = [x[i:i + 24] for i in range(0, 64, 24)]
    for data, options, known, rows in (
        (x, {"batch_size": 24}, 3, 64), (batches, {}, 3, 64), (iter(batches), {}, None, 64), (x, {"batch_size": 24, "steps": 2}, 2, 48)):
        seen.clear()
        found = model.predict(iter(data) if isinstance(data, list) else data, verbose=0, callbacks=[Watch()], **options)
        assert np.array_equal(found, wanted[:rows]) and seen[0] == (None if isinstance(data, list) else known) and seen[-1] == "end"
        assert [batch for batch, _ in seen[1:-1]] == list(range(len(seen) - 2))
        assert np.array_equal(np.concatenate([outputs for _, outputs in seen[1:-1]]), wanted[:rows])
    a, b = keras.Input((4,)), keras.layers.Dense(2)
    two = keras.Model(a, {"one": b(a), "two": keras.layers.Dense(1)(a)})
    seen.clear()
    found = two.predict(x, batch_size=40, verbose=0, callbacks=Watch())
    assert set(found) == {"one", "two"} and seen[2][1]["one"].shape == (24, 2)
    with pytest.raises(ZeroDivisionError):
        model.predict(x, verbose=0, callbacks=[keras.callbacks.LambdaCallback(on_predict_batch_end=lambda batch, logs: 1 / 0)])
