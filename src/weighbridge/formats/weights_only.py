"""Knows what `torch.load(weights_only=True)` of torch 2.13 accepts, and why it would refuse a pickle.

Source: torch 2.13 `torch/_weights_only_unpickler.py`. A fact for the report; nothing rests on it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from weighbridge.formats.pickle.values import Name, arguments_of, render

if TYPE_CHECKING:
    from collections.abc import Iterator

    from weighbridge.formats.pickle import Trace

_STORAGES: Final = "BFloat16 Bool Byte Char ComplexDouble ComplexFloat Double Float Half Int Long Short QInt32 QInt8 QUInt2x4 QUInt4x2 QUInt8".split()  # noqa: SIM905
_TENSORS: Final = "BFloat16 Bool Byte Char Double Float Half Int Long Short".split()  # noqa: SIM905
_NAMES: Final = """
    _codecs.encode builtins.bytearray builtins.complex builtins.set __builtin__.set __builtin__.complex __builtin__.bytearray
    collections.Counter collections.OrderedDict torch.Size torch.Tensor torch.device torch.nn.parameter.Parameter
    torch._tensor._rebuild_from_type_v2 torch._utils._rebuild_device_tensor_from_cpu_tensor torch._utils._rebuild_device_tensor_from_numpy
    torch._utils._rebuild_meta_tensor_no_storage torch._utils._rebuild_nested_tensor torch._utils._rebuild_parameter
    torch._utils._rebuild_parameter_with_state torch._utils._rebuild_qtensor torch._utils._rebuild_sparse_tensor
    torch._utils._rebuild_tensor torch._utils._rebuild_tensor_v2 torch._utils._rebuild_tensor_v3
    torch._utils._rebuild_wrapper_subclass torch.serialization._get_layout torch.storage.TypedStorage torch.storage.UntypedStorage
    torch.bfloat16 torch.bits16 torch.bits1x8 torch.bits2x4 torch.bits4x2 torch.bits8 torch.bool torch.complex128 torch.complex32
    torch.complex64 torch.float16 torch.float32 torch.float4_e2m1fn_x2 torch.float64 torch.float8_e4m3fn torch.float8_e4m3fnuz
    torch.float8_e5m2 torch.float8_e5m2fnuz torch.float8_e8m0fnu torch.int1 torch.int2 torch.int3 torch.int4 torch.int5 torch.int6
    torch.int7 torch.int8 torch.int16 torch.int32 torch.int64 torch.uint1 torch.uint2 torch.uint3 torch.uint4 torch.uint5
    torch.uint6 torch.uint7 torch.uint8 torch.uint16 torch.uint32 torch.uint64 torch.per_channel_affine
    torch.per_channel_affine_float_qparams torch.per_channel_symmetric torch.per_tensor_affine torch.per_tensor_symmetric
    torch.qint32 torch.qint8 torch.quint2x4 torch.quint4x2 torch.quint8
"""
ALLOWED: Final = frozenset(
    {
        *_NAMES.split(),
        *(f"torch.{prefix}{name}Storage" for name in _STORAGES for prefix in ("", "cuda.")),
        *(f"torch.{prefix}{name}Tensor" for name in _TENSORS for prefix in ("", "cuda.", "sparse.", "cuda.sparse.")),
    }
)
_BUILDABLE: Final = frozenset(
    {"torch.Tensor", "torch.nn.parameter.Parameter", "collections.OrderedDict", "collections.Counter"}
)


def refusals(trace: Trace) -> Iterator[str]:
    """Why `weights_only=True` refuses this pickle; nothing where it accepts it."""
    if trace.protocol >= 4 or any(item.opcode == "STACK_GLOBAL" for item in trace.imports):
        yield f"protocol {trace.protocol} uses opcodes that it does not read"
    for item in trace.imports:
        if item.opcode != "INST" and item.name.dotted not in ALLOWED:
            yield f"{render(item.name)} is not on its list"
    for call in trace.calls:
        if call.opcode in {"INST", "OBJ", "NEWOBJ_EX"}:
            yield f"the opcode {call.opcode} is not read"
        elif not isinstance(call.target, Name):
            yield "it calls the result of a call"
    for identifier in trace.persistent:
        parts = arguments_of(identifier)
        if parts and parts[0] != "storage":
            yield f"the persistent id {render(identifier, limit=60)} is no storage"
    if not trace.finished:
        yield "the pickle is broken"
