"""The transfer-learning notebook, with only its imports changed."""

import numpy as np
import pytest

import xfer

XCEPTION_FILE = "xception_weights_tf_dim_ordering_tf_kernels_notop.h5"


@pytest.fixture
def names(keras, xception_weights, tmp_path, monkeypatch):
    """What the notebook's runner gives: the modules, a data set, validation, callbacks, and "imagenet" weights."""
    (tmp_path / XCEPTION_FILE).symlink_to(xception_weights)
    monkeypatch.setenv("XFER_WEIGHTS", str(tmp_path))
    folder = xception_weights.parent
    x = np.load(folder / "train_u8.npy")[:16].astype(np.float32) / 127.5 - 1
    y = np.load(folder / "train_y.npy")[:16]
    batches = [(x[:8], y[:8]), (x[8:], y[8:])]

    class Short(keras.callbacks.Callback):
        """Two epochs stand for the notebook's twenty."""

        def on_epoch_end(self, epoch, logs=None):
            if epoch == 1:
                self.model.stop_training = True

    return {"keras": xfer, "tf": xfer, "np": np, "new_dataset": batches, "validation": batches[:1], "callbacks": [Short()]}


def cells(shared):
    """The notebook's code by the heading of its cells."""
    text = (shared / "notebook.py").read_text()
    parts = {}
    for block in text.split("\n# ")[1:]:
        title, _, code = block.partition("\n")
        parts[title] = "\n" * text[: text.index(block)].count("\n") + "\n" + code
    return parts


def test_weight_lists(keras, shared, capsys):
    exec(cells(shared)["weights, trainable_weights, non_trainable_weights"], {"keras": keras, "np": np})
    numbers = [int(line.rsplit(":", 1)[1]) for line in capsys.readouterr().out.splitlines()]
    assert numbers == [2, 2, 0, 4, 2, 2, 2, 0, 2]


def test_recursive_trainable(keras, shared):
    exec(cells(shared)["trainable is recursive"], {"keras": keras, "np": np})


def test_a_frozen_layer_does_not_move(keras, shared):
    exec(cells(shared)["a frozen layer does not move"], {"keras": keras, "np": np})


def test_workflow(shared, names):
    parts = cells(shared)
    exec(parts["the workflow: pretrained base, frozen; a new head; train"], names)
    base, model = names["base_model"], names["model"]
    assert model.history.epoch == [0, 1] and list(model.history.history) == [
        "loss", "binary_accuracy", "val_loss", "val_binary_accuracy"]
    frozen = {w.path: w.numpy().tobytes() for w in base.weights}
    exec(parts["fine-tuning: unfreeze, compile again at a very low rate, train again"], names)
    statistics = {w.path for w in base.non_trainable_weights}
    assert all(w.numpy().tobytes() == frozen[w.path] for w in base.weights if w.path in statistics)
    assert any(w.numpy().tobytes() != frozen[w.path] for w in base.trainable_weights)


def test_hand_written_loop(shared, names):
    exec(cells(shared)["the same with a hand-written loop"], names)
    assert names["optimizer"].iterations == 2 and len(names["gradients"]) == 2
    assert names["loss_val"].shape == () and np.isfinite(float(names["loss_val"]))
