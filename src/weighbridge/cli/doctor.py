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
    ):
        state = "present" if importlib.util.find_spec(module) else "missing"
        print(f"{module}: {state} ({purpose})")
    return 0
