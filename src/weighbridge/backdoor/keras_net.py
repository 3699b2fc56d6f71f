"""Knows how a Keras 3 archive is run so that gradients flow through it: from its configuration and weights, as data.

Layers are those of this table, each written down again here; nothing that the configuration names is imported. Images are
channels first inside, whatever the archive says. Source: Keras 3.15 `keras/src/saving/saving_lib.py` and its layers.
"""

from __future__ import annotations

import json
import math
import re
from typing import TYPE_CHECKING, Any, Final

import numpy
import torch
from msgspec import Struct
from msgspec.structs import replace
from torch import Tensor, nn
from torch.nn import functional

from weighbridge.formats.hdf5 import read_hdf5
from weighbridge.formats.hdf5_data import Hdf5Array
from weighbridge.schema import LimitExceeded, Limits, MalformedInput, Unavailable
from weighbridge.source import Budget
from weighbridge.source.zip import ZipTree

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from weighbridge.source import Blob

_CONFIG, _WEIGHTS = "config.json", "model.weights.h5"
_SMALL: Final = 64 << 20
_LAYERS: Final = 10_000
_MOST: Final = 1 << 28  # numbers of one value
_ALL: Final = 1 << 30  # numbers of all weights together
_BATCH: Final = 64
_BREAKS: Final = (RuntimeError, TypeError, ValueError, LookupError, ArithmeticError, AttributeError)
Settings = dict[str, Any]


class _Layer(Struct, frozen=True):
    """One layer: its kind, name and settings, the layers that it takes, and its weights in their order."""

    kind: str
    name: str
    settings: Settings
    takes: tuple[str, ...]
    weights: tuple[Tensor, ...]


def open_keras(blob: Blob) -> tuple[nn.Module, tuple[int, int, int], str]:
    """(net, shape of its images, what it is) of an archive. Raises Unavailable, MalformedInput, LimitExceeded."""
    tree = ZipTree(blob, Budget(Limits()))
    members = {entry.name: entry for entry in tree.entries()}
    if not {_CONFIG, _WEIGHTS} <= members.keys():
        raise MalformedInput(
            "it has no config.json or no model.weights.h5", hint="save it with model.save('model.keras')"
        )
    config = tree.open(members[_CONFIG])
    if config.size > _SMALL:
        raise LimitExceeded(f"a configuration of {config.size} bytes", limit="bytes")
    try:
        found = json.loads(config.read(0, config.size))
        model, settings = found["class_name"], found["config"]
        layers = list(settings["layers"])
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise MalformedInput(f"{_CONFIG}: no model in it ({str(error)[:100]})") from error
    if model not in {"Sequential", "Functional", "Model"} or len(layers) > _LAYERS:
        raise Unavailable(f"the model is of the class {str(model)[:60]}, which is code", hint="export it as ONNX")
    made = _layers(layers, _weights(tree.open(members[_WEIGHTS])), chain=model == "Sequential")
    shape = _shape(made)
    return KerasNet(made, _output(settings, made), shape), shape, f"Keras, {len(made)} layers"


def _weights(blob: Blob) -> dict[str, Tensor]:
    facts = read_hdf5(blob)
    found = {}
    left = _ALL
    for one in facts.datasets:
        if one.path.startswith("/layers/"):
            left -= math.prod(one.shape)
            if left < 0:
                raise LimitExceeded(f"more than {_ALL} weights", limit="bytes")
            array = Hdf5Array(blob, facts, one)
            whole = array.rows(0, max(1, len(array)))
            found[one.path] = torch.from_numpy(numpy.array(whole, dtype=numpy.float32))
    return found


def _layers(given: Sequence[Any], weights: dict[str, Tensor], *, chain: bool) -> list[_Layer]:
    """The layers in order, each with its weights: those lie under its class in small letters, counted in the order of layers."""
    counts: dict[str, int] = {}
    made: list[_Layer] = []
    for one in given:
        try:
            kind, settings = str(one["class_name"]), dict(one["config"])
            name = str(settings.get("name", one.get("name", "")))
            takes = tuple(_histories(one.get("inbound_nodes", [])))
        except (KeyError, TypeError, ValueError) as error:
            raise MalformedInput(f"{_CONFIG}: a layer that is none ({str(error)[:100]})") from error
        if kind not in _KINDS:
            raise Unavailable(f"the model has a layer {kind[:60]}, which is not run here", hint="export it as ONNX")
        if settings.get("data_format") == "channels_first":
            raise Unavailable(
                "its channels come first, which Keras reorders in ways of its own", hint="export it as ONNX"
            )
        folder = _snake(kind)
        number = counts.get(folder, 0)
        counts[folder] = number + 1
        at = f"/layers/{folder}_{number}" if number else f"/layers/{folder}"
        own = sorted(
            (path for path in weights if path.startswith(f"{at}/vars/")), key=lambda path: int(path.rpartition("/")[2])
        )
        if chain and made:
            takes = (made[-1].name,)
        made.append(_Layer(kind, name, settings, takes, tuple(weights[path] for path in own)))
    if not made:
        raise MalformedInput(f"{_CONFIG}: there are no layers")
    return made


def _snake(name: str) -> str:
    """A class name in small letters, as Keras makes folders of it: `SeparableConv2D` is `separable_conv2d`."""
    return re.sub(r"([a-z])([A-Z])", r"\1_\2", re.sub(r"(.)([A-Z][a-z]+)", r"\1_\2", name)).lower()


def _histories(nodes: Any) -> list[str]:
    """The layers that a layer takes its inputs from, in order. Raises ValueError for a layer that is used more than once."""
    if isinstance(nodes, list) and len(nodes) > 1:
        raise ValueError("a layer is used more than once")
    found: list[str] = []
    waiting = [nodes]
    while waiting:
        one = waiting.pop(0)
        if isinstance(one, list):
            waiting = [*one, *waiting]
        elif isinstance(one, dict):
            history = one.get("config", {}).get("keras_history") if isinstance(one.get("config"), dict) else None
            if history:
                found.append(str(history[0]))
            else:
                waiting = [one.get("args", []), *waiting]
    return found


def _shape(layers: list[_Layer]) -> tuple[int, int, int]:
    """Channels, height and width of the images."""
    shape = layers[0].settings.get("batch_shape", layers[0].settings.get("batch_input_shape"))
    if (
        not isinstance(shape, list)
        or len(shape) != 4
        or not all(isinstance(one, int) and 0 < one <= 4096 for one in shape[1:])
    ):
        raise Unavailable(
            f"its input has the shape {shape}, and images have batch x height x width x channels",
            hint="only classifiers of images of a fixed size are tested this way",
        )
    return shape[3], shape[1], shape[2]


def _output(settings: Settings, layers: list[_Layer]) -> str:
    named = settings.get("output_layers")
    while isinstance(named, list) and named and isinstance(named[0], list):
        named = named[0]
    return str(named[0]) if named else layers[-1].name


class KerasNet(nn.Module):
    """Layers as a module of images, channels first. Raises Unavailable for settings that are not run here."""

    def __init__(self, layers: list[_Layer], output: str, shape: tuple[int, int, int]) -> None:
        super().__init__()
        self._layers, self._result = layers, output
        # Once on tensors without storage: shapes are bounded before memory is taken for them.
        bare = [replace(layer, weights=tuple(one.to("meta") for one in layer.weights)) for layer in layers]
        try:
            self._run(bare, torch.empty(_BATCH, *shape, device="meta"))
        except _BREAKS as error:
            raise Unavailable(f"it does not run: {str(error).splitlines()[0][:200]}", hint="is it complete?") from error

    def forward(self, x: Tensor) -> Tensor:
        """The output for a batch."""
        return self._run(self._layers, x)

    def _run(self, layers: list[_Layer], x: Tensor) -> Tensor:
        known: dict[str, Tensor] = {}
        for layer in layers:
            given = [known[name] for name in layer.takes] if layer.takes else [x]
            made = _bounded(layer, _KINDS[layer.kind](layer, given))
            known[layer.name] = _activated(layer.settings.get("activation"), made)
        return known[self._result]


def _bounded(layer: _Layer, x: Tensor) -> Tensor:
    if x.numel() > _MOST:
        raise LimitExceeded(f"layer {layer.name[:60]} makes {tuple(x.shape)} numbers", limit="bytes")
    return x


# --- layers


def _pair(value: Any, default: int = 1) -> tuple[int, int]:
    if value is None:
        return default, default
    found = (value, value) if isinstance(value, int) else tuple(value)
    return int(found[0]), int(found[1])


def _padded(layer: _Layer, x: Tensor, kernel: tuple[int, int], strides: tuple[int, int], value: float = 0.0) -> Tensor:
    """Padding `same` as TensorFlow has it: the odd pixel goes right and below."""
    if layer.settings.get("padding", "valid") != "same":
        return x
    spread = _pair(layer.settings.get("dilation_rate"))
    sides: list[int] = []
    for axis in (1, 0):
        size = x.shape[2 + axis]
        reach = (kernel[axis] - 1) * spread[axis] + 1
        total = max((-(-size // strides[axis]) - 1) * strides[axis] + reach - size, 0)
        sides += [total // 2, total - total // 2]
    return _bounded(layer, functional.pad(x, sides, value=value))


def _convolution(layer: _Layer, given: list[Tensor]) -> Tensor:
    kernel = layer.weights[0].permute(3, 2, 0, 1)
    strides = _pair(layer.settings.get("strides"))
    x = _padded(layer, given[0], (kernel.shape[2], kernel.shape[3]), strides)
    groups = int(layer.settings.get("groups", 1))
    return functional.conv2d(x, kernel, _bias(layer, 1), strides, 0, _pair(layer.settings.get("dilation_rate")), groups)


def _depthwise(layer: _Layer, given: list[Tensor]) -> Tensor:
    return _by_channel(layer, given[0], _bias(layer, 1))


def _by_channel(layer: _Layer, x: Tensor, bias: Tensor | None) -> Tensor:
    height, width, channels, times = layer.weights[0].shape
    kernel = layer.weights[0].permute(2, 3, 0, 1).reshape(channels * times, 1, height, width)
    strides = _pair(layer.settings.get("strides"))
    x = _padded(layer, x, (height, width), strides)
    return functional.conv2d(x, kernel, bias, strides, 0, _pair(layer.settings.get("dilation_rate")), channels)


def _separable(layer: _Layer, given: list[Tensor]) -> Tensor:
    x = _by_channel(layer, given[0], None)
    return functional.conv2d(x, layer.weights[1].permute(3, 2, 0, 1), _bias(layer, 2))


def _bias(layer: _Layer, at: int) -> Tensor | None:
    return layer.weights[at] if len(layer.weights) > at else None


def _dense(layer: _Layer, given: list[Tensor]) -> Tensor:
    x = given[0].movedim(1, -1) if given[0].dim() == 4 else given[0]
    made = functional.linear(x, layer.weights[0].T, _bias(layer, 1))
    return made.movedim(-1, 1) if given[0].dim() == 4 else made


def _normalised(layer: _Layer, given: list[Tensor]) -> Tensor:
    mean, variance = layer.weights[-2], layer.weights[-1]
    left = list(layer.weights[:-2])
    scale = left.pop(0) if layer.settings.get("scale", True) else None
    shift = left.pop(0) if layer.settings.get("center", True) else None
    epsilon = float(layer.settings.get("epsilon", 1e-3))
    return functional.batch_norm(given[0], mean, variance, scale, shift, False, 0.0, epsilon)  # torch has it so


def _by_layer(layer: _Layer, given: list[Tensor]) -> Tensor:
    x = given[0].movedim(1, -1) if given[0].dim() == 4 else given[0]
    epsilon = float(layer.settings.get("epsilon", 1e-3))
    made = functional.layer_norm(x, [x.shape[-1]], layer.weights[0], _bias(layer, 1), epsilon)
    return made.movedim(-1, 1) if given[0].dim() == 4 else made


def _pooled(largest: bool) -> Callable[[_Layer, list[Tensor]], Tensor]:  # of two kinds
    def run(layer: _Layer, given: list[Tensor]) -> Tensor:
        size = _pair(layer.settings.get("pool_size"), 2)
        strides = _pair(layer.settings.get("strides") or size)
        if largest:
            return functional.max_pool2d(_padded(layer, given[0], size, strides, -math.inf), size, strides)
        x = _padded(layer, given[0], size, strides)
        counted = functional.avg_pool2d(_padded(layer, torch.ones_like(given[0][:1]), size, strides), size, strides)
        return functional.avg_pool2d(x, size, strides) / counted

    return run


def _whole(reduce: Callable[[Tensor], Tensor]) -> Callable[[_Layer, list[Tensor]], Tensor]:
    def run(layer: _Layer, given: list[Tensor]) -> Tensor:
        made = reduce(given[0])
        return made[:, :, None, None] if layer.settings.get("keepdims") else made

    return run


def _flat(_: _Layer, given: list[Tensor]) -> Tensor:
    return given[0].movedim(1, -1).flatten(1) if given[0].dim() == 4 else given[0].flatten(1)


def _rescaled(layer: _Layer, given: list[Tensor]) -> Tensor:
    scale, offset = (
        torch.as_tensor(layer.settings.get(name, default), device=given[0].device)
        for name, default in (("scale", 1.0), ("offset", 0.0))
    )
    return given[0] * _by_channels(scale) + _by_channels(offset)


def _by_channels(one: Tensor) -> Tensor:
    return one.reshape(1, -1, 1, 1) if one.dim() else one


def _bordered(layer: _Layer, given: list[Tensor]) -> Tensor:
    (top, bottom), (left, right) = (_pair(one) for one in _sides(layer.settings.get("padding", 1)))
    return functional.pad(given[0], (left, right, top, bottom))


def _sides(value: Any) -> tuple[Any, Any]:
    return (value, value) if isinstance(value, int) else (value[0], value[1])


def _joined(layer: _Layer, given: list[Tensor]) -> Tensor:
    axis = int(layer.settings.get("axis", -1))
    if given[0].dim() == 4:
        axis = {-1: 1, 3: 1, 1: 2, 2: 3}[axis]
    return torch.cat(given, axis)


def _enlarged(layer: _Layer, given: list[Tensor]) -> Tensor:
    mode = str(layer.settings.get("interpolation", "nearest"))
    scale = tuple(float(one) for one in _pair(layer.settings.get("size"), 2))
    return functional.interpolate(given[0], scale_factor=scale, mode=mode)


def _softened(layer: _Layer, given: list[Tensor]) -> Tensor:
    if layer.settings.get("axis", -1) != -1:
        raise Unavailable("a softmax over another axis than classes", hint="export it as ONNX")
    return _ACTIVATIONS["softmax"](given[0])


def _rectified(layer: _Layer, given: list[Tensor]) -> Tensor:
    """ReLU with a slope below a threshold and an upper end."""
    slope, threshold = (float(layer.settings.get(name) or 0.0) for name in ("negative_slope", "threshold"))
    x = given[0]
    made = torch.where(x >= threshold, x, slope * (x - threshold))
    top = layer.settings.get("max_value")
    return made if top is None else made.clamp(max=float(top))


def _leaky(layer: _Layer, given: list[Tensor]) -> Tensor:
    return functional.leaky_relu(given[0], float(layer.settings.get("negative_slope", 0.3)))


_ACTIVATIONS: Final[dict[str, Callable[[Tensor], Tensor]]] = {
    "linear": lambda x: x, "relu": torch.relu, "relu6": functional.relu6, "sigmoid": torch.sigmoid, "tanh": torch.tanh,
    "softmax": lambda x: torch.softmax(x, 1 if x.dim() in {2, 4} else -1), "elu": functional.elu, "selu": functional.selu,
    "gelu": functional.gelu, "silu": functional.silu, "swish": functional.silu, "softplus": functional.softplus,
    "hard_sigmoid": functional.hardsigmoid, "hard_silu": functional.hardswish, "hard_swish": functional.hardswish,
    "leaky_relu": lambda x: functional.leaky_relu(x, 0.2), "mish": functional.mish,
}  # fmt: skip


def _activated(name: Any, x: Tensor) -> Tensor:
    if name is None:
        return x
    if not isinstance(name, str) or name not in _ACTIVATIONS:
        raise Unavailable(f"an activation {str(name)[:60]}, which is not run here", hint="export it as ONNX")
    return _ACTIVATIONS[name](x)


def _same(_: _Layer, given: list[Tensor]) -> Tensor:
    return given[0]


_KINDS: Final[dict[str, Callable[[_Layer, list[Tensor]], Tensor]]] = {
    "InputLayer": _same, "Dropout": _same, "SpatialDropout2D": _same, "GaussianNoise": _same, "GaussianDropout": _same,
    "ActivityRegularization": _same, "Activation": _same, "RandomFlip": _same, "RandomRotation": _same, "RandomZoom": _same,
    "RandomTranslation": _same, "RandomContrast": _same, "Conv2D": _convolution, "DepthwiseConv2D": _depthwise,
    "SeparableConv2D": _separable, "Dense": _dense, "BatchNormalization": _normalised, "LayerNormalization": _by_layer,
    "MaxPooling2D": _pooled(largest=True), "AveragePooling2D": _pooled(largest=False),
    "GlobalAveragePooling2D": _whole(lambda x: x.mean((2, 3))), "GlobalMaxPooling2D": _whole(lambda x: x.amax((2, 3))),
    "Flatten": _flat, "Rescaling": _rescaled, "ZeroPadding2D": _bordered, "Concatenate": _joined, "UpSampling2D": _enlarged,
    "Add": lambda _, given: torch.stack(given).sum(0), "Multiply": lambda _, given: torch.stack(given).prod(0),
    "Average": lambda _, given: torch.stack(given).mean(0), "Maximum": lambda _, given: torch.stack(given).amax(0),
    "Subtract": lambda _, given: given[0] - given[1], "Softmax": _softened, "ReLU": _rectified, "LeakyReLU": _leaky,
    "ELU": lambda _, given: functional.elu(given[0]),
}  # fmt: skip
