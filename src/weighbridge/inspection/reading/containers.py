"""Knows how containers are gone through: every member, in order, and then the container itself."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from msgspec.structs import replace

from weighbridge.detect.subjects import LimitSubject, SkopsSubject, TreeSubject
from weighbridge.identify import identify, open_container
from weighbridge.schema import Coverage, LimitExceeded, MalformedInput, Reason, SourceError, Status
from weighbridge.source import Kind

if TYPE_CHECKING:
    from weighbridge.formats.skops import SkopsNode
    from weighbridge.inspection.stages import Member, Stages
    from weighbridge.schema import Location
    from weighbridge.source import Blob, Entry, Tree

# What a name list says about a container: (role, formats, names of which all must be there, endings of its own name).
_ROLES: Final[tuple[tuple[str, str, frozenset[str], tuple[str, ...]], ...]] = (
    ("torch-tar", "tar", frozenset({"pickle", "storages", "tensors"}), ()),
    ("skops", "zip", frozenset({"schema.json"}), ()),
    ("keras", "zip", frozenset({"metadata.json", "config.json"}), ()),
    ("npz", "zip", frozenset(), (".npz",)),
)

# What makes an archive a source distribution or an npm package; the same as in `inspection.packages`.
_PACKAGE: Final = re.compile(r"(?:[^/]+/)?(?:PKG-INFO|setup\.py)\Z|[^/]+/(?:pyproject\.toml|package\.json)\Z")


def read(stages: Stages, member: Member) -> None:
    """Open a container and go through it."""
    if member.depth >= stages.account.limits.depth:
        raise LimitExceeded(f"containers are nested deeper than {member.depth}", limit="depth")
    name = member.location.path[-1].rsplit("/", 1)[-1]
    tree = open_container(member.format, member.blob, name, stages.account.bytes)
    walk(stages, member, tree)


def walk(stages: Stages, member: Member, tree: Tree) -> None:
    """Every member of a container, then the container itself."""
    from weighbridge.formats.torch import torch_kind  # noqa: PLC0415
    from weighbridge.inspection.reading import torch  # noqa: PLC0415

    location = member.location
    entries = tuple(tree.entries())
    names = [entry.name for entry in entries if entry.kind is Kind.FILE]
    kind = torch_kind(names) if tree.format == "zip" else None
    if any(map(_PACKAGE.match, names)):
        stages.packages.add(location.path)
    role = "torch" if kind else _role(tree.format, names, location.path[-1])
    if kind is not None:
        torch.read(stages, member, tree, entries, kind)
    else:
        for number, entry in enumerate(told_apart(entries)):
            each(stages, member, tree, entries[number], entry.name, role)
    if role == "skops":
        _skops(stages, location, tree, entries)
    stages.subjects.append(
        TreeSubject(
            location=location, format=tree.format, entries=entries, anomalies=tuple(tree.anomalies()), role=role
        )
    )
    cut = next((a for a in tree.anomalies() if a.oddity.name in {"CUT", "TOO_MANY"}), None)
    size = member.blob.size
    stages.coverage.append(
        Coverage(
            path=location.path,
            format=f"{tree.format} ({kind.kind})" if kind else tree.format,
            size=size,
            inspected=size,
            status=Status.TRUNCATED if cut else Status.INSPECTED,
            reason=Reason.MALFORMED if cut else Reason.NONE,
            detail=cut.detail if cut else f"{len(names)} members",
        )
    )


def each(stages: Stages, member: Member, tree: Tree, entry: Entry, name: str, carrier: str = "") -> None:
    """One member of a container, called `name` in the report."""
    where = member.location.inside(name)
    if entry.kind in {Kind.FOLDER, Kind.LINK, Kind.HARDLINK}:
        return
    if entry.kind is Kind.SPECIAL:
        stages.skipped(where, 0, Reason.NOT_REGULAR, entry.target or entry.kind.value)
        return
    blob = opened(stages, where, tree, entry)
    if blob is None:
        return
    if entry.encrypted and not _plain_after_all(stages, where, tree, entry, blob):
        return
    stages.member(where, blob, depth=member.depth + 1, carrier=carrier)
    if not entry.encrypted:
        tree.verify(entry, blob)


def opened(stages: Stages, where: Location, tree: Tree, entry: Entry) -> Blob | None:
    """The bytes of a member; None where they cannot be had, which is then in the coverage."""
    try:
        return tree.open(entry)
    except LimitExceeded as error:
        stages.bounded(where, entry.size, error.limit, error.message)
    except SourceError as error:
        stages.skipped(where, entry.size, Reason.UNREADABLE, error.message)
    except MalformedInput as error:
        unread = Reason.UNSUPPORTED if "reader" in error.message else Reason.MALFORMED
        stages.skipped(where, entry.size, Reason.ENCRYPTED if entry.encrypted else unread, error.message)
    return None


def _plain_after_all(stages: Stages, where: Location, tree: Tree, entry: Entry, blob: Blob) -> bool:
    """Whether bytes marked as encrypted turn out to be plain."""
    if identify(blob).format in {"unknown", "empty"}:
        stages.subjects.append(LimitSubject(location=where, limit="encrypted", detail="the member is encrypted"))
        stages.skipped(where, entry.size, Reason.ENCRYPTED, "the member is encrypted")
        return False
    tree.flag_is_false(entry)
    return True


def _skops(stages: Stages, location: Location, tree: Tree, entries: tuple[Entry, ...]) -> None:
    from weighbridge.formats.skops import read_skops  # noqa: PLC0415

    for entry in entries:
        if entry.name == "schema.json":
            nodes: tuple[SkopsNode, ...] = ()
            message = ""
            try:
                nodes = read_skops(tree.open(entry).read(0, stages.account.limits.text_bytes))
            except MalformedInput as error:
                message = error.message
            stages.subjects.append(
                SkopsSubject(
                    location=location.inside(entry.name), nodes=nodes, error=message, knowledge=stages.knowledge
                )
            )


def _role(form: str, names: list[str], name: str) -> str:
    known = set(names)
    for role, wanted, all_of, endings in _ROLES:
        if form == wanted and ((all_of and all_of <= known) or (endings and name.endswith(endings))):
            return role
    return "npz" if form == "zip" and names and all(n.endswith(".npy") for n in names) else ""


def told_apart(entries: tuple[Entry, ...]) -> list[Entry]:
    """The entries with names that occur again marked by their number, for paths in reports."""
    seen: dict[str, int] = {}
    shown = []
    for entry in entries:
        seen[entry.name] = seen.get(entry.name, 0) + 1
        number = seen[entry.name]
        shown.append(entry if number == 1 else replace(entry, name=f"{entry.name} (occurrence {number})"))
    return shown
