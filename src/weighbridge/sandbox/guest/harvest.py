"""Knows how an object is taken apart inside the child: its tensors as a safetensors image, the rest in words."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any, Final

from weighbridge.formats.safetensors import BITS, write_header
from weighbridge.sandbox.protocol import Answer, Value
from weighbridge.source.whole import write_all

if TYPE_CHECKING:
    from collections.abc import Iterator

_DTYPES: Final = {
    "float64": "F64", "float32": "F32", "float16": "F16", "bfloat16": "BF16", "int64": "I64", "int32": "I32", "int16": "I16",
    "int8": "I8", "uint64": "U64", "uint32": "U32", "uint16": "U16", "uint8": "U8", "bool": "BOOL", "complex64": "C64",
    "float8_e4m3fn": "F8_E4M3", "float8_e5m2": "F8_E5M2", "float8_e8m0fnu": "F8_E8M0", "float8_e4m3fnuz": "F8_E4M3FNUZ",
    "float8_e5m2fnuz": "F8_E5M2FNUZ",
}  # fmt: skip
_OBJECTS: Final = 200_000
_TENSORS: Final = 100_000
_VALUES: Final = 512
_SHOWN: Final = 200
_DEPTH: Final = 24
_PLAIN: Final = (str, int, float, bool, type(None), bytes, complex)


class _Tensor:
    """One tensor: its name, type, shape, and the way to its bytes."""

    def __init__(self, name: str, dtype: str, shape: tuple[int, ...], raw: Any) -> None:
        self.name, self.dtype, self.shape, self.raw = name, dtype, shape, raw


def harvest(root: Any, output: int) -> Answer:
    """Write the tensors of an object to `output`, and say what else it holds."""
    tensors: dict[str, _Tensor] = {}
    values: list[Value] = []
    left = 0
    for name, value in _walk(root):
        one = _tensor(name or "tensor", value)
        if one is not None and len(tensors) < _TENSORS and one.name not in tensors:
            tensors[one.name] = one
        elif len(values) < _VALUES:
            values.append(Value(name[:_SHOWN], _words(value)))
        else:
            left += 1
    _write(list(tensors.values()), output)
    kind = f"{type(root).__module__}.{type(root).__qualname__}"[:_SHOWN]
    return Answer(kind=kind, tensors=len(tensors), values=tuple(values), left=left)


def _walk(root: Any) -> Iterator[tuple[str, Any]]:
    """Tensors and plain values below an object, by path; each container once."""
    waiting: list[tuple[str, Any, int]] = [("", root, 0)]
    seen: set[int] = set()
    kept: list[Any] = []
    for _ in range(_OBJECTS):
        if not waiting:
            return
        name, value, depth = waiting.pop()
        if isinstance(value, _PLAIN) or _is_tensor(value):
            yield name, value
            continue
        if id(value) in seen:
            continue
        seen.add(id(value))
        kept.append(value)
        inside = list(_inside(value)) if depth < _DEPTH else []
        if not inside:
            yield name, value
        waiting += reversed([(f"{name}.{key}" if name else key, inner, depth + 1) for key, inner in inside])


def _inside(value: Any) -> Iterator[tuple[str, Any]]:
    torch, xgboost, lightgbm = (sys.modules.get(name) for name in ("torch", "xgboost", "lightgbm"))
    if hasattr(value, "variables") and any(base.__module__.startswith("keras.") for base in type(value).__mro__):
        yield from ((one.path, one.numpy()) for one in value.variables)
    elif torch is not None and isinstance(value, torch.nn.Module):
        yield from value.state_dict(keep_vars=True).items()
    elif xgboost is not None and isinstance(value, xgboost.Booster):
        yield "ubj", bytes(value.save_raw("ubj"))
    elif lightgbm is not None and isinstance(value, lightgbm.Booster):
        yield "text", value.model_to_string().encode()
    elif isinstance(value, dict):
        yield from ((str(key), inner) for key, inner in value.items())
    elif isinstance(value, (list, tuple, set, frozenset)):
        yield from ((str(number), inner) for number, inner in enumerate(value))
    elif type(value).__module__.partition(".")[0] == "sklearn" and not hasattr(value, "__dict__"):
        # Trees and their kind are compiled; their state is arrays.
        state = value.__getstate__()
        yield from state.items() if isinstance(state, dict) else ()
    elif hasattr(value, "__dict__") and not isinstance(value, type):
        yield from vars(value).items()


def _is_tensor(value: Any) -> bool:
    torch, numpy = sys.modules.get("torch"), sys.modules.get("numpy")
    return (torch is not None and isinstance(value, torch.Tensor)) or (
        numpy is not None and isinstance(value, (numpy.ndarray, numpy.generic))
    )


def _tensor(name: str, value: Any) -> _Tensor | None:
    """A tensor that safetensors has a form for; long bytes count as one of U8."""
    torch, numpy = sys.modules.get("torch"), sys.modules.get("numpy")
    if isinstance(value, bytes) and len(value) > _SHOWN:
        return _Tensor(name, "U8", (len(value),), lambda: value)
    if torch is not None and isinstance(value, torch.Tensor):
        dtype = _DTYPES.get(str(value.dtype).removeprefix("torch."))
        if dtype is None or value.layout is not torch.strided or value.is_quantized or value.device.type != "cpu":
            return None
        plain = value.detach().resolve_conj().resolve_neg()
        return _Tensor(
            name, dtype, tuple(value.shape), lambda: plain.contiguous().reshape(-1).view(torch.uint8).numpy().data
        )
    if numpy is not None and isinstance(value, (numpy.ndarray, numpy.generic)):
        dtype = _DTYPES.get(value.dtype.name)
        if dtype is None:
            return None
        ordered = numpy.ascontiguousarray(value, value.dtype.newbyteorder("<"))
        return _Tensor(name, dtype, tuple(value.shape), lambda: ordered.reshape(-1).view("u1").data)
    return None


def _write(tensors: list[_Tensor], output: int) -> None:
    # Aligned types first, so that every tensor begins at a multiple of its width.
    tensors.sort(key=lambda one: -BITS[one.dtype])
    write_all(output, write_header(((one.name, one.dtype, one.shape) for one in tensors), {"format": "pt"}))
    for one in tensors:
        write_all(output, one.raw())


def _words(value: Any) -> str:
    text = repr(value) if isinstance(value, _PLAIN) else f"{type(value).__module__}.{type(value).__qualname__}"
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"
