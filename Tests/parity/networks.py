"""Random networks: images, rows or sequences in, a row of features out; nested, branched, normalized."""

from draw import K, Ill
from support import exists, keras, refusal, serialized

ACTIVATIONS = ("relu", "sigmoid", "tanh", "elu", "selu", "softplus", "softsign", "gelu", "silu", "relu6", "leaky_relu", "mish",
               "hard_sigmoid", "hard_silu", "celu", "log_sigmoid", "squareplus", "tanh_shrink", "soft_shrink", "exponential")


CARRIES = {"Add", "Average", "Concatenate", "Subtract", "Flatten", "Reshape", "Permute", "Identity", "Rescaling", "Dropout", "GaussianNoise", "GaussianDropout",
           "AlphaDropout", "SpatialDropout1D", "SpatialDropout2D", "AveragePooling2D", "AveragePooling1D", "GlobalAveragePooling2D", "ZeroPadding2D", "ZeroPadding1D",
           "GlobalAveragePooling1D", "UpSampling2D", "Cropping2D", "Resizing", "CenterCrop", "Functional"}


def shifted(x):
    """Whether a weight adds to every channel of x alike. Batch statistics take that away again, so its gradient would be rounding alone."""
    operation = x._keras_history.operation
    kind = type(operation).__name__
    if kind == "Functional":
        return any(shifted(y) for y in operation.outputs)
    if kind in CARRIES:
        inputs = operation.input
        return any(shifted(y) for y in (inputs if isinstance(inputs, list) else [inputs]))
    if kind in ("BatchNormalization", "LayerNormalization", "GroupNormalization"):
        return bool(operation.center)
    if getattr(operation, "activation", None) not in (None, keras.activations.linear):
        return False
    if not hasattr(operation, "use_bias"):
        return False
    # A linear layer without a bias hands the shift of its input on.
    return bool(operation.use_bias) or not isinstance(operation.input, list) and shifted(operation.input)


class Network:
    """Builds one network; `settled` says whether a BatchNormalization may be left to the batch's statistics."""

    def __init__(self, draw, settled=False):
        self.draw = draw
        self.settled = settled
        self.nested = []  # inner models, in the order of their calls

    # ---- Pieces any shape can take

    def activation(self):
        """An activation's name that Xfer knows."""
        for name in self.draw.order({name: 6 if name == "relu" else 1 for name in ACTIVATIONS}):
            words = refusal("layer", *serialized(K.Activation(name)))
            if words is None:
                return name
            self.draw.missing["activation", name] += 1
        raise Ill("no activation")

    def regularizer(self):
        return self.draw.pick(keras.regularizers.L2(0.02), keras.regularizers.L1(0.003), keras.regularizers.L1L2(0.002, 0.01))

    def kernel_regularizer(self):
        """For kernels of two dimensions, which alone OrthogonalRegularizer takes."""
        return keras.regularizers.OrthogonalRegularizer(0.02, self.draw.pick("rows", "columns")) if self.draw.maybe(0.3) else self.regularizer()

    def weight_options(self, kernel="kernel"):
        """Random optional arguments that all layers with kernels share."""
        draw, options = self.draw, {}
        if draw.maybe(0.3):
            options["activation"] = self.activation()
        if draw.maybe(0.12):
            options[f"{kernel}_regularizer"] = self.regularizer()
        if draw.maybe(0.05):
            options["bias_regularizer"] = keras.regularizers.L2(0.01)
        if draw.maybe(0.08):
            options[f"{kernel}_constraint"] = draw.pick(
                keras.constraints.MaxNorm(1.0), keras.constraints.NonNeg(), keras.constraints.UnitNorm(), keras.constraints.MinMaxNorm(0.2, 1.0))
        return options

    def nonlinearity(self, x):
        draw = self.draw
        name = draw.first("layer", {
            "Activation": 3, "ReLU": 3, "LeakyReLU": 1, "ELU": 1, "PReLU": 1, "Softmax": 0.5})
        if name == "Activation":
            return draw.layer(K.Activation, {"activation": self.activation()})(x)
        if name == "ReLU":
            options = {}
            if draw.maybe(0.3):
                options["max_value"] = draw.pick(6.0, 1.5)
            if draw.maybe(0.2):
                options["negative_slope"] = 0.1
            if draw.maybe(0.15):
                options["threshold"] = 0.05
            return draw.layer(K.ReLU, **options)(x)
        if name == "LeakyReLU":
            return draw.layer(K.LeakyReLU, negative_slope=draw.pick(0.1, 0.3))(x)
        if name == "ELU":
            return draw.layer(K.ELU, alpha=draw.pick(1.0, 0.5))(x)
        if name == "PReLU":
            return draw.layer(K.PReLU, **({"shared_axes": list(range(1, len(x.shape) - 1))} if len(x.shape) > 2 else {}))(x)
        return draw.layer(K.Softmax)(x)

    def normalization(self, x):
        draw = self.draw
        names = {"LayerNormalization": 1, "GroupNormalization": 0.7, "RMSNormalization": 0.5, "UnitNormalization": 0.4, "Normalization": 0.4}
        if not self.settled:
            names["BatchNormalization"] = 6
        elif not any(exists("layer", other) for other in names):
            return x
        name = draw.first("layer", names)
        if name == "BatchNormalization":
            if shifted(x):
                x = self.nonlinearity(x)
            options = {}
            if draw.maybe(0.3):
                options["momentum"] = draw.pick(0.9, 0.7)
            if draw.maybe(0.3):
                options["epsilon"] = draw.pick(1e-2, 1e-4)
            if draw.maybe(0.15):
                options["scale"] = False
            if draw.maybe(0.1):
                options["center"] = False
            if draw.maybe(0.05):
                options["gamma_regularizer"] = keras.regularizers.L2(0.02)
            return draw.layer(K.BatchNormalization, **options)(x)
        if name == "GroupNormalization":
            channels = x.shape[-1]
            return draw.layer(K.GroupNormalization, {"groups": draw.pick(*[g for g in (1, 2, 3, channels) if channels % g == 0])})(x)
        return draw.layer(getattr(K, name))(x)

    def noise(self, x):
        """A layer that does something in training only, at rate 0: what is compared is that it does nothing."""
        names = {"Dropout": 3, "GaussianNoise": 0.5, "GaussianDropout": 0.5, "AlphaDropout": 0.5}
        if len(x.shape) == 4:
            names["SpatialDropout2D"] = 1
            if x.shape[-1] == 3:
                names |= {"RandomRotation": 1, "RandomZoom": 1, "RandomTranslation": 1, "RandomContrast": 1, "RandomBrightness": 1, "RandomCrop": 1}
        if len(x.shape) == 3:
            names["SpatialDropout1D"] = 1
        name = self.draw.first("layer", names)
        nothing = {
            "GaussianNoise": {"stddev": 0.0}, "RandomRotation": {"factor": 0.0}, "RandomZoom": {"height_factor": 0.0},
            "RandomTranslation": {"height_factor": 0.0, "width_factor": 0.0}, "RandomContrast": {"factor": 0.0},
            "RandomBrightness": {"factor": 0.0, "value_range": (-9.0, 9.0)}, "RandomCrop": {"height": x.shape[1], "width": x.shape[-2]},
        }.get(name, {"rate": 0.0})
        return self.draw.layer(getattr(K, name), nothing)(x)

    def merge(self, x):
        """x and something made of it, put together again."""
        draw = self.draw
        names = {"Add": 4, "Concatenate": 4, "Multiply": 1, "Average": 1, "Maximum": 0.7, "Minimum": 0.7, "Subtract": 0.7}
        if len(x.shape) < 4:
            names["Dot"] = 1
        kind = draw.first("layer", names)
        channels = x.shape[-1]
        if kind == "Dot":
            products = draw.layer(K.Dot, {"axes": -1}, **({"normalize": True} if draw.maybe(0.4) else {}))([x, self.projection(x, channels)])
            return draw.layer(K.Concatenate)([x, products])
        width = draw.number(1, 4) if kind == "Concatenate" else channels
        side = self.projection(x, width)
        if draw.maybe(0.3):
            side = self.normalization(side)
        if draw.maybe(0.5):
            side = self.nonlinearity(side)
        parts = [x, side]
        if kind not in ("Subtract",) and draw.maybe(0.25):
            parts.append(self.projection(x, width))
        if draw.maybe(0.3):
            parts.reverse()
        return draw.layer(getattr(K, kind))(parts)

    def projection(self, x, width):
        """x with `width` channels, all else as it was."""
        draw = self.draw
        if len(x.shape) == 4:
            size = draw.pick(1, 1, 3)
            return draw.layer(K.Conv2D, {"filters": width, "kernel_size": size, "padding": "same"}, **self.weight_options())(x)
        return draw.layer(K.Dense, {"units": width}, **self.weight_options())(x)

    # ---- Images

    def image_window(self, x, strides_too=True):
        """Arguments of anything that slides over an image, such that something is left."""
        draw = self.draw
        height, width = x.shape[1:3]
        padding = draw.pick("same", "valid")
        size = (draw.number(1, 3), draw.number(1, 3)) if draw.maybe(0.3) else (draw.pick(1, 2, 3, 3),) * 2
        if padding == "valid" and (height < size[0] or width < size[1]):
            padding = "same"
        options = {"padding": padding}
        if strides_too and draw.maybe(0.35) and min(height, width) >= 4:
            options["strides"] = draw.pick(1, 2, 2, (2, 1)) if draw.maybe(0.7) else 2
        return size, options

    def convolution(self, x):
        draw = self.draw
        kind = draw.first("layer", {"Conv2D": 5, "SeparableConv2D": 2.5, "DepthwiseConv2D": 2.5, "Conv2DTranspose": 1})
        channels = x.shape[-1]
        size, options = self.image_window(x)
        if kind in ("DepthwiseConv2D", "SeparableConv2D") and "strides" in options:
            options["strides"] = max(options["strides"]) if isinstance(options["strides"], tuple) else options["strides"]
        reach = [(s - 1) * 2 + 1 for s in size]
        if options.get("strides", 1) == 1 and kind != "Conv2DTranspose" and draw.maybe(0.2):
            if options["padding"] == "same" or (x.shape[1] >= reach[0] and x.shape[2] >= reach[1]):
                options["dilation_rate"] = 2
        needed = {"kernel_size": size}
        if kind != "DepthwiseConv2D":
            needed["filters"] = draw.number(2, 6)
        if kind == "Conv2D" and draw.maybe(0.12):
            groups = [g for g in (2, 3, 4) if channels % g == 0]
            if groups:
                options["groups"] = groups[0]
                needed["filters"] = groups[0] * draw.number(1, 2)
        if kind in ("DepthwiseConv2D", "SeparableConv2D") and draw.maybe(0.3):
            options["depth_multiplier"] = 2
        if kind == "Conv2DTranspose" and max(x.shape[1:3]) > 8:
            options["strides"] = 1
        normalized = draw.maybe(0.4)
        kernel = "depthwise" if kind in ("DepthwiseConv2D", "SeparableConv2D") else "kernel"
        extras = self.weight_options(kernel)
        # A bias before batch statistics has no gradient but rounding, which Adam and its kin would blow up to full steps.
        if normalized or draw.maybe(0.15):
            options["use_bias"] = False
            if normalized:
                extras.pop("activation", None)
                extras.pop("bias_regularizer", None)
        x = draw.layer(getattr(K, kind), {**needed, **options}, **extras)(x)
        if normalized:
            x = self.normalization(x)
        return self.nonlinearity(x) if draw.maybe(0.5) else x

    def pooling(self, x):
        draw = self.draw
        kind = draw.first("layer", {"MaxPooling2D": 1, "AveragePooling2D": 1})
        size, options = self.image_window(x)
        return draw.layer(getattr(K, kind), {"pool_size": size, **options})(x)

    def reshaping(self, x):
        """Layers that move or repeat pixels."""
        draw = self.draw
        height, width, channels = x.shape[1:]
        names = {"ZeroPadding2D": 3, "Cropping2D": 1, "UpSampling2D": 1, "Permute": 0.4, "Rescaling": 1, "Identity": 0.2, "Resizing": 0.3,
                 "CenterCrop": 0.2}
        if min(height, width) < 4:
            del names["Cropping2D"], names["CenterCrop"]
        if max(height, width) > 8:
            del names["UpSampling2D"]
        kind = draw.first("layer", names)
        if kind == "ZeroPadding2D":
            return draw.layer(K.ZeroPadding2D, {"padding": draw.pick(1, (1, 0), ((0, 1), (2, 0)))})(x)
        if kind == "Cropping2D":
            return draw.layer(K.Cropping2D, {"cropping": draw.pick(1, (1, 0), ((0, 1), (2, 0)))})(x)
        if kind == "UpSampling2D":
            return draw.layer(K.UpSampling2D, {"size": draw.pick(2, (1, 2))}, interpolation=draw.pick("nearest", "bilinear"))(x)
        if kind == "Permute":
            return draw.layer(K.Permute, {"dims": (2, 1, 3)})(x)
        if kind == "Resizing":
            return draw.layer(K.Resizing, {"height": draw.number(3, 9), "width": draw.number(3, 9)})(x)
        if kind == "CenterCrop":
            return draw.layer(K.CenterCrop, {"height": height - 1, "width": width - 2})(x)
        if kind == "Identity":
            return draw.layer(K.Identity)(x)
        return draw.layer(K.Rescaling, {"scale": draw.between(0.5, 1.5)}, offset=draw.between(-0.3, 0.3))(x)

    def squeeze(self, x):
        """Squeeze and excitation: channels weighed by their own means."""
        draw = self.draw
        if not draw.has("layer", "Multiply"):
            return self.convolution(x)
        weights = draw.layer(K.GlobalAveragePooling2D, {"keepdims": True})(x)
        weights = draw.layer(K.Conv2D, {"filters": 2, "kernel_size": 1, "activation": "relu"})(weights)
        weights = draw.layer(K.Conv2D, {"filters": x.shape[-1], "kernel_size": 1, "activation": "sigmoid"})(weights)
        return draw.layer(K.Multiply)([x, weights])

    def images(self, x, blocks):
        for _ in range(blocks):
            step = self.draw.order({
                self.convolution: 5, self.pooling: 1.2, self.merge: 1.5, self.nonlinearity: 0.8, self.normalization: 1.2,
                self.reshaping: 1.0, self.squeeze: 0.6, self.noise: 0.4})[0]
            x = step(x)
            if min(x.shape[1:]) < 1 or max(x.shape[1:3]) > 40:
                raise Ill("the image is gone")
        return x

    def image_features(self, x):
        """An image to a row."""
        draw = self.draw
        names = {"GlobalAveragePooling2D": 4, "Flatten": 2, "GlobalMaxPooling2D": 1, "Reshape": 0.4}
        if x.shape[1] * x.shape[2] * x.shape[3] > 400:
            del names["Flatten"], names["Reshape"]
        kind = draw.first("layer", names)
        if kind == "Reshape":
            return draw.layer(K.Reshape, {"target_shape": (-1,)})(x)
        return draw.layer(getattr(K, kind))(x)

    # ---- Rows

    def dense(self, x):
        draw = self.draw
        normalized = draw.maybe(0.25)
        extras = self.weight_options()
        needed = {"units": draw.number(2, 8)}
        if normalized:
            needed["use_bias"] = False
            extras.pop("activation", None)
            extras.pop("bias_regularizer", None)
        if "kernel_regularizer" in extras:
            extras["kernel_regularizer"] = self.kernel_regularizer()
        x = draw.layer(K.Dense, needed, **extras)(x)
        if normalized:
            x = self.normalization(x)
        return self.nonlinearity(x) if draw.maybe(0.4) else x

    def rows(self, x, blocks):
        for _ in range(blocks):
            step = self.draw.order({
                self.dense: 4, self.merge: 1.5, self.nonlinearity: 0.6, self.normalization: 0.7, self.noise: 0.4})[0]
            x = step(x)
            if x.shape[-1] > 60:
                raise Ill("too wide")
        return x

    # ---- Sequences

    def sequence_step(self, x):
        draw = self.draw
        steps, channels = x.shape[1:]
        names = {"Conv1D": 3, "SeparableConv1D": 1, "LSTM": 2, "GRU": 2, "SimpleRNN": 1, "Bidirectional": 1, "MaxPooling1D": 1,
                 "AveragePooling1D": 1, "ZeroPadding1D": 0.5, "TimeDistributed": 0.7, "MultiHeadAttention": 1, "EinsumDense": 0.5}
        if not any(exists("layer", name) for name in names):
            return self.projection(x, draw.number(2, 5))
        kind = draw.first("layer", names)
        if kind in ("Conv1D", "SeparableConv1D"):
            padding = draw.pick("same", "causal") if kind == "Conv1D" else "same"
            return draw.layer(getattr(K, kind), {
                "filters": draw.number(2, 5), "kernel_size": draw.number(1, 3), "padding": padding}, **self.weight_options(
                    "kernel" if kind == "Conv1D" else "depthwise"))(x)
        if kind in ("LSTM", "GRU", "SimpleRNN"):
            return draw.layer(getattr(K, kind), {"units": draw.number(2, 5), "return_sequences": True}, **(
                {"go_backwards": True} if draw.maybe(0.2) else {}))(x)
        if kind == "Bidirectional":
            inner = draw.first("layer", {"LSTM": 1, "GRU": 1, "SimpleRNN": 1})
            return draw.layer(K.Bidirectional, {
                "layer": draw.layer(getattr(K, inner), {"units": draw.number(2, 4), "return_sequences": True})},
                merge_mode=draw.pick("concat", "sum", "mul", "ave"))(x)
        if kind in ("MaxPooling1D", "AveragePooling1D"):
            return draw.layer(getattr(K, kind), {"pool_size": 2, "padding": "same"})(x)
        if kind == "ZeroPadding1D":
            return draw.layer(K.ZeroPadding1D, {"padding": draw.pick(1, (0, 2))})(x)
        if kind == "TimeDistributed":
            return draw.layer(K.TimeDistributed, {"layer": draw.layer(K.Dense, {"units": draw.number(2, 5)})})(x)
        if kind == "EinsumDense":
            return draw.layer(K.EinsumDense, {
                "equation": "abc,cd->abd", "output_shape": (None, draw.number(2, 5)), "bias_axes": "d"})(x)
        # Beside a path of its own, as transformers have it: attention after attention makes all steps alike, and the gradients of queries rounding.
        attention = draw.layer(K.MultiHeadAttention, {"num_heads": draw.number(1, 2), "key_dim": draw.number(2, 3)},
                               **({"use_bias": False} if draw.maybe(0.5) else {}))(x, x)
        return draw.layer(K.Add)([x, attention])

    def sequences(self, x, blocks):
        for _ in range(blocks):
            step = self.draw.order({
                self.sequence_step: 5, self.merge: 0.7, self.nonlinearity: 0.5, self.normalization: 0.5, self.noise: 0.3})[0]
            x = step(x)
        return x

    def sequence_features(self, x):
        draw = self.draw
        kind = draw.first("layer", {"GlobalAveragePooling1D": 2, "GlobalMaxPooling1D": 1, "Flatten": 1, "LSTM": 1, "GRU": 1})
        return draw.layer(getattr(K, kind), {"units": 3} if kind in ("LSTM", "GRU") else {})(x)

    # ---- Nesting

    def inner_model(self, x, blocks, training, name, settled):
        """A model of its own over x's shape, called as a layer with this `training` argument; may nest once more."""
        draw = self.draw
        inputs = keras.Input(x.shape[1:], name=f"{name}_input")
        inner = Network(draw, settled)
        grow = {4: inner.images, 3: inner.sequences, 2: inner.rows}[len(x.shape)]
        y = grow(inputs, blocks)
        if name == "base" and draw.maybe(0.25):
            y = inner.inner_model(y, 1, None, "core", settled)
            y = {4: inner.images, 3: inner.sequences, 2: inner.rows}[len(y.shape)](y, 1)
        if y is inputs:
            y = self.nonlinearity(y)
        model = keras.Model(inputs, y, name=name)
        self.nested.append(model)
        return model(x) if training is None else model(x, training=training)

