"""Knows the ARC family: archives and compression."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from weighbridge.rules.build import HIGH, LOW, MEDIUM, rule

if TYPE_CHECKING:
    from weighbridge.schema import Rule

ARC: Final[tuple[Rule, ...]] = (
    rule("ARC-001", "member path leaves the folder", HIGH, "WX", "CWE-22 CVE-2007-4559 CVE-2024-5187",
         what="a member's path is absolute or climbs out of the folder",
         why="unpacking writes over files of the user or the system",
         fix="refuse the archive"),
    rule("ARC-002", "link leaves the folder", HIGH, "W", "CWE-59 CVE-2025-4517",
         what="a link in the archive points outside, or a later member is written through a link",
         why="unpacking follows the link and writes outside the folder",
         fix="refuse the archive"),
    rule("ARC-003", "decompression bomb", MEDIUM, "D", "CWE-409",
         what="decompression produces out of all proportion to the input",
         why="readers run out of memory or disk, and scanners give up",
         fix="refuse the file, or raise the limit that is named if the data is known"),
    rule("ARC-004", "two headers disagree", HIGH, "EX", "CWE-436 CVE-2025-10156 CVE-2025-1944",
         what="local and central header, or checksum and content, do not agree",
         why="one reader stops or takes another member than the next",
         fix="repack the archive with its own library"),
    rule("ARC-005", "name occurs twice", HIGH, "EX", "CWE-436",
         what="two members have the same name",
         why="torch reads the first, Python's zipfile the last: a scanner and a loader see different content",
         fix="repack the archive with one member of that name"),
    rule("ARC-006", "hidden or overlapping members", HIGH, "ED", "CWE-436 CWE-409",
         what="members overlap, or bytes between them hold entries that the directory does not list",
         why="readers that stream see what readers of the directory do not",
         fix="repack the archive"),
    rule("ARC-007", "data before the archive, or two directories", MEDIUM, "E", "CWE-436",
         what="the archive begins inside the file, or ends more than once",
         why="readers differ on where the archive begins and which directory counts",
         fix="repack the archive"),
    rule("ARC-008", "unusual container for the format", HIGH, "E", "CWE-434",
         what="a model file is packed in a container that its loader does not write",
         why="this is how pickles were carried past hub scanners in 2025 (7z inside .pt)",
         fix="ask the publisher for the plain file"),
    rule("ARC-009", "flag contradicts the data", HIGH, "E", "CWE-436 CVE-2025-1945",
         what="a member is flagged as encrypted or patched while its bytes are plain",
         why="scanners skip it, loaders that ignore the flag read it",
         fix="repack the archive"),
    rule("ARC-010", "device or special mode in an archive", MEDIUM, "W", "CWE-276",
         what="a member is a device or pipe, or is setuid",
         why="unpacking as root creates it",
         fix="repack without it"),
    rule("ARC-011", "too many members", LOW, "D", "CWE-400",
         what="the archive has more members than are inspected",
         why="members behind the limit have not been looked at",
         fix="raise --max-members if the archive is known"),
    rule("ARC-012", "compression without a reader", MEDIUM, "E", "CWE-436",
         what="a member is compressed with a method that is not read here",
         why="its content has not been inspected and a loader may well read it",
         fix="repack it with deflate or store"),
)  # fmt: skip
