"""Knows the JAX family: Flax msgpack and Orbax."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from weighbridge.rules.build import HIGH, MEDIUM, rule

if TYPE_CHECKING:
    from weighbridge.schema import Rule

JAX: Final[tuple[Rule, ...]] = (
    rule("JAX-001", "unknown msgpack extension", HIGH, "X", "CWE-502",
         what="an extension value of a type that Flax does not write", why="a custom hook decides what happens with it", fix="refuse the file"),
    rule("JAX-002", "objects behind the tree", MEDIUM, "E", "AML.T0123",
         what="bytes follow the msgpack object", why="no reader of the checkpoint looks at them", fix="save the checkpoint again"),
    rule("JAX-003", "object array in a checkpoint", HIGH, "X", "CWE-502",
         what="an array has object dtype", why="rebuilding it would need a pickle", fix="refuse the file"),
    rule("JAX-004", "depth or size bomb", MEDIUM, "D", "CWE-674",
         what="the tree is deeper or larger than any model", why="recursive readers overflow their stack", fix="refuse the file"),
    rule("JAX-005", "checkpoint reads from elsewhere", HIGH, "RN", "CWE-22 CWE-918",
         what="a TensorStore specification names a file, bucket or URL outside the checkpoint",
         why="restoring the checkpoint reads it", fix="correct the specification"),
    rule("JAX-006", "custom type handler", HIGH, "X", "CWE-470",
         what="Orbax metadata names a handler that is not its own", why="restoring imports and runs it", fix="check the handler"),
    rule("JAX-007", "exported program that calls out", HIGH, "X", "CWE-829",
         what="a StableHLO or exported JAX program holds a custom call of the host, above all a Python callback", why="the runtime looks the target up in its own process and calls it", fix="export without callbacks; allow targets by name"),
)  # fmt: skip
