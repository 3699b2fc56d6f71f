"""Knows the SCN family: traits that evade scanners, whatever the format."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from weighbridge.rules.build import HIGH, MEDIUM, rule

if TYPE_CHECKING:
    from weighbridge.schema import Rule

SCN: Final[tuple[Rule, ...]] = (
    rule("SCN-001", "extension contradicts content", HIGH, "EX", "AML.T0074 CWE-436 CWE-434 CVE-2025-10155 CVE-2025-1889",
         what="the name promises one format and the bytes are another",
         why="tools that choose a parser by file name skip the real content, and the loader does not",
         fix="rename the file to what it is, or refuse it"),
    rule("SCN-002", "damaged so that parsers stop", HIGH, "EX", "CWE-20",
         what="the file is cut or corrupt at a place that a loader reaches after it has run code, or never needs to reach",
         why="a scanner that stops at the damage reports nothing while the loader has already executed what precedes it",
         fix="fetch the file again from its origin; a file that cannot be read to its end is not approved"),
    rule("SCN-003", "two formats in one file", HIGH, "EX", "AML.T0074 AML.T0123 CWE-436",
         what="the same bytes are valid in two formats",
         why="the scanner reads one of them and the loader the other",
         fix="ask the publisher for a file of one format"),
    rule("SCN-004", "bytes outside the declared structure", MEDIUM, "E", "AML.T0123 CWE-436",
         what="bytes lie before, behind or between the parts that the format declares",
         why="data that no reader of the format looks at can carry a payload for another program",
         fix="rewrite the file with its own library, which drops the stray bytes"),
    rule("SCN-005", "containers nested beyond the limit", HIGH, "ED", "CWE-674 CWE-409",
         what="archives lie inside archives deeper than is inspected",
         why="whatever lies deeper has not been looked at",
         fix="unpack the outer layers, or raise the limit with --max-depth if the nesting is intended"),
    rule("SCN-006", "encrypted member", HIGH, "E", "AML.T0123 CWE-912",
         what="a member is encrypted, so its content has not been inspected",
         why="a password in a README is a usual way to carry malware past scanners",
         fix="decrypt it yourself and scan the result"),
    rule("SCN-007", "beyond the budget", MEDIUM, "ED", "CWE-770",
         what="inspection stopped at a bound on time, size or number",
         why="what lies behind the bound has not been looked at",
         fix="raise the bound that is named, or split the artifact"),
    rule("SCN-008", "executable beside or inside a model", HIGH, "XU", "CWE-506",
         what="a program for the machine or the operating system is among the files",
         why="weights need no executable; loaders and users run what lies beside a model",
         fix="remove it, or approve it by digest in a waiver"),
    rule("SCN-010", "link or device instead of a file", HIGH, "RW", "CWE-59 CVE-2026-34446 CVE-2026-34447",
         what="a link leads out of the folder, or an entry is a device, pipe or socket",
         why="reading or writing through it touches files outside the artifact",
         fix="replace it by the file that it stands for"),
    rule("SCN-011", "pointer instead of weights", MEDIUM, "E", "CWE-345",
         what="a Git LFS pointer lies where the content is expected",
         why="the content itself has not been inspected",
         fix="fetch the content: git lfs pull"),
    rule("SCN-012", "claims more than it holds", MEDIUM, "D", "CWE-770 CWE-1284",
         what="a header announces far more data than the file has",
         why="readers that allocate what is announced run out of memory",
         fix="fetch the file again; refuse it if it stays so"),
    rule("SCN-013", "deceptive file name", HIGH, "E", "AML.T0074 CWE-451 CWE-1007",
         what="a name holds direction overrides, invisible or control characters, or ends in a blank or dot",
         why="the name that a person sees is not the name that the loader opens",
         fix="rename the file"),
    rule("SCN-014", "names that collide", MEDIUM, "E", "CWE-178 CWE-436",
         what="two names differ only in case or in Unicode normal form",
         why="on another file system one overwrites the other, and which of them was inspected depends on the machine",
         fix="rename one of them"),
    rule("SCN-016", "shards and index disagree", MEDIUM, "E", "CWE-345 CWE-436",
         what="the index names a shard that is absent, or leaves out a shard that is present",
         why="a loader reads what the index says, and what it does not name may be loaded by hand",
         fix="complete the set, or remove the stray shard"),
)  # fmt: skip
