"""Layers as dicts and back."""

from .layer import CLASSES, Layer

__all__ = ["deserialize", "serialize"]


def serialize(layer):
    """{"module", "class_name", "config", "registered_name"} as Keras writes it."""
    if not isinstance(layer, Layer):
        raise ValueError(f"a layer is wanted, {layer!r} was given")
    module = "keras" if type(layer).__name__ in ("Functional", "Model", "Sequential") else "keras.layers"
    return {"module": module, "class_name": type(layer).__name__, "config": layer.get_config(), "registered_name": None}


def deserialize(config, custom_objects=None):
    """The layer of such a dict, with fresh weights. custom_objects: classes by name, beside those that are known."""
    known = {**CLASSES, **(custom_objects or {})}
    name = config.get("class_name") if isinstance(config, dict) else None
    if name not in known:
        raise ValueError(f"Could not interpret layer identifier: {config!r}")
    return known[name].from_config(config.get("config") or {})
