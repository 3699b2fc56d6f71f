"""The verb `bom`: what an artifact is made of, as CycloneDX or SPDX, each field with where it comes from."""

from __future__ import annotations

import argparse
import json
import sys
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from weighbridge.cli.options import flag, parser
from weighbridge.cli.trusted import add_trust, wanted
from weighbridge.cli.written import write_file
from weighbridge.schema import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from weighbridge.provenance.description import Description
    from weighbridge.schema import Complaint

_FORMATS = ("cyclonedx", "spdx")


def run(arguments: list[str]) -> int:
    """Run the verb."""
    if arguments[:1] == ["diff"]:
        return _diff(arguments[1:])
    given = _parse(arguments)
    now = datetime.now(UTC)
    if given.merge:
        table, found = _merged(given, now)
    else:
        if len(given.paths) != 1:
            raise UsageError("one bill is about one artifact", hint="give one path, or --merge and several bills")
        description, found = _described(given, now)
        table = _table(given, description, now)
    text = json.dumps(table, indent=1) + "\n"
    if given.output:
        write_file(given.output, text.encode())
    else:
        sys.stdout.write(text)
    if given.sign:
        _sign(given, table)
    for one in found:
        print(f"{one.rule}: {f'{one.member}: ' if one.member else ''}{one.message}", file=sys.stderr)
    return 1 if found else 0


def _parse(arguments: list[str]) -> argparse.Namespace:
    made = parser(
        "bom",
        "Write the bill of materials of an artifact. Every field says whether it was observed, declared or attested;\n"
        "contradictions between them are findings. `weighbridge bom diff OLD NEW` compares two bills.",
        "weighbridge bom model/ --base base/ --output model.cdx.json --sign release",
        "Exit 1 where what is declared contradicts what was observed; the bill is written all the same.",
    )
    made.add_argument("paths", nargs="+", metavar="PATH", help="folder or file; with --merge, bills")
    made.add_argument("--format", choices=_FORMATS, default="cyclonedx", help="CycloneDX or SPDX 3.0.1, both JSON")
    made.add_argument("--spec-version", default="1.6", metavar="VERSION", help="of CycloneDX: 1.6 or 1.7")
    made.add_argument("--base", default="", metavar="FOLDER", help="the declared base, to hold the tensors against")
    made.add_argument("--merge", action="store_true", help="join the bills of the parts of a system into one")
    made.add_argument("--name", default="system", metavar="NAME", help="of the system, with --merge")
    made.add_argument("--policy", metavar="FILE", help="policy whose waivers become VEX states")
    made.add_argument("--output", metavar="FILE", help="write the bill to this file")
    made.add_argument("--sign", metavar="KEY", help="sign the bill with this private key, into OUTPUT.att")
    add_trust(made)
    flag(made.add_argument_group("signing"), "certificates", "certificate chain in PEM, leaf first", metavar="FILE")
    given = made.parse_args(arguments)
    if given.sign and (not given.output or given.format != "cyclonedx"):
        raise UsageError("a signed bill is a CycloneDX file", hint="give --output, and no other --format")
    return given


def _described(given: argparse.Namespace, now: datetime) -> tuple[Description, list[Complaint]]:
    from weighbridge.inspection.inventory import describe  # noqa: PLC0415  # few runs need it
    from weighbridge.policy import find_settings  # noqa: PLC0415
    from weighbridge.provenance.check import attested, beside  # noqa: PLC0415
    from weighbridge.provenance.description import complaints  # noqa: PLC0415

    path, asked = given.paths[0], wanted(given)
    beyond = (*beside(path, asked), *((given.output, f"{given.output}.att") if given.output else ()))
    claims, against = attested(path, asked, now)
    made = describe(
        path, base=given.base, policy=find_settings(given.policy).policy, attested=claims, without=beyond
    )  # fmt: skip
    return made, [*against, *complaints(made)]


def _table(given: argparse.Namespace, description: Description, now: datetime) -> dict[str, Any]:
    if given.format == "spdx":
        from weighbridge.provenance.spdx import spdx  # noqa: PLC0415  # one of the two

        return spdx(description, now)
    from weighbridge.provenance.cyclonedx import VERSIONS, cyclonedx  # noqa: PLC0415

    if given.spec_version not in VERSIONS:
        raise UsageError(f"CycloneDX {given.spec_version} is not written here", hint=" or ".join(VERSIONS))
    return cyclonedx(description, now, given.spec_version)


def _merged(given: argparse.Namespace, now: datetime) -> tuple[dict[str, Any], list[Complaint]]:
    from weighbridge.provenance import bills  # noqa: PLC0415  # only where there are several

    loaded = [(path, bills.load(path)) for path in given.paths]
    return bills.merge(loaded, given.name, now), list(bills.lineage(loaded))


def _sign(given: argparse.Namespace, table: dict[str, Any]) -> None:
    """The bill as an attestation about the files that it lists."""
    from weighbridge.cli.sign import seal  # noqa: PLC0415
    from weighbridge.provenance import attestation, predicates  # noqa: PLC0415
    from weighbridge.provenance.bills import load  # noqa: PLC0415
    from weighbridge.provenance.digest import FileDigest  # noqa: PLC0415

    listed = load(given.output).files.items()
    files = [FileDigest(name=name, size=0, sha256=digest) for name, digest in listed]
    signer = argparse.Namespace(key=given.sign, certificates=given.certificates, keyless=False, sigstore="")
    sealed, by = seal(signer, attestation.statement(files, predicates.BILL, table))
    write_file(f"{given.output}.att", sealed)
    print(f"{given.output}.att: signed by {by}", file=sys.stderr)


def _diff(arguments: list[str]) -> int:
    made = parser(
        "bom diff",
        "What changed from one bill to the next: parts, versions, digests, claims, findings.",
        "weighbridge bom diff old.cdx.json new.cdx.json",
        "Exit 1 where something changed.",
    )
    made.add_argument("old", help="the earlier bill")
    made.add_argument("new", help="the later bill")
    given = made.parse_args(arguments)
    from weighbridge.provenance import bills  # noqa: PLC0415  # few runs need it

    found = list(bills.differences(bills.load(given.old), bills.load(given.new)))
    for line in _lines((one.member, one.what, one.before, one.after) for one in found):
        print(line)
    print(f"{len(found)} differences" if len(found) != 1 else "1 difference")
    return 1 if found else 0


def _lines(found: Iterable[tuple[str, str, str, str]]) -> Iterable[str]:
    for member, what, before, after in found:
        if not after:
            yield f"removed  {member}: {what} {before}".rstrip()
        elif not before:
            yield f"added    {member}: {what} {after}".rstrip()
        else:
            yield f"changed  {member}: {what} {before} → {after}"
