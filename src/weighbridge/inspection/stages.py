"""Knows how one member becomes subjects and coverage: identify it, read it with its reader, go inside."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from msgspec.structs import replace

from weighbridge.detect.subjects import (
    LimitSubject,
    MemberSubject,
    MsgpackSubject,
    NpySubject,
    PickleSubject,
    ProgramSubject,
    SafetensorsSubject,
    SkopsSubject,
    Subject,
    TextSubject,
    TorchSubject,
    TreeSubject,
)
from weighbridge.formats.pickle import Brief, PickleFile, looks_like_pickle, read_pickles
from weighbridge.formats.pickle.opcodes import INVALID, SHAPE
from weighbridge.identify import CONTAINERS, Identity, identify, open_container
from weighbridge.schema import (
    Coverage,
    Fact,
    LimitExceeded,
    Location,
    MalformedInput,
    Reason,
    SourceError,
    Status,
    WeighbridgeError,
)
from weighbridge.source import Blob, Entry, Kind, Slice, Tree

if TYPE_CHECKING:
    from weighbridge.detect.knowledge import Knowledge
    from weighbridge.formats.pickle import Trace
    from weighbridge.formats.skops import SkopsNode
    from weighbridge.formats.torch import TorchFacts
    from weighbridge.inspection.budget import Account

_TEXT: Final = frozenset({"text", "json", "script"})
_INERT: Final = frozenset({"media", "pdf", "lfs-pointer"})
_HEAD: Final = 512
_MSGPACK: Final = (".msgpack", ".flax")
_CODE_LIMIT: Final = 1 << 20
_PICKLE_NAMES: Final = (".pkl", ".pickle", ".dill")
_FEW: Final = 4


class Stages:
    """Collects subjects, coverage and facts of one artifact. One failing member never stops the others."""

    def __init__(self, account: Account, knowledge: Knowledge) -> None:
        self.account, self.knowledge = account, knowledge
        self.brief = Brief(settled=knowledge.settled, indifferent=knowledge.indifferent)
        self.subjects: list[Subject] = []
        self.coverage: list[Coverage] = []
        self.facts: list[Fact] = []
        self.tensors: dict[str, int] = {}

    # One member

    def member(self, location: Location, blob: Blob, *, depth: int = 0, carrier: str = "") -> None:
        """Inspect one member; whatever goes wrong ends in a coverage entry."""
        try:
            self._member(location, blob, depth, carrier)
        except LimitExceeded as error:
            self.bounded(location, blob.size, error.limit, error.message)
        except MalformedInput as error:
            self.skipped(location, blob.size, Reason.MALFORMED, error.message)
        except WeighbridgeError as error:
            self.skipped(location, blob.size, Reason.UNREADABLE, error.message)
        except Exception as error:  # noqa: BLE001  # reported as not inspected, never swallowed
            # A fault of ours on hostile bytes must neither stop the scan nor pass as clean.
            self.skipped(location, blob.size, Reason.INTERNAL, f"{type(error).__name__}: {error}")

    def _member(self, location: Location, blob: Blob, depth: int, carrier: str) -> None:
        self.account.members += 1
        if self.account.members > self.account.limits.members:
            raise LimitExceeded(f"more than {self.account.limits.members} members", limit="members")
        if self.account.late:
            raise LimitExceeded(f"the time of {self.account.limits.seconds:g} s is up", limit="seconds")
        identity = identify(blob)
        head = blob.read(0, _HEAD)
        self.subjects.append(
            MemberSubject(location=location, identity=identity, size=blob.size, head=head, carrier=carrier)
        )
        self._dispatch(location, blob, identity, depth, carrier)
        for other in identity.also:
            if other == "zip" and identity.format != "zip":
                self.container(location, blob, "zip", depth)

    def _dispatch(self, location: Location, blob: Blob, identity: Identity, depth: int, carrier: str) -> None:
        found = identity.format
        if found == "pickle":
            self.pickles(location, blob, carrier or "pickle", self._trace(blob))
        elif found in _TEXT or found == "unknown":
            self._plain(location, blob, found, carrier)
        elif found == "npy":
            self._npy(location, blob)
        elif found == "safetensors":
            self._safetensors(location, blob, identity)
        elif found == "executorch":
            self.subjects.append(ProgramSubject(location=location, head=blob.read(0, 1 << 16), size=blob.size))
            self.covered(location, found, blob.size, inspected=min(blob.size, 1 << 16))
        elif found in _INERT or identity.executable:
            self.covered(location, found, blob.size, inspected=min(blob.size, _HEAD))
        elif found == "empty":
            self.covered(location, found, 0, inspected=0)
        elif not self.container(location, blob, found, depth):
            if found == "hdf5":
                self._secrets(location, blob, found)
            self.skipped(location, blob.size, Reason.UNSUPPORTED, f"{found} has no reader here", found)

    # Pickles

    def _trace(self, blob: Blob) -> PickleFile:
        return read_pickles(self.account.watched(blob.read), blob.size, self.account.limits, self.brief)

    def pickles(
        self, location: Location, blob: Blob, carrier: str, pickles: PickleFile, *, signature: bool = True
    ) -> None:
        """Pickles of one member, accounted byte by byte."""
        raw = sum(item.length for trace in pickles.streams for item in trace.raw if item.pickle is None)
        kind = "joblib" if raw or any(trace.raw for trace in pickles.streams) else carrier
        self.subjects.append(
            PickleSubject(
                location=location,
                carrier=kind,
                pickles=pickles,
                read=blob.read,
                size=blob.size,
                knowledge=self.knowledge,
                signature=signature,
            )
        )
        self._secrets(location, blob, "pickle")
        tail = self._legacy_tail(pickles, blob.size)
        status, reason, detail = _outcome(pickles)
        self.coverage.append(
            Coverage(
                path=location.path,
                format="torch (legacy)" if pickles.legacy_torch else "pickle" if kind == carrier else kind,
                size=blob.size,
                inspected=max(0, pickles.tail - raw),
                tensor=raw + tail,
                status=status,
                reason=reason,
                detail=detail,
            )
        )
        self._weights_only(location, pickles, carrier)

    def _legacy_tail(self, pickles: PickleFile, size: int) -> int:
        if not pickles.legacy_torch:
            return 0
        from weighbridge.formats.torch import storages  # noqa: PLC0415

        known = {storage.key: storage.size for trace in pickles.streams for storage in storages(trace)}
        return min(size - pickles.tail, sum(8 + max(0, length) for length in known.values()))

    def _weights_only(self, location: Location, pickles: PickleFile, carrier: str) -> None:
        if not (pickles.legacy_torch or carrier == "torch"):
            return
        from weighbridge.formats.weights_only import refusals  # noqa: PLC0415

        reasons = [reason for trace in pickles.streams for reason in refusals(trace)]
        value = (
            "accepts it"
            if not reasons
            else f"refuses it: {reasons[0]}" + (f" (and {len(reasons) - 1} more)" if len(reasons) > 1 else "")
        )
        self.facts.append(Fact(path=location.path, name="torch.load(weights_only=True)", value=value))

    # Text and unknown bytes

    def _plain(self, location: Location, blob: Blob, found: str, carrier: str) -> None:
        first = blob.read(0, 1)
        if first and SHAPE[first[0]] != INVALID:
            pickles = self._trace(blob)
            trace = pickles.streams[0] if pickles.streams else None
            if trace is not None and (trace.calls or _is_pickle(location.path[-1], trace, pickles.tail, blob.size)):
                self.pickles(location, blob, carrier or "pickle", pickles, signature=False)
                return
        name = location.path[-1].lower()
        if found == "unknown" and (name.endswith(_MSGPACK) or _is_map(first)):
            from weighbridge.formats.msgpack import read_msgpack  # noqa: PLC0415  # readers load when needed

            facts = read_msgpack(blob)
            if name.endswith(_MSGPACK) or (facts.end == blob.size and facts.items > 1):
                self.subjects.append(MsgpackSubject(location=location, facts=facts, size=blob.size))
                self.covered(
                    location, "msgpack", blob.size, inspected=facts.end - facts.tensor_bytes, tensor=facts.tensor_bytes
                )
                return
        if found == "unknown":
            self.skipped(
                location, blob.size, Reason.UNSUPPORTED, "the content is of no format that is known here", found
            )
            return
        self._secrets(location, blob, found)
        self.covered(location, found, blob.size, inspected=min(blob.size, self.account.limits.text_bytes))

    def _secrets(self, location: Location, blob: Blob, found: str) -> None:
        size = min(blob.size, self.account.limits.text_bytes)
        self.subjects.append(TextSubject(location=location, read=blob.read, size=size, format=found))

    # Plain formats

    def _npy(self, location: Location, blob: Blob) -> None:
        from weighbridge.formats.numpy import read_npy  # noqa: PLC0415

        header, problem = None, None
        try:
            header = read_npy(blob)
        except MalformedInput as error:
            problem = error
        self.subjects.append(NpySubject(location=location, header=header, error=problem, size=blob.size))
        if header is None:
            self.skipped(location, blob.size, Reason.MALFORMED, problem.message if problem else "", "npy")
            return
        if header.objects:
            body = Slice(blob, header.data, blob.size)
            self.pickles(location.inside("objects"), body, "npy", self._trace(body))
            self.covered(location, "npy", blob.size, inspected=blob.size)
            return
        self.covered(
            location, "npy", blob.size, inspected=header.data, tensor=min(header.size, blob.size - header.data)
        )

    def _safetensors(self, location: Location, blob: Blob, identity: Identity) -> None:
        from weighbridge.formats.safetensors import read_safetensors  # noqa: PLC0415

        facts, message, too_long = None, "", False
        try:
            facts = read_safetensors(blob)
        except MalformedInput as error:
            message = error.message
        except LimitExceeded as error:
            message, too_long = error.message, True
        self.subjects.append(
            SafetensorsSubject(location=location, facts=facts, error=message, too_long=too_long, also=identity.also)
        )
        if facts is None:
            reason = Reason.LIMIT if too_long else Reason.MALFORMED
            self.skipped(location, blob.size, reason, message, "safetensors")
            return
        if facts.metadata:
            size = min(facts.header, self.account.limits.text_bytes)
            self.subjects.append(
                TextSubject(location=location, read=blob.read, size=size, base=8, format="safetensors")
            )
        if len(location.path) == 1:
            self.tensors[location.path[0]] = sum(tensor.end - tensor.start for tensor in facts.tensors)
        tensor = sum(
            tensor.end - tensor.start for tensor in facts.tensors if 0 <= tensor.start <= tensor.end <= blob.size
        )
        self.covered(
            location, "safetensors", blob.size, inspected=facts.data, tensor=min(tensor, blob.size - facts.data)
        )

    # Containers

    def container(self, location: Location, blob: Blob, found: str, depth: int) -> bool:
        """Go inside a container; False where the format is none."""
        if found not in CONTAINERS:
            return False
        if depth >= self.account.limits.depth:
            raise LimitExceeded(f"containers are nested deeper than {depth}", limit="depth")
        tree = open_container(found, blob, location.path[-1].rsplit("/", 1)[-1], self.account.bytes)
        self.tree(location, tree, blob.size, depth)
        return True

    def tree(self, location: Location, tree: Tree, size: int, depth: int) -> None:
        """Every member of a container, then the container itself."""
        from weighbridge.formats.torch import torch_kind  # noqa: PLC0415

        entries = tuple(tree.entries())
        names = [entry.name for entry in entries if entry.kind is Kind.FILE]
        torch = torch_kind(names) if tree.format == "zip" else None
        role = "torch" if torch else _role(tree.format, names, location.path[-1])
        if torch is not None:
            self._torch(location, tree, entries, torch, depth)
        else:
            for number, entry in enumerate(_told_apart(entries)):
                self._entry(location, tree, entries[number], entry.name, depth)
        if role == "skops":
            self._skops(location, tree, entries)
        self.subjects.append(
            TreeSubject(
                location=location, format=tree.format, entries=entries, anomalies=tuple(tree.anomalies()), role=role
            )
        )
        cut = next((a for a in tree.anomalies() if a.oddity.name in {"CUT", "TOO_MANY"}), None)
        status = Status.TRUNCATED if cut else Status.INSPECTED
        detail = cut.detail if cut else f"{len(names)} members"
        shown = f"{tree.format} ({torch.kind})" if torch else tree.format
        self.coverage.append(
            Coverage(
                path=location.path, format=shown, size=size, inspected=size, status=status,
                reason=Reason.MALFORMED if cut else Reason.NONE, detail=detail,
            )
        )  # fmt: skip

    def _entry(self, location: Location, tree: Tree, entry: Entry, name: str, depth: int, carrier: str = "") -> None:
        where = location.inside(name)
        if entry.kind in {Kind.FOLDER, Kind.LINK, Kind.HARDLINK}:
            return
        if entry.kind is Kind.SPECIAL:
            self.skipped(where, 0, Reason.NOT_REGULAR, entry.target or entry.kind.value)
            return
        blob = self._open(where, tree, entry)
        if blob is None:
            return
        if entry.encrypted:
            self._encrypted(where, tree, entry, blob, depth)
            return
        self.member(where, blob, depth=depth + 1, carrier=carrier)
        tree.verify(entry, blob)

    def _open(self, where: Location, tree: Tree, entry: Entry) -> Blob | None:
        try:
            return tree.open(entry)
        except LimitExceeded as error:
            self.bounded(where, entry.size, error.limit, error.message)
        except SourceError as error:
            self.skipped(where, entry.size, Reason.UNREADABLE, error.message)
        except MalformedInput as error:
            reason = (
                Reason.ENCRYPTED
                if entry.encrypted
                else Reason.UNSUPPORTED
                if "reader" in error.message
                else Reason.MALFORMED
            )
            self.skipped(where, entry.size, reason, error.message)
        return None

    def _encrypted(self, where: Location, tree: Tree, entry: Entry, blob: Blob, depth: int) -> None:
        """Bytes marked as encrypted: inspect them where they turn out to be plain."""
        identity = identify(blob)
        if identity.format in {"unknown", "empty"}:
            self.subjects.append(LimitSubject(location=where, limit="encrypted", detail="the member is encrypted"))
            self.skipped(where, entry.size, Reason.ENCRYPTED, "the member is encrypted")
            return
        tree.flag_is_false(entry)
        self.member(where, blob, depth=depth + 1)

    # Torch and skops

    def _torch(self, location: Location, tree: Tree, entries: tuple[Entry, ...], facts: TorchFacts, depth: int) -> None:
        from weighbridge.formats.torch import storages  # noqa: PLC0415

        pickled: dict[str, PickleFile] = {}
        texts: dict[str, str] = {}
        declared: set[str] = set()
        sizes = {entry.name: entry.size for entry in entries}
        shown = _told_apart(entries)
        later = []
        for entry, told in zip(entries, shown, strict=True):
            if entry.name.endswith(".pkl") and entry.kind is Kind.FILE:
                self._entry(location, tree, entry, told.name, depth, "torch")
                found = self._pickles_at(location.inside(told.name))
                if found is not None:
                    pickled[told.name] = found
                    root = entry.name.rpartition("/")[0]
                    declared |= {
                        f"{root}/data/{s.key}" if root else f"data/{s.key}" for t in found.streams for s in storages(t)
                    }
            else:
                later.append((entry, told))
        for entry, told in later:
            if entry.name in declared or _is_storage(entry.name, facts):
                self._storage(location, tree, entry, told.name, pickled)
            else:
                self._entry(location, tree, entry, told.name, depth, "torch")
                found = self._pickles_at(location.inside(told.name))
                if found is not None:
                    pickled[told.name] = found
                if entry.name.removeprefix(f"{facts.root}/") in {
                    *facts.code,
                    "version",
                    "byteorder",
                    ".format_version",
                }:
                    texts[told.name] = self._text(tree, entry)
        if len(location.path) == 1:
            known = {storage.key: storage.size for p in pickled.values() for t in p.streams for storage in storages(t)}
            self.tensors[location.path[0]] = sum(size for size in known.values() if size > 0)
        marks = {name.rpartition("/")[2]: text.strip() for name, text in texts.items()}
        facts = replace(facts, version=marks.get("version", ""), byteorder=marks.get("byteorder", ""))
        self.subjects.append(
            TorchSubject(
                location=location, facts=facts, pickles=pickled, sizes=sizes, texts=texts, knowledge=self.knowledge
            )
        )

    def _storage(self, location: Location, tree: Tree, entry: Entry, name: str, pickled: dict[str, PickleFile]) -> None:
        """Raw numbers of a tensor: sniffed, not parsed, unless they are something else."""
        where = location.inside(name)
        blob = self._open(where, tree, entry)
        if blob is None:
            return
        head = blob.read(0, 256)
        identity = identify(blob) if head[:2] in {b"MZ", b"PK", b"\x7fE"} else Identity(format="tensor")
        if identity.executable or identity.format == "zip":
            self.member(where, blob, depth=self.account.limits.depth - 1)
            return
        if looks_like_pickle(head):
            pickles = self._trace(blob)
            if any(t.active and (t.finished or t.calls) for t in pickles.streams):
                pickled[name] = pickles
                self.pickles(where, blob, "torch", pickles)
                return
        self.covered(where, "tensor", blob.size, tensor=blob.size)

    def _pickles_at(self, location: Location) -> PickleFile | None:
        last = next((s for s in reversed(self.subjects) if isinstance(s, PickleSubject)), None)
        return last.pickles if last is not None and last.location.path == location.path else None

    def _text(self, tree: Tree, entry: Entry) -> str:
        try:
            return tree.open(entry).read(0, _CODE_LIMIT).decode("utf-8", "replace")
        except WeighbridgeError:
            return ""

    def _skops(self, location: Location, tree: Tree, entries: tuple[Entry, ...]) -> None:
        from weighbridge.formats.skops import read_skops  # noqa: PLC0415

        for entry in entries:
            if entry.name == "schema.json":
                nodes: tuple[SkopsNode, ...] = ()
                message = ""
                try:
                    nodes = read_skops(tree.open(entry).read(0, self.account.limits.text_bytes))
                except MalformedInput as error:
                    message = error.message
                self.subjects.append(
                    SkopsSubject(
                        location=location.inside(entry.name), nodes=nodes, error=message, knowledge=self.knowledge
                    )
                )

    # Coverage

    def covered(self, location: Location, found: str, size: int, *, inspected: int = 0, tensor: int = 0) -> None:
        """A member that was looked at from end to end."""
        self.coverage.append(Coverage(path=location.path, format=found, size=size, inspected=inspected, tensor=tensor))

    def skipped(self, location: Location, size: int, reason: Reason, detail: str, found: str = "unknown") -> None:
        """A member that was not looked at, with the reason."""
        self.coverage.append(
            Coverage(path=location.path, format=found, size=size, status=Status.SKIPPED, reason=reason, detail=detail)
        )

    def bounded(self, location: Location, size: int, limit: str, detail: str) -> None:
        """A member where a bound was hit: a finding and a coverage entry."""
        self.subjects.append(LimitSubject(location=location, limit=limit, detail=detail))
        self.coverage.append(
            Coverage(
                path=location.path,
                format="unknown",
                size=size,
                status=Status.TRUNCATED,
                reason=Reason.LIMIT,
                detail=detail,
            )
        )


def _outcome(pickles: PickleFile) -> tuple[Status, Reason, str]:
    limit = pickles.limit or next((trace.limit for trace in pickles.streams if trace.limit), "")
    if limit:
        return Status.TRUNCATED, Reason.LIMIT, f"bound on {limit}"
    broken = next((trace for trace in pickles.streams if not trace.finished), None)
    if broken is not None:
        return Status.TRUNCATED, Reason.MALFORMED, f"{broken.broken} at byte {broken.broken_at}"
    return Status.INSPECTED, Reason.NONE, ""


def _is_pickle(name: str, trace: Trace, tail: int, size: int) -> bool:
    """Whether bytes without a signature are a pickle: by what they do, by filling the file, or by their name."""
    if name.lower().endswith(_PICKLE_NAMES):
        return True
    return trace.finished and (trace.active or (tail == size and trace.opcodes > _FEW))


def _is_map(first: bytes) -> bool:
    return bool(first) and (0x80 <= first[0] <= 0x8F or first[0] in {0xDE, 0xDF})


def _role(form: str, names: list[str], name: str) -> str:
    if form == "tar" and {"pickle", "storages", "tensors"} <= set(names):
        return "torch-tar"
    if form != "zip":
        return ""
    if "schema.json" in names:
        return "skops"
    if name.endswith(".npz") or (names and all(n.endswith(".npy") for n in names)):
        return "npz"
    return ""


def _is_storage(name: str, facts: TorchFacts) -> bool:
    """Members of `data/` and `constants/` that are numbers by convention, declared or not."""
    inner = name.removeprefix(f"{facts.root}/")
    folder, _, last = inner.rpartition("/")
    return folder in {"data", "constants", "data/weights", "data/constants", ".data"} and (
        last.isdigit() or last.startswith(("weight_", "constant_", "tensor_")) or last.endswith(".storage")
    )


def _told_apart(entries: tuple[Entry, ...]) -> list[Entry]:
    """The entries with names that occur again marked by their number, for paths in reports."""
    seen: dict[str, int] = {}
    shown = []
    for entry in entries:
        seen[entry.name] = seen.get(entry.name, 0) + 1
        number = seen[entry.name]
        shown.append(entry if number == 1 else replace(entry, name=f"{entry.name} (occurrence {number})"))
    return shown
