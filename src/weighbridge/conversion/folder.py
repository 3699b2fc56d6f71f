"""Knows how a folder of checkpoints becomes one of safetensors: shards, their index, and files that name them."""

from __future__ import annotations

import contextlib
import json
import os
import re
from typing import TYPE_CHECKING, Any, Final

from msgspec import Struct
from msgspec.structs import replace

from weighbridge.conversion.file import Conversion, written
from weighbridge.conversion.weights import NoWeights
from weighbridge.formats.pickle import Brief, read_pickles
from weighbridge.identify import identify
from weighbridge.schema import Limits, MalformedInput, SourceError, UsageError
from weighbridge.source import Kind, local
from weighbridge.source.blob import FileBlob
from weighbridge.source.whole import Unfinished

if TYPE_CHECKING:
    from weighbridge.source.local import LocalTree

_WEIGHTS: Final = (
    ".bin", ".pt", ".pth", ".ckpt", ".pkl", ".pickle", ".joblib", ".npz", ".npy", ".msgpack", ".h5", ".hdf5", ".keras", ".tar",
)  # fmt: skip
_INDEX: Final = re.compile(r"(.*)\.(?:bin|pt|pth|msgpack)\.index\.json\Z")
_RENAMED: Final = (("pytorch_model", "model"), ("flax_model", "model"))
_JSON: Final = 16 << 20
_STEP: Final = 16 << 20
_TRACED: Final = Limits(opcodes=1_000_000, streams=1)


class FolderConversion(Struct, frozen=True, kw_only=True):
    """What became of a folder: files converted, files rewritten because they name others, copied, and left behind (name, why)."""

    source: str
    output: str
    files: tuple[Conversion, ...]
    rewritten: tuple[str, ...]
    copied: tuple[str, ...]
    behind: tuple[tuple[str, str], ...]


def convert_folder(source: str, output: str, *, partial: bool = False) -> FolderConversion:
    """Convert every weights file of a folder into a new one, and copy the rest.

    A pickle that holds no tensors is left behind and named. Raises MalformedInput where a tensor cannot be carried over
    and `partial` is not given, UsageError where `output` exists; nothing is left behind then.
    """
    if os.path.lexists(output):
        raise UsageError(f"{output} exists already", hint="give another output")
    tree = local(source)
    if isinstance(tree, FileBlob):
        tree.close()
        raise UsageError(f"{source} is a file", hint="give a folder")
    parent = os.path.dirname(os.path.abspath(output))
    with contextlib.ExitStack() as stack:
        batch = _Batch(tree, source, output, parent, stack)
        batch.run(partial=partial)
        batch.publish()
    return FolderConversion(
        source=source,
        output=output,
        files=tuple(batch.files),
        rewritten=tuple(batch.rewritten),
        copied=tuple(batch.copied),
        behind=tuple(batch.behind),
    )


class _Batch:
    """Files without names, until all of them are complete."""

    def __init__(self, tree: LocalTree, source: str, output: str, parent: str, stack: contextlib.ExitStack) -> None:
        self.tree, self.source, self.output, self.parent, self.stack = tree, source, output, parent, stack
        self.ready: dict[str, Unfinished] = {}
        self.files: list[Conversion] = []
        self.names: dict[str, str] = {}
        self.there: set[str] = set()
        self.rewritten: list[str] = []
        self.copied: list[str] = []
        self.behind: list[tuple[str, str]] = []

    def run(self, *, partial: bool) -> None:
        entries = [entry for entry in self.tree.entries() if entry.kind is not Kind.FOLDER]
        self.there = {entry.name for entry in entries}
        plain = []
        for entry in entries:
            if entry.kind is not Kind.FILE:
                self.behind.append((entry.name, f"a {entry.kind.value}"))
            elif entry.name.endswith(_WEIGHTS):
                self.weights(entry.name, self.tree.path_of(entry), partial=partial)
            else:
                plain.append(entry)
        if not self.files:
            raise MalformedInput(
                f"{self.source}: there are no weights to convert", hint="give the folder that holds them"
            )
        for entry in plain:
            self.other(entry.name, self.tree.path_of(entry))

    def unfinished(self, name: str) -> Unfinished:
        if name in self.ready:
            raise MalformedInput(f"two files would be called {name}", hint="convert them one by one")
        try:
            # Files wait beside the folder-to-be: that is on the same file system, and exists.
            file = Unfinished(os.path.join(self.parent, f".{os.path.basename(self.output)}.{len(self.ready)}"))
        except OSError as error:
            raise UsageError(f"{self.parent}: {error.strerror}", hint="choose another output") from error
        self.stack.callback(file.close)
        self.ready[name] = file
        return file

    def weights(self, name: str, path: str, *, partial: bool) -> None:
        new = renamed(name)
        if new in self.there:
            self.behind.append((name, f"{new} is there already"))
            return
        file = self.unfinished(new)
        try:
            made = written(path, file, partial=partial)
        except NoWeights:
            del self.ready[new]
            if _unpickles(path):
                self.behind.append((name, "a pickle without tensors"))
            else:
                self.copy(name, path)
            return
        self.names[os.path.basename(name)] = os.path.basename(new)
        self.files.append(replace(made, source=name, output=new))

    def other(self, name: str, path: str) -> None:
        match = _INDEX.match(name)
        text = self.json(path) if name.endswith(".json") else None
        if match is not None and isinstance(text, dict):
            self.put(
                renamed(f"{match[1]}.bin") + ".index.json", json.dumps(self.index(text), indent=2).encode() + b"\n"
            )
            self.rewritten.append(name)
            return
        changed = _with_names(text, self.names) if text is not None else None
        if changed is not None and changed != text:
            self.put(name, json.dumps(changed, indent=2, ensure_ascii=False).encode() + b"\n")
            self.rewritten.append(name)
            return
        self.copy(name, path)

    def json(self, path: str) -> Any:
        if os.path.getsize(path) > _JSON:
            return None
        with open(path, "rb") as file:
            try:
                return json.load(file)
            except (ValueError, RecursionError):
                return None

    def index(self, table: dict[str, Any]) -> dict[str, Any]:
        """The index of shards over what was really written: names that share bytes have no entry of their own."""
        weight_map = {name: os.path.basename(one.output) for one in self.files for name in sorted(one.tensors)}
        metadata = table.get("metadata")
        known = metadata if isinstance(metadata, dict) else {}
        total = sum(one.output_size - one.header_size for one in self.files)
        return {"metadata": {**known, "total_size": total}, "weight_map": weight_map}

    def put(self, name: str, data: bytes) -> None:
        self.unfinished(name).append(data)

    def copy(self, name: str, path: str) -> None:
        file = self.unfinished(name)
        with open(path, "rb") as source:
            while piece := source.read(_STEP):
                file.append(piece)
        self.copied.append(name)

    def publish(self) -> None:
        try:
            os.mkdir(self.output)
            for name, file in self.ready.items():
                target = os.path.join(self.output, name)
                os.makedirs(os.path.dirname(target), exist_ok=True)
                file.publish(target)
        except OSError as error:
            raise SourceError(f"{self.output}: {error.strerror}", hint="is there room?") from error


def _unpickles(path: str) -> bool:
    """Whether a file is a pickle, alone or in a zip of torch: what safetensors is to replace is not copied."""
    blob = FileBlob(path)
    try:
        if identify(blob).format in {"pickle", "zip"}:
            return True
        first = read_pickles(blob.read, blob.size, _TRACED, Brief()).streams[:1]
        return any(one.finished or one.calls for one in first)
    finally:
        blob.close()


def renamed(name: str) -> str:
    """What a weights file is called as safetensors, by the habits of the libraries that look for it."""
    folder, _, base = name.rpartition("/")
    stem = base
    for ending in _WEIGHTS:
        stem = stem.removesuffix(ending)
    for old, new in _RENAMED:
        if stem == old or stem.startswith(f"{old}-"):
            stem = new + stem[len(old) :]
    made = f"{stem}.safetensors"
    return f"{folder}/{made}" if folder else made


def _with_names(value: Any, names: dict[str, str]) -> Any:
    """JSON with the names of converted files replaced, wherever a text is exactly such a name."""
    if isinstance(value, dict):
        return {key: _with_names(item, names) for key, item in value.items()}
    if isinstance(value, list):
        return [_with_names(item, names) for item in value]
    return names.get(value, value) if isinstance(value, str) else value
