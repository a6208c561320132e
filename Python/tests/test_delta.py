"""Files of what training changed, and drawings of plans."""

import xml.etree.ElementTree as xml

import numpy as np
import pytest

import xfer
from xfer import layers


def base():
    inputs = xfer.Input((6,))
    return xfer.Model(inputs, layers.Dense(5, activation="tanh", name="b")(layers.Dense(8, activation="tanh", name="a")(inputs)), name="base")


@pytest.fixture
def pretrained(tmp_path):
    model = base()
    model.save_weights(tmp_path / "base.safetensors")
    return tmp_path / "base.safetensors"


def network(pretrained):
    inner = base()
    inner.load_weights(pretrained)
    inner.trainable = False
    inputs = xfer.Input((6,))
    return xfer.Model(inputs, layers.Dense(2, name="head")(inner(inputs, training=False)))


@pytest.fixture
def data():
    random = np.random.default_rng(3)
    return random.normal(size=(24, 6)).astype("float32"), random.normal(size=(24, 2)).astype("float32")


def trained(model, data):
    model.compile(xfer.optimizers.Adam(0.05), "mse")
    model.fit(*data, epochs=2, verbose=0)
    return model


def test_the_head_alone(pretrained, data, tmp_path):
    model = trained(network(pretrained), data)
    model.save_delta(tmp_path / "d.safetensors")
    assert (tmp_path / "d.safetensors").stat().st_size < 20_000
    other = network(pretrained)
    other.load_delta(tmp_path / "d.safetensors")
    assert np.array_equal(other.predict(data[0], verbose=0), model.predict(data[0], verbose=0))
    with pytest.raises(OSError, match="overwrite"):
        model.save_delta(tmp_path / "d.safetensors", overwrite=False)


def test_lora_goes_with_it(pretrained, data, tmp_path):
    model = network(pretrained)
    model.get_layer("base").enable_lora(2)
    trained(model, data).save_delta(tmp_path / "d")
    other = network(pretrained)
    other.load_delta(tmp_path / "d")
    assert other.get_layer("base").get_layer("a").lora_rank == 2
    assert np.array_equal(other.predict(data[0], verbose=0), model.predict(data[0], verbose=0))


def test_another_base_is_refused(pretrained, data, tmp_path):
    trained(network(pretrained), data).save_delta(tmp_path / "d")
    other = network(pretrained)
    other.get_layer("base").get_layer("a").kernel.assign_add(np.float32(1))
    before = other.get_weights()
    with pytest.raises(xfer.XferError, match="'a/kernel' had other values"):
        other.load_delta(tmp_path / "d")
    assert all(np.array_equal(a, b) for a, b in zip(before, other.get_weights()))
    with pytest.raises(ValueError, match="is no delta"):
        other.load_delta(pretrained)


def test_plot_model(pretrained, data, tmp_path):
    model = trained(network(pretrained), data)
    picture = xfer.utils.plot_model(model, tmp_path / "m.svg", show_shapes=True)
    assert (tmp_path / "m.svg").read_text() == picture == picture._repr_svg_()
    text = " ".join(xml.fromstring(picture).itertext())
    assert "head" in text and "1×8" in text and "frozen" in text
    training = xfer.utils.plot_model(model, None, training=True, batch_size=4)
    assert "run once a sample" in training and "trained" in training
    with pytest.raises(ValueError, match="svg"):
        xfer.utils.plot_model(model, tmp_path / "m.png")
    with pytest.raises(ValueError, match="rankdir"):
        xfer.utils.plot_model(model, None, rankdir="LR")
