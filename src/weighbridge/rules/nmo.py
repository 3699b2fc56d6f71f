"""Knows the NMO family: NeMo, Hydra and other loaders driven by YAML."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from weighbridge.rules.build import CRITICAL, HIGH, rule

if TYPE_CHECKING:
    from weighbridge.schema import Rule

NMO: Final[tuple[Rule, ...]] = (
    rule("NMO-001", "configuration names what to call", CRITICAL, "X", "CVE-2025-23304 CVE-2026-22584 CWE-470",
         what="a `_target_` names a callable outside the libraries that such configurations are for",
         why="instantiating the configuration calls it with the arguments beside it", fix="refuse the configuration, or check the target against a list"),
    rule("NMO-002", "target that is hidden", HIGH, "XE", "CWE-470",
         what="a `_target_` is computed by interpolation, or its arguments hold code",
         why="what will be called is not written where it is read", fix="write the target out"),
    rule("NMO-003", "interpolation that executes or leaks", HIGH, "SX", "CWE-94",
         what="`${…}` uses a resolver that evaluates code, or reads a secret from the environment",
         why="resolving the configuration runs or copies it", fix="remove the expression"),
    rule("NMO-004", "NeMo archive that leaves its folder", CRITICAL, "XW", "CWE-22 CWE-502",
         what="a .nemo archive holds paths or links that leave the folder it is unpacked into",
         why="restoring the model unpacks it", fix="refuse the archive"),
    rule("NMO-005", "YAML tag that builds Python objects", CRITICAL, "XD", "CWE-502 CWE-776",
         what="a YAML text uses `!!python` tags, or anchors that multiply",
         why="unsafe loaders call what the tag names; all loaders unfold the anchors", fix="remove the tag; load with safe_load"),
    rule("NMO-006", "class path from elsewhere", HIGH, "X", "CWE-470",
         what="class_path, import_path or a similar key names code outside the known libraries",
         why="the framework imports and calls it", fix="check the name against a list"),
    rule("NMO-007", "configuration that is evaluated", HIGH, "X", "CWE-95",
         what="a model definition holds expressions with calls, which its loader evaluates, or imports modules",
         why="parsing the configuration runs them", fix="use plain names and numbers"),
    rule("NMO-009", "launcher with remote code or commands", HIGH, "X", "CWE-78 CWE-829",
         what="a training or serving recipe trusts remote code or names commands to run",
         why="starting the job runs them", fix="remove the keys, or review what they run", surface="mlops"),
)  # fmt: skip
