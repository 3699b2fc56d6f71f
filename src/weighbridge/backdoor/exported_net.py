"""Knows how a `torch.export` program is run so that gradients flow through it: as data, by torch's own operations on tensors.

Only operations of this table are called; none of them reads files or runs code. Before anything is computed the whole
program runs once on tensors without storage, so that shapes are bounded before memory is taken for them.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Final

import torch
from torch import Tensor

from weighbridge.backdoor.batches import ProgramNet
from weighbridge.backdoor.lifetimes import last_uses
from weighbridge.schema import LimitExceeded, MalformedInput, Unavailable

if TYPE_CHECKING:
    from weighbridge.formats.exported import Argument, ExportedProgram, Step, StoredWeight

_PREFIX: Final = "torch.ops.aten."
_KINDS: Final = {
    1: torch.uint8, 2: torch.int8, 3: torch.int16, 4: torch.int32, 5: torch.int64, 6: torch.float16, 7: torch.float32,
    8: torch.float64, 12: torch.bool, 13: torch.bfloat16,
}  # fmt: skip
_OPERATIONS: Final = frozenset({
    "conv1d", "conv2d", "convolution", "batch_norm", "_native_batch_norm_legit_no_training", "instance_norm",
    "group_norm", "native_group_norm", "layer_norm", "native_layer_norm", "linear", "addmm", "mm", "bmm", "matmul",
    "baddbmm", "einsum", "scaled_dot_product_attention", "relu", "relu_", "relu6", "relu6_", "leaky_relu",
    "leaky_relu_", "gelu", "gelu_", "silu", "silu_", "mish", "hardswish", "hardswish_", "hardsigmoid",
    "hardsigmoid_", "hardtanh", "hardtanh_", "sigmoid", "sigmoid_", "tanh", "elu", "elu_", "selu", "prelu",
    "softplus", "softmax", "_softmax", "log_softmax", "_log_softmax", "max_pool2d", "max_pool2d_with_indices",
    "avg_pool2d", "adaptive_avg_pool2d", "_adaptive_avg_pool2d", "adaptive_max_pool2d", "mean", "sum", "amax",
    "amin", "var", "flatten", "view", "reshape", "permute", "transpose", "t", "squeeze", "unsqueeze", "cat",
    "stack", "chunk", "split", "split_with_sizes", "slice", "select", "expand", "expand_as", "contiguous", "clone",
    "detach", "alias", "unbind", "roll", "flip", "narrow", "add", "add_", "sub", "sub_", "mul", "mul_", "div",
    "div_", "rsub", "neg", "pow", "sqrt", "rsqrt", "exp", "log", "abs", "clamp", "clamp_", "clamp_min", "minimum",
    "maximum", "dropout", "dropout_", "feature_dropout", "pad", "constant_pad_nd", "upsample_nearest2d",
    "upsample_bilinear2d", "to", "_to_copy", "lift_fresh_copy", "where", "eq", "ne", "gt", "ge", "lt", "le",
    "index_select", "pixel_shuffle", "unflatten", "movedim", "_unsafe_view", "zeros_like", "ones_like", "full_like",
    "bitwise_and", "logical_and", "logical_not", "cos", "sin", "cumsum",
})  # fmt: skip
_CREATIONS: Final = frozenset({"arange", "full", "zeros", "ones", "scalar_tensor", "empty"})
_TRAINS: Final = {"batch_norm": "training", "dropout": "train", "dropout_": "train", "feature_dropout": "train"}
_ARITHMETIC: Final = {
    "_operator.add": lambda a, b: a + b,
    "_operator.sub": lambda a, b: a - b,
    "_operator.mul": lambda a, b: a * b,
    "_operator.floordiv": lambda a, b: a // b if b else 0,
}
_BREAKS: Final = (RuntimeError, TypeError, ValueError, LookupError, ArithmeticError, AttributeError, AssertionError)
_MOST: Final = 1 << 28  # numbers of one value
_BATCH: Final = 64  # images of the run without storage


class ExportedNet(ProgramNet):
    """A program as a module of one input and its outputs. Raises Unavailable, LimitExceeded, MalformedInput."""

    def __init__(self, program: ExportedProgram) -> None:
        super().__init__(max(0, program.shape[0]) if program.shape else 0)
        self._program = program
        self._names: dict[str, str] = {}
        for number, (name, weight) in enumerate(program.weights.items()):
            self.register_buffer(f"w{number}", _tensor(name, weight))
            self._names[name] = f"w{number}"
        self._calls = [_call(step, program) for step in program.steps]
        self._makes = [_made(step) for step in program.steps]
        self._creates = [_name(step) in _CREATIONS for step in program.steps]
        taken = ((name for one in step.inputs for name in _used(one)) for step in program.steps)
        self._last = last_uses(taken, program.results)
        if len(program.given) != 1 or -1 in program.shape[1:]:
            raise Unavailable(
                f"it takes {len(program.given)} inputs of the shape {program.shape}",
                hint="one of a fixed size is tested",
            )
        try:
            with torch.no_grad():
                self._run(torch.empty(self.batch or _BATCH, *program.shape[1:], device="meta"), "meta")
        except _BREAKS as error:
            raise Unavailable(f"it does not run: {str(error).splitlines()[0][:200]}", hint="is it complete?") from error

    def _run(self, x: Tensor, device: str = "") -> tuple[Tensor, ...]:
        weights = {name: getattr(self, place) for name, place in self._names.items()}
        known: dict[str, Any] = {name: one.to(device) if device else one for name, one in weights.items()}
        # Some programs write into what they are given.
        known[self._program.given[0]] = x.clone()
        for at, (step, call) in enumerate(zip(self._program.steps, self._calls, strict=True)):
            placed = [_value(one.arg, known) for one in step.inputs if one.kind != 2]
            named = {one.name: _value(one.arg, known) for one in step.inputs if one.kind == 2}
            if self._creates[at]:
                named["device"] = device or "cpu"
            made = call(*placed, **named)
            for name, value in zip(self._makes[at], made if isinstance(made, tuple | list) else (made,), strict=False):
                if isinstance(value, Tensor) and value.numel() > _MOST:
                    raise LimitExceeded(f"a step makes {'x'.join(map(str, value.shape))[:80]} numbers", limit="bytes")
                known[name] = value
            for name in self._last.get(at, ()):
                known.pop(name, None)
        made = [known.get(name) for name in self._program.results]
        found = tuple(one for one in made if isinstance(one, Tensor))
        if len(found) < len(made):
            raise MalformedInput("the program does not make what it gives")
        return found


def _tensor(name: str, weight: StoredWeight) -> Tensor:
    kind = _KINDS.get(weight.dtype)
    if kind is None:
        raise Unavailable(f"{name}: numbers of a type without gradients", hint="test it before it is quantised")
    if 0 in weight.shape or not weight.data:
        return torch.zeros(weight.shape, dtype=kind)
    flat = torch.frombuffer(bytearray(weight.data[: len(weight.data) // kind.itemsize * kind.itemsize]), dtype=kind)
    strides = weight.strides or torch.empty(weight.shape, device="meta").stride()
    reach = weight.offset + sum((side - 1) * step for side, step in zip(weight.shape, strides, strict=False))
    if len(strides) != len(weight.shape) or reach >= len(flat) or math.prod(weight.shape) > len(flat):
        raise MalformedInput(f"{name}: its shape reaches beyond its bytes")
    return flat.as_strided(weight.shape, strides, weight.offset).contiguous()


def _name(step: Step) -> str:
    return step.target.removeprefix(_PREFIX).partition(".")[0]


def _call(step: Step, program: ExportedProgram) -> Any:
    """The function that a step calls. Raises Unavailable for one that is not in the table, that trains, or keeps a state."""
    if step.target in _ARITHMETIC:
        return _ARITHMETIC[step.target]
    name, overload = _name(step), step.target.rpartition(".")[2]
    if step.target == f"{_PREFIX}sym_size.int":
        return lambda x, at: x.shape[at]
    if not step.target.startswith(_PREFIX) or name not in _OPERATIONS | _CREATIONS:
        raise Unavailable(f"the program calls {step.target[:80]}, which is not run here", hint="export it as ONNX")
    if name.endswith("_") and step.inputs and set(_used(step.inputs[0])) & program.weights.keys():
        raise Unavailable(
            "it writes into its own weights as it runs", hint="call model.eval() before torch.export.export"
        )
    trains = next((one.arg.get("as_bool") for one in step.inputs if one.name == _TRAINS.get(name)), False)
    if trains:
        raise Unavailable("it was exported while it trains", hint="call model.eval() before torch.export.export")
    packet = getattr(torch.ops.aten, name, None)
    if packet is None or overload not in packet.overloads():
        raise Unavailable(
            f"this torch has no operation {step.target[:80]}", hint="export it with the torch that is installed here"
        )
    return getattr(packet, overload)


def _value(argument: dict[str, Any], known: dict[str, Any]) -> Any:
    """What an argument stands for."""
    kind, value = _only(argument)
    if kind == "as_none":
        return None
    if kind in {"as_tensor", "as_optional_tensor"}:
        return _looked_up(value, known)
    if kind in {"as_tensors", "as_optional_tensors"}:
        return [_looked_up(one, known) for one in value]
    if kind in {"as_sym_int", "as_sym_float", "as_sym_bool"}:
        return _symbol(value, known)
    if kind in {"as_sym_ints", "as_sym_floats"}:
        return [_symbol(one, known) for one in value]
    if kind == "as_scalar_type":
        return _KINDS.get(value)
    if kind in {"as_device", "as_layout", "as_memory_format"}:
        return None  # this machine's own
    if kind in {"as_int", "as_ints", "as_float", "as_floats", "as_bool", "as_bools", "as_string"}:
        return value
    raise Unavailable(f"the program has an argument of the kind {kind[:40]}", hint="export it as ONNX")


def _only(tagged: dict[str, Any]) -> tuple[str, Any]:
    """The kind and the value of `{"as_…": …}`."""
    return next(iter(tagged.items())) if tagged else ("as_none", None)


def _looked_up(value: Any, known: dict[str, Any]) -> Any:
    name = value.get("name", value.get("as_tensor", {}).get("name")) if isinstance(value, dict) else None
    if isinstance(value, dict) and "as_none" in value:
        return None
    if name not in known:
        raise MalformedInput(f"the program uses {str(name)[:80]} before it is made")
    return known[name]


def _symbol(value: dict[str, Any], known: dict[str, Any]) -> Any:
    if "as_name" in value:
        if value["as_name"] not in known:
            raise MalformedInput(f"the program uses {str(value['as_name'])[:80]} before it is made")
        return known[value["as_name"]]
    return next(iter(value.values()), 0)


def _made(step: Step) -> list[str]:
    """The names of what a step makes, in order."""
    found: list[str] = []
    for one in step.outputs:
        kind, value = _only(one)
        if kind == "as_tensor" and isinstance(value, dict):
            found.append(str(value.get("name")))
        elif kind == "as_tensors" and isinstance(value, list):
            found += [str(each.get("name")) for each in value if isinstance(each, dict)]
        elif kind == "as_sym_int" and isinstance(value, dict):
            found.append(str(value.get("as_name")))
        else:
            found.append("")
    return found


def _used(argument: Argument) -> list[str]:
    kind, value = _only(argument.arg)
    if kind in {"as_tensors", "as_optional_tensors"} and isinstance(value, list):
        return [str(one.get("name")) for one in value if isinstance(one, dict)]
    return [str(value.get("name"))] if isinstance(value, dict) and "name" in value else []
