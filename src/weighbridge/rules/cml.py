"""Knows the CML family: classical models and formats of other languages."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from weighbridge.rules.build import CRITICAL, HIGH, MEDIUM, rule

if TYPE_CHECKING:
    from weighbridge.schema import Rule

CML: Final[tuple[Rule, ...]] = (
    rule("CML-001", "XGBoost model with impossible trees", MEDIUM, "MX", "CWE-787",
         what="counts and indices of a tree do not fit together", why="native code follows them out of bounds", fix="save the model again"),
    rule("CML-002", "LightGBM model with impossible trees", HIGH, "M", "CVE-2024-43598",
         what="counts and indices of a tree do not fit together", why="native code follows them out of bounds", fix="save the model again"),
    rule("CML-003", "CatBoost model that lies about its size", MEDIUM, "MX", "CWE-787",
         what="the envelope or an offset lies outside the file", why="native code follows it", fix="save the model again"),
    rule("CML-004", "PMML with entities, scripts or references", HIGH, "RDX", "CWE-611 CWE-776",
         what="the document declares an entity, carries a script extension or refers to an address", why="parsers read files, unfold bombs or run it", fix="remove the declaration"),
    rule("CML-006", "R object with code", HIGH, "X", "CVE-2024-27322 CWE-502",
         what="a serialised R object holds a promise, bytecode or pointer", why="a promise is evaluated when it is touched", fix="load with a patched R, and ask for plain data"),
    rule("CML-007", "Java object stream", CRITICAL, "X", "CWE-502",
         what="a serialised Java object names gadget classes or classes of no known library", why="readObject runs their code", fix="ask for PMML, ONNX or a MOJO"),
    rule("CML-008", "H2O model as source, or a MOJO with odd members", HIGH, "X", "CWE-829",
         what="a POJO has to be compiled and run; a MOJO archive holds foreign members", why="both bring code", fix="ask for a plain MOJO"),
    rule("CML-009", "MATLAB file with functions or opaque objects", MEDIUM, "XR", "CWE-502",
         what="an array of a function or opaque class", why="loading it calls loadobj or rebuilds the function", fix="save numbers and structures only"),
    rule("CML-010", "Julia file with code", HIGH, "X", "CWE-502",
         what="a BSON file holds lowered code or closures", why="loading it defines and may call them", fix="save arrays only"),
    rule("CML-011", ".NET BinaryFormatter", HIGH, "X", "CWE-502",
         what="a stream of BinaryFormatter", why="reading it builds any class", fix="ask for ONNX"),
    rule("CML-012", "spaCy pipeline with foreign functions", HIGH, "X", "CWE-470 CWE-502",
         what="config.cfg names registered functions of other packages, or callbacks", why="loading the pipeline looks them up and calls them", fix="use components of spaCy, or review the package"),
    rule("CML-013", "fastText model that lies about its size", MEDIUM, "XM", "CWE-502",
         what="counts in the header do not fit the file", why="readers allocate or read out of bounds", fix="refuse the file"),
)  # fmt: skip
