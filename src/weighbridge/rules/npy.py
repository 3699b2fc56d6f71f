"""Knows the NPY family: NumPy files."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from weighbridge.rules.build import HIGH, LOW, MEDIUM, rule

if TYPE_CHECKING:
    from weighbridge.schema import Rule

NPY: Final[tuple[Rule, ...]] = (
    rule("NPY-001", "array of Python objects", LOW, "X", "CVE-2019-6446 CWE-502",
         what="an array with object dtype, whose items are a pickle",
         why="numpy.load with allow_pickle=True runs that pickle; what it does is judged by the PKL rules",
         fix="store numbers or fixed-width strings"),
    rule("NPY-002", "header is no plain literal", HIGH, "XD", "CWE-95",
         what="the npy header holds more than the literal that numpy writes",
         why="readers that evaluate it run what stands there", fix="refuse the file"),
    rule("NPY-003", "shape does not fit the data", MEDIUM, "DM", "CWE-190 CWE-770",
         what="shape and dtype ask for more bytes than the file has",
         why="readers that allocate what is asked for run out of memory", fix="refuse the file"),
    rule("NPY-004", "npz member that is no array", MEDIUM, "XW", "CWE-22 CWE-502",
         what="an npz archive holds a member that is no npy file",
         why="numpy hands it out raw, or a second tool loads it", fix="save the archive again with numpy"),
    rule("NPY-005", "absurd structured dtype", LOW, "D", "CWE-400",
         what="the dtype has more fields than any real table", why="building it costs memory and time", fix="refuse the file"),
    rule("NPY-006", "pickle in place of an array", HIGH, "XE", "CWE-434",
         what="a file called .npy or a member of an npz is a pickle",
         why="numpy.load with allow_pickle=True unpickles it", fix="refuse the file"),
)  # fmt: skip
