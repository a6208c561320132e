"""Keras' other place for loading and saving."""

from .models import load_model, save_model

__all__ = ["load_model", "load_weights", "save_model", "save_weights"]


def load_weights(model, filepath, skip_mismatch=False, **kwargs):
    """model.load_weights(filepath)."""
    return model.load_weights(filepath, skip_mismatch, **kwargs)


def save_weights(model, filepath, overwrite=True):
    """model.save_weights(filepath)."""
    model.save_weights(filepath, overwrite)
