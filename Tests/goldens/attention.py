"""Makes attention.json: outputs, gradients, weights and configs of Keras' MultiHeadAttention, for AttentionTests.

Run with Keras 3 on TensorFlow: python Tests/goldens/attention.py
"""

import json
import os
import pathlib

os.environ["KERAS_BACKEND"] = "tensorflow"
os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"

import keras
import numpy as np
import tensorflow as tf

RANDOM = np.random.default_rng(27)


def numbers(array):
    array = np.asarray(array, np.float64)
    return {"shape": list(array.shape), "values": [float(f"{v:.8g}") for v in array.ravel()]}


def case(config, query, value, key=None, mask=None, causal=False, scores=False):
    config = {"kernel_initializer": "random_normal", **config}
    inputs = {"query": RANDOM.normal(size=query), "value": RANDOM.normal(size=value)}
    if key:
        inputs["key"] = RANDOM.normal(size=key)
    if mask:
        chosen = (RANDOM.random(mask) < 0.6).astype("float64")
        chosen[..., 0] = 1
        inputs["attention_mask"] = chosen
    layer = keras.layers.MultiHeadAttention(name="mha", **config)
    symbols = {name: keras.Input(value.shape[1:], name=name) for name, value in inputs.items()}
    outputs = layer(**symbols, return_attention_scores=scores, use_causal_mask=causal)
    model = keras.Model(symbols, outputs)
    for weight in layer.weights:
        weight.assign(RANDOM.normal(size=weight.shape) * 0.6)
    tensors = {name: tf.constant(value.astype("float32")) for name, value in inputs.items()}
    with tf.GradientTape() as tape:
        for tensor in tensors.values():
            tape.watch(tensor)
        made = layer(**tensors, return_attention_scores=scores, use_causal_mask=causal)
        made = list(made) if scores else [made]
        factors = RANDOM.normal(size=made[0].shape).astype("float32")
        loss = tf.reduce_sum(made[0] * factors)
    own = layer.get_config()
    for name in ("name", "dtype", "trainable"):
        own.pop(name)
    found = tape.gradient(loss, [w.value for w in layer.trainable_weights] + [tensors["query"], tensors["value"]])
    return {
        "given": config, "config": own, "inputs": {name: numbers(value) for name, value in inputs.items()}, "causal": causal,
        "scores": scores, "weights": [{"path": w.path, **numbers(w)} for w in layer.weights], "outputs": [numbers(o) for o in made],
        "factors": numbers(factors), "gradients": [numbers(g) for g in found], "model": json.loads(model.to_json())["config"]["layers"][-1]["inbound_nodes"],
    }


CASES = [
    case({"num_heads": 2, "key_dim": 3}, (2, 4, 5), (2, 4, 5)),
    case({"num_heads": 2, "key_dim": 3, "value_dim": 4, "use_bias": False}, (2, 3, 5), (2, 6, 4), key=(2, 6, 3)),
    case({"num_heads": 3, "key_dim": 2, "output_shape": 4, "use_gate": True}, (2, 3, 5), (2, 4, 2), mask=(2, 3, 4), scores=True),
    case({"num_heads": 1, "key_dim": 4, "attention_axes": [1], "output_shape": [2, 3]}, (2, 4, 3), (2, 4, 3), causal=True),
    case({"num_heads": 2, "key_dim": 3}, (1, 4, 3), (1, 4, 3), key=(1, 4, 2), mask=(1, 2, 4, 4), causal=True, scores=True),
    case({"num_heads": 2, "key_dim": 2}, (2, 2, 3, 4), (2, 2, 3, 4), scores=True),
]

if __name__ == "__main__":
    pathlib.Path(__file__).with_suffix(".json").write_text("[\n" + ",\n".join(json.dumps(entry) for entry in CASES) + "\n]\n")
