"""Image folders, images, seeds and labels."""

import os
import random

import numpy as np

from ._c import lib
from ._errors import UNSUPPORTED, check, error
from ._handle import encode, make, text_once
from .backend import clear_session
from .data import Dataset
from .tensor import constant, take

__all__ = [
    "clear_session", "image_dataset_from_directory", "img_to_array", "load_img", "plot_model", "set_random_seed", "to_categorical",
]


def set_random_seed(seed):
    """Seeds Python's and numpy's generators, and initializers, shuffling and dropout of what is made from now on."""
    if isinstance(seed, bool) or not isinstance(seed, (int, np.integer)) or not 0 <= seed < 1 << 32:
        raise ValueError(f"Expected `seed` to be a whole number from 0 to 2³² - 1. Received: seed={seed!r}")
    random.seed(int(seed))
    np.random.seed(int(seed))
    check(lib.xfer_set_random_seed(int(seed)))


def to_categorical(x, num_classes=None):
    """Class numbers as rows with a single 1: (n,) or (n, 1) to (n, classes), float32."""
    labels = np.asarray(x, dtype=np.int64)
    if labels.ndim > 1 and labels.shape[-1] == 1:
        labels = labels[..., 0]
    classes = int(num_classes) if num_classes is not None else int(labels.max(initial=-1)) + 1
    if labels.size and (labels.min() < 0 or labels.max() >= classes):
        raise ValueError(f"labels from {labels.min()} to {labels.max()} do not fit {classes} classes")
    return np.eye(classes, dtype=np.float32)[labels]


def _refuse(function, **arguments):
    for name, (value, wanted) in arguments.items():
        if value != wanted:
            raise error(UNSUPPORTED, f"{function}: {name}={value!r}; only {wanted!r} is supported")


def load_img(path, color_mode="rgb", target_size=None, interpolation="bilinear", keep_aspect_ratio=False):
    """An image as a float32 array (height, width, 3) of 0...255, resized bilinearly to target_size (height, width)."""
    _refuse("load_img", color_mode=(color_mode, "rgb"), interpolation=(interpolation, "bilinear"),
            keep_aspect_ratio=(keep_aspect_ratio, False))
    config = None if target_size is None else encode({"image_size": list(target_size)})
    return take(make("tensor", lib.xfer_image_load, os.fsencode(path), config))


def img_to_array(img, data_format=None, dtype=None):
    """An image as an array (height, width, channels)."""
    _refuse("img_to_array", data_format=(data_format or "channels_last", "channels_last"))
    array = np.array(img, dtype=dtype or np.float32)
    if array.ndim == 2:
        array = array[..., None]
    if array.ndim != 3:
        raise ValueError(f"Unsupported image shape: {array.shape}")
    return array


class Picture(str):
    """A drawing as SVG text; notebooks show it."""

    def _repr_svg_(self):
        return str(self)


def plot_model(
    model, to_file="model.svg", show_shapes=False, show_dtype=False, show_layer_names=True, rankdir="TB", expand_nested=True, dpi=None,
    show_layer_activations=False, show_trainable=True, batch_size=1, training=False,
):
    """Draws how the model runs, as SVG: a box a layer, from the input down, with its op, backend and arithmetic; coloured by whether its weights
    are frozen, trained, or frozen and run once a sample; marked where it took over the work of other layers.

    to_file: a path that ends in .svg, or None. show_shapes adds outputs' shapes and bytes. training draws a training step of the compiled
    model with this batch size. Returns the drawing, which notebooks show.
    """
    _refuse(
        "plot_model", show_dtype=(show_dtype, False), show_layer_names=(show_layer_names, True), rankdir=(rankdir, "TB"),
        expand_nested=(expand_nested, True), dpi=(dpi, None), show_layer_activations=(show_layer_activations, False),
        show_trainable=(show_trainable, True))
    if to_file is not None and not os.fspath(to_file).endswith(".svg"):
        raise error(UNSUPPORTED, f"plot_model: {os.fspath(to_file)}; drawings are .svg files, which browsers show and rsvg-convert turns into others")
    options = {"batch_size": int(batch_size), "training": bool(training), "show_shapes": bool(show_shapes)}
    picture = Picture(text_once(lib.xfer_plan_svg, model._model_handle(), encode(options), capacity=1 << 24))
    if to_file is not None:
        with open(to_file, "w", encoding="utf-8") as file:
            file.write(picture)
    return picture


def image_dataset_from_directory(
    directory, labels="inferred", label_mode="int", class_names=None, color_mode="rgb", batch_size=32, image_size=(256, 256),
    shuffle=True, seed=None, validation_split=None, subset=None, interpolation="bilinear", follow_links=False,
    crop_to_aspect_ratio=False, pad_to_aspect_ratio=False, data_format=None, format="tf", verbose=True,
):
    """Batches (images, labels) from one folder a class.

    Images are float32 (n, height, width, 3) of 0...255. label_mode: "int" gives (n,) class numbers, "binary" (n, 1)
    floats 0 or 1, "categorical" (n, classes). validation_split with subset "training" or "validation" wants a seed when
    shuffling, so that the two do not overlap. Broken images are skipped; `dataset.info["skipped"]` names them.
    """
    _refuse(
        "image_dataset_from_directory", labels=(labels, "inferred"), color_mode=(color_mode, "rgb"),
        interpolation=(interpolation, "bilinear"), crop_to_aspect_ratio=(crop_to_aspect_ratio, False),
        pad_to_aspect_ratio=(pad_to_aspect_ratio, False), data_format=(data_format or "channels_last", "channels_last"))
    if label_mode not in ("int", "binary", "categorical"):
        raise ValueError(f"`label_mode` is \"int\", \"binary\" or \"categorical\", {label_mode!r} was given")
    if batch_size is None or batch_size < 1:
        raise ValueError(f"`batch_size` is to be above 0, {batch_size!r} was given")
    if (validation_split is None) != (subset is None):
        raise ValueError("`validation_split` and `subset` go together, one of them was given")
    if validation_split is not None and shuffle and seed is None:
        raise ValueError("a shuffled split wants a `seed`, so that training and validation do not overlap")
    config = {"image_size": list(image_size), "batch_size": int(batch_size), "shuffle": bool(shuffle)}
    optional = {"class_names": class_names, "seed": seed, "validation_split": validation_split, "subset": subset}
    config.update({name: value for name, value in optional.items() if value is not None})
    handle = make("dataset", lib.xfer_image_folder_open, os.fsencode(directory), encode(config))
    dataset = Dataset(handle, int(batch_size))
    info = dataset.info
    classes = len(info["class_names"])
    if label_mode == "binary":
        if classes != 2:
            raise ValueError(f"label_mode=\"binary\" is for two classes, {directory} has {classes}")
        dataset._labels = lambda numbers: constant(numbers.astype(np.float32).reshape(-1, 1))
    elif label_mode == "categorical":
        dataset._labels = lambda numbers: constant(to_categorical(numbers, classes))
    if verbose:
        used = "" if subset is None else f" for {subset}"
        print(f"Found {info['count']} files{used} belonging to {classes} classes.")
    return dataset
