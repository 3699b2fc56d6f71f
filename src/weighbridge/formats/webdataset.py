"""Reads shards of WebDataset: tar archives whose members of one name and several endings are one sample.

Source: the WebDataset format, github.com/webdataset/webdataset (a sample's key ends at the first dot of its file name). Members that
hold text, numbers or JSON become cells; pictures, sound and arrays are passed over, and named. Nothing is unpickled.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, Final

import msgspec

from weighbridge.formats.rows import Batch, Rejected
from weighbridge.schema import Limits, WeighbridgeError
from weighbridge.source.blob import Budget, FileBlob
from weighbridge.source.tar import TarTree
from weighbridge.source.tree import Kind

if TYPE_CHECKING:
    from collections.abc import Iterator

    from weighbridge.source.tree import Entry

TEXTS: Final = frozenset(
    {"txt", "text", "caption", "transcript", "prompt", "response", "cls", "cls2", "label", "id", "key", "url"}
)
_JSON: Final = frozenset({"json", "jsn"})
_LONGEST: Final = 1 << 20  # bytes of one member
_BATCH: Final = 4096
_BATCH_BYTES: Final = 8 << 20
_LOOKED: Final = 64
_SHOWN: Final = 6


def is_webdataset(path: str) -> bool:
    """Whether a tar archive holds samples, by the first of its members: some with text, and several endings or a label."""
    if not path.lower().endswith(".tar") or not os.path.isfile(path):
        return False
    blob = FileBlob(path)
    try:
        names = [
            entry.name for _, entry in zip(range(_LOOKED), TarTree(blob, Budget(Limits())).entries(), strict=False)
        ]
    except WeighbridgeError:  # what is no archive is told where its bytes are inspected
        return False
    finally:
        blob.close()
    endings = [_split(name)[1] for name in names]
    keys = {_split(name)[0] for name in names}
    return any(one in TEXTS | _JSON for one in endings) and (len(keys) < len(names) or {*endings} <= TEXTS | _JSON)


def _split(name: str) -> tuple[str, str]:
    """The key and the ending of a member."""
    folder, slash, file = name.rpartition("/")
    key, _, ending = file.partition(".")
    return f"{folder}{slash}{key}", ending.lower()


class WebRows:
    """A shard as rows, one a sample. See `RowsFile`."""

    def __init__(self, path: str) -> None:
        self.path, self.format = path, "webdataset"
        self.rejected, self.notes = Rejected(), list[str]()

    def batches(self) -> Iterator[Batch]:
        """See `RowsFile.batches`. Lines count samples."""
        self.rejected, passed = Rejected(), dict[str, None]()
        blob = FileBlob(self.path)
        try:
            held: list[dict[str, Any]] = []
            first, size = 1, 0
            for sample, length in self._samples(TarTree(blob, Budget(Limits())), passed):
                held.append(sample)
                size += length
                if len(held) >= _BATCH or size > _BATCH_BYTES:
                    yield _columns(held, first)
                    first, held, size = first + len(held), [], 0
            if held:
                yield _columns(held, first)
        finally:
            blob.close()
        if passed and not self.notes:
            self.notes.append(f"passed over, as they are no text: {', '.join(list(passed)[:_SHOWN])}")

    def _samples(self, tree: TarTree, passed: dict[str, None]) -> Iterator[tuple[dict[str, Any], int]]:
        sample: dict[str, Any] = {}
        current, number, length = "", 0, 0
        for entry in tree.entries():
            key, ending = _split(entry.name)
            if entry.kind is not Kind.FILE or not ending:
                continue
            if key != current:
                if sample:
                    yield sample, length
                sample, current, number, length = {}, key, number + 1, 0
            if ending in TEXTS | _JSON:
                sample |= self._cells(tree, entry, ending, number)
                length += min(entry.size, _LONGEST)
            else:
                passed.setdefault(ending)
        if sample:
            yield sample, length

    def _cells(self, tree: TarTree, entry: Entry, ending: str, number: int) -> dict[str, Any]:
        if entry.size > _LONGEST:
            self.rejected.add(number, f"{entry.name}: longer than {_LONGEST >> 20} MiB")
            return {}
        data = tree.open(entry).read(0, _LONGEST)
        if ending not in _JSON:
            return {ending: data.decode("utf-8", "replace").strip()}
        try:
            found = msgspec.json.decode(data)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            self.rejected.add(number, f"{entry.name}: {str(error)[:160]}")
            return {}
        return found if isinstance(found, dict) else {ending: found}


def _columns(samples: list[dict[str, Any]], first: int) -> Batch:
    names = list(dict.fromkeys(name for one in samples for name in one))
    return Batch({name: [one.get(name) for one in samples] for name in names}, list(range(first, first + len(samples))))
