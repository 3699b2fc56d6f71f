"""Knows the headers of native executables: whether one is a program or a library, what it exports and imports, how it is packed.

Sources: System V ABI (ELF), Microsoft PE format, Apple mach-o/loader.h. Nothing is mapped or run.
"""

from __future__ import annotations

import math
import struct
from collections import Counter
from typing import TYPE_CHECKING, Final

from msgspec import Struct

from weighbridge.schema import MalformedInput

if TYPE_CHECKING:
    from collections.abc import Iterator

    from weighbridge.source import Blob

_HEADERS: Final = 512
_NAMES: Final = 8 << 20
_SYMBOLS: Final = 200_000
_SAMPLE: Final = 64 << 10
_FULL: Final = 7.6
_PIE: Final = 0x08000000
_DLL: Final = 0x2000
_TELLING: Final = frozenset(
    """system popen execve execvp fork ptrace memfd_create dlopen socket connect getaddrinfo URLDownloadToFileA URLDownloadToFileW WinExec
    ShellExecuteA ShellExecuteW CreateRemoteThread WriteProcessMemory VirtualAllocEx InternetOpenA InternetOpenW InternetOpenUrlA
    WinHttpOpen CryptUnprotectData SetWindowsHookExA SetWindowsHookExW GetAsyncKeyState IsDebuggerPresent""".split()  # noqa: SIM905  # a list of names reads best as one
)


class Native(Struct, frozen=True, kw_only=True):
    """One file. `program` says that it is started, not loaded; `modules` are the Python modules that it initialises.

    `imports` are those of its imports that reach out of the process; `packed` names parts of code that are compressed or
    encrypted (8 bits of entropy in a byte, nearly), or that are written and run.
    """

    kind: str
    program: bool
    modules: tuple[str, ...] = ()
    imports: tuple[str, ...] = ()
    packed: tuple[str, ...] = ()


def read_native(blob: Blob) -> Native:
    """The headers of an ELF, PE or Mach-O file. Raises MalformedInput."""
    head = blob.read(0, 64)
    try:
        if head[:4] == b"\x7fELF":
            return _elf(blob, head)
        if head[:2] == b"MZ":
            return _pe(blob, head)
        return _macho(blob, head)
    except (struct.error, IndexError) as error:
        raise MalformedInput("the headers break off") from error


def _elf(blob: Blob, head: bytes) -> Native:
    wide, order = head[4] == 2, "<" if head[5] == 1 else ">"
    kind = struct.unpack_from(f"{order}H", head, 16)[0]
    if wide:
        programs, sections = struct.unpack_from(f"{order}QQ", head, 32)
        size, count, section_size, section_count = struct.unpack_from(f"{order}HHHH", head, 54)
    else:
        programs, sections = struct.unpack_from(f"{order}II", head, 28)
        size, count, section_size, section_count = struct.unpack_from(f"{order}HHHH", head, 42)
    interpreted, pie, packed = False, False, []
    for number in range(min(count, _HEADERS)):
        data = blob.read(programs + number * size, size)
        if wide:
            type_, flags, offset, _, _, stored = struct.unpack_from(f"{order}IIQQQQ", data)
        else:
            type_, offset, _, _, stored, _, flags = struct.unpack_from(f"{order}IIIIIII", data)
        interpreted |= type_ == 3
        if type_ == 2:
            pie = _is_pie(blob.read(offset, min(stored, 1 << 16)), order, wide=wide)
        if type_ == 1 and flags & 1 and (flags & 2 or _entropy(blob, offset, stored) > _FULL):
            packed.append("a segment that is written and run" if flags & 2 else "a segment of code")
    names = list(_elf_symbols(blob, order, sections, section_size, min(section_count, 4096), wide=wide))
    return Native(
        kind="elf",
        program=kind == 2 or (interpreted and pie),
        modules=_modules(name for name, defined in names if defined),
        imports=_reaching(name for name, defined in names if not defined),
        packed=tuple(packed),
    )


def _is_pie(dynamic: bytes, order: str, *, wide: bool) -> bool:
    step, form = (16, f"{order}QQ") if wide else (8, f"{order}II")
    for at in range(0, len(dynamic) - step + 1, step):
        tag, value = struct.unpack_from(form, dynamic, at)
        if tag == 0x6FFFFFFB:
            return bool(value & _PIE)
        if tag == 0:
            break
    return False


def _elf_symbols(
    blob: Blob, order: str, start: int, size: int, count: int, *, wide: bool
) -> Iterator[tuple[str, bool]]:
    """(name, whether it is defined here) of the dynamic symbols."""
    form = f"{order}IIQQQQIIQQ" if wide else f"{order}IIIIIIIIII"
    rows = [
        struct.unpack_from(form, data)
        for number in range(count)
        if len(data := blob.read(start + number * size, size)) >= struct.calcsize(form)
    ]
    for row in rows:
        if row[1] != 11 or row[6] >= len(rows):
            continue
        texts = blob.read(rows[row[6]][4], min(rows[row[6]][5], _NAMES))
        each = 24 if wide else 16
        data = blob.read(row[4], min(row[5], _SYMBOLS * each))
        for at in range(0, len(data) - each + 1, each):
            name = struct.unpack_from(f"{order}I", data, at)[0]
            section = struct.unpack_from(f"{order}H", data, at + (6 if wide else 14))[0]
            if name < len(texts):
                yield texts[name : texts.find(b"\0", name)].decode("latin-1"), section != 0


def _pe(blob: Blob, head: bytes) -> Native:
    at = struct.unpack_from("<I", head, 60)[0]
    header = blob.read(at, 24)
    if header[:4] != b"PE\0\0":
        raise MalformedInput("an MZ file without a PE header", offset=at)
    count, optional, flags = struct.unpack_from("<H12xHH", header, 6)
    directory = blob.read(at + 24, optional)
    wide = struct.unpack_from("<H", directory)[0] == 0x20B
    tables = 112 if wide else 96
    sections = []
    packed = []
    for number in range(min(count, 96)):
        row = blob.read(at + 24 + optional + 40 * number, 40)
        name = row[:8].rstrip(b"\0").decode("latin-1")
        _, address, stored, offset = struct.unpack_from("<IIII", row, 8)
        about = struct.unpack_from("<I", row, 36)[0]
        sections.append((address, stored, offset))
        if about & 0x20000000 and (about & 0x80000000 or _entropy(blob, offset, stored) > _FULL):
            packed.append(name or "a section of code")
    exported = struct.unpack_from("<I", directory, tables)[0] if len(directory) >= tables + 8 else 0
    imported = struct.unpack_from("<I", directory, tables + 8)[0] if len(directory) >= tables + 16 else 0
    return Native(
        kind="pe",
        program=not flags & _DLL,
        modules=_modules(_pe_exports(blob, sections, exported)),
        imports=_reaching(_pe_imports(blob, sections, imported, wide=wide)),
        packed=tuple(packed),
    )


def _place(sections: list[tuple[int, int, int]], address: int) -> int:
    """Where an address in memory lies in the file; -1 where it lies in none of the sections."""
    return next((offset + address - start for start, size, offset in sections if start <= address < start + size), -1)


def _text(blob: Blob, at: int) -> str:
    return blob.read(at, 256).split(b"\0")[0].decode("latin-1") if at >= 0 else ""


def _pe_exports(blob: Blob, sections: list[tuple[int, int, int]], address: int) -> Iterator[str]:
    at = _place(sections, address) if address else -1
    if at < 0:
        return
    count, _, names = struct.unpack_from("<III", blob.read(at + 24, 12))
    table = blob.read(_place(sections, names), 4 * min(count, 4096)) if _place(sections, names) >= 0 else b""
    for number in range(len(table) // 4):
        yield _text(blob, _place(sections, struct.unpack_from("<I", table, 4 * number)[0]))


def _pe_imports(blob: Blob, sections: list[tuple[int, int, int]], address: int, *, wide: bool) -> Iterator[str]:
    at = _place(sections, address) if address else -1
    step = 8 if wide else 4
    for number in range(256 if at >= 0 else 0):
        row = blob.read(at + 20 * number, 20)
        if len(row) < 20 or not any(row):
            return
        thunks = struct.unpack_from("<I", row)[0] or struct.unpack_from("<I", row, 16)[0]
        data = blob.read(_place(sections, thunks), 2048 * step) if _place(sections, thunks) >= 0 else b""
        for entry in range(0, len(data) - step + 1, step):
            value = int.from_bytes(data[entry : entry + step], "little")
            if not value:
                break
            if not value >> (8 * step - 1):
                yield _text(
                    blob,
                    _place(sections, (value & 0x7FFFFFFF) + 2)
                    if _place(sections, (value & 0x7FFFFFFF) + 2) >= 0
                    else -1,
                )


def _macho(blob: Blob, head: bytes) -> Native:
    base = 0
    if head[:4] in {b"\xca\xfe\xba\xbe", b"\xca\xfe\xba\xbf"}:
        base = struct.unpack_from(">I" if head[3] == 0xBE else ">Q", blob.read(16, 8))[0]
        head = blob.read(base, 64)
    order = "<" if head[:4] in {b"\xcf\xfa\xed\xfe", b"\xce\xfa\xed\xfe"} else ">"
    wide = 0xCF in {head[0], head[3]}
    kind, count = struct.unpack_from(f"{order}II", head, 12)
    at = base + (32 if wide else 28)
    names: list[str] = []
    for _ in range(min(count, _HEADERS)):
        command, size = struct.unpack_from(f"{order}II", blob.read(at, 8))
        if command == 2:
            _, _, texts, length = struct.unpack_from(f"{order}IIII", blob.read(at + 8, 16))
            names = blob.read(base + texts, min(length, _NAMES)).decode("latin-1").split("\0")
        at += max(8, size)
    plain = [name.removeprefix("_") for name in names]
    return Native(kind="mach-o", program=kind == 2, modules=_modules(plain), imports=_reaching(plain))


def _modules(names: Iterator[str] | list[str]) -> tuple[str, ...]:
    return tuple(sorted({name.removeprefix("PyInit_") for name in names if name.startswith("PyInit_")}))


def _reaching(names: Iterator[str] | list[str]) -> tuple[str, ...]:
    return tuple(sorted({bare for name in names if (bare := name.partition("@")[0]) in _TELLING}))


def _entropy(blob: Blob, offset: int, size: int) -> float:
    """Bits of entropy in a byte, over the middle of a part; 0 for what is too short to tell."""
    if size < 4096:
        return 0.0
    data = blob.read(offset + max(0, (size - _SAMPLE) // 2), min(size, _SAMPLE))
    total = len(data)
    return -sum(count / total * math.log2(count / total) for count in Counter(data).values()) if total else 0.0
