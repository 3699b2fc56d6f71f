"""Knows the releases of machine-learning libraries whose weaknesses make an artifact dangerous, without any advisory at hand.

Sources: the records of the CVEs that are named; `needs` are the formats that the weakness is reached through.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from msgspec import Struct

from weighbridge.dependencies.versions import within
from weighbridge.schema import MalformedInput

if TYPE_CHECKING:
    from collections.abc import Iterator

    from weighbridge.formats.manifests import Listed

_TORCH: Final = ("torch", "pickle")
_GGUF: Final = ("gguf",)
_KERAS: Final = ("keras", "hdf5")


class Weak(Struct, frozen=True):
    """A release is weak from the beginning up to, and not including, `fixed`. `rule` holds where a format of `needs` is there."""

    ecosystem: str
    name: str
    fixed: str
    cve: str
    what: str
    rule: str = ""
    needs: tuple[str, ...] = ()


WEAK: Final = (
    Weak("pypi", "torch", "2.6.0", "CVE-2025-32434", "torch.load runs code in spite of weights_only=True", "TCH-018", _TORCH),
    Weak("pypi", "torch", "2.10.0", "CVE-2026-24747", "torch.load with weights_only=True corrupts memory", "TCH-018", _TORCH),
    Weak("pypi", "llama-cpp-python", "0.2.72", "CVE-2024-34359", "the chat template of a GGUF file runs code", "GGF-020", _GGUF),
    Weak("pypi", "sglang", "0.5.10", "CVE-2026-5760", "the chat template of a GGUF file runs code", "GGF-020", _GGUF),
    Weak("pypi", "keras", "3.9.0", "CVE-2025-1550", "the configuration of a .keras file runs code in safe mode", "", _KERAS),
    Weak("pypi", "keras", "3.11.3", "CVE-2025-9905", "safe_mode is ignored for .h5 files", "", _KERAS),
    Weak("pypi", "transformers", "5.3.0", "CVE-2026-4372", "a configuration names code of another repository, and it is run"),
    Weak("pypi", "transformers", "5.5.0", "CVE-2026-5241", "a configuration turns trust_remote_code on"),
    Weak("pypi", "onnx", "1.16.0", "CVE-2024-27318", "external data is read from outside of the model's folder", "", ("onnx",)),
    Weak("pypi", "skops", "0.13.0", "CVE-2025-54886", "a model card loads joblib files without asking"),
    Weak("pypi", "pyarrow", "14.0.1", "CVE-2023-47248", "a Parquet or Arrow file unpickles"),
    Weak("pypi", "mlflow", "2.2.1", "CVE-2023-1177", "files of the server are read from outside"),
    Weak("pypi", "vllm", "0.8.5", "CVE-2025-32444", "what the network sends is unpickled", "MLO-014"),
    Weak("pypi", "vllm", "0.11.1", "CVE-2025-66448", "auto_map loads code of another repository", "MLO-014"),
    Weak("pypi", "vllm", "0.14.0", "CVE-2026-22807", "auto_map runs in spite of trust_remote_code=False", "MLO-014"),
    Weak("pypi", "ray", "2.52.0", "CVE-2025-62593", "a web page in a developer's browser runs code on the cluster", "MLO-014"),
    Weak("npm", "mcp-remote", "0.1.16", "CVE-2025-6514", "a server's sign-in address is handed to the shell", "AGT-015"),
    Weak("npm", "@modelcontextprotocol/inspector", "0.14.1", "CVE-2025-49596", "a web page starts programs through it", "AGT-015"),
    Weak("npm", "@modelcontextprotocol/server-filesystem", "2025.7.1", "CVE-2025-53109", "links lead out of the allowed folders", "AGT-015"),
)  # fmt: skip
_BY_NAME: Final = {
    (one.ecosystem, one.name): [w for w in WEAK if (w.ecosystem, w.name) == (one.ecosystem, one.name)] for one in WEAK
}


def weaknesses(one: Listed) -> Iterator[Weak]:
    """The weaknesses of an exact version. Conda packages are named like those of PyPI here."""
    names = {one.key, {"pytorch": "torch"}.get(one.key, one.key)} if one.ecosystem == "conda" else {one.key}
    for name in names:
        for weak in _BY_NAME.get((one.advised, name), ()):
            try:
                if one.version and within(one.advised, one.version, "0", weak.fixed, ""):
                    yield weak
            except MalformedInput:
                continue
