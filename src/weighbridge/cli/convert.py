"""The verb `convert`: weights into safetensors, without executing anything of the input."""

from __future__ import annotations

import json
import os
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

import msgspec

from weighbridge.cli.exits import INCOMPLETE
from weighbridge.cli.options import parser
from weighbridge.cli.sign import add_signer, seal
from weighbridge.cli.written import write_file
from weighbridge.output.words import size_text as size
from weighbridge.schema import UsageError
from weighbridge.schema.text import plural, printable

if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence

    from weighbridge.conversion import Conversion, FolderConversion

_SHOWN: Final = 8


def run(arguments: list[str]) -> int:
    """Run the verb."""
    given = _parse(arguments)
    if given.no_digest and (given.key or given.keyless):
        raise UsageError("an attestation binds digests", hint="leave --no-digest out")
    from weighbridge.conversion import convert_file, convert_folder  # noqa: PLC0415  # usage errors need no readers
    from weighbridge.conversion.folder import renamed  # noqa: PLC0415

    started = time.perf_counter()
    source = given.source.rstrip("/") or given.source
    folder: FolderConversion | None = None
    if os.path.isdir(source):
        output = given.output or f"{source}-safetensors"
        folder = convert_folder(source, output, partial=given.partial)
        files: Sequence[Conversion] = folder.files
    else:
        output = given.output or renamed(source)
        if os.path.lexists(output) and os.path.realpath(output) == os.path.realpath(source):
            raise UsageError(f"{source} is what it would be converted to", hint="give another --output")
        files = (
            convert_file(source, output, partial=given.partial, overwrite=given.overwrite, digest=not given.no_digest),
        )
    seconds = time.perf_counter() - started
    _told(files, folder, seconds)
    record = _record(files)
    if given.report:
        write_file(given.report, json.dumps(record, indent=2).encode() + b"\n")
    if given.key or given.keyless:
        _attest(given, output, files, record)
    return INCOMPLETE if any(one.refused for one in files) else 0


def _parse(arguments: list[str]) -> argparse.Namespace:
    made = parser(
        "convert",
        "Turn weights into safetensors without executing anything of the input: torch checkpoints (zip, legacy, tar,\n"
        "whole modules), numpy, joblib, Flax and Keras H5; a folder with its shards, index and configuration.",
        "weighbridge convert pytorch_model.bin --key release",
        "Exit 0; 2 where a tensor cannot be carried over (it is named, and nothing is written); 3 where --partial left some out.\n"
        "With --key or --keyless, OUTPUT.conversion.att binds the digests of input and output.",
    )
    made.add_argument("source", help="file or folder")
    made.add_argument("--to", choices=("safetensors",), default="safetensors", help="the format to write")
    made.add_argument("--output", metavar="PATH", help="default: the name with .safetensors, or FOLDER-safetensors")
    made.add_argument("--overwrite", action="store_true", help="replace an output file that is there")
    made.add_argument(
        "--partial", action="store_true", help="leave out tensors that cannot be carried over, and list them"
    )
    made.add_argument("--no-digest", action="store_true", help="one file: take no digests, for speed alone")
    made.add_argument(
        "--report", metavar="FILE", help="write everything that was carried over and left behind, as JSON"
    )
    add_signer(made)
    return made.parse_args(arguments)


def _told(files: Sequence[Conversion], folder: FolderConversion | None, seconds: float) -> None:
    for one in files:
        print(f"{printable(one.source)} ({one.format}) -> {printable(one.output)}")
        digest = f", sha256 {one.output_sha256}" if one.output_sha256 else ""
        print(f"  {plural(len(one.tensors), 'tensor')}, {size(one.output_size)}{digest}")
        for alias, kept in list(one.aliases.items())[:_SHOWN]:
            print(f"  {printable(alias)} is the same tensor as {printable(kept)}: written once, noted in the metadata")
        _listed("not carried over", one.refused)
        _listed("left behind, no tensor", one.left)
    if folder is not None:
        for name in folder.rewritten:
            print(f"{printable(name)}: rewritten, because it names files that are converted")
        _listed("left behind", folder.behind, indent="")
        print(f"{plural(len(folder.copied), 'other file')} copied to {printable(folder.output)}")
    read = sum(one.source_size for one in files)
    print(
        f"{plural(sum(len(one.tensors) for one in files), 'tensor')} · {size(read)} in {seconds:.2f} s · nothing was executed"
    )


def _listed(what: str, pairs: Sequence[tuple[str, str]], indent: str = "  ") -> None:
    for name, why in pairs[:_SHOWN]:
        print(f"{indent}{what}: {printable(name) or 'the object'}: {printable(why)}")
    if len(pairs) > _SHOWN:
        print(f"{indent}{what}: {len(pairs) - _SHOWN} more (--report lists all)")


def _record(files: Sequence[Conversion]) -> dict[str, Any]:
    """The predicate of the attestation, which is also the report."""
    from weighbridge import __version__  # noqa: PLC0415  # the package imports this module's siblings
    from weighbridge.provenance.predicates import ConversionResult, Converted  # noqa: PLC0415

    made = ConversionResult(
        tool=f"weighbridge {__version__}",
        converted_at=f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}",
        files=tuple(
            Converted(
                output=os.path.basename(one.output),
                output_sha256=one.output_sha256,
                source=os.path.basename(one.source),
                source_sha256=one.source_sha256,
                format=one.format,
                tensors=len(one.tensors),
                aliases=one.aliases,
                refused=one.refused,
                left=one.left,
            )
            for one in files
        ),
    )
    table: dict[str, Any] = msgspec.to_builtins(made)
    return table


def _attest(given: argparse.Namespace, output: str, files: Sequence[Conversion], record: dict[str, Any]) -> None:
    """Sign the record. What was digested while it was written is not read again."""
    from weighbridge.provenance import attestation, predicates  # noqa: PLC0415  # loading cryptography takes a while
    from weighbridge.provenance.digest import FileDigest, digests, members  # noqa: PLC0415

    place = f"{output}.conversion.att"
    folder = os.path.isdir(output)
    known = [
        FileDigest(
            name=one.output if folder else os.path.basename(one.output), size=one.output_size, sha256=one.output_sha256
        )
        for one in files
    ]
    without = [os.path.realpath(place), *(os.path.realpath(os.path.join(output, one.name)) for one in known)]
    found = [*known, *digests(members(output, without=without))] if folder else known
    found.sort(key=lambda one: one.name)
    sealed, by = seal(given, attestation.statement(found, predicates.CONVERSION, record))
    write_file(place, sealed)
    print(f"{place}: both digests of {plural(len(record['files']), 'file')}, signed by {by}")
