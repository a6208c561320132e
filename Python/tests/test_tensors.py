"""Eager tensors: numpy in and out, arithmetic, memory."""

import gc
import weakref

import numpy as np
import pytest


@pytest.fixture
def tensor(keras):
    return keras.layers.Rescaling(1.0)(np.array([[1.0, 2.0], [3.0, 4.0]]))


def test_numpy_views_and_copies(tensor):
    assert tensor.shape == (2, 2) and tensor.ndim == 2 and tensor.size == 4 and tensor.dtype == np.float32
    view = np.asarray(tensor)
    assert not view.flags.writeable and np.array_equal(view, [[1, 2], [3, 4]])
    copy = tensor.numpy()
    copy[0, 0] = 9
    assert float(tensor[0, 0]) == 1.0
    assert np.asarray(tensor, np.float64).dtype == np.float64
    del tensor
    gc.collect()
    assert view.sum() == 10


def test_indexing_and_iteration(tensor):
    assert tensor[1].tolist() == [3, 4] and tensor[:, 0].tolist() == [1, 3] and len(tensor) == 2
    assert [row.tolist() for row in tensor] == [[1, 2], [3, 4]]
    assert tensor[tensor > 2].tolist() == [3, 4]


def test_arithmetic(tensor):
    values = np.array([[1, 2], [3, 4]], np.float32)
    for result, expected in (
        (tensor + 1, values + 1), (1 - tensor, 1 - values), (tensor * tensor, values**2), (2 / tensor, 2 / values),
        (-tensor, -values), (abs(-tensor), values), (tensor**2, values**2), (tensor @ tensor, values @ values),
        (np.float32(3) * tensor, 3 * values), (values + tensor, 2 * values), (tensor >= 3, values >= 3),
        (tensor == values, values == values),
    ):
        assert type(result).__name__ == "Tensor"
        np.testing.assert_array_equal(result, expected)
    assert np.mean(tensor) == 2.5 and np.exp(tensor).shape == (2, 2) and isinstance(np.exp(tensor), np.ndarray)
    assert f"{tensor[0, 1]:.3f}" == "2.000" and int(tensor[0, 1]) == 2 and bool(tensor[0, 0] == 1)


def test_numbers_of_all_kinds(keras):
    layer = keras.layers.Rescaling(2.0)
    for dtype in (np.float16, np.float32, np.float64, np.uint8, np.int8, np.int32, np.int64, np.bool_, ">f4", ">i4"):
        assert layer(np.ones((1, 2), dtype)).tolist() == [[2, 2]]
    wide = np.arange(12, dtype=np.float32).reshape(3, 4)
    assert np.array_equal(layer(wide[:, ::2]), wide[:, ::2] * 2)
    assert np.array_equal(layer(wide.T), wide.T * 2)


def test_lent_arrays_live_as_long_as_needed_and_no_longer(keras):
    from xfer import tensor as module

    before = len(module._lent)
    array = np.ones((4, 4), np.float32)
    gone = weakref.ref(array)
    handle = module.lend(array)
    address = array.ctypes.data
    assert module.view_of(handle).ctypes.data == address
    del array
    gc.collect()
    assert gone() is not None
    del handle
    gc.collect()
    assert gone() is None and len(module._lent) == before


def test_released_handles_are_refused(keras):
    from xfer._c import lib
    from xfer._errors import check

    layer = keras.layers.Dense(1)
    pointer = layer._handle.detach()
    lib.xfer_layer_release(pointer)
    with pytest.raises(keras.XferError) as refused:
        layer.trainable = False
    assert refused.value.status == 2
    with pytest.raises(keras.XferError) as refused:
        check(lib.xfer_layer_set_trainable(None, 1))
    assert refused.value.status == 2
