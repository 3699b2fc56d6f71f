"""Knows the signatures of file formats, at the head and at the tail."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from msgspec import Struct

if TYPE_CHECKING:
    from weighbridge.source import Blob

HEAD = 4096
_TAIL = 1024
_BLOCK = 512
_MOSTLY = 0.95
_PRINTABLE = re.compile(rb"[\t\n\r -~]{8}")
_SAFETENSORS_HEADER = 100_000_000
_FIRST_PYC, _LAST_PYC = 3390, 4200

_SIGNATURES: tuple[tuple[bytes, str], ...] = (
    (b"\x93NUMPY", "npy"),
    (b"PK\x03\x04", "zip"),
    (b"PK\x05\x06", "zip"),
    (b"7z\xbc\xaf\x27\x1c", "7z"),
    (b"Rar!\x1a\x07", "rar"),
    (b"\x1f\x8b", "gzip"),
    (b"BZh", "bz2"),
    (b"\xfd7zXZ\x00", "xz"),
    (b"\x5d\x00\x00", "lzma"),
    (b"\x28\xb5\x2f\xfd", "zstd"),
    (b"\x04\x22\x4d\x18", "lz4"),
    (b"\x89HDF\r\n\x1a\n", "hdf5"),
    (b"GGUF", "gguf"),
    (b"FUGG", "gguf"),
    (b"PAR1", "parquet"),
    (b"ARROW1", "arrow"),
    (b"\x7fELF", "elf"),
    (b"MZ", "pe"),
    (b"\xfe\xed\xfa\xce", "mach-o"),
    (b"\xfe\xed\xfa\xcf", "mach-o"),
    (b"\xce\xfa\xed\xfe", "mach-o"),
    (b"\xcf\xfa\xed\xfe", "mach-o"),
    (b"\xca\xfe\xba\xbe", "mach-o"),
    (b"L\x00\x00\x00\x01\x14\x02\x00", "lnk"),
    (b"\x89PNG\r\n\x1a\n", "media"),
    (b"\xff\xd8\xff", "media"),
    (b"GIF8", "media"),
    (b"%PDF-", "pdf"),
    (b"\x00asm", "wasm"),
    (b"ML\xefR", "mlir"),
    (b"lmgg", "ggml"),
    (b"fmgg", "ggml"),
    (b"tjgg", "ggml"),
    (b"algg", "ggml"),
    (b"ftrt", "tensorrt"),
    (b"ptrt", "tensorrt"),
    (b"CBM1", "catboost"),
    (b"\xac\xed\x00\x05", "java"),
    (b"RDX2\n", "rds"),
    (b"RDX3\n", "rds"),
    (b"X\n\x00\x00\x00\x02", "rds"),
    (b"X\n\x00\x00\x00\x03", "rds"),
    (b"MATLAB 5.0 MAT-file", "matlab"),
    (b"xclbin2\x00", "bitstream"),
    (b"\x00\x09\x0f\xf0\x0f\xf0\x0f\xf0", "bitstream"),
    (b"\x00\x01\x00\x00\x00\xff\xff\xff\xff\x01\x00\x00\x00", "binaryformatter"),
    (b"\x04\x00\x00\x00\x01\x00\x00\x00\x03\x00\x00\x00V 1", "torch7"),
    (b"\xba\x16\x4f\x2f", "fasttext"),
    (b"{L\x00\x00\x00\x00\x00\x00\x00\x07learner", "ubjson"),
    (b"{L\x00\x00\x00\x00\x00\x00\x00\x06Config", "ubjson"),
    (b"{L\x00\x00\x00\x00\x00\x00\x00\x05Model", "ubjson"),
    (b"{i\x07learner", "ubjson"),
    (b"binf", "xgboost"),
    (b"version https://git-lfs.github.com/spec/", "lfs-pointer"),
    (b"version https://hawser.github.com/spec/", "lfs-pointer"),
)
EXECUTABLE = frozenset({"elf", "pe", "mach-o", "lnk", "wasm"})
# First bytes of messages whose first field is 1 or 2, and of those that leave them out.
_TAGS = frozenset({0x08, 0x0A, 0x10, 0x12, 0x1A, 0x22, 0x3A, 0x42, 0x72})
_BSON = re.compile(rb"[\x01-\x13][\w\x00-]{1,64}\x00")
# The levels that zlib writes; other valid second bytes are letters and signs of a text that begins with x.
_ZLIB = frozenset({b"x\x01", b"x^", b"x\x9c", b"x\xda"})
_TEXT = re.compile(rb"[\t\n\r\x0c\x1b\x20-\x7e\x80-\xff]*\Z")


class Identity(Struct, frozen=True, kw_only=True):
    """What a member is. `also` lists other formats that a reader could take it for."""

    format: str
    also: tuple[str, ...] = ()

    @property
    def executable(self) -> bool:
        """Whether the machine or the operating system would run it."""
        return self.format in EXECUTABLE


def identify(blob: Blob) -> Identity:
    """The format of a blob, from its first 4 KiB, its last KiB and its size."""
    head = blob.read(0, HEAD)
    first = _by_head(head, blob.size)
    tail = blob.read(max(0, blob.size - _TAIL), _TAIL)
    also = []
    if first != "zip" and tail.rfind(b"PK\x05\x06") >= 0 and _ends_like_zip(tail):
        also.append("zip")
    if first == "pickle" and head[2:6] == b"PK\x03\x04":
        also.append("zip")
    return Identity(format=first, also=tuple(also))


def _ends_like_zip(tail: bytes) -> bool:
    at = tail.rfind(b"PK\x05\x06")
    return at + 22 <= len(tail) and at + 22 + int.from_bytes(tail[at + 20 : at + 22], "little") <= len(tail)


def _by_head(head: bytes, size: int) -> str:  # one line for each format
    if not size:
        return "empty"
    for signature, name in _SIGNATURES:
        if head.startswith(signature) and (name != "pe" or _is_pe(head)):
            return name
    if len(head) >= 2 and head[0] == 0x80 and head[1] <= 5 and not _safetensors(head, size):
        return "pickle"
    if _safetensors(head, size):
        return "safetensors"
    if head[4:6] == b"ET" and head[6:8].isdigit():
        return "executorch"
    if head[4:8] in {b"TFL3", b"ORTM"}:
        return "tflite" if head[4:8] == b"TFL3" else "ort"
    if _is_bytecode(head):
        return "bytecode"
    if 5 < int.from_bytes(head[:4], "little") == size and _BSON.match(head[4:]):
        return "bson"
    if len(head) >= _BLOCK and head[0] and _tar_header(head[:_BLOCK]):
        return "tar"
    if head[:2] in _ZLIB and not (head[1:2] == b"^" and _is_text(head)):
        return "zlib"
    found = _by_text(head)
    return "protobuf" if found == "unknown" and head[0] in _TAGS else found


def _is_bytecode(head: bytes) -> bool:
    """A compiled Python module: magic number, flags, and a code object. Source: PEP 552."""
    number, flags = int.from_bytes(head[:2], "little"), int.from_bytes(head[4:8], "little")
    return (
        head[2:4] == b"\r\n"
        and _FIRST_PYC <= number <= _LAST_PYC
        and flags in {0, 1, 3}
        and head[16:17] in {b"c", b"\xe3"}
    )


def _tar_header(block: bytes) -> bool:
    if block[257:262] != b"ustar" and not block[148:156].strip(b" \0").isdigit():
        return False
    from weighbridge.source.tar import is_header  # noqa: PLC0415  # only what looks like a tar needs the checksum

    return is_header(block)


def _is_pe(head: bytes) -> bool:
    at = int.from_bytes(head[60:64], "little")
    return len(head) >= 64 and (
        head[at : at + 2] in {b"PE", b"NE", b"LE"} or at + 2 > len(head) or head[:6] == b"MZqFpD"
    )


def _safetensors(head: bytes, size: int) -> bool:
    length = int.from_bytes(head[:8], "little")
    begins = head[8:].lstrip()[:1] == b"{" or head[8:9] == b"{"
    # Eight letters of a text, as of a script, come to a length that no file has.
    lies = head[8:10] == b'{"' and not _PRINTABLE.match(head)
    return len(head) > 8 and begins and (length <= max(size, _SAFETENSORS_HEADER) or lies)


def _is_text(head: bytes) -> bool:
    """UTF-8 (a character may be cut at the end), or an older encoding in which plain letters prevail."""
    if _TEXT.match(head) is None:
        return False
    try:
        head.decode("utf-8")
    except UnicodeDecodeError as error:
        cut_at_the_end = len(head) == HEAD and error.start >= HEAD - 3
        return cut_at_the_end or sum(byte < 0x80 for byte in head) > _MOSTLY * len(head)
    return True


def _by_text(head: bytes) -> str:
    stripped = head.lstrip(b"\xef\xbb\xbf \t\r\n")
    if not _is_text(head):
        return "unknown"
    if head.startswith(b"#!"):
        return "script"
    if stripped[:1] in {b"{", b"["}:
        return "json"
    return "text"
