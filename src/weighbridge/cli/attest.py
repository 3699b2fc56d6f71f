"""The verb `attest`: a signed statement about an artifact: what its inspection came to, an approval, a test, a build."""

from __future__ import annotations

import hashlib
import json
import os
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from weighbridge.cli.options import parser
from weighbridge.cli.sign import add_signer, seal
from weighbridge.cli.written import write_file
from weighbridge.schema import UsageError
from weighbridge.schema.text import plural

if TYPE_CHECKING:
    import argparse

    from weighbridge.schema import Report

_KINDS = ("scan", "approval", "test", "slsa", "vsa")


def run(arguments: list[str]) -> int:
    """Run the verb."""
    given = _parse(arguments)
    from weighbridge.provenance import attestation, predicates  # noqa: PLC0415  # loading cryptography takes a while
    from weighbridge.provenance.digest import digests, members  # noqa: PLC0415

    now = f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}"
    kind = predicates.NAMES.get(given.kind, given.kind)
    output = given.output or f"{given.path.rstrip('/')}.{given.kind.rsplit('/', 1)[-1]}.att"
    without = [os.path.realpath(name) for name in (output, f"{given.path.rstrip('/')}.sig")]
    table, refused = _predicate(given, now)
    predicates.read(kind, table)
    found = digests(members(given.path, without=without))
    if not found:
        raise UsageError(f"{given.path}: there are no files to attest", hint="give a folder with files, or a file")
    sealed, by = seal(given, attestation.statement(found, kind, table))
    write_file(output, sealed)
    print(f"{output}: {given.kind}, {plural(len(found), 'file')}, signed by {by}{f', {refused}' if refused else ''}")
    return 1 if refused else 0


def _parse(arguments: list[str]) -> argparse.Namespace:
    made = parser(
        "attest",
        "Sign a statement about every file of an artifact. `scan` and `vsa` inspect it first, and state what came out.",
        "weighbridge attest model/ --kind scan --key release",
        "Exit 0; 1 where the statement itself is that the artifact does not pass (it is written all the same).",
    )
    made.add_argument("path", help="folder or file")
    made.add_argument(
        "--kind", required=True, metavar="KIND", help=f"{', '.join(_KINDS)}, or the address of another predicate type"
    )
    made.add_argument("--predicate", metavar="FILE", help="JSON of the predicate, for test, slsa and other types")
    made.add_argument("--by", default="", metavar="NAME", help="who approves")
    made.add_argument("--reason", default="", metavar="TEXT", help="why it is approved")
    made.add_argument("--scope", action="append", default=[], metavar="NAME", help="environment it is approved for")
    made.add_argument("--expires", default="", metavar="DATE", help="when the approval ends, as 2027-01-31")
    made.add_argument("--policy", metavar="FILE", help="policy file for scan and vsa")
    made.add_argument("--output", metavar="FILE", help="the attestation (default: PATH.KIND.att)")
    add_signer(made)
    return made.parse_args(arguments)


def _predicate(given: argparse.Namespace, now: str) -> tuple[dict[str, Any], str]:
    """The predicate, and why the artifact does not pass where it says so."""
    if given.kind in {"scan", "vsa"}:
        report = _inspected(given)
        refused = "" if report.verdict.outcome.value == "admit" else f"the verdict is {report.verdict.outcome.value}"
        return (_scan(report, now) if given.kind == "scan" else _summary(given, report, now)), refused
    if given.kind == "approval":
        return _approval(given, now), ""
    if not given.predicate:
        raise UsageError(f"--kind {given.kind} needs --predicate", hint="a JSON file with what is attested")
    from weighbridge.provenance import dsse, keys  # noqa: PLC0415  # loading cryptography takes a while

    return dsse.strict_json(keys.read_bundle(given.predicate), given.predicate), ""


def _approval(given: argparse.Namespace, now: str) -> dict[str, Any]:
    if not given.by or not given.reason:
        raise UsageError("an approval says by whom and why", hint="give --by and --reason")
    if given.expires:
        try:
            datetime.strptime(given.expires, "%Y-%m-%d").replace(tzinfo=UTC)
        except ValueError:
            raise UsageError(f"--expires takes a date, not {given.expires!r}", hint="as 2027-01-31") from None
    approval = {"by": given.by, "approvedAt": now, "reason": given.reason, "scopes": given.scope}
    return {**approval, "expires": given.expires} if given.expires else approval


def _inspected(given: argparse.Namespace) -> Report:
    from weighbridge.inspection import scan  # noqa: PLC0415  # only scan and vsa inspect
    from weighbridge.policy import find_settings  # noqa: PLC0415

    return scan([given.path], policy=find_settings(given.policy).policy)


def _scan(report: Report, now: str) -> dict[str, Any]:
    from weighbridge.output import render_as  # noqa: PLC0415  # only scan writes a report

    verdict = report.verdict
    return {
        "tool": report.tool,
        "rules": report.rules,
        "policy": verdict.policy,
        "verdict": verdict.outcome.value,
        "decidedBy": verdict.decided_by,
        "complete": report.complete,
        "inspectedAt": now,
        "reportSha256": hashlib.sha256(render_as("json", report).encode()).hexdigest(),
        "findings": [
            {"rule": f.rule, "severity": f.severity.value, "member": f.location.member} for f in report.findings
        ],
    }


def _summary(given: argparse.Namespace, report: Report, now: str) -> dict[str, Any]:
    from weighbridge.provenance import predicates  # noqa: PLC0415

    return predicates.summary(
        tool=report.tool.replace(" ", "/"),
        now=now,
        resource=f"file:{os.path.basename(os.path.realpath(given.path))}",
        policy=f"urn:weighbridge:policy:{report.verdict.policy}:{hashlib.sha256(json.dumps(given.policy).encode()).hexdigest()[:12]}",
        passed=report.verdict.outcome.value == "admit",
        levels=("WEIGHBRIDGE_ADMITTED",),
    )
