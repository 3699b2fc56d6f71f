"""The verb `doctor`: say what this installation can do."""

from __future__ import annotations

import importlib.util
import platform

from weighbridge.cli.options import parser


def run(arguments: list[str]) -> int:
    """Run the verb."""
    parser("doctor", "Say what this installation can do.", "weighbridge doctor").parse_args(arguments)
    from weighbridge import __version__  # noqa: PLC0415  # the package imports this module's siblings
    from weighbridge.formats.pickle.arrays import build_kind  # noqa: PLC0415
    from weighbridge.rules import all_rules, ruleset_version  # noqa: PLC0415

    print(f"weighbridge {__version__}, Python {platform.python_version()}, {platform.system()} {platform.machine()}")
    print(f"pickle machine: {build_kind()}")
    print(f"rules: {sum(1 for _ in all_rules())}, version {ruleset_version()}")
    for module, purpose in (
        ("zstandard", "zstd streams"),
        ("lz4", "lz4 streams"),
        ("librt", "native arrays of the pickle machine"),
        ("yara_x", "patterns over packages"),
        ("packaging", "versions of Python packages"),
    ):
        state = "present" if importlib.util.find_spec(module) else "missing"
        print(f"{module}: {state} ({purpose})")
    print(f"advisories: {_advisories()}")
    return 0


def _advisories() -> str:
    """What is known here against versions, and how old it is."""
    from weighbridge.dependencies.advisories import Advisories, default_path  # noqa: PLC0415
    from weighbridge.schema import Unavailable  # noqa: PLC0415

    try:
        base = Advisories(default_path())
    except Unavailable as error:
        return f"{error.message}: {error.hint}"
    base.close()
    return ", ".join(f"{one.ecosystem} {one.records} records, the newest of {one.newest[:10]}" for one in base.ages)
