"""Low-rank adaptation from Python: Keras' names, errors and files."""

import json

import numpy as np
import pytest

import xfer
from xfer import layers


def network():
    return xfer.Sequential([
        xfer.Input((6,)), layers.Dense(5, activation="tanh", name="a"), layers.Dense(3, activation="tanh", name="b"), layers.Dense(2, name="head")])


@pytest.fixture
def data(random):
    return random.normal(size=(24, 6)).astype("float32"), random.normal(size=(24, 2)).astype("float32")


@pytest.fixture
def random():
    return np.random.default_rng(3)


def test_enabling_changes_no_output_and_trains_the_matrices_alone(data):
    x, y = data
    model = network()
    before = model.predict(x, verbose=0)
    layer = model.get_layer("b")
    assert not layer.lora_enabled and layer.lora_rank is None
    layer.enable_lora(2, lora_alpha=4)
    model.get_layer("a").trainable = False
    assert layer.lora_enabled and layer.lora_rank == 2 and layer.lora_alpha == 4
    assert [w.name for w in layer.weights] == ["kernel", "bias", "lora_kernel_a", "lora_kernel_b"]
    assert [w.name for w in layer.trainable_weights] == ["bias", "lora_kernel_a", "lora_kernel_b"]
    assert np.array_equal(model.predict(x, verbose=0), before)
    kernel = layer.weights[0].numpy()
    assert np.array_equal(np.asarray(layer.kernel), kernel)
    model.compile(xfer.optimizers.Adam(0.05), "mse")
    losses = model.fit(x, y, epochs=3, verbose=0).history["loss"]
    assert losses[-1] < losses[0]
    assert np.array_equal(layer.weights[0].numpy(), kernel)
    a, b = layer.lora_kernel_a.numpy(), layer.lora_kernel_b.numpy()
    assert np.any(b != 0)
    assert np.allclose(np.asarray(layer.kernel), kernel + 2 * a @ b, atol=1e-6)
    hidden = np.tanh(x @ model.get_layer("a").kernel.numpy() + model.get_layer("a").bias.numpy())
    assert np.allclose(np.tanh(hidden @ (kernel + 2 * a @ b) + layer.bias.numpy()), np.asarray(layer(hidden)), atol=1e-5)


def test_saved_models_predict_the_same(data, tmp_path):
    x, y = data
    model = network()
    model.get_layer("a").enable_lora(2)
    model.compile(xfer.optimizers.Adam(0.05), "mse")
    model.fit(x, y, epochs=2, verbose=0)
    wanted = model.predict(x, verbose=0)
    model.save(tmp_path / "m.keras")
    loaded = xfer.models.load_model(tmp_path / "m.keras")
    assert np.allclose(loaded.predict(x, verbose=0), wanted, atol=1e-6)
    assert loaded.get_layer("a").lora_enabled and not np.any(loaded.get_layer("a").lora_kernel_a.numpy())
    # A file of the merged kernel is one for a layer without LoRA, too.
    for name in ("w.weights.h5", "w.safetensors"):
        model.save_weights(tmp_path / name)
        plain = network()
        plain.load_weights(tmp_path / name)
        assert np.allclose(plain.predict(x, verbose=0), wanted, atol=1e-6)
    assert np.allclose(layers.Dense.from_config(model.get_layer("a").get_config()).lora_rank, 2)


def test_both_matrices_zero_are_warned_of(data, tmp_path):
    x, y = data
    model = network()
    model.get_layer("a").enable_lora(2)
    model.save(tmp_path / "m.keras")
    loaded = xfer.models.load_model(tmp_path / "m.keras")
    loaded.compile("adam", "mse")
    with pytest.warns(UserWarning, match="cannot learn.*lora_kernel_a"):
        loaded.fit(x, y, verbose=0)


def test_errors_are_keras_kinds():
    with pytest.raises(ValueError, match="not built"):
        layers.Dense(3).enable_lora(2)
    dense = layers.Dense(3)
    dense.build((None, 4))
    dense.enable_lora(2)
    with pytest.raises(ValueError, match="already"):
        dense.enable_lora(2)
    bound = layers.Dense(3, kernel_constraint="non_neg")
    bound.build((None, 4))
    with pytest.raises(ValueError, match="constraint"):
        bound.enable_lora(2)
    for rank in (0, -1, 2.5, "x"):
        other = layers.Dense(3)
        other.build((None, 4))
        with pytest.raises(ValueError, match="rank"):
            other.enable_lora(rank)
    assert not hasattr(layers.BatchNormalization(), "enable_lora")


def test_ranks_in_constructors():
    dense = layers.Dense(3, lora_rank=2, lora_alpha=5)
    dense.build((None, 4))
    assert [w.shape for w in dense.weights] == [(4, 3), (3,), (4, 2), (2, 3)]
    config = dense.get_config()
    assert (config["lora_rank"], config["lora_alpha"]) == (2, 5)
    conv = layers.Conv2D(4, 3, lora_rank=1)
    conv.build((None, 8, 8, 2))
    assert [w.name for w in conv.trainable_weights] == ["bias", "lora_kernel_a", "lora_kernel_b"]
    assert conv.lora_kernel_a.shape == (3, 3, 2, 1)
    table = layers.Embedding(6, 4, lora_rank=2)
    table.build((None, 3))
    assert [w.name for w in table.trainable_weights] == ["lora_embeddings_a", "lora_embeddings_b"]
    assert np.asarray(table.embeddings).shape == (6, 4)
    assert "lora_rank" not in layers.Dense(3).get_config()


def test_initializers_that_are_functions():
    dense = layers.Dense(3)
    dense.build((None, 4))
    dense.enable_lora(2, a_initializer=lambda shape, dtype=None: np.full(shape, 0.5), b_initializer="ones")
    assert np.all(dense.lora_kernel_a.numpy() == 0.5) and np.all(dense.lora_kernel_b.numpy() == 1)
    assert np.allclose(np.asarray(dense.kernel), dense.weights[0].numpy() + 1)


def test_whole_models(data):
    x, _ = data
    base = network()
    outer = xfer.Sequential([xfer.Input((6,)), base, layers.Dense(1, name="top")])
    before = outer.predict(x, verbose=0)
    base.enable_lora(2, target_layer_names=["a", "b"])
    assert {w.path.split("/", 1)[1] for w in base.trainable_weights} == {
        f"{layer}/{weight}" for layer in "ab" for weight in ("bias", "lora_kernel_a", "lora_kernel_b")}
    assert len(outer.trainable_weights) == 8
    assert np.array_equal(outer.predict(x, verbose=0), before)
    with pytest.raises(ValueError, match="did you mean"):
        network().enable_lora(2, target_layer_names=["heat"])


def test_phases(data):
    x, y = data
    inputs = xfer.Input((6,))
    base = xfer.Model(inputs, layers.Dense(4, name="inner")(inputs), name="base")
    start = xfer.Input((6,))
    model = xfer.Model(start, layers.Dense(2, name="top")(base(start, training=False)))
    model.compile(loss="mse")
    kernel = base.get_layer("inner").kernel.numpy()
    plan = xfer.phases.head_then_all(epochs=1, fine_tune_epochs=2, fine_tune_rate=1e-2, lora=3)
    assert json.loads(json.dumps(plan.get_config()))["phases"][1]["lora"]["rank"] == 3
    assert xfer.phases.Phase("tune", lora=3).get_config() == {"name": "tune", "epochs": 1, "optimizer": "Adam", "lora": 3}
    model.fit_phases(x, y, plan, verbose=0)
    inner = base.get_layer("inner")
    assert inner.lora_rank == 3 and np.array_equal(inner.weights[0].numpy(), kernel) and np.any(inner.lora_kernel_b.numpy())
