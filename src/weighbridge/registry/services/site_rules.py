"""Knows the organisation's own rules: CEL expressions over one versioned document of facts.

Source: Common Expression Language specification (cel.dev). An expression always ends; one that fails does not hold.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from msgspec import Struct

from weighbridge.schema import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from weighbridge.registry.services.terms import SiteRule
    from weighbridge.schema import Report

EDITION = "1"


class Objection(Struct, frozen=True, kw_only=True):
    """A rule that does not hold: what is to happen, and why."""

    rule: str
    otherwise: str
    because: str


def facts_of(
    *,
    kind: str,
    name: str,
    label: str,
    files: Iterable[tuple[str, int, str]],
    source: str,
    requester: str,
    report: Report,
) -> dict[str, Any]:
    """The document that rules are about. `files` are (path, bytes, SHA-256)."""
    return {
        "edition": EDITION,
        "artifact": {
            "type": kind,
            "name": name,
            "namespace": name.partition("/")[0],
            "revision": label,
            "files": [
                {"path": path, "size": size, "sha256": sha256, "extension": path.rpartition(".")[2].lower()}
                for path, size, sha256 in files
            ],
        },
        "source": {"upstream": source, "hosted": not source},
        "request": {"user": requester},
        "scan": {
            "outcome": report.verdict.outcome.value,
            "complete": report.complete,
            "rules": report.rules,
            "findings": [
                {"rule": one.rule, "severity": one.severity.value, "path": one.location.member}
                for one in report.findings
            ],
            "formats": sorted({entry.format for entry in report.coverage if entry.format}),
        },
        "signatures": [{"kind": proof.kind, "identity": proof.by} for proof in report.proofs],
    }


class SiteRules:
    """The rules, compiled."""

    def __init__(self, rules: Sequence[SiteRule]) -> None:
        """Raises UsageError for an expression that cannot be read."""
        self._rules = [(rule, _compiled(rule, rule.match), _compiled(rule, rule.require)) for rule in rules]

    def objections(self, facts: dict[str, Any]) -> list[Objection]:
        """The rules that speak against an artifact. A rule that cannot be evaluated speaks against it."""
        found = []
        for rule, match, require in self._rules:
            try:
                holds = match.execute({"facts": facts}) is not True or require.execute({"facts": facts}) is True
                because = "does not hold"
            except Exception as error:  # noqa: BLE001  # the engine raises whatever its functions raise
                holds, because = False, f"could not be evaluated: {error}"
            if not holds:
                found.append(Objection(rule=rule.name, otherwise=rule.otherwise, because=because))
        return found


def _compiled(rule: SiteRule, text: str) -> Any:
    import cel  # noqa: PLC0415  # native code, only where rules are judged

    try:
        return cel.compile(text)
    except ValueError as error:
        line = str(error).splitlines()[0]
        raise UsageError(
            f"the rule {rule.name!r} cannot be read: {line}", hint="an expression in CEL is needed"
        ) from error
