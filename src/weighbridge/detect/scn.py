"""Knows the traits of members that evade scanners (SCN), and bounds that were hit."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from weighbridge.identify import contradicts
from weighbridge.rules.finding import finding
from weighbridge.schema import Severity
from weighbridge.schema.text import printable

if TYPE_CHECKING:
    from collections.abc import Iterator

    from weighbridge.detect.subjects import LimitSubject, MemberSubject
    from weighbridge.schema import Finding

_DECEPTIVE: Final = frozenset({"Cf", "Cc", "Zl", "Zp", "Co", "Cs"})
_DANGEROUS_CONTENT: Final = frozenset(
    {"pickle", "zip", "tar", "7z", "gzip", "xz", "bz2", "zlib", "lz4", "zstd", "elf", "pe", "mach-o"}
)
_COMPRESSED: Final = frozenset({"gzip", "xz", "bz2", "zlib", "lz4", "zstd", "lzma"})
_TORCH_NAMES: Final = (".pt", ".pth", ".ckpt", ".bin")
_EXECUTABLE_NAMES: Final = (".exe", ".dll", ".scr", ".msi", ".lnk", ".com", ".jar")
_SIDE_FILES: Final = re.compile(r"(?:^|/)(?:optimizer|scheduler|scaler|rng_state[\w]*|training_args)\.(?:pt|pth|bin)$")
_SPECIAL_RULES: Final = {"encrypted": "SCN-006", "unchanged": "SCN-017"}
_LFS_SIZE: Final = 1024
_LIMIT_RULES: Final = {
    "depth": "SCN-005", "ratio": "ARC-003", "unpacked_bytes": "ARC-003", "members": "ARC-011", "header": "STN-001",
}  # fmt: skip


def detect_member(subject: MemberSubject) -> Iterator[Finding]:
    """What the name promises against what the bytes are."""
    name = subject.location.path[-1]
    found = subject.identity.format
    yield from _name(subject, name)
    if found == "lfs-pointer" and subject.size <= _LFS_SIZE:
        yield finding(
            "SCN-011",
            subject.location.at(0),
            "a Git LFS pointer, not the content",
            evidence=[_first_line(subject.head)],
        )
    elif subject.carrier != "torch":
        yield from _contradiction(subject, name, found)
    if subject.identity.executable or name.lower().endswith(_EXECUTABLE_NAMES):
        yield finding(
            "SCN-008",
            subject.location.at(0),
            f"an executable ({found}) among the files",
            evidence=[_bytes(subject.head)],
        )
    if subject.identity.also and found != "safetensors":
        others = " and ".join(subject.identity.also)
        yield finding(
            "SCN-003", subject.location.at(0), f"the file is {found} and also {others}", evidence=[_bytes(subject.head)]
        )


def _contradiction(subject: MemberSubject, name: str, found: str) -> Iterator[Finding]:
    if found in {"7z", "rar"} and name.lower().endswith((*_TORCH_NAMES, ".pkl", ".joblib", ".safetensors")):
        yield finding(
            "ARC-008", subject.location.at(0), f"a model file packed as {found}", evidence=[_bytes(subject.head)]
        )
    if found in _COMPRESSED and name.lower().endswith(_TORCH_NAMES[:3]):
        yield finding(
            "ARC-008", subject.location.at(0), f"a torch file packed as {found}", evidence=[_bytes(subject.head)]
        )
    if any(outer.rsplit("/", 1)[-1] == name.rsplit("/", 1)[-1] for outer in subject.location.path[:-1]):
        return  # pandas names the member after its archive
    ending = contradicts(name, found)
    if not ending or found == "empty":
        return
    if ending == ".safetensors":
        yield finding(
            "STN-014", subject.location.at(0), f"called {ending} and holds {found}", evidence=[_bytes(subject.head)]
        )
    elif ending == ".skops":
        yield finding(
            "JBL-006", subject.location.at(0), f"called {ending} and holds {found}", evidence=[_bytes(subject.head)]
        )
    elif ending == ".npy" and found == "pickle":
        yield finding(
            "NPY-006", subject.location.at(0), "called .npy and holds a pickle", evidence=[_bytes(subject.head)]
        )
    else:
        severity = Severity.HIGH if found in _DANGEROUS_CONTENT else Severity.MEDIUM
        yield finding(
            "SCN-001",
            subject.location.at(0),
            f"called {ending} and holds {found}",
            evidence=[_bytes(subject.head)],
            severity=severity,
        )


def _name(subject: MemberSubject, name: str) -> Iterator[Finding]:
    last = name.rsplit("/", 1)[-1]
    if name.isascii() and name.isprintable() and last == last.rstrip(" ."):
        return
    import unicodedata  # noqa: PLC0415  # most names are plain

    odd = sorted({f"U+{ord(c):04X}" for c in name if unicodedata.category(c) in _DECEPTIVE})
    if odd or last != last.rstrip(" ."):
        detail = f"holds {', '.join(odd)}" if odd else "ends in a blank or dot"
        yield finding("SCN-013", subject.location, f"the name {printable(name)!r} {detail}")


def _first_line(head: bytes) -> str:
    return printable(head.split(b"\n", 1)[0].decode("latin-1"))


def _bytes(head: bytes) -> str:
    shown = head[:16]
    text = "".join(chr(b) if 32 <= b < 127 else "." for b in shown)
    return f"first bytes {shown.hex(' ')}  {text}"


def detect_side_file(subject: MemberSubject) -> Iterator[Finding]:
    """Files that belong to training or to torch.hub."""
    name = "/".join(subject.location.path)
    if _SIDE_FILES.search(name):
        yield finding("TCH-014", subject.location, "trainer state among the files")
    if name.endswith("/.metadata") and subject.identity.format == "pickle":
        yield finding("TCH-015", subject.location, "metadata of a distributed checkpoint, a pickle")
    if name.endswith("hubconf.py"):
        yield finding("TCH-020", subject.location, "hubconf.py is imported and run by torch.hub.load")


def detect_limit(subject: LimitSubject) -> Iterator[Finding]:
    """A bound that was hit is a finding that names the bound."""
    rule = _LIMIT_RULES.get(subject.limit, "SCN-007")
    if subject.limit in _SPECIAL_RULES:
        rule = _SPECIAL_RULES[subject.limit]
    yield finding(rule, subject.location, subject.detail)
