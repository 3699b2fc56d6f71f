"""Knows how one member becomes subjects and coverage: identify it, hand it to its reader, account for it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from msgspec import Struct

from weighbridge.detect.subjects import LimitSubject, MemberSubject, Note, Subject, TextSubject
from weighbridge.formats.pickle import Brief
from weighbridge.identify import CONTAINERS, Identity, identify
from weighbridge.inspection.readers import reader_of
from weighbridge.schema import (
    Coverage,
    Fact,
    LimitExceeded,
    Location,
    MalformedInput,
    Reason,
    Status,
    WeighbridgeError,
)

if TYPE_CHECKING:
    from weighbridge.detect.knowledge import Knowledge
    from weighbridge.detect.patterns import Pattern
    from weighbridge.inspection.budget import Account
    from weighbridge.schema import Finding
    from weighbridge.source import Blob

_HEAD: Final = 512


class Member(Struct, frozen=True):
    """One member on its way to a reader. `carrier` is the format of the container that holds it.

    `risky` is false where patterns found nothing in a package's Python that a chain could be made of.
    """

    location: Location
    blob: Blob
    identity: Identity
    depth: int
    carrier: str
    risky: bool = True

    @property
    def name(self) -> str:
        """The last part of its path, in lower case."""
        return self.location.path[-1].rsplit("/", 1)[-1].lower()

    @property
    def format(self) -> str:
        """What it was identified as."""
        return self.identity.format


class Stages:
    """Collects subjects, coverage, facts and notes of one artifact. One failing member never stops the others."""

    def __init__(
        self, account: Account, knowledge: Knowledge, *, packaged: bool = False, patterns: tuple[Pattern, ...] = ()
    ) -> None:
        self.account, self.knowledge, self.packaged, self.patterns = account, knowledge, packaged, patterns
        self.brief = Brief(settled=knowledge.settled, indifferent=knowledge.indifferent)
        self.subjects: list[Subject] = []
        self.coverage: list[Coverage] = []
        self.facts: list[Fact] = []
        self.notes: list[Note] = []
        self.findings: list[Finding] = []
        self.packages: set[tuple[str, ...]] = set()

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
        risky = self._matched(location, blob, identity.format)
        member = Member(location, blob, identity, depth, carrier, risky)
        reader_of(identity.format)(self, member)
        for other in identity.also:
            if other == "zip" and identity.format != "zip":
                reader_of("zip")(self, Member(location, blob, Identity(format="zip"), depth, carrier))

    def in_package(self, location: Location) -> bool:
        """Whether a member belongs to other people's package: rules for one's own code say nothing about it."""
        path = location.path
        return self.packaged or any(
            path[:depth] in self.packages or path[depth - 1].lower().endswith((".whl", ".egg"))
            for depth in range(1, len(path))
        )

    def _matched(self, location: Location, blob: Blob, found: str) -> bool:
        """Lay patterns over a member of a package, and the user's over every member that is no container; whether it is risky."""
        packaged = self.in_package(location)
        if not (packaged or self.patterns) or found in CONTAINERS or not blob.size:
            return True
        import hashlib  # noqa: PLC0415  # most artifacts are no packages

        from weighbridge.detect.patterns import MOST, detect_patterns  # noqa: PLC0415

        try:
            data = blob.read(0, MOST)
            findings, risky = detect_patterns(location, data, self.patterns, packaged=packaged)
        except LimitExceeded as error:
            self.bounded(location, blob.size, error.limit, error.message)
            return True
        self.findings += findings
        if packaged and len(location.path) == 2 and blob.size == len(data):
            # RECORD of a wheel is held against this, without reading every member again.
            self.note("digest", location, hashlib.sha256(data).hexdigest())
        if blob.size > MOST and self.patterns:
            detail = f"the user's rules are held against the first {MOST >> 20} MiB"
            self.bounded(location, blob.size, "text_bytes", detail)
        return risky

    def secrets(self, location: Location, blob: Blob, found: str) -> None:
        """Have the bytes of a member searched as text."""
        size = min(blob.size, self.account.limits.text_bytes)
        self.subjects.append(TextSubject(location=location, read=blob.read, size=size, format=found))

    def note(self, kind: str, location: Location, value: object) -> None:
        """Leave something for the look at the artifact as a whole."""
        self.notes.append(Note(kind=kind, path=location.path, value=value))

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
