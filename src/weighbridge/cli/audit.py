"""The verb `audit`: what a project or an environment depends on, and what is wrong with it."""

from __future__ import annotations

import os
import sys
import time
from typing import TYPE_CHECKING, Final

from weighbridge.cli.exits import exit_code
from weighbridge.cli.options import flag, parser
from weighbridge.cli.written import add_output, write, write_file
from weighbridge.schema import SourceError, UsageError
from weighbridge.schema.text import plural

if TYPE_CHECKING:
    import argparse

    from weighbridge.inspection.audit import Audit

_HERE: Final = "the environment at hand"


def run(arguments: list[str]) -> int:
    """Run the verb."""
    given = _parser().parse_args(arguments)
    from weighbridge.dependencies.advisories import default_path  # noqa: PLC0415  # --help needs none of it

    path = given.advisories or default_path()
    gaps: tuple[str, ...] = ()
    asked = [one for one in given.update or () if one]
    weighing = given.kev or given.epss
    if given.update is not None or weighing:
        gaps = _updated(given, path, asked)
    if given.export:
        from weighbridge.inspection.refresh import export  # noqa: PLC0415  # few runs need it

        export(path, given.export)
        print(f"{given.export}: weighbridge sign {given.export} --key KEY makes it fit to travel", file=sys.stderr)
    maintained = given.update is not None or weighing or given.export
    if maintained and not given.paths and given.environment is None:
        return 3 if gaps else 0
    return _audited(given, path, gaps)


def _parser() -> argparse.ArgumentParser:
    made = parser(
        "audit",
        "Say what a project or an environment depends on, and what is wrong with it: malicious and vulnerable versions,\n"
        "look-alike names, loose pins, open indexes, young releases, changed files. Nothing leaves this machine.",
        "weighbridge audit .   ·   weighbridge audit --environment .venv   ·   weighbridge audit --update",
        "Exit 3 where advisories are missing, too old or could not be fetched: that is never the same as clean.",
    )
    made.add_argument(
        "paths",
        nargs="*",
        metavar="PATH",
        help="a project, a requirements file, lock, bill of materials … (default: .)",
    )
    made.add_argument(
        "--environment",
        nargs="?",
        const=_HERE,
        metavar="FOLDER",
        help="installed packages (default: the active virtual environment); RECORD is verified",
    )
    data = made.add_argument_group("advisories")
    flag(data, "advisories", "where they are kept", metavar="FILE", default="")
    data.add_argument(
        "--update",
        nargs="*",
        metavar="FILE",
        help="bring them up to date: from the network, or from OSV archives and records, or from a signed copy",
    )
    flag(data, "mirror", "where OSV's archives are fetched from", metavar="URL", default="")
    data.add_argument("--key", action="append", default=[], metavar="FILE", help="public key of a signed copy")
    data.add_argument(
        "--export", metavar="FILE", help="write a copy for machines without a network; sign it with weighbridge sign"
    )
    data.add_argument("--kev", metavar="FILE", help="CISA's list of exploited weaknesses, in JSON")
    data.add_argument("--epss", metavar="FILE", help="FIRST's EPSS scores, in CSV or gzipped CSV")
    mending = made.add_argument_group("mending")
    mending.add_argument("--fix", action="store_true", help="name the smallest upgrades that end what is known")
    mending.add_argument(
        "--write", action="store_true", help="with --fix: write them into requirements, pyproject.toml and package.json"
    )
    verdict = made.add_argument_group("verdict")
    flag(verdict, "policy", "policy file", metavar="FILE")
    verdict.add_argument(
        "--attestations",
        metavar="FOLDER",
        help="provenance of packages; [provenance] of the configuration says who is trusted",
    )
    verdict.add_argument("--baseline", metavar="FILE", help="a report in JSON; what stands in it is not told again")
    add_output(made)
    return made


def _audited(given: argparse.Namespace, path: str, gaps: tuple[str, ...]) -> int:
    from datetime import UTC, datetime  # noqa: PLC0415  # --help needs none of it

    from weighbridge.inspection.audit import Order, attested, audit  # noqa: PLC0415
    from weighbridge.policy import find_settings  # noqa: PLC0415

    if given.write and not given.fix:
        raise UsageError("--write goes with --fix", hint="weighbridge audit --fix --write")
    started = time.perf_counter()
    settings = find_settings(given.policy)
    environments = (
        () if given.environment is None else (given.environment if given.environment != _HERE else _active(),)
    )
    order = Order(
        paths=tuple(given.paths or (() if environments else (".",))),
        environments=environments,
        advisories=path,
        demands=settings.dependencies,
        names=settings.names,
        known=_baseline(given.baseline),
        gaps=gaps,
        attested=attested(given.attestations, settings.provenance, datetime.now(UTC)) if given.attestations else {},
    )
    done = audit(order, settings.policy)
    write(given, done.report, time.perf_counter() - started)
    if given.fix:
        _mend(given, done)
    return exit_code(done.report)


def _active() -> str:
    """The virtual environment that is active, else the one that this program runs in."""
    return os.environ.get("VIRTUAL_ENV") or sys.prefix


def _baseline(path: str | None) -> frozenset[tuple[str, str, str]]:
    if path is None:
        return frozenset()
    import msgspec  # noqa: PLC0415  # few runs have one

    from weighbridge.output.json_file import from_json  # noqa: PLC0415

    try:
        report = from_json(_bytes(path))
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise UsageError(
            f"{path}: not a report in JSON", hint="weighbridge audit --format json --output FILE"
        ) from error
    return frozenset((one.rule, one.location.path[0], one.message) for one in report.findings)


def _updated(given: argparse.Namespace, path: str, asked: list[str]) -> tuple[str, ...]:
    """Bring the advisories up to date; what could not be reached, in words."""
    from weighbridge.dependencies.advisories import weigh  # noqa: PLC0415  # few runs need it
    from weighbridge.inspection import refresh  # noqa: PLC0415

    gaps: list[str] = []
    copies = [name for name in asked if name.endswith((".db", ".sqlite"))]
    files = [name for name in asked if name not in copies]
    for copy in copies:
        _verify(copy, given.key)
        print(f"{copy}: {plural(refresh.from_copy(path, copy), 'record')}", file=sys.stderr)
    if files:
        taken, broken = refresh.from_files(path, files)
        print(f"{plural(taken, 'record')} taken", file=sys.stderr)
        gaps += [f"{plural(len(broken), 'record')} could not be read, the first is {broken[0]}"] if broken else []
    if given.update is not None and not asked:
        gaps += _fetched(given, path)
    if given.kev or given.epss:
        weigh(path, exploited=_bytes(given.kev), likely=_bytes(given.epss))
    return tuple(gaps)


def _fetched(given: argparse.Namespace, path: str) -> list[str]:
    from weighbridge.inspection import refresh  # noqa: PLC0415  # few runs need it
    from weighbridge.source.http import Session  # noqa: PLC0415

    try:
        for ecosystem, taken in refresh.from_network(path, Session(), (given.mirror or refresh.MIRROR).rstrip("/")):
            print(f"{ecosystem}: {plural(taken, 'record')} taken", file=sys.stderr)
    except SourceError as error:
        print(f"weighbridge: {error.message}\n  hint: {error.hint}", file=sys.stderr)
        return [f"the source of advisories could not be reached: {error.message}"]
    return []


def _verify(copy: str, keys: list[str]) -> None:
    """Raise VerificationFailed or UsageError unless one of the keys signed a copy."""
    if not keys:
        raise UsageError(
            f"{copy}: a copy is taken only with its signature", hint="--key FILE names the public key it was signed for"
        )
    from datetime import UTC, datetime  # noqa: PLC0415  # few runs need it

    from weighbridge.provenance.check import examine  # noqa: PLC0415
    from weighbridge.provenance.wanted import Wanted  # noqa: PLC0415
    from weighbridge.schema import VerificationFailed  # noqa: PLC0415

    proofs, complaints = examine(copy, Wanted(keys=tuple(keys), require=("signature",)), datetime.now(UTC))
    bad = [one for one in complaints if not one.weak]
    if bad or not proofs:
        raise VerificationFailed(f"{copy}: {bad[0].message if bad else 'not signed'}", hint="ask for the copy again")


def _bytes(path: str | None) -> bytes:
    if not path:
        return b""
    try:
        with open(path, "rb") as file:
            return file.read(256 << 20)
    except OSError as error:
        raise SourceError(f"{path}: {(error.strerror or str(error)).lower()}", hint="check the path") from error


def _mend(given: argparse.Namespace, done: Audit) -> None:
    from weighbridge.dependencies.mending import command, mended  # noqa: PLC0415  # few runs need it

    said = sys.stdout if given.format == "terminal" and given.output is None else sys.stderr
    print("upgrades:" if done.upgrades else "no upgrade is needed", file=said)
    texts: dict[str, str] = {}
    for one in done.upgrades:
        if not one.safe:
            print(
                f"  {one.place}: no later release of {one.name} is known to end it: take it out, or another", file=said
            )
            continue
        path = done.files.get(one.place, "")
        text = texts.get(path) or (_bytes(path).decode("utf-8", "replace") if path else "")
        new = mended(text, one) if path else None
        if new is None:
            print(f"  {one.place}: {command(one)}", file=said)
            continue
        texts[path] = new
        print(f"  {one.place}: {one.name} {one.version} -> {one.safe}{' (written)' if given.write else ''}", file=said)
    for path, text in texts.items() if given.write else ():
        write_file(path, text.encode())
