"""Knows how a policy is written: named statements in TOML, and waivers with reason, owner and expiry."""

from __future__ import annotations

import os
from datetime import date
from typing import TYPE_CHECKING, Any, Final

import msgspec
from msgspec import Struct

from weighbridge.dependencies.wanted import Demands
from weighbridge.names import Own
from weighbridge.provenance.wanted import Wanted
from weighbridge.rules import find_rule, is_rule
from weighbridge.schema import Finding, Limits, Outcome, Severity, UsageError, Verdict

if TYPE_CHECKING:
    from collections.abc import Mapping

    from weighbridge.policy.testing import TestPlan

FILES: Final = ("weighbridge.toml", "pyproject.toml")


def matches(text: str, pattern: str) -> bool:
    """Whether text fits a shell pattern, by case."""
    from fnmatch import fnmatchcase  # noqa: PLC0415  # most policies name no pattern

    return fnmatchcase(text, pattern)


class Statement(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Findings that match all of `severity`, `rules` and `effects` lead to `outcome`. Empty means any.

    `rules` are ids or patterns such as `TCH-*`; `effects` are the letters of the catalogue.
    """

    name: str
    outcome: Outcome
    severity: tuple[Severity, ...] = ()
    rules: tuple[str, ...] = ()
    effects: str = ""

    def holds(self, finding: Finding) -> bool:
        """Whether a finding falls under this statement."""
        if self.severity and finding.severity not in self.severity:
            return False
        if self.rules and not any(matches(finding.rule, pattern) for pattern in self.rules):
            return False
        return not self.effects or any(effect in find_rule(finding.rule).effects for effect in self.effects)


class Waiver(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A decision that a finding is accepted: where, why, by whom and until when."""

    rule: str
    path: str
    reason: str
    owner: str
    expires: date

    def covers(self, finding: Finding, today: date) -> bool:
        """Whether this waiver accepts a finding today."""
        return (
            finding.rule == self.rule
            and today <= self.expires
            and (matches(finding.location.member, self.path) or matches(finding.location.path[0], self.path))
        )


DEFAULT: Final = (
    Statement(
        name="no harmful packages",
        outcome=Outcome.BLOCK,
        severity=(Severity.CRITICAL, Severity.HIGH),
        rules=("PKG-*",),
    ),
    Statement(
        name="no code in weights", outcome=Outcome.BLOCK, severity=(Severity.CRITICAL, Severity.HIGH), effects="X"
    ),
    Statement(name="nothing of high severity", outcome=Outcome.BLOCK, severity=(Severity.CRITICAL, Severity.HIGH)),
    Statement(name="medium findings are reviewed", outcome=Outcome.REVIEW, severity=(Severity.MEDIUM,)),
)


class Policy(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Statements in order of precedence within an outcome, and what an incomplete inspection means."""

    name: str = "strict"
    statements: tuple[Statement, ...] = DEFAULT
    incomplete: Outcome = Outcome.REVIEW
    waivers: tuple[Waiver, ...] = ()
    today: date = msgspec.field(default_factory=date.today)

    def pending(self) -> Verdict:
        """The verdict of a report that has not been judged."""
        return Verdict(outcome=Outcome.REVIEW, decided_by="", because="not judged yet", policy=self.name)


class Settings(Struct, frozen=True, kw_only=True):
    """What a configuration file may say."""

    policy: Policy = Policy()
    limits: Limits = Limits()
    knowledge: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    provenance: Wanted = Wanted()
    names: Own = Own()
    dependencies: Demands = Demands()
    tests: tuple[TestPlan, ...] = ()
    registry: dict[str, Any] = {}
    source: str = ""


class _File(Struct, forbid_unknown_fields=True, kw_only=True):
    policy: dict[str, Any] = {}
    waiver: list[dict[str, Any]] = []
    limits: dict[str, Any] = {}
    knowledge: dict[str, list[str]] = {}
    scan: dict[str, Any] = {}
    provenance: dict[str, Any] = {}
    names: dict[str, Any] = {}
    dependencies: dict[str, Any] = {}
    test: list[dict[str, Any]] = []
    registry: dict[str, Any] = {}


def _tests(rows: list[dict[str, Any]]) -> tuple[TestPlan, ...]:
    """Raises ValidationError, and UsageError for a budget that is none."""
    if not rows:
        return ()
    from weighbridge.policy.testing import TestPlan as Plan  # noqa: PLC0415  # few configurations have plans
    from weighbridge.policy.testing import seconds_of  # noqa: PLC0415

    plans = msgspec.convert(rows, tuple[Plan, ...])
    for one in plans:
        seconds_of(one.budget)
    return plans


def find_settings(explicit: str | None, folder: str = ".") -> Settings:
    """Read the named file, else weighbridge.toml or [tool.weighbridge] in `folder`, else the defaults.

    The artifact under inspection is never searched for configuration. Raises UsageError for a broken file.
    """
    if explicit is not None:
        if not os.path.isfile(explicit):
            raise UsageError(f"{explicit}: no such policy file", hint="check the path given with --policy")
        return read_settings(explicit)
    for name in FILES:
        path = os.path.join(folder, name)
        if os.path.isfile(path):
            settings = read_settings(path)
            if settings.source:
                return settings
    return Settings()


def read_settings(path: str) -> Settings:
    """Settings of one TOML file."""
    import tomllib  # noqa: PLC0415  # only where a file exists

    try:
        with open(path, "rb") as file:
            document = tomllib.load(file)
    except (OSError, ValueError) as error:
        raise UsageError(f"{path}: {error}", hint="correct the file") from error
    if os.path.basename(path) == "pyproject.toml":
        document = document.get("tool", {}).get("weighbridge")
        if document is None:
            return Settings()
    return parse_settings(document, path)


def parse_settings(document: Mapping[str, Any], source: str) -> Settings:
    """Settings of a parsed document. Raises UsageError that names the key that is wrong."""
    try:
        file = msgspec.convert(document, _File)
        fields = dict(file.policy)
        if "statement" in fields:
            fields["statements"] = fields.pop("statement")
        policy = msgspec.convert({**fields, "waivers": file.waiver}, Policy)
        limits = msgspec.convert(file.limits, Limits)
        provenance = msgspec.convert(file.provenance, Wanted)
        known = msgspec.convert(file.names, Own)
        dependencies = msgspec.convert(file.dependencies, Demands)
        tests = _tests(file.test)
        scan = dict(file.scan)
        exclude = tuple(scan.pop("exclude", ()))
        if scan:
            raise UsageError(f"{source}: [scan] does not know {', '.join(scan)}", hint="known: exclude")
    except msgspec.ValidationError as error:
        raise UsageError(f"{source}: {error}", hint="see docs/reference/policy.md") from error
    for waiver in policy.waivers:
        if not is_rule(waiver.rule):
            raise UsageError(f"{source}: a waiver names the unknown rule {waiver.rule}", hint="weighbridge rule --list")
        if not waiver.reason.strip() or not waiver.owner.strip():
            raise UsageError(f"{source}: the waiver of {waiver.rule} has no reason or owner", hint="both are required")
    names = tuple(name for group in file.knowledge.values() for name in group)
    return Settings(
        policy=policy,
        limits=limits,
        knowledge=names,
        exclude=exclude,
        provenance=provenance,
        names=known,
        dependencies=dependencies,
        tests=tests,
        registry=file.registry,
        source=source,
    )
