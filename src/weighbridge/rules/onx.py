"""Knows the ONX family: ONNX and ONNX Runtime."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from weighbridge.rules.build import CRITICAL, HIGH, MEDIUM, rule

if TYPE_CHECKING:
    from weighbridge.schema import Rule

ONX: Final[tuple[Rule, ...]] = (
    rule("ONX-001", "tensor data outside the folder", HIGH, "R", "CVE-2022-25882 CVE-2024-27318 CWE-22",
         what="external data is an absolute path, an address, or escapes the folder", why="loading the model reads any file of the host", fix="refuse the model"),
    rule("ONX-002", "saving would overwrite a file", HIGH, "W", "CVE-2025-51480",
         what="external data is named like code, configuration or a hidden file", why="saving the model again writes tensor bytes there", fix="refuse the model"),
    rule("ONX-003", "tensor data behind a link", HIGH, "R", "CVE-2026-34446 CVE-2026-34447 CVE-2026-27489",
         what="the file that external data names is a symbolic or hard link", why="the reader leaves the folder without noticing", fix="replace the link by the file"),
    rule("ONX-004", "impossible external data", MEDIUM, "DR", "CVE-2026-34445 CWE-1284",
         what="offset, length or keys of external data are not what the format has, or lie beyond the file", why="readers allocate or read out of bounds", fix="save the model again"),
    rule("ONX-005", "custom operator", HIGH, "X", "AATMF:T13-AT-008 CWE-829",
         what="an operator belongs to a foreign domain, or has no schema", why="a native library has to be loaded to run it", fix="ask for a model of standard operators"),
    rule("ONX-006", "operator that calls Python", CRITICAL, "X", "CWE-94",
         what="a PythonOp, PyOp or similar operator", why="running the model runs Python", fix="refuse the model"),
    rule("ONX-007", "compiled part", HIGH, "XR", "CWE-829 CWE-22",
         what="an EPContext node carries a compiled blob, or the path of one", why="the execution provider runs it as it is", fix="compile the model yourself from its ONNX source"),
    rule("ONX-008", "plug-in operator", MEDIUM, "X", "CWE-829", heuristic=True,
         what="an operator belongs to a plug-in domain of an execution provider", why="the provider loads the plug-in's library", fix="ask for a model of standard operators"),
    rule("ONX-009", "branch on the input past the network", HIGH, "B", "AML.T0018.001 AATMF:T13-AT-015", heuristic=True,
         what="a comparison on the raw input chooses the output without the network's arithmetic between them", why="a backdoor in the graph survives fine-tuning and leaves the weights alone", fix="look at the sub-graph that is shown; take the model from its source"),
    rule("ONX-010", "function that stands in for an operator", HIGH, "BE", "AML.T0018.001 CWE-436",
         what="a function of the model is named like a standard operator", why="engines disagree on which of the two is run", fix="rename or inline the function"),
    rule("ONX-011", "graph that does not end", MEDIUM, "D", "CWE-674 CWE-834",
         what="a loop with a huge count, or graphs nested very deep", why="running or checking the model stalls", fix="refuse the model"),
    rule("ONX-012", "tensor that contradicts itself", MEDIUM, "DM", "CWE-190",
         what="shape, type and bytes of a tensor do not fit together", why="readers that trust one of them read out of bounds", fix="save the model again"),
    rule("ONX-013", "code in a note", MEDIUM, "U", "CWE-506", heuristic=True,
         what="metadata or a doc string holds code, an encoded blob or an instantiation target", why="tools read configuration from there", fix="remove the entry"),
    rule("ONX-016", "archive of models that leaves its folder", HIGH, "W", "CVE-2024-5187 CVE-2024-7776",
         what="an archive with ONNX files holds escaping paths or links", why="onnx.hub and test runners unpack it", fix="refuse the archive"),
    rule("ONX-017", "malformed ORT file", MEDIUM, "MX", "CWE-787", heuristic=True,
         what="an offset of the FlatBuffer lies outside", why="the runtime maps the file and trusts it", fix="convert the model from ONNX yourself"),
)  # fmt: skip
