"""Knows what every kind of weights file comes down to: named tensors with a place, and what cannot be carried over."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

from msgspec import Struct

from weighbridge.formats.inert import Leaves, Left, leaves
from weighbridge.formats.pickle.graph import read_graph
from weighbridge.formats.pickle.ndarrays import Array, JoblibArrays, array
from weighbridge.formats.safetensors import BITS
from weighbridge.formats.torch_tensors import ordered, read_checkpoint
from weighbridge.identify import identify
from weighbridge.schema import Limits, MalformedInput
from weighbridge.source import Budget, BytesBlob
from weighbridge.source.decompress import decompressed
from weighbridge.source.zip import ZipTree

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from weighbridge.formats.numpy import NpyHeader
    from weighbridge.source import Blob, Entry

_NUMPY: Final = {
    "f8": "F64", "f4": "F32", "f2": "F16", "bf2": "BF16", "i8": "I64", "i4": "I32", "i2": "I16", "i1": "I8", "u8": "U64",
    "u4": "U32", "u2": "U16", "u1": "U8", "b1": "BOOL", "c8": "C64",
}  # fmt: skip
_NAMES: Final = {
    "float64": "f8", "float32": "f4", "float16": "f2", "bfloat16": "bf2", "int64": "i8", "int32": "i4", "int16": "i2",
    "int8": "i1", "uint64": "u8", "uint32": "u4", "uint16": "u2", "uint8": "u1", "bool": "b1", "complex64": "c8",
}  # fmt: skip
_PACKED: Final = {"gzip": "gzip", "bz2": "bz2", "xz": "xz", "lzma": "lzma", "zlib": "zlib", "lz4": "lz4"}


class NoWeights(MalformedInput):
    """A file that holds nothing to convert."""


class Weight(Struct, frozen=True, kw_only=True):
    """One tensor: `start` is where its first item lies in `blob`, shape and strides count items."""

    name: str
    dtype: str
    shape: tuple[int, ...]
    strides: tuple[int, ...]
    blob: Blob
    start: int

    @property
    def size(self) -> int:
        """Bytes of the tensor once it is written out."""
        return math.prod(self.shape) * BITS[self.dtype] // 8

    @property
    def whole(self) -> bool:
        """Whether its bytes lie in the order of the indices."""
        expected = ordered(self.shape)
        pairs = zip(self.shape, self.strides, expected, strict=True)
        return not self.size or all(side == 1 or step == wanted for side, step, wanted in pairs)


class Weights(Struct, frozen=True, kw_only=True):
    """What a file holds: `refused` are tensors that are not carried over (name, why), `left` is what is no tensor."""

    format: str
    weights: tuple[Weight, ...]
    refused: tuple[tuple[str, str], ...] = ()
    left: tuple[Left, ...] = ()


def read_weights(blob: Blob) -> Weights:
    """The tensors of a file, whatever its format, without executing anything in it.

    Raises MalformedInput where there is no reader for its format or it is broken, LimitExceeded.
    """
    found = identify(blob).format
    if found in _PACKED:
        return _joblib(_unpacked(blob, _PACKED[found]), f"joblib ({found})")
    reader = _READERS.get(found)
    if reader is None:
        return _unsigned(blob, found)
    return reader(blob)


def _unsigned(blob: Blob, found: str) -> Weights:
    """A file without a signature: old tar checkpoints, msgpack, text pickles."""
    for reader in (_torch, _flax, _pickle):
        try:
            made = reader(blob)
        except MalformedInput:
            continue
        if made.weights or made.refused:
            return made
    raise NoWeights(
        f"{found or 'unknown'} files hold no weights that are read here",
        hint="convert reads torch, numpy, joblib, Flax and Keras H5 files; weighbridge load runs others in the sandbox",
    )


def _zip(blob: Blob) -> Weights:
    """A torch checkpoint, an npz, or a Keras 3 archive: by its members."""
    tree = ZipTree(blob, Budget(Limits()))
    entries = {entry.name: entry for entry in tree.entries()}
    if "model.weights.h5" in entries:
        return _keras(tree.open(entries["model.weights.h5"]))
    if entries and all(name.endswith(".npy") for name in entries):
        return _npz(tree, entries)
    return _torch(blob)


def _torch(blob: Blob) -> Weights:
    found = read_checkpoint(blob)
    weights = [
        Weight(
            name=one.name,
            dtype=one.dtype,
            shape=one.shape,
            strides=one.strides,
            blob=blob if one.data is None else BytesBlob(one.data),
            start=one.start,
        )
        for one in found.tensors
    ]
    return Weights(format=found.container, weights=tuple(weights), refused=found.refused, left=found.left)


def _weight(name: str, dtype: str, shape: tuple[int, ...], blob: Blob, start: int, *, fortran: bool) -> Weight | str:
    """A weight of a numpy type (`<f4`), or why it is none."""
    if dtype[:1] == ">":
        return "its numbers are big-endian"
    kind = _NUMPY.get(dtype[1:])
    if kind is None:
        return f"its type {dtype or '?'} has no form in safetensors"
    strides = tuple(reversed(ordered(tuple(reversed(shape))))) if fortran else ordered(shape)
    if math.prod(shape) * BITS[kind] // 8 > blob.size - start:
        return "it claims more bytes than there are"
    return Weight(name=name, dtype=kind, shape=shape, strides=strides, blob=blob, start=start)


def _npy(blob: Blob) -> Weights:
    made = _npy_weight("array", blob)
    return _gathered("npy", [("array", made)])


def _npz(tree: ZipTree, entries: dict[str, Entry]) -> Weights:
    found: list[tuple[str, Weight | str]] = []
    for name, entry in entries.items():
        plain = name.removesuffix(".npy")
        try:
            found.append((plain, _npy_weight(plain, tree.open(entry))))
        except MalformedInput as error:
            found.append((plain, error.message))
    return _gathered("npz", found)


def _npy_weight(name: str, blob: Blob) -> Weight | str:
    from weighbridge.formats.numpy import read_npy  # noqa: PLC0415  # most conversions are of torch files

    header: NpyHeader = read_npy(blob)
    if header.objects or header.fields != 1:
        return "its items are objects or records"
    return _weight(name, header.descr.strip("'"), header.shape, blob, header.data, fortran=header.fortran)


def _pickle(blob: Blob) -> Weights:
    """A pickle with numpy arrays in it, or one that joblib wrote."""
    if identify(blob).format == "pickle":
        try:
            return _torch(blob)
        except MalformedInput:
            pass
    return _joblib(blob, "pickle")


def _joblib(blob: Blob, name: str) -> Weights:
    arrays = JoblibArrays(blob)
    root, _ = read_graph(blob, raw=arrays)

    def wanted(value: object) -> Array | str | None:
        return arrays[value] or array(value)

    found: Leaves[Array | str] = leaves(root, wanted)
    made: list[tuple[str, Weight | str]] = []
    for path, one in found.values:
        plain = path or "array"
        if isinstance(one, str):
            made.append((plain, one))
            continue
        held = one.start < 0
        source = BytesBlob(one.data) if held else blob
        start = 0 if held else one.start
        made.append((plain, _weight(plain, one.dtype, one.shape, source, start, fortran=one.fortran)))
    return _gathered(name, made, found.left)


def _unpacked(blob: Blob, codec: str) -> Blob:
    from weighbridge.source.blob import Spool  # noqa: PLC0415

    spool = Spool(decompressed(codec, blob), Budget(Limits()))
    if spool.error is not None:
        raise MalformedInput(f"the {codec} stream is broken: {spool.error}")
    return spool


def _flax(blob: Blob) -> Weights:
    from weighbridge.formats.flax import read_flax  # noqa: PLC0415  # most conversions are of torch files

    tree = read_flax(blob)
    made: list[tuple[str, Weight | str]] = []
    for one in tree.arrays:
        dtype = f"<{_NAMES.get(one.dtype, '')}"
        weight = _weight(one.name, dtype if dtype != "<" else "", one.shape, blob, one.start, fortran=False)
        if isinstance(weight, Weight) and weight.size != one.size:
            weight = f"its shape needs {weight.size} bytes and it has {one.size}"
        made.append((one.name, weight))
    return _gathered("flax", made, [Left(path, "no array") for path in tree.left], tree.refused)


def _keras(blob: Blob) -> Weights:
    from weighbridge.formats.hdf5 import read_hdf5  # noqa: PLC0415  # most conversions are of torch files

    facts = read_hdf5(blob)
    made: list[tuple[str, Weight | str]] = []
    for one in facts.datasets:
        name = one.path.lstrip("/")
        if one.external or one.sources:
            made.append((name, "its bytes are in another file"))
        elif one.address < 0:
            made.append((name, "it is stored in chunks or without bytes, which is not put together here"))
        else:
            made.append((name, _weight(name, one.numbers, one.shape, blob, one.address, fortran=False)))
    links = [(link.path.lstrip("/"), f"it is a {link.kind} link") for link in facts.links]
    unread = [Left(text.partition(": ")[0].lstrip("/"), text.partition(": ")[2]) for text in facts.unread]
    left = [Left(f"{one.path}@{one.name}".lstrip("/"), "an attribute") for one in facts.attributes]
    return _gathered("hdf5", made, [*unread, *left], links)


def _gathered(
    name: str,
    found: list[tuple[str, Weight | str]],
    left: tuple[Left, ...] | list[Left] = (),
    refused: tuple[tuple[str, str], ...] | list[tuple[str, str]] = (),
) -> Weights:
    return Weights(
        format=name,
        weights=tuple(_once(found)),
        refused=(*refused, *((path, why) for path, why in found if isinstance(why, str))),
        left=tuple(left),
    )


def _once(found: list[tuple[str, Weight | str]]) -> Iterator[Weight]:
    """Weights with names that occur once. Raises MalformedInput for a name that occurs twice."""
    names = set()
    for name, weight in found:
        if name in names:
            raise MalformedInput(f"two tensors are named {name}")
        names.add(name)
        if isinstance(weight, Weight):
            yield weight


_READERS: Final[dict[str, Callable[[Blob], Weights]]] = {
    "zip": _zip,
    "npy": _npy,
    "pickle": _pickle,
    "hdf5": _keras,
}
