"""Training by phases: plans, presets, and runs that are killed and go on."""

import json
import os
import random
import signal
import subprocess
import sys
import textwrap

import numpy as np
import pytest

from xfer.phases import Phase, PhasePlan


def transfer(keras, head_seed=3):
    base = keras.Sequential([
        keras.Input((4,)), keras.layers.Dense(8, activation="relu", name="block1"), keras.layers.BatchNormalization(name="bn"),
        keras.layers.Dense(6, activation="relu", name="block2")], name="base")
    generator = np.random.default_rng(0)
    base.set_weights([np.abs(generator.normal(size=w.shape)).astype(np.float32) * 0.3 for w in base.get_weights()])
    inputs = keras.Input((4,))
    x = keras.layers.Dropout(0.3, seed=head_seed)(base(inputs, training=False))
    model = keras.Model(inputs, keras.layers.Dense(1, name="top")(x))
    model.compile(loss=keras.losses.BinaryCrossentropy(from_logits=True), metrics=[keras.metrics.BinaryAccuracy(threshold=0, name="accuracy")])
    return model


PLAN = [
    Phase("head", epochs=2, learning_rate=0.02), Phase("fine", unfreeze="last:1", epochs=3, learning_rate=0.01,
    early_stopping={"monitor": "loss", "patience": 0, "restore_best_weights": True})]


def test_phases(keras, blobs):
    model = transfer(keras)
    before = [w.copy() for w in model.get_weights()]
    history = model.fit_phases(*blobs, PLAN, verbose=0, validation_split=0.25)
    assert history.names == ["head", "fine"] == list(history) and len(history) == 2
    assert list(history["head"].history) == ["loss", "accuracy", "val_loss", "val_accuracy"]
    assert history["head"].epoch == [0, 1] and len(history.seconds["head"]) == 2
    assert history.history["loss"] == history["head"].history["loss"] + history["fine"].history["loss"]
    assert model.history is history
    moved = [not np.array_equal(a, b) for a, b in zip(before, model.get_weights())]
    assert moved == [False] * 6 + [True] * 4
    # Afterwards the model is compiled as in the last phase.
    assert float(model.optimizer.learning_rate) == pytest.approx(0.01)
    model.fit(*blobs, epochs=1, verbose=0)


def test_phases_equal_compile_and_fit(keras, blobs):
    keras.utils.set_random_seed(1)
    a = transfer(keras)
    keras.utils.set_random_seed(2)
    history = a.fit_phases(*blobs, [Phase("head", epochs=2, learning_rate=0.02)], verbose=0, shuffle=False)
    keras.utils.set_random_seed(1)
    b = transfer(keras)
    b.get_layer("base").trainable = False
    b.compile(keras.optimizers.Adam(0.02), b.loss, metrics=b.metrics)
    assert b.fit(*blobs, epochs=2, verbose=0, shuffle=False).history == history.history
    assert all(np.array_equal(x, y) for x, y in zip(a.get_weights(), b.get_weights()))


@pytest.mark.parametrize("make, names", [
    (lambda p: p.linear_probe(epochs=2), ["head"]), (lambda p: p.head_then_all(fine_tune_epochs=1), ["head", "fine-tune"]),
    (lambda p: p.gradual_unfreeze(stages=2), ["head", "unfreeze-1", "unfreeze-2"]), (lambda p: p.layer_decay(layer_decay=0.5), ["head", "fine-tune"]),
])
def test_presets(keras, blobs, tmp_path, make, names):
    plan = make(keras.phases)
    assert [phase.name for phase in plan.phases] == names
    plan.save(tmp_path / "plan.json")
    assert PhasePlan.load(tmp_path / "plan.json").get_config() == plan.get_config()
    for phase in plan.phases:
        phase.epochs = 1
    assert transfer(keras).fit_phases(*blobs, plan, verbose=0).names == names


def test_objects_in_plans(keras, blobs):
    schedule = keras.optimizers.schedules.CosineDecay(0.1, 100)
    plan = PhasePlan([Phase("a", optimizer=keras.optimizers.SGD(schedule, momentum=0.9)), Phase("b", learning_rate=schedule)], base="base")
    found = plan.get_config()["phases"]
    assert found[0]["optimizer"]["config"]["momentum"] == 0.9 and found[1]["learning_rate"]["class_name"] == "CosineDecay"
    transfer(keras).fit_phases(*blobs, plan, verbose=0)


@pytest.mark.parametrize("plan, words", [
    ("head-then-al", "head-then-all"), ([Phase("a", unfreeze="some")], "last:N"), ({"phases": [{"name": "a", "epoch": 1}]}, "'epoch'"),
    ([Phase("a", unfreeze="from:blok2")], "block2"), (PhasePlan([Phase("a")], base="bas"), "base"), ([], "at least one"),
])
def test_wrong_plans(keras, blobs, plan, words):
    with pytest.raises(ValueError, match=words):
        transfer(keras).fit_phases(*blobs, plan, verbose=0)


def test_stopping_and_exceptions(keras, blobs):
    class Stop(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            self.model.stop_training = True

    class Fail(keras.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            raise KeyError("mine")

    model = transfer(keras)
    history = model.fit_phases(*blobs, PLAN, verbose=0, callbacks=[Stop()])
    assert [len(history[name].epoch) for name in history] == [1, 1]
    with pytest.raises(KeyError, match="mine"):
        model.fit_phases(*blobs, PLAN, verbose=0, callbacks=[Fail()])


def test_arguments_of_a_checkpoint(keras, blobs, tmp_path):
    model = transfer(keras)
    with pytest.raises(ValueError, match="resume"):
        model.fit_phases(*blobs, PLAN, verbose=0, resume=True)
    with pytest.raises(ValueError, match="save_freq"):
        model.fit_phases(*blobs, PLAN, verbose=0, checkpoint=tmp_path / "c", save_freq=0)
    model.fit_phases(*blobs, PLAN, verbose=0, checkpoint=tmp_path / "c", delete_checkpoint=False, identity={"folder": 1})
    with pytest.raises(keras.XferError, match="another run"):
        transfer(keras).fit_phases(*blobs, PLAN, verbose=0, checkpoint=tmp_path / "c", resume=True, identity={"folder": 2})


SCRIPT = """
    import sys
    import numpy as np
    import xfer as keras
    sys.path.insert(0, {tests!r})
    from test_phases import transfer
    from xfer.phases import Phase

    seed, checkpoint, result = int(sys.argv[1]), sys.argv[2], sys.argv[3]

    class Say(keras.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            print(batch, flush=True)

    keras.set_random_seed(seed)
    model = transfer(keras, head_seed=seed)
    points = np.random.default_rng(1).normal(size=(40, 4)).astype(np.float32)
    labels = (points.sum(axis=1) > 0).astype(np.int32)
    history = model.fit_phases(
        points, labels, [Phase("head", epochs=5, learning_rate=0.02), Phase("fine", unfreeze="all", epochs=5, learning_rate=0.01,
        early_stopping={{"monitor": "val_loss", "patience": 2, "restore_best_weights": True}})], verbose=0, batch_size=4, callbacks=[Say()],
        validation_split=0.25, checkpoint=checkpoint, save_freq=3, resume=True)
    named = {{f"{{phase}} {{name}}": values for phase in history for name, values in history[phase].history.items()}}
    np.savez(result, *model.get_weights(), **named)
"""


def test_a_killed_process_goes_on_bit_equal(keras, tmp_path):
    """Killed at random, again and again, each time with other random numbers to begin with: the end is that of one run in peace."""
    script = tmp_path / "train.py"
    script.write_text(textwrap.dedent(SCRIPT.format(tests=os.path.dirname(__file__))))
    package = os.path.dirname(os.path.dirname(os.path.abspath(keras.__file__)))
    environment = {**os.environ, "PYTHONPATH": package}

    def start(seed, name):
        return subprocess.Popen(
            [sys.executable, script, str(seed), tmp_path / f"{name}.checkpoint", tmp_path / f"{name}.npz"], stdout=subprocess.PIPE, text=True,
            env=environment)

    def finish(process):
        assert process.stdout.read() is not None and process.wait() == 0

    finish(start(1, "whole"))
    wanted = np.load(tmp_path / "whole.npz")
    chance = random.Random(7)
    for trial in range(2):
        kills, process = 0, start(1, trial)
        while True:
            lines = 0
            for _ in range(chance.randint(1, 25)):
                lines += process.stdout.readline() != ""
            process.send_signal(signal.SIGKILL)
            if process.wait() == 0:
                break
            kills += 1
            process.stdout.close()
            if kills == 5:
                process = start(trial * 100 + kills, trial)
                finish(process)
                break
            process = start(trial * 100 + kills, trial)
        found = np.load(tmp_path / f"{trial}.npz")
        assert kills >= 3 and set(found.files) == set(wanted.files)
        for name in wanted.files:
            assert found[name].tobytes() == wanted[name].tobytes(), f"{name} after {kills} kills"
        assert sorted(p.name for p in tmp_path.iterdir() if str(trial) in p.name) == [f"{trial}.npz"]
