"""Knows the JBL family: joblib, dill, cloudpickle and skops."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from weighbridge.rules.build import CRITICAL, HIGH, MEDIUM, rule

if TYPE_CHECKING:
    from weighbridge.schema import Rule

JBL: Final[tuple[Rule, ...]] = (
    rule("JBL-001", "dangerous pickle in a joblib file", CRITICAL, "X", "CWE-502 CVE-2024-34997",
         what="a joblib dump, compressed or not, does something dangerous when it is loaded",
         why="joblib.load runs it", fix="ask for skops or ONNX, or train the estimator again"),
    rule("JBL-002", "object array in a joblib file", MEDIUM, "X", "CWE-502",
         what="an array of Python objects is stored as a second pickle that needs a closer look",
         why="scanners that skip arrays skip it as well", fix="store numbers, not objects"),
    rule("JBL-003", "functions with embedded bytecode", HIGH, "X", "CWE-94 CWE-502",
         what="dill or cloudpickle stored the bytecode of a function",
         why="the code comes with the file and runs when the model is used, or while it is loaded",
         fix="import the function from reviewed source instead of storing it"),
    rule("JBL-004", "holds a function for later", MEDIUM, "U", "CWE-502",
         what="an object keeps a function or class that is not known to be harmless, without calling it while it is loaded",
         why="it is called when the model is used", heuristic=True,
         fix="check what it does; list it under [knowledge] in weighbridge.toml if it is yours"),
    rule("JBL-005", "skops node is not what it says", HIGH, "X", "CVE-2025-54412 CVE-2025-54413 CWE-436",
         what="the type that a node shows to the audit and the loader that reads it do not fit",
         why="the audit trusts one and the loader runs the other", fix="refuse the file"),
    rule("JBL-006", "skops file that is no zip", HIGH, "X", "CVE-2025-54886",
         what="a file called .skops is no skops archive",
         why="tools fall back to joblib, which runs pickles", fix="refuse the file"),
    rule("JBL-007", "skops type outside the known ones", MEDIUM, "X", "CVE-2024-37065",
         what="the schema asks for a type that is not known to be harmless",
         why="skops loads it if the user says that all types are trusted",
         fix="check the type; list it under [knowledge] in weighbridge.toml if it is yours"),
)  # fmt: skip
