"""Knows the attacks on skops files (JBL)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from weighbridge.detect.knowledge import Standing, Use
from weighbridge.formats.pickle import Name
from weighbridge.rules.finding import finding
from weighbridge.schema import Severity
from weighbridge.schema.text import printable

if TYPE_CHECKING:
    from collections.abc import Iterator

    from weighbridge.detect.subjects import SkopsSubject
    from weighbridge.formats.skops import SkopsNode
    from weighbridge.schema import Finding

# Loader names of skops 0.16 with the only types whose nodes carry them.
_FIXED: Final = {
    "DictNode": {"builtins.dict", "collections.OrderedDict"},
    "ListNode": {"builtins.list"},
    "SetNode": {"builtins.set"},
    "TupleNode": {"builtins.tuple"},
    "BytesNode": {"builtins.bytes"},
    "BytearrayNode": {"builtins.bytearray"},
    "SliceNode": {"builtins.slice"},
    "PartialNode": {"functools.partial"},
    "JsonNode": {"builtins.str", "builtins.int", "builtins.float", "builtins.bool", "builtins.NoneType"},
    "NdArrayNode": {"numpy.ndarray", "numpy.matrix", "numpy.generic"},
    "MaskedArrayNode": {"numpy.ma.MaskedArray", "numpy.ma.core.MaskedArray"},
    "DTypeNode": {"numpy.dtype"},
    "RandomStateNode": {"numpy.random.mtrand.RandomState"},
    "RandomGeneratorNode": {"numpy.random._generator.Generator"},
    "DatetimeNode": {"datetime.datetime"},
}
_LOADERS: Final = frozenset(
    {*_FIXED, "ObjectNode", "TypeNode", "FunctionNode", "MethodNode", "OperatorFuncNode", "DefaultDictNode", "SparseMatrixNode",
     "TreeNode", "SGDNode", "LossNode", "UnpicklableNode", "ReduceNode", "CachedNode", "QuantileForestNode", "_DictWithDeprecatedKeysNode",
     "BaseHistGradientBoostingNode", "TimeNode", "DateNode", "TimedeltaNode", "TimezoneNode", "CythonLossNode", "BinaryTreeNode", "DatasetNode"}
)  # fmt: skip
_OPERATORS: Final = frozenset({"attrgetter", "itemgetter", "methodcaller"})


def detect_skops(subject: SkopsSubject) -> Iterator[Finding]:
    """Each node of the schema against what its loader reads."""
    if subject.error:
        yield finding("SCN-002", subject.location, subject.error, severity=Severity.MEDIUM)
    told: set[str] = set()
    for node in subject.nodes:
        for key in node.duplicates:
            yield finding("JBL-005", subject.location, f"the key {printable(key)!r} of a node occurs twice")
        yield from _confusion(subject, node)
        name = Name(node.module, node.name)
        if not node.module or name.dotted in told:
            continue
        told.add(name.dotted)
        grades = [subject.knowledge.grade(name, use) for use in (Use.REFERENCE, Use.NEW, Use.CALL)]
        if any(grade.standing is Standing.HARMLESS for grade in grades):
            continue
        severity = Severity.HIGH if grades[2].standing is Standing.DANGEROUS else Severity.MEDIUM
        yield finding(
            "JBL-007",
            subject.location,
            f"the schema asks for {printable(name.dotted)}, which {grades[2].ability}",
            severity=severity,
        )


def _confusion(subject: SkopsSubject, node: SkopsNode) -> Iterator[Finding]:
    dotted = f"{node.module}.{node.name}"
    evidence = [f"__module__ {node.module!r}, __class__ {node.name!r}, __loader__ {node.loader!r}"]
    allowed = _FIXED.get(node.loader)
    scalar = node.loader == "NdArrayNode" and node.module == "numpy"
    plain = scalar or (node.loader == "JsonNode" and node.module == "builtins")
    if allowed is not None and dotted not in allowed and not plain:
        yield finding("JBL-005", subject.location, f"{node.loader} is given {printable(dotted)}", evidence=evidence)
    elif node.loader == "OperatorFuncNode" and (node.module != "operator" or node.name not in _OPERATORS):
        yield finding("JBL-005", subject.location, f"an operator node names {printable(dotted)}", evidence=evidence)
    elif node.loader and node.loader not in _LOADERS:
        yield finding(
            "JBL-005",
            subject.location,
            f"no loader is called {printable(node.loader)}",
            evidence=evidence,
            severity=Severity.MEDIUM,
        )
    elif node.loader == "MethodNode" and any("__" in value for _, value in node.fields):
        yield finding(
            "JBL-005", subject.location, "a method node reaches the internals of an object", evidence=evidence
        )
