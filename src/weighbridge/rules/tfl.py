"""Knows the TFL family: TensorFlow graphs, checkpoints, TFLite and TensorFlow.js."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from weighbridge.rules.build import CRITICAL, HIGH, MEDIUM, rule

if TYPE_CHECKING:
    from weighbridge.schema import Rule

TFL: Final[tuple[Rule, ...]] = (
    rule("TFL-001", "graph that reads or writes files", HIGH, "RW", "CWE-73 AML.T0018.001",
         what="an operator of the graph reads or writes a file", why="running the model does it on the server", fix="refuse the model; keep file access outside the graph"),
    rule("TFL-002", "graph that calls Python", CRITICAL, "X", "CWE-94",
         what="a PyFunc or related operator is in the graph", why="it calls a function of the host process", fix="refuse the model"),
    rule("TFL-003", "checkpoint operator with an odd path", HIGH, "RW", "CWE-73",
         what="an operator that saves or restores has a constant absolute or escaping path", why="running it reads or overwrites that file", fix="refuse the model"),
    rule("TFL-004", "graph that uses the network", HIGH, "NR", "CWE-918",
         what="an operator talks to another machine, or reads a dataset from an address", why="inputs leave, or foreign data comes in", fix="refuse the model"),
    rule("TFL-005", "operator that needs a library", CRITICAL, "X", "CWE-829",
         what="the graph uses an operator that TensorFlow does not have, or ships a library", why="the library runs as native code when it is loaded", fix="ask for a graph of standard operators"),
    rule("TFL-006", "asset outside the model", HIGH, "R", "CWE-22",
         what="an asset's file name is absolute or escapes the folder", why="loading the model reads it", fix="refuse the model"),
    rule("TFL-007", "graphs under several tags", MEDIUM, "UB", "AML.T0018.001", heuristic=True,
         what="a SavedModel holds more than one graph", why="the one that was tested need not be the one that is served", fix="test the tags that are served"),
    rule("TFL-008", "branch on the input past the network", HIGH, "B", "AML.T0018.001 AATMF:T13-AT-015", heuristic=True,
         what="a comparison on the raw input chooses the output without the network's arithmetic between them", why="a backdoor in the graph survives fine-tuning and leaves the weights alone", fix="look at the sub-graph that is shown; take the model from its source"),
    rule("TFL-009", "graph file that does harm", HIGH, "XRW", "CWE-94",
         what="a frozen graph or .meta file holds one of the operators above", why="such files are imported and run without a SavedModel's signatures", fix="refuse the file"),
    rule("TFL-010", "checkpoint that does not fit", MEDIUM, "EP", "CWE-345",
         what="the index of a checkpoint names ranges beyond its shard, or tensors of text", why="what is restored is not what was saved", fix="save the checkpoint again"),
    rule("TFL-011", "custom or TensorFlow operator in TFLite", HIGH, "XRW", "CWE-829",
         what="the model needs a custom operator, or one of TensorFlow's that reach files", why="the application has to load native code for it", fix="ask for a model of built-in operators"),
    rule("TFL-012", "malformed TFLite file", HIGH, "M", "CWE-125 CWE-787",
         what="an offset, index or buffer of the FlatBuffer lies outside", why="interpreters trust it and read or write out of bounds", fix="refuse the file"),
    rule("TFL-013", "files appended to a TFLite model", MEDIUM, "EX", "CWE-506",
         what="a zip lies behind the model", why="metadata belongs there, and anything else fits", fix="see the findings on its members"),
    rule("TFL-014", "TensorFlow.js model that fetches", MEDIUM, "NR", "CWE-22 CWE-918",
         what="a weight path of model.json is an address or escapes the folder", why="loading the model fetches it", fix="make the paths relative"),
)  # fmt: skip
