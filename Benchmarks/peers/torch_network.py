"""A Keras network as a PyTorch module, from its config and weights: the layers that Keras' image networks are made of, NCHW in channels_last memory."""

import json

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

ACTIVATIONS = {"linear": lambda x: x, "relu": F.relu, "relu6": F.relu6, "sigmoid": torch.sigmoid, "swish": F.silu, "silu": F.silu}


def same_padding(size, kernel, stride):
    size, kernel = int(size), int(kernel)  # numbers also while PyTorch traces
    total = max((-(-size // stride) - 1) * stride + kernel - size, 0)
    return total // 2, total - total // 2


class Convolution(nn.Module):
    def __init__(self, config, kernel, bias, groups=1):
        super().__init__()
        self.kernel = nn.Parameter(kernel)
        self.bias = None if bias is None else nn.Parameter(bias)
        self.stride, self.groups = tuple(config["strides"]), groups
        self.same = config["padding"] == "same"
        self.activation = ACTIVATIONS[config["activation"]]

    def forward(self, x):
        padding = (0, 0)
        if self.same:
            (top, bottom), (left, right) = (
                same_padding(x.shape[2 + i], self.kernel.shape[2 + i], self.stride[i]) for i in (0, 1))
            if top == bottom and left == right:
                padding = (top, left)
            else:
                x = F.pad(x, (left, right, top, bottom))
        return self.activation(F.conv2d(x, self.kernel, self.bias, self.stride, padding, 1, self.groups))


class Separable(nn.Module):
    def __init__(self, config, weights):
        super().__init__()
        plain = {**config, "activation": "linear"}
        self.depthwise = Convolution(plain, weights[0].permute(2, 3, 0, 1).contiguous(), None, weights[0].shape[2])
        pointwise = {**config, "strides": (1, 1)}
        self.pointwise = Convolution(pointwise, weights[1].permute(3, 2, 0, 1).contiguous(), weights[2] if config["use_bias"] else None)

    def forward(self, x):
        return self.pointwise(self.depthwise(x))


class Pool(nn.Module):
    def __init__(self, config):
        super().__init__()
        self.size, self.stride, self.same = tuple(config["pool_size"]), tuple(config["strides"]), config["padding"] == "same"

    def forward(self, x):
        if self.same:
            (top, bottom), (left, right) = (same_padding(x.shape[2 + i], self.size[i], self.stride[i]) for i in (0, 1))
            if top == bottom and left == right:
                return F.max_pool2d(x, self.size, self.stride, (top, left))
            x = F.pad(x, (left, right, top, bottom), value=-float("inf"))
        return F.max_pool2d(x, self.size, self.stride)


class Affine(nn.Module):
    """x·scale + offset by channel: Rescaling and Normalization."""

    def __init__(self, scale, offset):
        super().__init__()
        self.register_buffer("scale", torch.as_tensor(scale, dtype=torch.float32).reshape(1, -1, 1, 1))
        self.register_buffer("offset", torch.as_tensor(offset, dtype=torch.float32).reshape(1, -1, 1, 1))

    def forward(self, x):
        return x * self.scale + self.offset


class Average(nn.Module):
    def __init__(self, keepdims):
        super().__init__()
        self.keepdims = keepdims

    def forward(self, x):
        return x.mean((2, 3), keepdim=self.keepdims)


class Function(nn.Module):
    def __init__(self, function):
        super().__init__()
        self.function = function

    def forward(self, *inputs):
        return self.function(*inputs)


def layer_of(name, config, weights):
    bias = weights[1] if len(weights) > 1 else None
    if name == "Conv2D":
        return Convolution(config, weights[0].permute(3, 2, 0, 1).contiguous(), bias)
    if name == "DepthwiseConv2D":
        return Convolution(config, weights[0].permute(2, 3, 0, 1).contiguous(), bias, weights[0].shape[2])
    if name == "SeparableConv2D":
        return Separable(config, weights)
    if name == "BatchNormalization":
        made = nn.BatchNorm2d(weights[0].shape[0], eps=config["epsilon"], momentum=1 - config["momentum"])
        for target, value in zip((made.weight, made.bias, made.running_mean, made.running_var), weights):
            target.data.copy_(value)
        return made
    if name == "Dense":
        made = nn.Linear(*weights[0].shape)
        made.weight.data.copy_(weights[0].T)
        made.bias.data.copy_(weights[1])
        return made
    if name == "ZeroPadding2D":
        (top, bottom), (left, right) = config["padding"]
        return Function(lambda x: F.pad(x, (left, right, top, bottom)))
    if name == "Rescaling":
        scale = np.asarray(config["scale"]["config"]["value"] if isinstance(config["scale"], dict) else config["scale"])
        return Affine(scale, np.asarray(config["offset"]))
    if name == "Normalization":
        deviation = torch.sqrt(weights[1]).clamp(min=1e-7)
        return Affine(1 / deviation, -weights[0] / deviation)
    if name == "Activation":
        return Function(ACTIVATIONS[config["activation"]])
    if name == "ReLU":
        return Function(F.relu6 if config["max_value"] == 6 else F.relu)
    if name == "Reshape":
        return Function(lambda x: x.reshape(x.shape[0], -1, 1, 1))
    return {
        "MaxPooling2D": lambda: Pool(config), "GlobalAveragePooling2D": lambda: Average(config["keepdims"]),
        "Add": lambda: Function(torch.add), "Multiply": lambda: Function(torch.mul), "Dropout": lambda: Function(lambda x: x),
    }[name]()


class Network(nn.Module):
    def __init__(self, path):
        super().__init__()
        with open(path + ".json", encoding="utf-8") as file:
            config = json.load(file)["config"]
        arrays = np.load(path + ".npz")
        self.order, self.made = [], nn.ModuleDict()
        for entry in config["layers"]:
            name = entry["config"]["name"]
            if entry["class_name"] == "InputLayer":
                self.input = name
                continue
            count = sum(key.startswith(name + "/") for key in arrays.files)
            weights = [torch.from_numpy(np.asarray(arrays[f"{name}/{i}"])) for i in range(count)]
            key = name.replace(".", "_")
            self.made[key] = layer_of(entry["class_name"], entry["config"], weights)
            self.order.append((name, key, list(_sources(entry["inbound_nodes"][0]["args"]))))
        self.output = self.order[-1][0]

    def forward(self, x):
        values = {self.input: x}
        for name, key, sources in self.order:
            values[name] = self.made[key](*[values[source] for source in sources])
        return values[self.output]


def _sources(arguments):
    if isinstance(arguments, dict):
        if arguments.get("class_name") == "__keras_tensor__":
            yield arguments["config"]["keras_history"][0]
        return
    for argument in arguments if isinstance(arguments, list) else []:
        yield from _sources(argument)
