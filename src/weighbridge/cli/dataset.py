"""The verb `dataset`: is this data poisoned, mislabelled, or no longer what it was."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING, Final

from weighbridge.cli.exits import ADMITTED, TABLE, exit_code
from weighbridge.cli.options import flag, parser
from weighbridge.cli.sign import add_signer, seal
from weighbridge.cli.written import add_output, write, write_file
from weighbridge.inspection.far import is_far
from weighbridge.policy import find_settings
from weighbridge.schema import Unavailable, UsageError
from weighbridge.schema.text import plural, printable

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable
    from datetime import date

    from weighbridge.datasets.columns import Wish
    from weighbridge.datasets.examine import Asked
    from weighbridge.inspection.dataset import Done
    from weighbridge.inspection.manifested import Since
    from weighbridge.inspection.plan import Options
    from weighbridge.policy import Policy, Settings

_MOST_ASKED: Final = 100_000
_BYTES: Final = {"": 1, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30}


def run(arguments: list[str]) -> int:
    """Run the verb."""
    given = _parse(arguments)
    try:
        from weighbridge.datasets.columns import Wish  # noqa: PLC0415  # --help needs no numpy
        from weighbridge.inspection.dataset import inspect_dataset  # noqa: PLC0415
        from weighbridge.inspection.plan import Options  # noqa: PLC0415
    except ImportError as error:
        raise Unavailable(
            f"dataset needs the extra data ({error.name})", hint="pip install 'weighbridge[data]'"
        ) from error
    settings = find_settings(given.policy)
    wish = Wish(
        text=tuple(given.text),
        label=given.label,
        annotator=given.annotator,
        item=given.item,
        held_out=tuple(given.held_out),
        train=given.train,
        features=given.features,
        snapshots=_days(given.snapshot),
        domains=given.domains,
    )
    started = time.perf_counter()
    options = Options(limits=settings.limits, own=frozenset(settings.knowledge), names=settings.names, workers=1)
    if is_far(given.path):
        return _told(given, _far(given, wish, options, settings.policy), started)
    if given.history:
        raise UsageError(
            "--history takes a data set on a hub", hint="the history of a git repository on this machine is read anyway"
        )
    if given.manifest:
        _write_manifest(given)
        return ADMITTED
    changes = _since(given, settings) if given.since else None
    done = inspect_dataset(
        given.path,
        wish,
        policy=settings.policy,
        options=options,
        asked=_asked(given),
        changes=changes,
        sample=_count("--recheck", given.recheck),
    )
    code = _told(given, done, started)
    if given.write_clean:
        _write_clean(done, given.write_clean)
    return code


def _told(given: argparse.Namespace, done: Done, started: float) -> int:
    if sys.stderr.isatty():
        print("\r\x1b[K", end="", file=sys.stderr)
    write(given, done.report, time.perf_counter() - started)
    return exit_code(done.report)


def _far(given: argparse.Namespace, wish: Wish, options: Options, policy: Policy) -> Done:
    """Data behind an address."""
    from weighbridge.inspection.dataset import inspect_far_dataset  # noqa: PLC0415  # --help needs no numpy

    for name in ("write_clean", "manifest", "since", "recheck"):
        if getattr(given, name):
            raise UsageError(f"--{name.replace('_', '-')} takes data on this machine", hint="download it first")
    return inspect_far_dataset(
        given.path, wish, policy=policy, options=options, asked=_asked(given), budget=_bytes(given.max_fetched),
        history=_count("--history", given.history),
    )  # fmt: skip


def _asked(given: argparse.Namespace) -> Asked:
    from weighbridge.datasets.engines import engine  # noqa: PLC0415  # --help needs no numpy
    from weighbridge.datasets.examine import Asked  # noqa: PLC0415

    if given.workers < 0:
        raise UsageError(f"--workers {given.workers}: not a number of processes", hint="0 means one for each processor")
    return Asked(heard=_progress(), against=given.against, engine=engine(given.engine, given.workers))


def _bytes(text: str) -> int:
    """`500M` or `2G` in bytes. Raises UsageError."""
    number, unit = (text[:-1], text[-1].upper()) if text[-1:].isalpha() else (text, "")
    if not number.isdigit() or unit not in _BYTES or not int(number):
        raise UsageError(f"the size {text!r} is not understood", hint="such as 500M or 2G")
    return int(number) * _BYTES[unit]


def _parse(arguments: list[str]) -> argparse.Namespace:
    made = parser(
        "dataset",
        "Say what a set of data is, and what is wrong with it: triggers and exchanged labels, planted patterns in pictures,\n"
        "hidden text, responses that a sign calls up, annotators who collude, addresses that cannot be checked, repeated and\n"
        "leaked rows. Files are inspected as scan does. Nothing is executed; of data behind an address as much is fetched as you allow.",
        "weighbridge dataset train.jsonl --label sentiment --format html --output report.html",
        TABLE,
    )
    made.add_argument(
        "path",
        metavar="PATH",
        help="jsonl, json, csv, tsv, txt, parquet, arrow, hdf5, tar (WebDataset); npz with x and y; xml or cdxj (histories of pages); a folder of them, or of pictures; or an address",
    )
    about = made.add_argument_group("columns (found out by looking; what is said here goes first)")
    about.add_argument("--label", default="", metavar="COLUMN", help="the label")
    about.add_argument("--text", action="append", default=[], metavar="COLUMN", help="the text; may be repeated")
    about.add_argument("--annotator", default="", metavar="COLUMN", help="who labelled")
    about.add_argument("--item", default="", metavar="COLUMN", help="what was labelled")
    _add_learned(made)
    _add_others(made)
    made.add_argument(
        "--recheck",
        metavar="N",
        default="",
        help="of a list of addresses: fetch N of them, drawn by chance, and say what they hold now",
    )
    _add_far(made)
    signed = made.add_argument_group("signed manifests")
    signed.add_argument(
        "--manifest", metavar="FILE", help="write a signed manifest: digest, rows and columns of every file"
    )
    signed.add_argument(
        "--since",
        metavar="FILE",
        default="",
        help="hold the data against a manifest, and inspect only what it does not vouch for",
    )
    signed.add_argument(
        "--trust",
        metavar="FILE",
        action="append",
        default=[],
        help="public key of who signs manifests (or [provenance] of the configuration)",
    )
    add_signer(made)
    made.add_argument(
        "--write-clean",
        metavar="FOLDER",
        help="write the rows without the suspicious ones, and a list of those with the reason of each",
    )
    reading = made.add_argument_group("who reads large tables")
    reading.add_argument(
        "--engine", choices=("local", "ray"), default="local",
        help="processes of this machine, or a Ray cluster (the one that RAY_ADDRESS names, else one that is started here)",
    )  # fmt: skip
    reading.add_argument(
        "--workers", type=int, default=0, metavar="N", help="how many processes (one for each processor); 1: this one alone"
    )  # fmt: skip
    add_output(made)
    flag(made.add_argument_group("verdict"), "policy", "policy file", metavar="FILE")
    return made.parse_args(arguments)


def _add_far(made: argparse.ArgumentParser) -> None:
    far = made.add_argument_group("data behind an address")
    far.add_argument(
        "--max-fetched",
        metavar="SIZE",
        default="1G",
        help="of data behind an address (https, s3, hf, oci): bring this much of it here (1G); what is left is said",
    )
    far.add_argument(
        "--history",
        metavar="N",
        default="",
        help="of a data set on a hub: read its latest N commits too (a git repository on this machine is read anyway)",
    )


def _add_learned(made: argparse.ArgumentParser) -> None:
    learned = made.add_argument_group("labels held against numbers")
    learned.add_argument(
        "--train",
        action="store_true",
        help="learn what is on pictures first, and say which labels were exchanged (a minute)",
    )
    learned.add_argument(
        "--features",
        default="",
        metavar="FILE",
        help="numbers of each row, such as embeddings or a model's last hidden layer (.npy): hold the labels against them",
    )


def _add_others(made: argparse.ArgumentParser) -> None:
    made.add_argument(
        "--domains", default="", metavar="FILE",
        help="of a list of addresses: a table (CSV: domain, registered, expires) that its domains are held against",
    )  # fmt: skip
    made.add_argument(
        "--snapshot", action="append", default=[], metavar="DATE",
        help="of a history of pages (MediaWiki XML): the day that it was copied; may be repeated (default: the 1st and 20th of each month)",
    )  # fmt: skip
    made.add_argument(
        "--held-out",
        action="append",
        default=[],
        metavar="FILE",
        help="an evaluation set: which of its texts are in the data; may be repeated",
    )
    made.add_argument(
        "--against",
        default="",
        metavar="OLD",
        help="an earlier version of the same table: what was added, what is gone, which labels are others, and which findings are about new rows",
    )


def _days(given: list[str]) -> tuple[date, ...]:
    from datetime import date  # noqa: PLC0415  # few runs name one

    try:
        return tuple(date.fromisoformat(one) for one in given)
    except ValueError as error:
        raise UsageError(f"--snapshot: {error}", hint="such as 2026-11-20") from error


def _count(option: str, text: str) -> int:
    if text and not (text.isdigit() and 0 < int(text) <= _MOST_ASKED):
        raise UsageError(f"{option} takes a number up to {_MOST_ASKED}, not {text!r}", hint="such as 200")
    return int(text or 0)


def _write_manifest(given: argparse.Namespace) -> None:
    from datetime import UTC, datetime  # noqa: PLC0415  # few runs sign

    from weighbridge import __version__  # noqa: PLC0415  # the package imports this module's siblings
    from weighbridge.inspection.manifested import statement  # noqa: PLC0415

    payload, said = statement(given.path, f"weighbridge {__version__}", datetime.now(UTC))
    sealed, by = seal(given, payload)
    write_file(given.manifest, sealed)
    print(
        f"{given.manifest}: {plural(len(said.shards), 'file')}, {plural(said.rows, 'row')}, root {said.root[:16]}…, signed by {by}"
    )


def _since(given: argparse.Namespace, settings: Settings) -> Since:
    from datetime import UTC, datetime  # noqa: PLC0415  # few runs have a manifest

    import msgspec  # noqa: PLC0415

    from weighbridge.inspection.manifested import since  # noqa: PLC0415
    from weighbridge.provenance.check import trust  # noqa: PLC0415

    now = datetime.now(UTC)
    wanted = msgspec.structs.replace(settings.provenance, keys=(*settings.provenance.keys, *given.trust))
    found = since(given.path, given.since, trust(wanted, now), now)
    print(printable(found.told()), file=sys.stderr)
    return found


def _write_clean(done: Done, folder: str) -> None:
    from weighbridge.datasets.copies import write_clean  # noqa: PLC0415  # few runs ask for it

    tables = [one for one in done.examined if one.table is not None]
    if len(tables) != 1:
        raise UsageError("--write-clean takes one table of rows", hint="name a file")
    kept, removed = write_clean(tables[0], folder)
    print(
        f"{printable(folder)}: {plural(kept, 'row')} kept, {plural(removed, 'row')} removed (removed.jsonl says why)",
        file=sys.stderr,
    )


def _progress() -> Callable[[int], None]:
    if not sys.stderr.isatty():
        return lambda _: None
    last = 0.0

    def heard(rows: int) -> None:
        nonlocal last
        now = time.monotonic()
        if now - last > 0.2:
            last = now
            print(f"\r\x1b[K{rows} rows", end="", file=sys.stderr, flush=True)

    return heard
