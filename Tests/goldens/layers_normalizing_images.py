"""Makes layers_normalizing_images.json: outputs, gradients and configs of Keras' layers, for LayerGoldenTests.

Run with Keras 3 on TensorFlow: python Tests/goldens/layers_normalizing_images.py
"""

import json
import os
import pathlib

os.environ["KERAS_BACKEND"] = "tensorflow"
os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"

import keras
import numpy as np
import tensorflow as tf

RANDOM = np.random.default_rng(26)


def numbers(array):
    array = np.asarray(array, np.float64)
    return {"shape": list(array.shape), "values": [float(f"{v:.8g}") for v in array.ravel()]}


def case(name, config, shape, training=False, gradients=True, integers=None, image=False):
    layer = getattr(keras.layers, name)(**config)
    if integers:
        x = RANDOM.integers(0, integers, shape)
    elif image:
        x = RANDOM.integers(0, 256, shape).astype("float32")
    else:
        x = RANDOM.normal(size=shape).astype("float32") * 1.3 + 0.2
    layer.build(shape)
    values = []
    for weight in layer.weights:
        value = RANDOM.normal(size=weight.shape) * 0.5
        if weight.name in ("gamma", "scale", "variance", "moving_variance"):
            value = np.abs(value) + 0.5
        if weight.name == "count":
            value = np.zeros(())
        weight.assign(value)
        values.append(np.asarray(value))
    if name == "Normalization":
        layer.finalize_state()
    factors = RANDOM.normal(size=layer(x, training=False).shape if not name.startswith("Random") else shape).astype("float32")
    tensor = tf.constant(x)
    with tf.GradientTape() as tape:
        if not integers:
            tape.watch(tensor)
        output = layer(tensor, training=training)
        loss = tf.reduce_sum(output * factors) if gradients else None
    entry = {
        "class": name, "given": config, "config": layer.get_config(), "training": training, "input": numbers(x),
        "weights": [{"name": w.name, **numbers(v)} for w, v in zip(layer.weights, values)], "output": numbers(output),
    }
    for key in ("name", "dtype", "trainable"):
        entry["config"].pop(key, None)
    # Default values that releases before 3.15 do not know; Xfer leaves them out.
    for key in ("renorm", "renorm_clipping", "renorm_momentum"):
        entry["config"].pop(key, None)
    if gradients:
        sources = ([] if integers else [tensor]) + [w.value for w in layer.trainable_weights]
        found = [tf.convert_to_tensor(g) for g in tape.gradient(loss, sources)]
        entry["factors"] = numbers(factors)
        entry["input_gradient"] = None if integers else numbers(found.pop(0))
        entry["weight_gradients"] = [numbers(g) for g in found]
    return entry


IMAGE = (2, 5, 6, 2)
CASES = [
    case("LayerNormalization", {}, (3, 4, 5)),
    case("LayerNormalization", {"axis": [1, 2], "epsilon": 0.01}, (3, 4, 5)),
    case("LayerNormalization", {"axis": [3, 1], "center": False}, (2, 3, 4, 2)),
    case("LayerNormalization", {"axis": 1, "scale": False}, (3, 4, 5)),
    case("LayerNormalization", {"rms_scaling": True}, (3, 7)),
    case("RMSNormalization", {}, (3, 7)),
    case("RMSNormalization", {"axis": [1, 2], "epsilon": 0.1}, (2, 3, 4)),
    case("GroupNormalization", {"groups": 2}, (2, 3, 3, 6)),
    case("GroupNormalization", {"groups": -1, "epsilon": 0.01}, (2, 3, 4, 2)),
    case("GroupNormalization", {"groups": 2, "axis": 1, "center": False}, (2, 4, 3)),
    case("GroupNormalization", {"groups": 1, "axis": -2, "scale": False}, (2, 4, 3)),
    case("UnitNormalization", {}, (3, 5)),
    case("UnitNormalization", {"axis": [1, 2]}, (2, 3, 4)),
    case("BatchNormalization", {"axis": 1}, (4, 3, 2, 2)),
    case("BatchNormalization", {"axis": 1}, (4, 3, 2, 2), training=True),
    case("BatchNormalization", {"axis": -2, "scale": False}, (4, 3, 2), training=True),
    case("Embedding", {"input_dim": 5, "output_dim": 3}, (2, 4), integers=5),
    case("Embedding", {"input_dim": 7, "output_dim": 2}, (2, 3, 2), integers=7),
    case("Normalization", {}, (3, 4)),
    case("Normalization", {"axis": [1, 3], "invert": True}, (2, 3, 2, 2)),
    case("Normalization", {"axis": None, "mean": 1.5, "variance": 4.0}, (3, 4)),
    case("Normalization", {"axis": -1, "mean": [1.0, -2.0, 0.5], "variance": [0.5, 1.0, 4.0]}, (2, 2, 3)),
    case("Normalization", {"axis": [1, 2], "mean": [1.0, -2.0, 0.5], "variance": [0.5, 1.0, 4.0], "invert": True}, (2, 2, 3)),
    case("Rescaling", {"scale": 2.0, "offset": -1.0}, (2, 3)),
    case("CenterCrop", {"height": 3, "width": 3}, IMAGE),
    case("CenterCrop", {"height": 2, "width": 5}, IMAGE),
    case("CenterCrop", {"height": 8, "width": 4}, IMAGE),
    case("Resizing", {"height": 3, "width": 9}, IMAGE),
    case("Resizing", {"height": 1, "width": 2}, (1, 1, 4, 1)),
    case("Resizing", {"height": 3, "width": 9, "interpolation": "nearest"}, IMAGE),
    case("Resizing", {"height": 7, "width": 4, "interpolation": "nearest"}, IMAGE),
    case("Resizing", {"height": 3, "width": 9, "interpolation": "bicubic"}, IMAGE),
    case("Resizing", {"height": 8, "width": 4, "interpolation": "bicubic", "antialias": True}, IMAGE, gradients=False),
    case("Resizing", {"height": 3, "width": 4, "interpolation": "area"}, IMAGE, gradients=False),
    case("Resizing", {"height": 8, "width": 3, "interpolation": "lanczos3"}, IMAGE, gradients=False),
    case("Resizing", {"height": 3, "width": 3, "interpolation": "lanczos5", "antialias": True}, IMAGE, gradients=False),
    case("Resizing", {"height": 2, "width": 3, "antialias": True}, IMAGE, gradients=False),
    case("Resizing", {"height": 4, "width": 8, "crop_to_aspect_ratio": True}, IMAGE),
    case("Resizing", {"height": 6, "width": 3, "pad_to_aspect_ratio": True, "fill_value": 7.0}, IMAGE),
    case("Resizing", {"height": 4, "width": 8, "pad_to_aspect_ratio": True}, IMAGE),
]
for fill in ("reflect", "wrap", "constant", "nearest"):
    CASES += [
        case("RandomRotation", {"factor": [0.1, 0.1], "fill_mode": fill, "fill_value": 9.0, "seed": 1}, IMAGE, True, False),
        case("RandomZoom", {"height_factor": [0.3, 0.3], "fill_mode": fill, "fill_value": 9.0, "seed": 1}, IMAGE, True, False),
        case("RandomTranslation", {"height_factor": [0.3, 0.3], "width_factor": [-0.25, -0.25], "fill_mode": fill, "seed": 1}, IMAGE, True, False),
    ]
CASES += [
    case("RandomRotation", {"factor": [-0.37, -0.37], "interpolation": "nearest", "seed": 1}, (1, 7, 7, 1), True, False),
    case("RandomRotation", {"factor": 0.2, "seed": 1}, IMAGE, False, False),
    case("RandomZoom", {"height_factor": [-0.4, -0.4], "width_factor": [0.2, 0.2], "seed": 1}, IMAGE, True, False),
    case("RandomZoom", {"height_factor": 0.4, "seed": 1}, IMAGE, False, False),
    case("RandomTranslation", {"height_factor": 0.4, "width_factor": 0.1, "interpolation": "nearest", "seed": 1}, IMAGE, False, False),
    case("RandomBrightness", {"factor": [0.2, 0.2], "seed": 1}, IMAGE, True, False, image=True),
    case("RandomBrightness", {"factor": [-0.5, -0.5], "value_range": [1.0, -1.0], "seed": 1}, IMAGE, True, False),
    case("RandomBrightness", {"factor": 0.2, "seed": 1}, IMAGE, False, False),
    case("RandomContrast", {"factor": [0.0, 0.0], "value_range": [-0.5, 1.0], "seed": 1}, IMAGE, True, False),
    case("RandomContrast", {"factor": 0.3, "seed": 1}, IMAGE, False, False),
    case("RandomFlip", {"seed": 1}, IMAGE, False, False),
    case("Dropout", {"rate": 0.3, "noise_shape": [None, 1, 2], "seed": 1}, (3, 4, 2), False, False),
    case("SpatialDropout1D", {"rate": 0.3, "seed": 1}, (3, 4, 2), False, False),
    case("SpatialDropout2D", {"rate": 0.3, "seed": 1}, IMAGE, False, False),
    case("GaussianNoise", {"stddev": 0.3, "seed": 1}, (3, 4), False, False),
    case("GaussianDropout", {"rate": 0.3, "seed": 1}, (3, 4), False, False),
    case("AlphaDropout", {"rate": 0.3, "seed": 1}, (3, 4), False, False),
]

if __name__ == "__main__":
    path = pathlib.Path(__file__).with_suffix(".json")
    path.write_text("[\n" + ",\n".join(json.dumps(entry) for entry in CASES) + "\n]\n")
