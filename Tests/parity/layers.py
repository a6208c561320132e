"""Layer by layer, Keras and Xfer from the same arguments: config, output shape, weights, outputs, gradients by tape.

    python Tests/parity/layers.py                      every class on every backend
    python Tests/parity/layers.py --only Conv2D -v     one class

Between the input and the layer stands a small Dense layer (on the last axis), so that the gradient for its kernel shows the layer's gradient for its
input; behind the layer, Flatten and a crossentropy with random targets. Differences are relative to max(1, largest absolute value).
"""

import argparse
import sys

from draw import K, randomize
from support import BACKENDS, Difference, Table, XferError, compare, exists, keras, library_or_exit, np, plain, refusal, serialized, tf, unsupported, xfer

OUTPUT, GRADIENT = 2e-4, 1e-3

image, sequence, row, volume = (7, 6, 4), (6, 4), (5,), (4, 5, 3, 2)
reg, con = keras.regularizers, keras.constraints

# class: [(input shape or list of shapes, arguments), ...]. "training" runs both modes; layers that draw random numbers compare without training only.
# Not compared: sparsemax, which Keras 3.15.1 computes otherwise than its definition where more than one element is above 0.
CASES = {
    "Dense": [(row, {"units": 3}), (sequence, {"units": 3, "activation": "tanh"}), (image, {"units": 2, "use_bias": False}),
              (row, {"units": 2, "kernel_initializer": "he_normal", "bias_initializer": "ones"}),
              (row, {"units": 2, "kernel_initializer": keras.initializers.VarianceScaling(2.0, "fan_out", "uniform")}),
              (row, {"units": 2, "kernel_regularizer": "l2", "bias_regularizer": reg.L1(0.02), "activity_regularizer": reg.L2(0.01)}),
              (row, {"units": 2, "kernel_constraint": con.MaxNorm(2), "bias_constraint": "non_neg"}),
              (row, {"units": 3, "trainable": False})],
    "Conv1D": [(sequence, {"filters": 3, "kernel_size": 3}), (sequence, {"filters": 2, "kernel_size": 3, "padding": "causal", "dilation_rate": 2}),
               (sequence, {"filters": 4, "kernel_size": 2, "strides": 2, "padding": "same", "groups": 2, "activation": "relu"})],
    "Conv2D": [(image, {"filters": 3, "kernel_size": 3}), (image, {"filters": 3, "kernel_size": (2, 3), "strides": (2, 1), "padding": "same"}),
               (image, {"filters": 4, "kernel_size": 3, "groups": 2, "use_bias": False}), (image, {"filters": 2, "kernel_size": 2, "dilation_rate": 2}),
               (image, {"filters": 2, "kernel_size": 3, "dilation_rate": (1, 2), "padding": "same", "activation": "relu"}),
               (image, {"filters": 2, "kernel_size": 1, "kernel_regularizer": reg.L1L2(0.1, 0.2)}),
               (image, {"filters": 2, "kernel_size": 3, "strides": 3, "padding": "same"})],
    "Conv3D": [(volume, {"filters": 3, "kernel_size": 2}), (volume, {"filters": 2, "kernel_size": (2, 3, 1), "padding": "same", "strides": 2})],
    "Conv1DTranspose": [(sequence, {"filters": 3, "kernel_size": 3, "strides": 2}), (sequence, {"filters": 3, "kernel_size": 2, "padding": "same"})],
    "Conv2DTranspose": [(image, {"filters": 3, "kernel_size": 3}), (image, {"filters": 2, "kernel_size": 3, "strides": 2, "padding": "same"}),
                        (image, {"filters": 2, "kernel_size": (2, 3), "strides": (2, 3)}),
                        (image, {"filters": 2, "kernel_size": 3, "strides": 2, "output_padding": 1}),
                        (image, {"filters": 2, "kernel_size": 2, "dilation_rate": 2})],
    "Conv3DTranspose": [(volume, {"filters": 2, "kernel_size": 2, "strides": 2})],
    "DepthwiseConv1D": [(sequence, {"kernel_size": 3}), (sequence, {"kernel_size": 2, "depth_multiplier": 2, "padding": "same", "strides": 2})],
    "DepthwiseConv2D": [(image, {"kernel_size": 3}), (image, {"kernel_size": 3, "depth_multiplier": 2, "padding": "same", "strides": 2}),
                        (image, {"kernel_size": 2, "dilation_rate": 2, "activation": "relu"}), (image, {"kernel_size": (3, 1), "use_bias": False})],
    "SeparableConv1D": [(sequence, {"filters": 3, "kernel_size": 3}), (sequence, {"filters": 3, "kernel_size": 3, "padding": "same", "strides": 2})],
    "SeparableConv2D": [(image, {"filters": 3, "kernel_size": 3}), (image, {"filters": 5, "kernel_size": 3, "depth_multiplier": 2, "padding": "same"}),
                        (image, {"filters": 2, "kernel_size": 3, "strides": 2, "use_bias": False, "activation": "elu"}),
                        (image, {"filters": 2, "kernel_size": 2, "dilation_rate": 2, "padding": "same"})],
    "BatchNormalization": [(image, {}), (row, {"momentum": 0.8, "epsilon": 0.01}), (sequence, {"center": False, "scale": False}), (image, {"axis": 1}),
                           (image, {"scale": False}), (row, {"trainable": False})],
    "LayerNormalization": [(image, {}), (row, {"epsilon": 0.01, "center": False}), (image, {"axis": [1, 2]}), (sequence, {"axis": 1}),
                           (sequence, {"scale": False})],
    "GroupNormalization": [(image, {"groups": 2}), (image, {"groups": -1}), (sequence, {"groups": 4, "scale": False}), (image, {"groups": 1, "center": False})],
    "RMSNormalization": [(row, {}), (image, {"epsilon": 1e-3}), (sequence, {"axis": 1})],
    "UnitNormalization": [(row, {}), (image, {"axis": [1, 2]})],
    "SpectralNormalization": [(row, {"layer": lambda: K.Dense(3)}), (image, {"layer": lambda: K.Conv2D(2, 3), "power_iterations": 2})],
    "Activation": [(row, {"activation": name}) for name in (
        "linear", "relu", "relu6", "leaky_relu", "elu", "selu", "celu", "gelu", "silu", "swish", "mish", "sigmoid", "tanh", "softmax", "log_softmax",
        "softplus", "softsign", "hard_sigmoid", "hard_silu", "hard_swish", "hard_tanh", "exponential", "log_sigmoid", "tanh_shrink", "soft_shrink",
        "hard_shrink", "squareplus", "sparse_plus", "sparse_sigmoid", "threshold")] + [(image, {"activation": name}) for name in ("softmax", "glu", "relu")],
    "ReLU": [(row, {}), (image, {"max_value": 1.0}), (row, {"negative_slope": 0.2}), (row, {"threshold": 0.3, "max_value": 2.0, "negative_slope": 0.1})],
    "LeakyReLU": [(row, {}), (image, {"negative_slope": 0.1})],
    "PReLU": [(row, {}), (image, {"shared_axes": [1, 2]}), (image, {})],
    "ELU": [(row, {}), (row, {"alpha": 0.5})],
    "Softmax": [(row, {}), (image, {"axis": 1}), (image, {"axis": (1, 2)})],
    "Add": [([row, row], {}), ([image, image, image], {}), ([image, (1, 1, 4)], {})],
    "Subtract": [([row, row], {}), ([image, (1, 1, 4)], {})],
    "Multiply": [([row, row], {}), ([image, (1, 1, 4)], {})],
    "Average": [([row, row, row], {})],
    "Maximum": [([row, row, row], {})],
    "Minimum": [([image, image], {})],
    "Dot": [([row, row], {"axes": 1}), ([sequence, sequence], {"axes": 2}), ([sequence, sequence], {"axes": (1, 1), "normalize": True})],
    "Concatenate": [([row, row], {}), ([image, (7, 6, 2)], {}), ([image, (3, 6, 4)], {"axis": 1})],
    "ZeroPadding1D": [(sequence, {}), (sequence, {"padding": (0, 2)})],
    "ZeroPadding2D": [(image, {}), (image, {"padding": (1, 2)}), (image, {"padding": ((0, 1), (2, 0))})],
    "ZeroPadding3D": [(volume, {}), (volume, {"padding": ((0, 1), (2, 0), (1, 1))})],
    "Cropping1D": [(sequence, {}), (sequence, {"cropping": (0, 2)})],
    "Cropping2D": [(image, {"cropping": 1}), (image, {"cropping": ((0, 1), (2, 0))})],
    "Cropping3D": [(volume, {"cropping": ((1, 1), (1, 0), (0, 1))})],
    "UpSampling1D": [(sequence, {}), (sequence, {"size": 3})],
    "UpSampling2D": [(image, {}), (image, {"size": (1, 3)}), (image, {"interpolation": "bilinear"}), (image, {"interpolation": "bicubic"})],
    "UpSampling3D": [(volume, {}), (volume, {"size": (1, 2, 3)})],
    **{f"{kind}Pooling1D": [(sequence, {}) if kind == "Max" else (sequence, {"pool_size": 2}), (sequence, {"pool_size": 3, "strides": 1, "padding": "same"}),
                            (sequence, {"pool_size": 4, "strides": 3, "padding": "same"})] for kind in ("Max", "Average")},
    **{f"{kind}Pooling2D": [(image, {}) if kind == "Max" else (image, {"pool_size": 2}), (image, {"pool_size": (3, 2), "strides": 1, "padding": "same"}),
                            (image, {"pool_size": 3, "strides": 2, "padding": "same"}), (image, {"pool_size": 2, "strides": (3, 1)})]
       for kind in ("Max", "Average")},
    **{f"{kind}Pooling3D": [(volume, {"pool_size": 2}), (volume, {"pool_size": 2, "strides": 1, "padding": "same"})] for kind in ("Max", "Average")},
    **{f"Global{kind}Pooling{n}D": [(shape, {}), (shape, {"keepdims": True})]
       for kind in ("Max", "Average") for n, shape in ((1, sequence), (2, image), (3, volume))},
    **{f"Adaptive{kind}Pooling{n}D": [(shape, {"output_size": 2})] for kind in ("Max", "Average") for n, shape in ((1, sequence), (2, image), (3, volume))},
    "Flatten": [(image, {}), (row, {})],
    "Reshape": [(image, {"target_shape": (6, 28)}), (image, {"target_shape": (-1,)}), (row, {"target_shape": (1, 5, 1)})],
    "Permute": [(image, {"dims": (3, 1, 2)}), (sequence, {"dims": (2, 1)})],
    "RepeatVector": [(row, {"n": 3})],
    "Identity": [(image, {})],
    "Rescaling": [(image, {"scale": 0.5}), (row, {"scale": 2.0, "offset": -0.3}), (image, {"scale": [0.1, 0.2, 0.3, 0.4], "offset": [1.0, 2.0, 3.0, 4.0]})],
    "Resizing": [(image, {"height": 5, "width": 9}), (image, {"height": 3, "width": 3, "interpolation": "nearest"}),
                 (image, {"height": 10, "width": 4, "crop_to_aspect_ratio": True}), (image, {"height": 8, "width": 8, "pad_to_aspect_ratio": True}),
                 (image, {"height": 9, "width": 8, "interpolation": "bicubic"})],
    "CenterCrop": [(image, {"height": 5, "width": 4}), (image, {"height": 3, "width": 5})],
    "Normalization": [(row, {"mean": [0.1, 0.2, 0.3, 0.4, 0.5], "variance": [1.0, 2.0, 3.0, 4.0, 5.0]}), (image, {"mean": 0.5, "variance": 2.0, "axis": None}),
                      (row, {"mean": 0.5, "variance": 2.0, "axis": None, "invert": True})],
    "ActivityRegularization": [(row, {"l1": 0.1, "l2": 0.02})],
    "Dropout": [(row, {"rate": 0.3}), (image, {"rate": 0.5, "noise_shape": (None, 1, 1, 4)}), (row, {"rate": 0.2, "seed": 3})],
    "SpatialDropout1D": [(sequence, {"rate": 0.3})],
    "SpatialDropout2D": [(image, {"rate": 0.3})],
    "SpatialDropout3D": [(volume, {"rate": 0.3})],
    "GaussianNoise": [(row, {"stddev": 0.3})],
    "GaussianDropout": [(row, {"rate": 0.3})],
    "AlphaDropout": [(row, {"rate": 0.3})],
    "LSTM": [(sequence, {"units": 3}), (sequence, {"units": 2, "return_sequences": True, "go_backwards": True}), (sequence, {"units": 2, "unit_forget_bias": False}),
             (sequence, {"units": 2, "activation": "relu", "recurrent_activation": "hard_sigmoid", "use_bias": False})],
    "GRU": [(sequence, {"units": 3}), (sequence, {"units": 2, "reset_after": False, "return_sequences": True}), (sequence, {"units": 2, "go_backwards": True})],
    "SimpleRNN": [(sequence, {"units": 3}), (sequence, {"units": 2, "return_sequences": True, "activation": "relu"})],
    "Bidirectional": [(sequence, {"layer": lambda: K.LSTM(2)}), (sequence, {"layer": lambda: K.GRU(2, return_sequences=True), "merge_mode": "sum"})],
    "TimeDistributed": [(sequence, {"layer": lambda: K.Dense(3)}), ((3, *image), {"layer": lambda: K.Conv2D(2, 3)})],
    "EinsumDense": [(sequence, {"equation": "abc,cd->abd", "output_shape": (None, 3), "bias_axes": "d"}), (row, {"equation": "ab,bc->ac", "output_shape": 3})],
    "Attention": [([sequence, sequence], {}), ([sequence, sequence, sequence], {"use_scale": True}), ([sequence, sequence], {"score_mode": "concat"})],
    "AdditiveAttention": [([sequence, sequence], {}), ([sequence, sequence], {"use_scale": False})],
    "MultiHeadAttention": [([sequence, sequence], {"num_heads": 2, "key_dim": 3}), ([sequence, sequence], {"num_heads": 1, "key_dim": 2, "value_dim": 4, "output_shape": 5})],
    "GroupQueryAttention": [([sequence, sequence], {"num_query_heads": 4, "num_key_value_heads": 2, "head_dim": 3})],
}
SEPARATE_CALL = {"MultiHeadAttention", "GroupQueryAttention"}  # take query, value as arguments, not as a list
RANDOM = {"Dropout", "SpatialDropout1D", "SpatialDropout2D", "SpatialDropout3D", "GaussianNoise", "GaussianDropout", "AlphaDropout", "SpectralNormalization"}


def network(class_name, shapes, arguments):
    arguments = {key: value() if key == "layer" else value for key, value in arguments.items()}
    several = isinstance(shapes, list)
    inputs = keras.Input((sum(int(np.prod(s)) for s in shapes),) if several else shapes, name="values")
    layer = getattr(K, class_name)(**arguments, name="it")
    if several:
        # All inputs of a layer come out of one row: each its own Dense layer, put into shape.
        parts = []
        for index, shape in enumerate(shapes):
            part = K.Dense(int(np.prod(shape)), name=f"front_{index}")(inputs)
            parts.append(part if len(shape) == 1 else K.Reshape(shape, name=f"shape_{index}")(part))
        y = layer(*parts) if class_name in SEPARATE_CALL else layer(parts)
    else:
        y = layer(K.Dense(shapes[-1], name="front")(inputs))
    plain_model = keras.Model(inputs, y, name="model")
    return layer, plain_model, keras.Model(inputs, K.Flatten(name="flat")(y), name="flat_model")


def differing(expected, got, path=""):
    """The first difference of two configs."""
    if isinstance(expected, dict) and isinstance(got, dict):
        for key in sorted({*expected, *got}):
            # Left out where it says nothing, so that files open in Keras before 3.13 too.
            if key.startswith("renorm") and not got.get("renorm"):
                continue
            if key not in got or key not in expected:
                return f"{path}{key}: only {'Keras' if key in expected else 'Xfer'} has it ({(expected | got)[key]!r})"
            if found := differing(expected[key], got[key], f"{path}{key}."):
                return found
        return None
    if isinstance(expected, list) and isinstance(got, list) and len(expected) == len(got):
        return next((found for i, (a, b) in enumerate(zip(expected, got)) if (found := differing(a, b, f"{path}{i}."))), None)
    if isinstance(expected, float) or isinstance(got, float):
        if isinstance(expected, (int, float)) and isinstance(got, (int, float)) and abs(expected - got) <= 1e-6 * max(1, abs(expected)):
            return None
    return None if expected == got else f"{path[:-1]}: Keras {expected!r}, Xfer {got!r}"


def check(class_name, shapes, arguments, backends, seed, table, verbose):
    """Lines of failures."""
    keras.utils.set_random_seed(seed)
    rng = np.random.default_rng([5, seed])
    shown = {k: type(v()).__name__ if k == "layer" else type(v).__name__ if hasattr(v, "get_config") else v for k, v in arguments.items()}
    label = f"{class_name}({', '.join(f'{k}={v}' for k, v in shown.items())}) on {shapes}"
    try:
        layer, model, flat = network(class_name, shapes, arguments)
    except Exception as error:  # this Keras may lack the argument
        print(f"not tried: Keras cannot build {label}: {str(error).splitlines()[0]}")
        return []
    if words := refusal("layer", *serialized(layer)):
        table.refused["layer", class_name, words] += 1
        return []
    randomize(flat, rng)
    start = flat.get_weights()
    x = rng.normal(0, 1, (5, *flat.input_shape[1:])).astype(np.float32)
    width = flat.output_shape[1]
    targets = rng.uniform(0, 1, (5, width)).astype(np.float32)
    loss = keras.losses.BinaryCrossentropy(from_logits=True)
    modes = (False,) if class_name in RANDOM else (False, True)
    expected = {}
    for training in modes:
        flat.set_weights(start)
        with tf.GradientTape() as tape:
            try:
                y = flat(x, training=training)
            except tf.errors.InvalidArgumentError as error:  # a kernel TensorFlow lacks on this machine
                print(f"not tried: Keras cannot compute {label}: {str(error).splitlines()[-1][:120]}")
                return []
            if y.shape != targets.shape:
                print(f"not tried: Keras announces another shape than it computes for {label}")
                return []
            value = loss(targets, y) + sum(flat.losses, tf.constant(0.0))
        gradients = [None if g is None else np.asarray(tf.convert_to_tensor(g)) for g in tape.gradient(value, flat.trainable_weights)]
        expected[training] = np.asarray(y), float(loss(targets, y)), gradients, flat.get_weights()
    regularized = bool(flat.losses)

    failures = []
    for backend in backends:
        xfer.set_backend(backend)
        worst = 0.0
        try:
            whole = xfer.models.model_from_json(model.to_json())
            own = whole.get_layer("it")
            class_config = serialized(layer)[1]
            if backend == backends[0]:
                found = differing(class_config, plain(own.get_config()))
                table.add("config", class_name, 0.0, found)
                if found:
                    failures.append(f"{label}: config {found}")
            if tuple(whole.output_shape[1:]) != tuple(model.output_shape[1:]):
                raise Difference(f"output shape: Keras {model.output_shape}, Xfer {whole.output_shape}")
            other = xfer.models.model_from_json(flat.to_json())
            names = [(w.path.rpartition("/")[2], tuple(w.shape)) for w in flat.weights]
            if names != [(w.path.rpartition("/")[2], tuple(w.shape)) for w in other.weights]:
                raise Difference(f"weights: Keras {names}, Xfer {[(w.path, w.shape) for w in other.weights]}")
            entropy = xfer.losses.BinaryCrossentropy(from_logits=True)
            for training in modes:
                mode = f"training={training}: "
                other.set_weights(start)
                outputs, value, gradients, after = expected[training]
                with xfer.GradientTape() as tape:
                    y = other(x, training=training)
                    total = entropy(targets, y)
                worst = max(worst, compare(mode + "outputs", outputs, np.asarray(y), OUTPUT), compare(mode + "loss", value, float(total), OUTPUT))
                if not regularized:  # the tape of a loss alone knows of no regularizers
                    for weight, want, got in zip(flat.trainable_weights, gradients, tape.gradient(total, other.trainable_weights)):
                        if (want is None) != (got is None):
                            raise Difference(f"{mode}gradient of {weight.path}: Keras {want}, Xfer {got}")
                        if want is not None:
                            # Gradients are small numbers: the scale is their own.
                            worst = max(worst, compare(f"{mode}gradient of {weight.path}", want, np.asarray(got), GRADIENT, floor=0.02))
                for weight, want, got in zip(flat.weights, after, other.get_weights()):
                    worst = max(worst, compare(f"{mode}{weight.path} after the call", want, got, OUTPUT))
        except (Difference, XferError, ValueError) as error:
            if unsupported(error):
                table.refused["layer", class_name, str(error)] += 1
                continue
            failures.append(f"{label} ({backend}): {'refused: ' if isinstance(error, XferError) else ''}{error}")
        table.add("layer", class_name, worst, bool(failures) and f"({backend})" in failures[-1] and failures[-1].startswith(label))
        if verbose:
            print(f"{label} ({backend}): {worst:.1e}")
    return failures


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--only", help="one class")
    parser.add_argument("--backend", default="all")
    parser.add_argument("-v", "--verbose", action="store_true")
    options = parser.parse_args()
    present = library_or_exit()
    backends = [b for b in BACKENDS if b in present] if options.backend == "all" else options.backend.split(",")
    table, failures, tried = Table(), [], 0
    for class_name, argument_lists in CASES.items():
        if options.only and class_name != options.only:
            continue
        if not hasattr(K, class_name):
            continue
        if not exists("layer", class_name):
            table.missing["layer", class_name] += len(argument_lists)
            continue
        for index, (shapes, arguments) in enumerate(argument_lists):
            if isinstance(shapes, list) and any(len(s) > 1 for s in shapes) and not exists("layer", "Reshape"):
                table.missing["layer", "Reshape"] += 1
                continue
            found = check(class_name, shapes, arguments, backends, index, table, options.verbose)
            tried += 1
            failures += found
            for line in found:
                print(f"FAILED {line}", flush=True)
            keras.backend.clear_session(free_memory=False)
    table.print()
    print(f"\nlayers: {tried} argument lists on {', '.join(backends)}, {len(failures)} differ")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
