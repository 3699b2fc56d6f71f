"""Knows which library loads a file, and what to have in memory before the child is locked in."""

from __future__ import annotations

import importlib.util
from typing import TYPE_CHECKING, Final

from weighbridge.formats.pickle import Brief, read_pickles
from weighbridge.formats.pickle.ndarrays import JOBLIB
from weighbridge.formats.torch import torch_kind
from weighbridge.identify import identify
from weighbridge.schema import Limits, MalformedInput, Unavailable
from weighbridge.source import Budget
from weighbridge.source.tar import is_header
from weighbridge.source.zip import ZipTree

if TYPE_CHECKING:
    from weighbridge.source import Blob

_SKLEARN: Final = (
    "sklearn.ensemble",
    "sklearn.linear_model",
    "sklearn.pipeline",
    "sklearn.preprocessing",
    "sklearn.tree",
)
# Only libraries that are known here are loaded ahead: their names come from the file, and it may name anything.
_AHEAD: Final = {
    "torch": ("torch",), "numpy": ("numpy",), "joblib": ("joblib",), "sklearn": _SKLEARN, "xgboost": ("xgboost",),
    "lightgbm": ("lightgbm",), "catboost": ("catboost",), "scipy": ("scipy.sparse",), "pandas": ("pandas",), "keras": ("keras",),
}  # fmt: skip
_NEEDED: Final = {
    "torch": ("torch",), "torchscript": ("torch",), "joblib": ("joblib", "numpy"), "pickle": (), "numpy": ("numpy",),
    "keras": ("torch", "keras", "h5py"),
}  # fmt: skip
_COMPRESSED: Final = frozenset({"gzip", "zlib", "bz2", "xz", "lzma", "lz4"})
_LIMITS: Final = Limits(opcodes=5_000_000, events=2000, seconds=20)


def loader_for(blob: Blob) -> tuple[str, tuple[str, ...]]:
    """(loader, modules to have in memory) for a file.

    Raises MalformedInput where nothing here loads such a file, Unavailable where its library is not installed.
    """
    loader, named = _kind(blob)
    for name in _NEEDED[loader]:
        if not installed(name):
            raise Unavailable(f"{name} is not installed here, and loading needs it", hint=f"pip install {name}")
    ahead = [*_NEEDED[loader], *(module for name in named for module in _AHEAD.get(name, ()))]
    return loader, tuple(module for module in dict.fromkeys(ahead) if installed(module.partition(".")[0]))


def installed(name: str) -> bool:
    """Whether a library is there, without loading it."""
    try:
        return importlib.util.find_spec(name) is not None
    except (ImportError, ValueError):
        return False


def _kind(blob: Blob) -> tuple[str, tuple[str, ...]]:
    found = identify(blob).format
    if found == "zip":
        return _zip(blob)
    if found == "hdf5":
        return "keras", ()
    if found == "npy":
        return "numpy", ()
    if found in _COMPRESSED:
        return "joblib", ("sklearn",)
    if is_header(blob.read(0, 512)):
        return "torch", ()
    pickles = read_pickles(blob.read, blob.size, _LIMITS, Brief())
    if pickles.legacy_torch:
        return "torch", ()
    first = pickles.streams[0] if pickles.streams else None
    if found != "pickle" and (first is None or not (first.finished or first.calls)):
        raise MalformedInput(
            f"{found or 'unknown'} files are not loaded by a library that is known here",
            hint="files without code in them need no sandbox: weighbridge scan inspects them",
        )
    names = tuple({one.name.module.partition(".")[0] for stream in pickles.streams for one in stream.imports})
    wrapped = any(one.name.dotted == JOBLIB for stream in pickles.streams for one in stream.imports)
    return ("joblib" if wrapped else "pickle"), names


def _zip(blob: Blob) -> tuple[str, tuple[str, ...]]:
    names = [entry.name for entry in ZipTree(blob, Budget(Limits())).entries()]
    facts = torch_kind(names)
    if facts is not None and facts.kind in {"checkpoint", "torchscript"}:
        return ("torch" if facts.kind == "checkpoint" else "torchscript"), ()
    if "config.json" in names and "model.weights.h5" in names:
        return "keras", ()
    if names and all(name.endswith(".npy") for name in names):
        return "numpy", ()
    raise MalformedInput(
        f"a zip archive{f' of the kind {facts.kind}' if facts else ''} that no library here loads",
        hint="torch checkpoints, TorchScript, npz and Keras archives are loaded",
    )
