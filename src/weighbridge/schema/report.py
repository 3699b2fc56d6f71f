"""Knows the shape of a whole inspection: what arrived, what was found, what was looked at."""

from __future__ import annotations

from msgspec import Struct

from weighbridge.schema.comparison import Comparison
from weighbridge.schema.coverage import Coverage, Status
from weighbridge.schema.data import Profile
from weighbridge.schema.finding import Finding
from weighbridge.schema.provenance import Proof
from weighbridge.schema.verdict import Verdict

SCHEMA = "https://weighbridge.dev/schema/report/v1"


class Fact(Struct, frozen=True, kw_only=True):
    """Something true about a member that is no finding, such as what a loader would say to it."""

    path: tuple[str, ...]
    name: str
    value: str


class Artifact(Struct, frozen=True, kw_only=True):
    """What arrived. `size` counts bytes of all files; `sha256` is set where hashing was asked for.

    `received` counts bytes that came over the network for this inspection; what the cache held is not among them.
    """

    name: str
    size: int
    files: int
    sha256: str = ""
    received: int = 0


class Report(Struct, frozen=True, kw_only=True):
    """One artifact with its findings, coverage, facts, proofs of where it comes from, profiles of its data, and verdict.

    The same bytes, rules and policy give the same report: it holds no time and no host name.
    """

    artifact: Artifact
    findings: tuple[Finding, ...]
    coverage: tuple[Coverage, ...]
    verdict: Verdict
    facts: tuple[Fact, ...] = ()
    proofs: tuple[Proof, ...] = ()
    comparison: Comparison | None = None
    profiles: tuple[Profile, ...] = ()
    tool: str = ""
    rules: str = ""
    schema: str = SCHEMA

    @property
    def complete(self) -> bool:
        """Whether every member was looked at from end to end."""
        return all(entry.status is Status.INSPECTED for entry in self.coverage)
