"""Knows the two passes over a torch container: its pickles first, then the storages that they declare."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from msgspec.structs import replace

from weighbridge.detect.subjects import PickleSubject, TorchSubject
from weighbridge.formats.pickle import looks_like_pickle
from weighbridge.identify import Identity, identify
from weighbridge.inspection.reading import containers, pickles
from weighbridge.schema import WeighbridgeError
from weighbridge.source import Kind

if TYPE_CHECKING:
    from weighbridge.formats.pickle import PickleFile
    from weighbridge.formats.torch import TorchFacts
    from weighbridge.inspection.stages import Member, Stages
    from weighbridge.schema import Location
    from weighbridge.source import Entry, Tree

_CODE_LIMIT: Final = 1 << 20
_MARKS: Final = ("version", "byteorder", ".format_version")


def read(stages: Stages, member: Member, tree: Tree, entries: tuple[Entry, ...], facts: TorchFacts) -> None:
    """Every member of a torch archive, and what they say together."""
    from weighbridge.formats.torch import storages  # noqa: PLC0415

    location = member.location
    pickled: dict[str, PickleFile] = {}
    texts: dict[str, str] = {}
    declared: set[str] = set()
    later = []
    for entry, told in zip(entries, containers.told_apart(entries), strict=True):
        if not (entry.name.endswith(".pkl") and entry.kind is Kind.FILE):
            later.append((entry, told))
            continue
        containers.each(stages, member, tree, entry, told.name, "torch")
        found = _pickles_at(stages, location.inside(told.name))
        if found is not None:
            pickled[told.name] = found
            root = entry.name.rpartition("/")[0]
            declared |= {
                f"{root}/data/{s.key}" if root else f"data/{s.key}" for t in found.streams for s in storages(t)
            }
    for entry, told in later:
        if entry.name in declared or _is_storage(entry.name, facts):
            _storage(stages, member, tree, entry, told.name, pickled)
            continue
        containers.each(stages, member, tree, entry, told.name, "torch")
        found = _pickles_at(stages, location.inside(told.name))
        if found is not None:
            pickled[told.name] = found
        if entry.name.removeprefix(f"{facts.root}/") in {*facts.code, *_MARKS}:
            texts[told.name] = _text(tree, entry)
    known = {storage.key: storage.size for p in pickled.values() for t in p.streams for storage in storages(t)}
    stages.note("tensor bytes", location, sum(size for size in known.values() if size > 0))
    marks = {name.rpartition("/")[2]: text.strip() for name, text in texts.items()}
    facts = replace(facts, version=marks.get("version", ""), byteorder=marks.get("byteorder", ""))
    stages.subjects.append(
        TorchSubject(
            location=location,
            facts=facts,
            pickles=pickled,
            sizes={entry.name: entry.size for entry in entries},
            texts=texts,
            knowledge=stages.knowledge,
        )
    )


def _storage(
    stages: Stages, member: Member, tree: Tree, entry: Entry, name: str, pickled: dict[str, PickleFile]
) -> None:
    """Raw numbers of a tensor: sniffed, not parsed, unless they are something else."""
    where = member.location.inside(name)
    blob = containers.opened(stages, where, tree, entry)
    if blob is None:
        return
    head = blob.read(0, 256)
    identity = identify(blob) if head[:2] in {b"MZ", b"PK", b"\x7fE"} else Identity(format="tensor")
    if identity.executable or identity.format == "zip":
        stages.member(where, blob, depth=stages.account.limits.depth - 1)
        return
    if looks_like_pickle(head):
        found = pickles.trace(stages, blob)
        if any(t.active and (t.finished or t.calls) for t in found.streams):
            pickled[name] = found
            pickles.account(stages, where, blob, "torch", found)
            return
    stages.covered(where, "tensor", blob.size, tensor=blob.size)


def _pickles_at(stages: Stages, location: Location) -> PickleFile | None:
    last = next((s for s in reversed(stages.subjects) if isinstance(s, PickleSubject)), None)
    return last.pickles if last is not None and last.location.path == location.path else None


def _text(tree: Tree, entry: Entry) -> str:
    try:
        return tree.open(entry).read(0, _CODE_LIMIT).decode("utf-8", "replace")
    except WeighbridgeError:
        return ""


def _is_storage(name: str, facts: TorchFacts) -> bool:
    """Members of `data/` and `constants/` that are numbers by convention, declared or not."""
    inner = name.removeprefix(f"{facts.root}/")
    folder, _, last = inner.rpartition("/")
    return folder in {"data", "constants", "data/weights", "data/constants", ".data"} and (
        last.isdigit() or last.startswith(("weight_", "constant_", "tensor_")) or last.endswith(".storage")
    )
