"""Knows what is wrong with TensorFlow graphs, TFLite and TensorFlow.js models (TFL)."""

from __future__ import annotations

import os
import re
from functools import cache
from typing import TYPE_CHECKING, Final

from weighbridge.detect.branches import drawn, hidden_branches
from weighbridge.detect.place import in_document, in_text, leaves
from weighbridge.formats.document import walk
from weighbridge.formats.tensorflow import DT_STRING
from weighbridge.rules.finding import finding
from weighbridge.schema import Severity
from weighbridge.schema.text import printable

if TYPE_CHECKING:
    from collections.abc import Iterator

    from weighbridge.detect.subjects import DocumentSubject, FactsSubject, LinesSubject, RepositorySubject
    from weighbridge.formats.graph import Node
    from weighbridge.formats.tensorflow import TensorFlowFacts
    from weighbridge.schema import Finding

_FILES: Final = frozenset(
    [
        "ReadFile",
        "WriteFile",
        "MatchingFiles",
        "MatchingFilesDataset",
        "WholeFileReader",
        "WholeFileReaderV2",
        "ImmutableConst",
        "TextLineReader",
        "TextLineReaderV2",
        "FixedLengthRecordReader",
        "FixedLengthRecordReaderV2",
        "LMDBReader",
        "LMDBDataset",
        "IdentityReader",
        "TFRecordReader",
        "TFRecordReaderV2",
        "SaveSlices",
        "DebugIdentity",
        "DebugIdentityV2",
        "DebugIdentityV3",
    ]
)
_PYTHON: Final = frozenset({"PyFunc", "EagerPyFunc", "PyFuncStateless", "NumpyFunction"})
_NETWORK: Final = re.compile(
    r"(?:TryRpc|Rpc(?:Call|Client|Server)?|BigQuery\w*|Bigtable\w*|Kafka\w*|Grpc\w*|CloudBigtable\w*)\Z"
)
_DATASETS: Final = frozenset(
    {
        "TextLineDataset",
        "TFRecordDataset",
        "TFRecordDatasetV2",
        "FixedLengthRecordDataset",
        "FixedLengthRecordDatasetV2",
        "SqlDataset",
        "DecodeProtoV2",
    }
)
_CHECKPOINTS: Final = frozenset(
    {
        "SaveV2",
        "Save",
        "RestoreV2",
        "Restore",
        "MergeV2Checkpoints",
        "InitializeTableFromTextFile",
        "InitializeTableFromTextFileV2",
        "LoadDataset",
        "SaveDataset",
        "SaveDatasetV2",
        "LoadAndRemapMatrix",
    }
)
_ADDRESS: Final = re.compile(r"[a-z][a-z0-9+.-]{1,12}://")
_TEXT_OP: Final = re.compile(r"\bop\s*:\s*[\"'](\w+)[\"']")
_LOCAL_STREAMS: Final = frozenset({"stdout", "stderr", "log(info)", "log(warning)", "log(error)", ""})
_FLEX: Final = "Flex"
_TFLITE_CUSTOM: Final = frozenset({"TFLite_Detection_PostProcess"})


@cache
def _operators() -> frozenset[str]:
    path = os.path.join(os.path.dirname(__file__), "knowledge", "operators", "tensorflow.txt")
    with open(path, encoding="utf-8") as file:
        return frozenset(word for line in file.read().splitlines() if not line.startswith("#") for word in line.split())


def detect_graph(subject: FactsSubject) -> Iterator[Finding]:
    """Nodes of the main graph and of every function."""
    facts: TensorFlowFacts = subject.facts
    found = list(_nodes(subject, facts))
    yield from found
    if found and facts.kind != "SavedModel":
        worst = min(found, key=lambda item: item.severity.rank)
        message = f"this {facts.kind} does harm when it is run: {worst.message}"
        yield finding("TFL-009", subject.location, message, severity=worst.severity)
    for asset in facts.assets:
        if leaves(asset) or _ADDRESS.match(asset):
            yield finding("TFL-006", subject.location, f"the asset {printable(asset)!r} lies outside the model")
    if len(facts.tags) > 1:
        tags = "; ".join(",".join(group) for group in facts.tags)
        yield finding("TFL-007", subject.location, f"{len(facts.tags)} graphs under different tags: {printable(tags)}")
    for branch in hidden_branches(facts.graph):
        message = f"{branch.comparison.op} on the input decides what {printable(branch.output)} is, past the network"
        yield finding("TFL-008", subject.location, message, evidence=drawn(branch))


def _nodes(subject: FactsSubject, facts: TensorFlowFacts) -> Iterator[Finding]:
    own = {*facts.functions}
    told: set[tuple[str, str]] = set()
    known_assets = {asset.rsplit("/", 1)[-1] for asset in facts.assets}
    for node in facts.graph.nodes:
        for rule, message, severity in _node(node, facts, own, known_assets):
            if (rule, message) not in told and len(told) < 100:
                told.add((rule, message))
                scope = f", in {printable(node.scope)}" if node.scope else ""
                evidence = [
                    f"{printable(node.name)} = {printable(node.op)}({', '.join(map(printable, node.inputs[:6]))}){scope}"
                ]
                yield finding(rule, subject.location, message, evidence=evidence, severity=severity)


def _node(
    node: Node, facts: TensorFlowFacts, own: set[str], assets: set[str]
) -> Iterator[tuple[str, str, Severity | None]]:
    texts = [text for name in node.inputs for text in facts.strings.get(name, ())]
    if node.op in _PYTHON:
        yield "TFL-002", f"{node.op} calls Python", None
    elif node.op in _FILES:
        shown = f" {printable(texts[0][:80])!r}" if texts else ""
        yield "TFL-001", f"{node.op} reaches a file{shown}", None
    elif node.op == "PrintV2" and node.text_of("output_stream") not in _LOCAL_STREAMS:
        yield "TFL-001", f"PrintV2 writes to {printable(node.text_of('output_stream')[:80])!r}", None
    elif _NETWORK.match(node.op):
        yield "TFL-004", f"{node.op} talks to another machine", None
    elif node.op in _DATASETS and any(_ADDRESS.match(text) or leaves(text) for text in texts):
        odd = next(text for text in texts if _ADDRESS.match(text) or leaves(text))
        yield "TFL-004", f"{node.op} reads {printable(odd[:80])!r}", None
    elif node.op in _CHECKPOINTS:
        odd = next((t for t in texts if leaves(t) or _ADDRESS.match(t)), "")
        if odd:
            asset = odd.rsplit("/", 1)[-1] in assets
            yield "TFL-003", f"{node.op} uses {printable(odd[:80])!r}", Severity.INFO if asset else None
    elif node.op and node.op not in _operators() and node.op not in own:
        yield "TFL-005", f"{printable(node.op)} is no operator of TensorFlow; a library has to bring it", None


def detect_text(subject: LinesSubject) -> Iterator[Finding]:
    """A graph as text (`.pbtxt`)."""
    if not subject.name.endswith((".pbtxt", ".prototxt")):
        return
    for number, line in enumerate(subject.text.split("\n"), 1):
        match = _TEXT_OP.search(line)
        if match and (match[1] in _FILES | _PYTHON or _NETWORK.match(match[1])):
            yield in_text("TFL-009", subject.location, subject.text, number, f"the graph holds {match[1]}")


def detect_tflite(subject: FactsSubject) -> Iterator[Finding]:
    """A TFLite model."""
    facts = subject.facts
    for name in facts.custom:
        plain = name.removeprefix(_FLEX)
        if name.startswith(_FLEX):
            bad = plain in _FILES | _PYTHON or bool(_NETWORK.match(plain))
            severity = None if bad else Severity.LOW
            yield finding("TFL-011", subject.location, f"the TensorFlow operator {printable(plain)}", severity=severity)
        elif name not in _TFLITE_CUSTOM:
            yield finding(
                "TFL-011", subject.location, f"the custom operator {printable(name)} comes from a library outside"
            )
    for problem in facts.problems[:5]:
        yield finding("TFL-012", subject.location, problem)


def detect_broken_tflite(subject: FactsSubject) -> Iterator[Finding]:
    """A TFLite file whose root cannot be read."""
    yield finding("TFL-012", subject.location, str(subject.facts))


def detect_tfjs(subject: DocumentSubject) -> Iterator[Finding]:
    """`model.json` of TensorFlow.js."""
    for path, key, value in walk(subject.document.roots):
        if key == "paths" and isinstance(value, list):
            for item in value:
                if isinstance(item, str) and (leaves(item) or _ADDRESS.match(item)):
                    yield in_document("TFL-014", subject, path, key, item, "weights are fetched from elsewhere")
        elif key == "op" and isinstance(value, str) and (value in _FILES | _PYTHON):
            yield in_document("TFL-014", subject, path, key, value, f"the operator {value} reaches files or Python")


def detect_repository(subject: RepositorySubject) -> Iterator[Finding]:
    """Checkpoint indexes against their shards."""
    sizes = dict(subject.of("shard"))
    for name, entries in subject.of("checkpoint"):
        stem = name.removesuffix(".index")
        shards = {
            int(n.rpartition(".data-")[2][:5]): size for n, size in sizes.items() if n.startswith(f"{stem}.data-")
        }
        for tensor, kind, shard, offset, size in entries:
            if kind == DT_STRING and tensor != "_CHECKPOINTABLE_OBJECT_GRAPH" and "save_counter" not in tensor:
                yield finding("TFL-010", subject.place(name), f"{printable(tensor)} holds text", severity=Severity.LOW)
            if offset < 0 or size < 0 or (shard in shards and size > shards[shard] - offset):
                message = f"{printable(tensor)}: {size} bytes at {offset} of a shard of {shards.get(shard, 0)}"
                yield finding("TFL-010", subject.place(name), message)
                break
