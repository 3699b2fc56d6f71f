"""Knows the STN family: safetensors."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from weighbridge.rules.build import HIGH, LOW, MEDIUM, rule

if TYPE_CHECKING:
    from weighbridge.schema import Rule

_AGAIN = "save the file again with the safetensors library, or refuse it"

STN: Final[tuple[Rule, ...]] = (
    rule("STN-001", "impossible header length", MEDIUM, "D", "CWE-770",
         what="the header is longer than the reference reader takes, or than the file", why="readers fail or exhaust memory", fix=_AGAIN),
    rule("STN-002", "header breaks the grammar", MEDIUM, "E", "CWE-436",
         what="the header is not strict JSON in UTF-8 that begins with a brace", why="readers disagree about it", fix=_AGAIN),
    rule("STN-003", "duplicate key", HIGH, "EB", "CWE-436",
         what="a tensor or field occurs twice", why="the reference reader takes the last and others the first: two sets of weights in one file", fix=_AGAIN),
    rule("STN-004", "tensors overlap", HIGH, "EB", "CWE-436",
         what="two tensors share bytes", why="changing one changes the other, and readers may refuse or not", fix=_AGAIN),
    rule("STN-005", "bytes that belong to no tensor", MEDIUM, "E", "AML.T0123",
         what="there are holes between tensors or bytes behind the last", why="they can carry a payload", fix=_AGAIN),
    rule("STN-006", "shape does not fit the bytes", HIGH, "DM", "CWE-190 CWE-1284",
         what="shape, dtype and offsets of a tensor contradict each other", why="readers that trust one of them read out of bounds", fix=_AGAIN),
    rule("STN-007", "unknown dtype", LOW, "E", "CWE-20",
         what="a dtype that the format does not define", why="the bytes cannot be accounted for", fix=_AGAIN),
    rule("STN-008", "metadata that is more than notes", HIGH, "UX", "CVE-2025-23304 CWE-470",
         what="metadata is no text, or carries code, encoded blobs or instantiation targets",
         why="frameworks read configuration from there and build objects from it", fix="remove the entry that is shown"),
    rule("STN-009", "safetensors with a second format inside", HIGH, "E", "CWE-436",
         what="another format begins or ends in the same file", why="another loader reads that one", fix=_AGAIN),
    rule("STN-010", "deceptive tensor name", LOW, "WE", "CWE-22",
         what="a tensor name holds path, control or direction characters", why="tools that write a file for each tensor leave their folder", fix=_AGAIN),
    rule("STN-011", "index leads elsewhere", HIGH, "XR", "CWE-22 CWE-829",
         what="the index names a shard outside the folder, by URL, or in another format",
         why="the loader follows it", fix="correct the index"),
    rule("STN-012", "pickle twin that differs", MEDIUM, "XB", "CWE-502",
         what="a pickle with other tensors lies beside the safetensors file of the same name",
         why="a loader that prefers or falls back to the pickle gets another model", fix="delete the pickle"),
    rule("STN-013", "tensors that the architecture does not have", MEDIUM, "BE", "AML.T0123", heuristic=True,
         what="the embedding has another shape than the configuration says, or there are layers beyond the last one",
         why="the surplus can hide a payload or another head, and the file may belong to another model", fix="compare with the model that the card names"),
    rule("STN-014", "not a safetensors file at all", HIGH, "XE", "CWE-434",
         what="a file called .safetensors is a pickle or something else", why="loaders that look at the content run it", fix="refuse the file"),
)  # fmt: skip
