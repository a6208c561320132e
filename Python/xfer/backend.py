"""The library's own settings: backends, threads, plugins. Keras' settings stand in `config`, and some of them here, too."""

import gc
import json
import os

from ._c import lib
from ._errors import check
from ._handle import text
from .config import backend, epsilon, floatx, image_data_format, set_epsilon, set_floatx, set_image_data_format  # noqa: F401


def clear_session(free_memory=True):
    """Frees what nothing refers to any more. There is no global graph to clear; automatic names go on counting."""
    if free_memory:
        gc.collect()


def version():
    """The library's version, "0.1.0"."""
    return lib.xfer_version_string().decode()


def plugins():
    """{"plugins": [{"kind", "name", "version", "score", "path"}], "rejected": [{"path", "reason"}], "search_path"}."""
    return json.loads(text(lib.xfer_plugins_json))


def load_plugin(path):
    """Loads one plugin file now."""
    check(lib.xfer_plugin_load(os.fsencode(path)))


def set_backend(name):
    """"auto", "naive", "simd", "onednn", "blas" or a plugin's name: asked first by what is compiled or first run from now on."""
    check(lib.xfer_set_backend(str(name).encode()))


def set_precision(name):
    """"f32" ("float32") or "bf16" ("bfloat16"): how exact products are in models compiled, or run without compile, from now on.

    With "bf16" the factors of convolutions, dense layers and their gradients are rounded to bfloat16, up to 3.5 times as fast on
    CPUs with AMX and 1.8 times with AMD's AVX-512 BF16, and images between layers are kept so, in half the memory; sums,
    weights, optimizers, what normalization computes and losses stay float32.
    """
    check(lib.xfer_set_precision(str(name).encode()))


def set_threads(n):
    """The number of threads; 0 for all cores."""
    check(lib.xfer_set_threads(int(n)))


def get_threads():
    """The number of threads in use."""
    return lib.xfer_get_threads()
