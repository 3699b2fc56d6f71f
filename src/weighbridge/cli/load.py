"""The verb `load`: load files in the sandbox, take out tensors and facts, and say what they tried."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING, Any, Final

from weighbridge.cli.exits import TABLE, exit_code, strongest
from weighbridge.cli.options import flag, parser
from weighbridge.cli.written import add_output, write
from weighbridge.schema import UsageError
from weighbridge.schema.text import plural, printable

if TYPE_CHECKING:
    import argparse

    from weighbridge.inspection.loading import Loaded, Orders

_SHOWN: Final = 6
_UNITS: Final = {"": 1, "k": 10**3, "m": 10**6, "g": 10**9, "t": 10**12}


def run(arguments: list[str]) -> int:
    """Run the verb."""
    given = _parse(arguments)
    from weighbridge.inspection.loading import load, loadable  # noqa: PLC0415  # help needs no sandbox

    paths = [path for given_path in given.paths for path in loadable(given_path)]
    if given.tensors and len(paths) > 1:
        raise UsageError("--tensors takes one file's tensors", hint="load the files one by one")
    from weighbridge.policy import find_settings  # noqa: PLC0415

    settings = find_settings(given.policy)
    orders = _orders(given)
    codes = []
    for path in paths:
        started = time.perf_counter()
        with load(path, orders=orders, policy=settings.policy) as loaded:
            write(given, loaded.report, time.perf_counter() - started)
            _told(path, loaded)
            if given.tensors and loaded.tensors:
                loaded.save(given.tensors)
                print(f"{given.tensors}: {plural(len(loaded.tensors), 'tensor')}", file=sys.stderr)
            codes.append(exit_code(loaded.report))
    return strongest(codes)


def _parse(arguments: list[str]) -> argparse.Namespace:
    made = parser(
        "load",
        "Load files in the sandbox: a locked process without network, files, programs or rights. What comes out is\n"
        "tensors as safetensors and facts in words; what the file tried is in the report.\n"
        "Weights that need no code are better converted: weighbridge convert.",
        "weighbridge load --observe model.pkl",
        TABLE,
    )
    made.add_argument(
        "paths", nargs="+", metavar="PATH", help="pickles, joblib, torch, numpy, Keras; a folder stands for those in it"
    )
    add_output(made)
    made.add_argument("--tensors", metavar="FILE", help="write the tensors that came out as safetensors")
    box = made.add_argument_group("sandbox")
    flag(box, "observe", "let it think that it succeeds, to see all that it would do", action="store_true")
    flag(
        box,
        "require-layers",
        "layers that must hold, or nothing is loaded (default: all but namespaces)",
        metavar="A,B",
        default="",
    )
    flag(box, "max-seconds", "time for one file (default: 120)", metavar="S", default="120")
    flag(box, "max-processor", "processor seconds for one file (default: 60)", metavar="S", default="60")
    flag(box, "max-memory", "memory for one file (default: 4G)", metavar="BYTES", default="4G")
    flag(box, "max-tensors", "bytes of tensors that may come out (default: 4G)", metavar="BYTES", default="4G")
    flag(made.add_argument_group("verdict"), "policy", "policy file", metavar="FILE")
    return made.parse_args(arguments)


def _orders(given: argparse.Namespace) -> Orders:
    from weighbridge.inspection.loading import Orders as Made  # noqa: PLC0415
    from weighbridge.sandbox import LAYERS, REQUIRED, Bounds  # noqa: PLC0415

    required = tuple(name for name in given.require_layers.replace(" ", "").split(",") if name) or REQUIRED
    odd = [name for name in required if name not in LAYERS]
    if odd:
        raise UsageError(f"--require-layers: there is no layer {odd[0]}", hint=f"layers: {', '.join(LAYERS)}")
    bounds = Bounds(
        memory=_bytes(given.max_memory, "max-memory"),
        output=_bytes(given.max_tensors, "max-tensors"),
        processor=max(1, int(_positive(given.max_processor, "max-processor"))),
        seconds=_positive(given.max_seconds, "max-seconds"),
    )
    return Made(observe=given.observe, required=required, bounds=bounds)


def _positive(text: str, name: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value < 1e9:
        raise UsageError(f"--{name} takes a number of seconds, not {text!r}")
    return value


def _bytes(text: str, name: str) -> int:
    """`4G`, `500M`, `1000`."""
    unit = text[-1:].lower() if text[-1:].isalpha() else ""
    number: Any = text[: len(text) - len(unit)]
    try:
        value = int(float(number) * _UNITS[unit])
    except (ValueError, KeyError):
        value = 0
    if value <= 0:
        raise UsageError(f"--{name} takes a size, not {text!r}", hint="as 4G or 500M")
    return value


def _told(path: str, loaded: Loaded) -> None:
    """What came out, beside the report."""
    if loaded.kind and not loaded.error:
        values = f", {plural(len(loaded.values), 'other value')}" if loaded.values else ""
        print(
            f"{printable(path)}: {printable(loaded.kind)}, {plural(len(loaded.tensors), 'tensor')}{values}",
            file=sys.stderr,
        )
        for name, (dtype, shape) in list(loaded.tensors.items())[:_SHOWN]:
            print(f"  {printable(name)}  {dtype} {list(shape)}", file=sys.stderr)
        if len(loaded.tensors) > _SHOWN:
            print(f"  and {len(loaded.tensors) - _SHOWN} more (--tensors writes them)", file=sys.stderr)
    print(f"sandbox: {', '.join(loaded.layers)}; {1000 * loaded.seconds:.0f} ms", file=sys.stderr)
