"""One peer of pieces.py: reads a piece a line, answers with the seconds of its best run.

    python pieces_worker.py numpy|torch|keras THREADS float32|bfloat16
"""

import os
import sys
import time

system, threads, precision = sys.argv[1], int(sys.argv[2]), sys.argv[3]
for name in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[name] = str(threads)
os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"

import numpy as np  # noqa: E402


def arrays(*shapes):
    generator = np.random.default_rng(0)
    return [generator.standard_normal(shape, np.float32) for shape in shapes]


def numpy_piece(kind, sizes):
    if kind != "matmul":
        raise ValueError("numpy has no convolution")
    m, n, k = sizes
    a, b = arrays((m, k), (k, n))
    out = np.empty((m, n), np.float32)
    return lambda: np.matmul(a, b, out=out)


def torch_piece(kind, sizes):
    import torch

    torch.set_num_threads(threads)
    dtype = torch.bfloat16 if precision == "bfloat16" else torch.float32
    if kind == "matmul":
        m, n, k = sizes
        a, b = (torch.from_numpy(x).to(dtype) for x in arrays((m, k), (k, n)))
        out = torch.empty((m, n), dtype=dtype)
        return lambda: torch.matmul(a, b, out=out)
    n, size, channels = sizes
    x, w = (torch.from_numpy(x).to(dtype).to(memory_format=torch.channels_last) for x in arrays((n, channels, size, size), (channels, 1, 3, 3)))
    run = torch.nn.functional.conv2d

    def once():
        with torch.no_grad():
            run(x, w, padding=1, groups=channels)

    return once


def keras_piece(kind, sizes):
    import tensorflow as tf

    if tf.config.threading.get_intra_op_parallelism_threads() != threads:
        tf.config.threading.set_intra_op_parallelism_threads(threads)
        tf.config.threading.set_inter_op_parallelism_threads(1)
    dtype = tf.bfloat16 if precision == "bfloat16" else tf.float32
    if kind == "matmul":
        m, n, k = sizes
        a, b = (tf.cast(x, dtype) for x in arrays((m, k), (k, n)))
        step = tf.function(tf.matmul)
    else:
        n, size, channels = sizes
        a, b = (tf.cast(x, dtype) for x in arrays((n, size, size, channels), (3, 3, channels, 1)))
        step = tf.function(lambda a, b: tf.nn.depthwise_conv2d(a, b, [1, 1, 1, 1], "SAME"))
    # The result is small in another place: waiting for it is waiting for the op.
    return lambda: step(a, b)[0, 0].numpy()


make = {"numpy": numpy_piece, "torch": torch_piece, "keras": keras_piece}[system]
known = {}
print("ready", flush=True)
for line in sys.stdin:
    kind, *sizes = line.split()
    try:
        if line not in known:
            known.clear()
            known[line] = make(kind, [int(size) for size in sizes])
            known[line]()
        best, spent, runs = float("inf"), 0.0, 0
        while runs < 4 or (spent < 0.4 and runs < 200):
            begin = time.perf_counter()
            known[line]()
            seconds = time.perf_counter() - begin
            best, spent, runs = min(best, seconds), spent + seconds, runs + 1
        print(best, flush=True)
    except Exception as error:  # noqa: BLE001 - told to the other side
        print(f"none {error}".splitlines()[0], flush=True)
