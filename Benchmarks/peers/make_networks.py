"""Keras' networks with random weights, for every peer to read: NAME.keras, and NAME.json with NAME.npz for those without Keras.

    python make_networks.py FOLDER NAME...
"""

import json
import os
import sys

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
import keras  # noqa: E402
import numpy as np  # noqa: E402

NETWORKS = {"Xception": 150, "MobileNetV2": 224, "ResNet50": 224, "EfficientNetB0": 224}


def main():
    folder, names = sys.argv[1], sys.argv[2:]
    os.makedirs(folder, exist_ok=True)
    for name in names:
        size = NETWORKS[name]
        keras.utils.set_random_seed(1)
        model = getattr(keras.applications, name)(weights=None, include_top=False, pooling="avg", input_shape=(size, size, 3))
        # Statistics as a trained network has them: with 0 and 1 the values of deep networks vanish or explode, which changes how fast they are.
        x = np.random.default_rng(0).uniform(-1, 1, (16, size, size, 3)).astype(np.float32)
        for layer in model.layers:
            if isinstance(layer, keras.layers.BatchNormalization):
                layer.momentum = 0.0
        model(x, training=True)
        for layer in model.layers:
            if isinstance(layer, keras.layers.BatchNormalization):
                layer.momentum = 0.99
        model.save(os.path.join(folder, f"{name}.keras"))
        arrays = {f"{layer.name}/{i}": w for layer in model.layers for i, w in enumerate(layer.get_weights())}
        np.savez(os.path.join(folder, f"{name}.npz"), **arrays)
        with open(os.path.join(folder, f"{name}.json"), "w", encoding="utf-8") as file:
            json.dump(json.loads(model.to_json()), file)


if __name__ == "__main__":
    main()
