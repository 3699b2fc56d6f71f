"""The verb `doctor`: say what this installation can do."""

from __future__ import annotations

import importlib.util
import platform
import tempfile
from typing import TYPE_CHECKING, Final

from weighbridge.cli.options import parser

if TYPE_CHECKING:
    from collections.abc import Iterator

_PARTS: Final = (
    ("zstandard", "zstandard", "zstd streams"),
    ("lz4", "lz4", "lz4 streams"),
    ("librt", "librt", "native arrays of the pickle machine"),
    ("yara_x", "yara_x", "patterns over packages"),
    ("packaging", "packaging", "versions of Python packages"),
    ("extra s3", "obstore", "s3:// addresses"),
    ("extra tensors", "numpy", "tensors of two versions compared"),
    ("extra keyless", "sigstore", "keyless signatures"),
    ("extra blake3", "blake3", "faster digests of files seen before"),
    ("extra pkcs11", "pkcs11", "keys in hardware"),
    ("extra registry", "starlette", "the server of a registry"),
)
_WHY: Final = {
    "rlimits": "limits could not be set",
    "capabilities": "capabilities could not be dropped",
    "no-new-privs": "the kernel refused",
    "landlock": "the kernel has no Landlock (Linux 5.13, and `landlock` among its security modules)",
    "seccomp": "the kernel has no seccomp filters",
    "supervisor": "the kernel does not hand over calls (Linux 5.9)",
    "namespaces": "new namespaces are not allowed, as in a container",
}


def run(arguments: list[str]) -> int:
    """Run the verb."""
    parser("doctor", "Say what this installation can do.", "weighbridge doctor").parse_args(arguments)
    from weighbridge import __version__  # noqa: PLC0415  # the package imports this module's siblings
    from weighbridge.formats.pickle.arrays import build_kind  # noqa: PLC0415
    from weighbridge.rules import all_rules, ruleset_version  # noqa: PLC0415

    print(f"weighbridge {__version__}, Python {platform.python_version()}, {platform.system()} {platform.machine()}")
    print(f"pickle machine: {build_kind()}")
    print(f"rules: {sum(1 for _ in all_rules())}, version {ruleset_version()}")
    for label, module, purpose in _PARTS:
        state = "present" if importlib.util.find_spec(module) else "missing"
        print(f"{label}: {state} ({purpose})")
    print(f"advisories: {_advisories()}")
    for line in _sandbox():
        print(f"sandbox: {line}")
    from weighbridge.sandbox.kinds import installed  # noqa: PLC0415

    there = [
        name for name in ("torch", "joblib", "sklearn", "numpy", "keras", "xgboost", "lightgbm") if installed(name)
    ]
    print(f"libraries that load files in it: {', '.join(there) or 'none'}")
    return 0


def _sandbox() -> Iterator[str]:
    """What really holds: a pickle of nothing is loaded, and the layers are those that the child put on."""
    from weighbridge.sandbox import LAYERS, REQUIRED, Sandbox  # noqa: PLC0415
    from weighbridge.schema import Unavailable  # noqa: PLC0415

    with tempfile.NamedTemporaryFile(suffix=".pkl") as file:
        file.write(b"\x80\x02N.")
        file.flush()
        try:
            with Sandbox() as sandbox:
                found = sandbox.load(file.name, "pickle", required=())
        except Unavailable as error:
            yield f"{error.message} ({error.hint})"
            return
    held = {one.partition(" ")[0] for one in found.layers}
    yield f"{', '.join(found.layers)}; namespaces: {', '.join(sandbox.namespaces) or 'none'}"
    for name in LAYERS:
        if name not in held:
            what = "weighbridge load refuses without it" if name in REQUIRED else "an extra layer, not required"
            yield f"{name} does not hold here: {_WHY[name]}; {what}"


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
