"""One system with one piece of work, which it does once for every line it reads; used by run.py.

    worker.py SYSTEM '{"network": PATH, "size": 150, "task": "forward", "batch": 32, "precision": "float32", "threads": 2}'

It prints "ready CHECKSUM", then for every line "go" the seconds, and for "end" its largest memory in bytes.
"""

import json
import os
import subprocess
import sys
import time

SYSTEM, WORK = sys.argv[1], json.loads(sys.argv[2])
for variable in ("OMP_NUM_THREADS", "TF_NUM_INTRAOP_THREADS", "XFER_THREADS"):
    os.environ[variable] = str(WORK["threads"])
os.environ.update(TF_NUM_INTEROP_THREADS="1", TF_CPP_MIN_LOG_LEVEL="3", CUDA_VISIBLE_DEVICES="")

import numpy as np  # noqa: E402

BATCH, SIZE, THREADS = WORK["batch"], WORK["size"], WORK["threads"]
BF16 = WORK["precision"] == "bfloat16"
IMAGES = 64  # of an epoch of head training
rng = np.random.default_rng(0)
x = rng.uniform(-1, 1, (IMAGES if WORK["task"].startswith("head") else BATCH, SIZE, SIZE, 3)).astype(np.float32)
y = (np.arange(len(x)) % 2).astype(np.float32)[:, None]


def xfer_work():
    import xfer as keras

    if BF16:
        keras.set_precision("bfloat16")
    base = keras.models.load_model(WORK["network"] + ".keras", compile=False)
    if WORK["task"] == "forward":
        return lambda: base.predict(x, batch_size=BATCH, verbose=0)
    base.trainable = WORK["task"] == "fine-tune"
    inputs = keras.Input((SIZE, SIZE, 3))

    def compiled():
        model = keras.Model(inputs, keras.layers.Dense(1, kernel_initializer="zeros")(base(inputs, training=False)))
        model.compile(keras.optimizers.Adam(1e-5), keras.losses.BinaryCrossentropy(from_logits=True))
        return model

    if base.trainable:
        model = compiled()
        return lambda: model.train_on_batch(x, y)
    # A new model each time, which keeps nothing from the last: what is measured begins with images.
    return lambda: compiled().fit(x, y, batch_size=32, epochs=20 if WORK["task"] == "head 20" else 1, verbose=0)


def keras_work():
    import tensorflow as tf
    import keras

    if BF16:
        keras.config.set_dtype_policy("mixed_bfloat16")
    tf.config.threading.set_intra_op_parallelism_threads(THREADS)
    base = keras.models.load_model(WORK["network"] + ".keras", compile=False)
    if BF16:
        config = json.loads(base.to_json().replace('"float32"}', '"mixed_bfloat16"}'))
        weights = base.get_weights()
        base = keras.models.model_from_json(json.dumps(config))
        base.set_weights(weights)
    if WORK["task"] == "forward":
        run = tf.function(lambda images: base(images, training=False))
        images = tf.constant(x)
        return lambda: run(images).numpy()
    base.trainable = WORK["task"] == "fine-tune"
    inputs = keras.Input((SIZE, SIZE, 3))
    model = keras.Model(inputs, keras.layers.Dense(1, kernel_initializer="zeros", dtype="float32")(base(inputs, training=False)))
    optimizer = keras.optimizers.Adam(1e-5)
    loss = keras.losses.BinaryCrossentropy(from_logits=True)
    optimizer.build(model.trainable_variables)

    @tf.function
    def step(images, labels):
        with tf.GradientTape() as tape:
            value = loss(labels, model(images, training=True))
        optimizer.apply_gradients(zip(tape.gradient(value, model.trainable_variables), model.trainable_variables))
        return value

    return epoch_of(lambda a, b: step(tf.constant(x[a:b]), tf.constant(y[a:b])).numpy())


def torch_work():
    import torch
    from torch_network import Network

    torch.set_num_threads(THREADS)
    base = Network(WORK["network"]).eval().to(memory_format=torch.channels_last)
    images = torch.from_numpy(x).permute(0, 3, 1, 2).contiguous(memory_format=torch.channels_last)
    mixed = torch.autocast("cpu", torch.bfloat16, enabled=BF16)
    if WORK["task"] == "forward":
        def forward():
            with torch.inference_mode(), mixed:
                return base(images).float().numpy()

        return forward
    head = torch.nn.Linear(base(images[:1]).shape[1], 1)
    labels = torch.from_numpy(y)
    tuned = WORK["task"] == "fine-tune"
    for parameter in base.parameters():
        parameter.requires_grad_(tuned)
    optimizer = torch.optim.Adam([*(base.parameters() if tuned else []), *head.parameters()], 1e-5, fused=True)

    def step(a, b):
        optimizer.zero_grad()
        with mixed:
            if tuned:
                features = base(images[a:b])
            else:
                with torch.no_grad():
                    features = base(images[a:b])
            value = torch.nn.functional.binary_cross_entropy_with_logits(head(features).float(), labels[a:b])
        value.backward()
        optimizer.step()
        return value.item()

    return epoch_of(step)


def epoch_of(step):
    """A fine-tuning step, or an epoch of head training in batches of 32; twenty epochs are twenty times one for who keeps nothing."""
    if WORK["task"] == "fine-tune":
        return lambda: step(0, BATCH)
    return lambda: [step(a, a + 32) for a in range(0, IMAGES, 32)]


def onnx_file():
    """The network as ONNX, made by PyTorch once, in a process of its own: its memory is not this system's."""
    path = f"{WORK['network']}-{BATCH}.onnx"
    if not os.path.exists(path):
        subprocess.run([sys.executable, __file__, "export", sys.argv[2], path], check=True, stdout=sys.stderr)
    return path


def export(path):
    import torch
    from torch_network import Network

    torch.onnx.export(Network(WORK["network"]).eval(), torch.zeros(BATCH, 3, SIZE, SIZE), path + ".new", dynamo=False)
    os.replace(path + ".new", path)


def onnxruntime_work():
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = THREADS
    session = onnxruntime.InferenceSession(onnx_file(), options, providers=["CPUExecutionProvider"])
    images = np.ascontiguousarray(x.transpose(0, 3, 1, 2))
    name = session.get_inputs()[0].name
    return lambda: session.run(None, {name: images})[0]


def openvino_work():
    import openvino

    core = openvino.Core()
    compiled = core.compile_model(onnx_file(), "CPU", {
        "PERFORMANCE_HINT": "LATENCY", "INFERENCE_NUM_THREADS": THREADS, "INFERENCE_PRECISION_HINT": "bf16" if BF16 else "f32"})
    images = np.ascontiguousarray(x.transpose(0, 3, 1, 2))
    request = compiled.create_infer_request()
    return lambda: request.infer([images])[0]


def main():
    if SYSTEM == "export":
        return export(sys.argv[3])
    work = {"xfer": xfer_work, "keras": keras_work, "torch": torch_work, "onnxruntime": onnxruntime_work, "openvino": openvino_work}[SYSTEM]()
    result = work()
    checksum = float(np.abs(np.asarray(result, np.float64)).mean()) if WORK["task"] == "forward" else 0.0
    print(f"ready {checksum:.6g}", flush=True)
    for line in sys.stdin:
        if line.strip() == "end":
            break
        begin = time.perf_counter()
        work()
        print(time.perf_counter() - begin, flush=True)
    with open("/proc/self/status", encoding="ascii") as status:
        print(next(int(entry.split()[1]) * 1024 for entry in status if entry.startswith("VmHWM")), flush=True)
    return None


if __name__ == "__main__":
    main()
