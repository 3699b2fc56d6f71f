"""The verb `feed`: what is known to be bad, as one signed file."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import msgspec

from weighbridge.cli.keys import password
from weighbridge.cli.options import parser
from weighbridge.cli.written import write_file
from weighbridge.schema import SourceError, UsageError
from weighbridge.schema.text import printable

if TYPE_CHECKING:
    import argparse


def run(arguments: list[str]) -> int:
    """Run the verb."""
    made = parser(
        "feed",
        "Build, verify and fetch signed feeds of what is known to be bad: digests, names, releases, publishers, and YARA rules that find it.",
        "weighbridge feed update https://feeds.example.com/weighbridge.json --key feed.pub --output feed.json",
    )
    verbs = made.add_subparsers(dest="what", required=True, metavar="{build,verify,update}")
    build = verbs.add_parser("build", help="sign entries: a JSON list of kind, value, reason, reference; and rules")
    build.add_argument("entries", metavar="FILE")
    build.add_argument(
        "--yara",
        metavar="FILE",
        action="append",
        default=[],
        help="YARA rules that find it in any file; may be repeated",
    )
    build.add_argument("--key", required=True, metavar="FILE", help="the private key that signs the feed")
    build.add_argument("--output", required=True, metavar="FILE")
    build.add_argument("--days", type=int, default=30, help="until the feed ends (30)")
    build.add_argument(
        "--number", type=int, default=0, help="edition (default: one more than the output that is there)"
    )
    for name, text in (
        ("verify", "hold a feed against its key"),
        ("update", "fetch a feed, and keep it where it holds"),
    ):
        one = verbs.add_parser(name, help=text)
        one.add_argument("source", metavar="FILE" if name == "verify" else "FILE_OR_URL")
        one.add_argument("--key", required=True, metavar="FILE", help="the public key of its signer")
        if name == "update":
            one.add_argument("--output", required=True, metavar="FILE")
    given = made.parse_args(arguments)
    if given.what == "build":
        return _build(given)
    if given.what == "update":
        return _update(given.source, given.key, given.output)
    _show(given.source, given.key)
    return 0


def _build(given: argparse.Namespace) -> int:
    entries, key, output, number = given.entries, given.key, given.output, given.number
    from weighbridge.detect.patterns import Pattern, checked, read_patterns  # noqa: PLC0415  # it loads YARA-X
    from weighbridge.provenance import feed, keys  # noqa: PLC0415  # loading cryptography takes a while

    try:
        with open(entries, "rb") as file:
            found = msgspec.json.decode(file.read(), type=list[feed.Known])
    except OSError as error:
        raise SourceError(f"{entries}: {(error.strerror or str(error)).lower()}", hint="check the path") from error
    except msgspec.DecodeError as error:
        raise UsageError(f"{entries}: {error}", hint="a list of objects with kind, value and reason") from error
    found += [
        feed.Known(kind="rule", value=one.text, reason=os.path.basename(one.origin))
        for one in read_patterns(given.yara)
    ]
    checked(Pattern(f"{entries}: {one.reason}", one.value) for one in found if one.kind == "rule")
    private = keys.load_private(key, password())
    now = datetime.now(UTC)
    if not number and os.path.exists(output):
        number = feed.load(output, keys.described(private.public_key(), key), now).number
        number += 1
    write_file(output, feed.build(found, private, number=number or 1, now=now, days=given.days))
    print(f"{output}: edition {number or 1}, {len(found)} entries")
    return 0


def _show(path: str, key: str) -> None:
    from weighbridge.provenance import feed, keys  # noqa: PLC0415  # loading cryptography takes a while

    found = feed.load(path, keys.load_public(key), datetime.now(UTC))
    print(
        printable(
            f"{path}: edition {found.number} of {found.made}, {len(found.entries)} entries, until {found.expires}"
        )
    )


def _update(source: str, key: str, output: str) -> int:
    """Only a feed that holds takes the place of the one that is there."""
    if "://" not in source:
        from weighbridge.provenance import keys  # noqa: PLC0415  # loading cryptography takes a while

        data = keys.read_bundle(source)
    else:
        from weighbridge.source.http import Session  # noqa: PLC0415  # only where it is fetched

        data, _ = Session().document(source)
    beside = f"{output}.{os.getpid()}.part"
    try:
        write_file(beside, data)
        _show(beside, key)
        os.replace(beside, output)
    finally:
        if os.path.exists(beside):
            os.unlink(beside)
    return 0
