"""Knows how an ONNX program is run so that gradients flow through it: as data, step by step, by torch's own operations.

Source: onnx operator documentation, opsets 7 to 22, the operations that image and text classifiers are exported with.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Final

import torch
from torch import Tensor
from torch.nn import functional

from weighbridge.backdoor.batches import ProgramNet
from weighbridge.backdoor.lifetimes import last_uses
from weighbridge.formats.onnx_program import Constant, Program, Step, Value
from weighbridge.schema import LimitExceeded, Unavailable

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence


_KINDS: Final = {
    1: torch.float32, 2: torch.uint8, 3: torch.int8, 5: torch.int16, 6: torch.int32, 7: torch.int64, 9: torch.bool,
    10: torch.float16, 11: torch.float64, 16: torch.bfloat16,
}  # fmt: skip
_MOST: Final = 1 << 28  # numbers of one value: a hostile shape must not take the machine's memory
Inputs = list[Any]


class OnnxNet(ProgramNet):
    """An ONNX model as a module of one input and its outputs. Raises Unavailable for what cannot be run this way."""

    def __init__(self, program: Program) -> None:
        super().__init__(program.inputs[0].dims[0] if program.inputs and program.inputs[0].dims else 0)
        if program.odd:
            raise Unavailable(f"the model has {program.odd[0]}", hint="export it again, with constants inside")
        self._program = program
        self._names: dict[str, str] = {}
        for number, (name, constant) in enumerate(program.constants.items()):
            made = tensor_of(constant)
            self.register_buffer(f"c{number}", made)
            self._names[name] = f"c{number}"
        odd = sorted(
            {step.op for step in program.steps if step.op not in _OPERATIONS or step.domain not in {"", "ai.onnx"}}
        )
        if odd:
            raise Unavailable(
                f"the model uses {', '.join(odd[:5])}, which cannot be searched by gradients",
                hint="test it as an endpoint (black box), or as the framework's own file",
            )
        self._last = last_uses((step.inputs for step in program.steps), {slot.name for slot in program.outputs})

    def _run(self, x: Tensor) -> tuple[Tensor, ...]:
        known: dict[str, Any] = {self._program.inputs[0].name: x}
        for at, step in enumerate(self._program.steps):
            given = [self._value(known, name) for name in step.inputs]
            made = _OPERATIONS[step.op](step, given)
            for name, value in zip(step.outputs, made if isinstance(made, tuple) else (made,), strict=False):
                if isinstance(value, Tensor):
                    _bounded(value.shape)
                known[name] = value
            for name in self._last.get(at, ()):
                known.pop(name, None)
        first, *others = self._program.outputs
        return (known[first.name], *(known[slot.name] for slot in others if isinstance(known.get(slot.name), Tensor)))

    def _value(self, known: dict[str, Any], name: str) -> Any:
        if not name:
            return None
        return known[name] if name in known else getattr(self, self._names[name])


def tensor_of(constant: Constant) -> Tensor:
    """A constant as a tensor of its own. Raises Unavailable for a type that torch lacks."""
    kind = _KINDS.get(constant.kind)
    if kind is None:
        raise Unavailable(f"numbers of the ONNX type {constant.kind}", hint="export it with 32-bit floats")
    if not constant.data:
        return torch.zeros(constant.dims, dtype=kind)
    return torch.frombuffer(bytearray(constant.data), dtype=kind).reshape(constant.dims)


def _bounded(shape: Sequence[int]) -> list[int]:
    """A shape that may be made. Raises LimitExceeded before it is."""
    if math.prod(max(0, size) for size in shape) > _MOST:
        raise LimitExceeded(f"a step makes {' x '.join(map(str, shape))[:80]} numbers", limit="bytes")
    return list(shape)


# --- operations: a step and its inputs to its outputs


def _ints(step: Step, name: str, default: Sequence[int] = ()) -> list[int]:
    value = step.attributes.get(name)
    return [int(one) for one in value] if isinstance(value, tuple) else list(default)


def _int(step: Step, name: str, default: int = 0) -> int:
    value = step.attributes.get(name)
    return value if isinstance(value, int) else default


def _float(step: Step, name: str, default: float) -> float:
    value = step.attributes.get(name)
    return float(value) if isinstance(value, int | float) else default


def _text(step: Step, name: str, default: str = "") -> str:
    value: Value | None = step.attributes.get(name)
    return value if isinstance(value, str) else default


def _listed(value: Any) -> list[int]:
    return [int(one) for one in value.flatten().tolist()]


def _axes(step: Step, given: Inputs, at: int, rank: int) -> list[int]:
    """Axes as an input (later opsets) or an attribute; all of them where there are none."""
    found = _listed(given[at]) if len(given) > at and given[at] is not None else _ints(step, "axes")
    return found or list(range(rank))


def _padded(step: Step, x: Tensor, kernel: Sequence[int], value: float = 0.0) -> Tensor:
    """Pads as auto_pad or pads say."""
    rank = len(kernel)
    strides, dilations = _ints(step, "strides", [1] * rank), _ints(step, "dilations", [1] * rank)
    mode = _text(step, "auto_pad", "NOTSET")
    if mode in {"SAME_UPPER", "SAME_LOWER"}:
        pads = []
        for size, one, stride, dilation in zip(x.shape[2:], kernel, strides, dilations, strict=True):
            need = max(0, (math.ceil(size / stride) - 1) * stride + dilation * (one - 1) + 1 - size)
            small = need // 2
            pads.append((small, need - small) if mode == "SAME_UPPER" else (need - small, small))
    else:
        flat = _ints(step, "pads", [0] * (2 * rank))
        pads = list(zip(flat[:rank], flat[rank:], strict=True))
    if not any(one for pair in pads for one in pair):
        return x
    _bounded([*x.shape[:2], *(size + sum(pair) for size, pair in zip(x.shape[2:], pads, strict=True))])
    return functional.pad(x, [one for pair in reversed(pads) for one in pair], value=value)


def _conv(step: Step, given: Inputs) -> Tensor:
    x, weight = given[0], given[1]
    rank = weight.dim() - 2
    x = _padded(step, x, weight.shape[2:])
    run = {1: functional.conv1d, 2: functional.conv2d, 3: functional.conv3d}[rank]
    return run(
        x, weight, given[2] if len(given) > 2 else None, stride=_ints(step, "strides", [1] * rank),
        dilation=_ints(step, "dilations", [1] * rank), groups=_int(step, "group", 1),
    )  # fmt: skip


def _gemm(step: Step, given: Inputs) -> Tensor:
    a = given[0].T if _int(step, "transA") else given[0]
    b = given[1].T if _int(step, "transB") else given[1]
    made: Tensor = _float(step, "alpha", 1.0) * (a @ b)
    return made if len(given) < 3 or given[2] is None else made + _float(step, "beta", 1.0) * given[2]


def _norm(step: Step, given: Inputs) -> Tensor:
    return functional.batch_norm(
        given[0], given[3], given[4], given[1], given[2], training=False, eps=_float(step, "epsilon", 1e-5)
    )


def _layer_norm(step: Step, given: Inputs) -> Tensor:
    axis = _int(step, "axis", -1)
    shape = given[0].shape[axis:]
    return functional.layer_norm(
        given[0], shape, given[1], given[2] if len(given) > 2 else None, _float(step, "epsilon", 1e-5)
    )


def _group_norm(step: Step, given: Inputs) -> Tensor:
    return functional.group_norm(
        given[0], _int(step, "num_groups", 1), given[1], given[2], _float(step, "epsilon", 1e-5)
    )


def _instance_norm(step: Step, given: Inputs) -> Tensor:
    return functional.instance_norm(given[0], weight=given[1], bias=given[2], eps=_float(step, "epsilon", 1e-5))


def _max_pool(step: Step, given: Inputs) -> Tensor:
    kernel = _ints(step, "kernel_shape")
    rank = len(kernel)
    x = _padded(step, given[0], kernel, -math.inf)
    run = {1: functional.max_pool1d, 2: functional.max_pool2d, 3: functional.max_pool3d}[rank]
    return run(
        x, kernel, _ints(step, "strides", [1] * rank), dilation=_ints(step, "dilations", [1] * rank),
        ceil_mode=bool(_int(step, "ceil_mode")),
    )  # fmt: skip


def _average_pool(step: Step, given: Inputs) -> Tensor:
    kernel = _ints(step, "kernel_shape")
    rank = len(kernel)
    strides = _ints(step, "strides", [1] * rank)
    run = {1: functional.avg_pool1d, 2: functional.avg_pool2d, 3: functional.avg_pool3d}[rank]
    ceil = bool(_int(step, "ceil_mode"))
    total: Tensor = run(_padded(step, given[0], kernel), kernel, strides, ceil_mode=ceil)
    if _int(step, "count_include_pad"):
        return total
    counted: Tensor = run(_padded(step, torch.ones_like(given[0][:1, :1]), kernel), kernel, strides, ceil_mode=ceil)
    return total / counted


def _reduced(how: Callable[..., Tensor]) -> Callable[[Step, Inputs], Tensor]:
    def run(step: Step, given: Inputs) -> Tensor:
        axes = _axes(step, given, 1, given[0].dim())
        return how(given[0], dim=axes, keepdim=bool(_int(step, "keepdims", 1)))

    return run


def _reshape(step: Step, given: Inputs) -> Tensor:
    shape = _listed(given[1])
    if not _int(step, "allowzero"):
        shape = [given[0].shape[at] if one == 0 else one for at, one in enumerate(shape)]
    return given[0].reshape(shape)  # type: ignore[no-any-return]


def _flatten(step: Step, given: Inputs) -> Tensor:
    axis = _int(step, "axis", 1)
    return given[0].reshape(math.prod(given[0].shape[:axis]), -1)  # type: ignore[no-any-return]


def _squeeze(step: Step, given: Inputs) -> Tensor:
    x = given[0]
    named = _listed(given[1]) if len(given) > 1 and given[1] is not None else _ints(step, "axes")
    axes = named or [at for at, size in enumerate(x.shape) if size == 1]
    for axis in sorted((axis % x.dim() for axis in axes), reverse=True):
        x = x.squeeze(axis)
    return x  # type: ignore[no-any-return]


def _unsqueeze(step: Step, given: Inputs) -> Tensor:
    axes = _listed(given[1]) if len(given) > 1 else _ints(step, "axes")
    x = given[0]
    rank = x.dim() + len(axes)
    for axis in sorted(axis % rank for axis in axes):
        x = x.unsqueeze(axis)
    return x  # type: ignore[no-any-return]


def _slice(step: Step, given: Inputs) -> Tensor:
    x = given[0]
    if len(given) > 1:
        starts, ends = _listed(given[1]), _listed(given[2])
        axes = _listed(given[3]) if len(given) > 3 and given[3] is not None else list(range(len(starts)))
        steps = _listed(given[4]) if len(given) > 4 and given[4] is not None else [1] * len(starts)
    else:
        starts, ends = _ints(step, "starts"), _ints(step, "ends")
        axes, steps = _ints(step, "axes", list(range(len(starts)))), [1] * len(starts)
    for start, end, axis, stride in zip(starts, ends, axes, steps, strict=True):
        chosen = range(x.shape[axis])[start:end:stride]
        x = x.index_select(axis, torch.tensor(list(chosen), dtype=torch.int64))
    return x  # type: ignore[no-any-return]


def _gather(step: Step, given: Inputs) -> Tensor:
    axis = _int(step, "axis")
    x, wanted = given[0], given[1].long()
    axis %= x.dim()
    wanted = torch.where(wanted < 0, wanted + x.shape[axis], wanted)
    if x.dim() == 2 and axis == 0 and x.is_floating_point():
        return functional.embedding(wanted, x)
    return x.index_select(axis, wanted.flatten()).reshape(*x.shape[:axis], *wanted.shape, *x.shape[axis + 1 :])  # type: ignore[no-any-return]


def _clip(step: Step, given: Inputs) -> Tensor:
    low = given[1] if len(given) > 1 else step.attributes.get("min")
    high = given[2] if len(given) > 2 else step.attributes.get("max")
    x = given[0]
    if low is not None:
        x = torch.maximum(x, torch.as_tensor(low, dtype=x.dtype))
    return x if high is None else torch.minimum(x, torch.as_tensor(high, dtype=x.dtype))


def _pad(step: Step, given: Inputs) -> Tensor:
    flat = _listed(given[1]) if len(given) > 1 else _ints(step, "pads")
    rank = len(flat) // 2
    value = float(given[2]) if len(given) > 2 and given[2] is not None else _float(step, "value", 0.0)
    mode = {"constant": "constant", "reflect": "reflect", "edge": "replicate"}[_text(step, "mode", "constant")]
    pairs = [(flat[at], flat[at + rank]) for at in range(rank)]
    _bounded([size + sum(pair) for size, pair in zip(given[0].shape, pairs, strict=True)])
    if mode != "constant":
        while pairs and pairs[0] == (0, 0):
            pairs = pairs[1:]
        return functional.pad(given[0], [one for pair in reversed(pairs) for one in pair], mode=mode)
    return functional.pad(given[0], [one for pair in reversed(pairs) for one in pair], value=value)


def _split(step: Step, given: Inputs) -> tuple[Tensor, ...]:
    axis = _int(step, "axis")
    sizes = _listed(given[1]) if len(given) > 1 and given[1] is not None else _ints(step, "split")
    if not sizes:
        count = len(step.outputs)
        sizes = [math.ceil(given[0].shape[axis] / count)] * count
        sizes[-1] = given[0].shape[axis] - sum(sizes[:-1])
    return torch.split(given[0], sizes, axis)


def _tiled(x: Tensor, times: list[int]) -> list[int]:
    _bounded([x.numel(), *times])
    return times


def _filled(step: Step, given: Inputs) -> Tensor:
    value = step.attributes.get("value")
    filler = tensor_of(value) if isinstance(value, Constant) else torch.zeros(1)
    return filler.reshape(()).expand(_bounded(_listed(given[0])))


def _resize(step: Step, given: Inputs) -> Tensor:
    x = given[0]
    sizes = _listed(given[3]) if len(given) > 3 and given[3] is not None and given[3].numel() else None
    if sizes is None:
        scales = given[2] if len(given) > 2 else given[1]
        sizes = [math.floor(one * scale) for one, scale in zip(x.shape, scales.tolist(), strict=True)]
    _bounded(sizes)
    mode = {"nearest": "nearest", "linear": "bilinear", "cubic": "bicubic"}[_text(step, "mode", "nearest")]
    aligned = _text(step, "coordinate_transformation_mode") == "align_corners"
    return functional.interpolate(x, sizes[2:], mode=mode, align_corners=aligned if mode != "nearest" else None)


def _cast(step: Step, given: Inputs) -> Tensor:
    kind = _KINDS.get(_int(step, "to", 1))
    if kind is None:
        raise Unavailable(f"a cast to the ONNX type {_int(step, 'to')}", hint="export it with 32-bit floats")
    return given[0].to(kind)  # type: ignore[no-any-return]


def _binary(how: Callable[[Any, Any], Any]) -> Callable[[Step, Inputs], Any]:
    return lambda _, given: how(given[0], given[1])


def _unary(how: Callable[[Any], Any]) -> Callable[[Step, Inputs], Any]:
    return lambda _, given: how(given[0])


def _divided(a: Tensor, b: Tensor) -> Tensor:
    return a / b if a.is_floating_point() else torch.div(a, b, rounding_mode="trunc")


_OPERATIONS: Final[dict[str, Callable[[Step, Inputs], Any]]] = {
    "Add": _binary(torch.add), "Sub": _binary(torch.sub), "Mul": _binary(torch.mul), "Div": _binary(_divided),
    "Pow": _binary(torch.pow), "MatMul": _binary(torch.matmul), "Equal": _binary(torch.eq), "Less": _binary(torch.lt),
    "Greater": _binary(torch.gt), "And": _binary(torch.logical_and), "Or": _binary(torch.logical_or),
    "LessOrEqual": _binary(torch.le), "GreaterOrEqual": _binary(torch.ge),
    "Min": _binary(torch.minimum), "Max": _binary(torch.maximum), "PRelu": _binary(lambda x, slope: torch.where(x < 0, x * slope, x)),
    "Relu": _unary(torch.relu), "Sigmoid": _unary(torch.sigmoid), "Tanh": _unary(torch.tanh), "Erf": _unary(torch.erf),
    "Exp": _unary(torch.exp), "Log": _unary(torch.log), "Sqrt": _unary(torch.sqrt), "Neg": _unary(torch.neg),
    "Abs": _unary(torch.abs), "Floor": _unary(torch.floor), "Not": _unary(torch.logical_not), "Identity": _unary(lambda x: x),
    "Reciprocal": _unary(torch.reciprocal), "Softplus": _unary(functional.softplus), "HardSwish": _unary(functional.hardswish),
    "Mish": _unary(functional.mish), "Dropout": _unary(lambda x: x), "Ceil": _unary(torch.ceil), "Round": _unary(torch.round),
    "Shape": _unary(lambda x: torch.tensor(list(x.shape), dtype=torch.int64)), "Sin": _unary(torch.sin), "Cos": _unary(torch.cos),
    "HardSigmoid": lambda step, given: torch.clamp(given[0] * _float(step, "alpha", 0.2) + _float(step, "beta", 0.5), 0, 1),
    "LeakyRelu": lambda step, given: functional.leaky_relu(given[0], _float(step, "alpha", 0.01)),
    "Elu": lambda step, given: functional.elu(given[0], _float(step, "alpha", 1.0)),
    "Gelu": lambda step, given: functional.gelu(given[0], approximate=_text(step, "approximate", "none")),
    "Softmax": lambda step, given: torch.softmax(given[0], _int(step, "axis", -1)),
    "LogSoftmax": lambda step, given: torch.log_softmax(given[0], _int(step, "axis", -1)),
    "Conv": _conv, "Gemm": _gemm, "BatchNormalization": _norm, "LayerNormalization": _layer_norm,
    "GroupNormalization": _group_norm, "InstanceNormalization": _instance_norm, "MaxPool": _max_pool, "AveragePool": _average_pool,
    "GlobalAveragePool": _unary(lambda x: x.mean(dim=tuple(range(2, x.dim())), keepdim=True)),
    "GlobalMaxPool": _unary(lambda x: x.amax(dim=tuple(range(2, x.dim())), keepdim=True)),
    "ReduceMean": _reduced(torch.mean), "ReduceSum": _reduced(torch.sum), "ReduceMax": _reduced(torch.amax), "ReduceMin": _reduced(torch.amin),
    "Reshape": _reshape, "Flatten": _flatten, "Squeeze": _squeeze, "Unsqueeze": _unsqueeze, "Slice": _slice, "Gather": _gather,
    "Transpose": lambda step, given: given[0].permute(_ints(step, "perm", list(range(given[0].dim()))[::-1])),
    "Concat": lambda step, given: torch.cat(given, _int(step, "axis")),
    "Sum": lambda _, given: sum(given[1:], given[0]),
    "Where": lambda _, given: torch.where(given[0], given[1], given[2]),
    "Expand": lambda _, given: given[0] * torch.ones(_bounded(_listed(given[1])), dtype=given[0].dtype),
    "Tile": lambda _, given: given[0].repeat(_tiled(given[0], _listed(given[1]))),
    "Clip": _clip, "Pad": _pad, "Split": _split, "ConstantOfShape": _filled, "Resize": _resize, "Upsample": _resize, "Cast": _cast,
}  # fmt: skip
