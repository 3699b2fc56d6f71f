"""Knows the shape of a backdoor in a computation graph: a branch on the raw input that replaces the output.

The model's own arithmetic (convolutions, matrix products, attention) lies between input and output in every real
network. A comparison that is reached from the input without it, and that chooses what the output is without it,
is a switch beside the network. Source: ShadowLogic (HiddenLayer 2024), MITRE ATLAS AML.T0018.001.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from msgspec import Struct

if TYPE_CHECKING:
    from weighbridge.formats.graph import Graph, Node

_HEAVY: Final = frozenset(
    [
        "Conv",
        "ConvInteger",
        "ConvTranspose",
        "QLinearConv",
        "MatMul",
        "MatMulInteger",
        "QLinearMatMul",
        "Gemm",
        "FusedMatMul",
        "FusedGemm",
        "FusedConv",
        "Attention",
        "MultiHeadAttention",
        "GroupQueryAttention",
        "LSTM",
        "GRU",
        "RNN",
        "Einsum",
        "DeformConv",
        "TreeEnsemble",
        "TreeEnsembleClassifier",
        "TreeEnsembleRegressor",
        "LinearClassifier",
        "LinearRegressor",
        "SVMClassifier",
        "SVMRegressor",
        "Gather",
        "GatherND",
        "EmbedLayerNormalization",
        "LayerNormalization",
        "BatchNormalization",
        "InstanceNormalization",
        "SkipLayerNormalization",
        "Resize",
        "NonMaxSuppression",
        "TopK",
        "Conv2D",
        "Conv1D",
        "Conv3D",
        "DepthwiseConv2dNative",
        "Conv2DBackpropInput",
        "BatchMatMul",
        "BatchMatMulV2",
        "BatchMatMulV3",
        "_FusedConv2D",
        "_FusedMatMul",
        "FusedBatchNorm",
        "FusedBatchNormV3",
        "ResourceGather",
        "GatherV2",
        "SparseTensorDenseMatMul",
        "CudnnRNN",
        "PartitionedCall",
        "StatefulPartitionedCall",
        "LookupTableFindV2",
        "ArgMax",
        "Softmax",
    ]
)
_OUTPUT_HEAVY: Final = _HEAVY - {"Softmax", "ArgMax", "TopK", "Gather", "GatherV2"}
_SHAPES: Final = frozenset({"Shape", "Size", "ConstantOfShape", "Rank", "Range", "NonZero"})
_COMPARES: Final = frozenset(
    [
        "Equal",
        "Greater",
        "GreaterOrEqual",
        "Less",
        "LessOrEqual",
        "GreaterEqual",
        "LessEqual",
        "NotEqual",
        "IsInf",
        "IsNaN",
        "ReduceAll",
        "All",
        "Any",
    ]
)
_CHOOSES: Final = frozenset({"Where", "If", "Select", "SelectV2", "StatelessIf", "Switch", "_If"})
_MASKS: Final = frozenset({"Mul", "Add", "AddV2", "Sub", "BitwiseXor", "Max", "Maximum"})
_STEPS: Final = 500_000


class HiddenBranch(Struct, frozen=True):
    """The comparison, the choice it controls, the graph output behind it, and the operators on the way."""

    comparison: Node
    choice: Node
    output: str
    way: tuple[str, ...]


def hidden_branches(graph: Graph) -> list[HiddenBranch]:
    """Branches on the raw input that reach an output, at most five."""
    main = [node for node in graph.nodes if not node.scope]
    if not any(node.op in _COMPARES for node in main):
        return []
    users: dict[str, list[Node]] = {}
    for node in main:
        for name in node.inputs:
            users.setdefault(name, []).append(node)
    raw = _reached(graph.inputs, users, _HEAVY | _SHAPES)
    found = []
    for node in main:
        if node.op in _COMPARES and any(name in raw for name in node.inputs) and _constant_side(node, graph, raw):
            branch = _choice(node, users, graph)
            if branch is not None:
                found.append(branch)
        if len(found) == 5:
            break
    return found


def _reached(names: tuple[str, ...], users: dict[str, list[Node]], stop: frozenset[str]) -> set[str]:
    seen = set(names)
    waiting = list(names)
    while waiting and len(seen) < _STEPS:
        for node in users.get(waiting.pop(), ()):
            if node.op in stop:
                continue
            for output in node.outputs:
                if output not in seen:
                    seen.add(output)
                    waiting.append(output)
    return seen


def _constant_side(node: Node, graph: Graph, raw: set[str]) -> bool:
    """Whether the input is compared with something that does not depend on it; reductions have one side only."""
    others = [name for name in node.inputs if name not in raw]
    return not others or len(node.inputs) == 1 or any(name in graph.constants or name for name in others)


def _choice(comparison: Node, users: dict[str, list[Node]], graph: Graph) -> HiddenBranch | None:
    """The first choice that the comparison controls and that reaches an output by light operators alone."""
    outputs = set(graph.outputs)
    waiting: list[tuple[str, tuple[str, ...], bool]] = [(name, (), True) for name in comparison.outputs]
    seen: set[str] = set(comparison.outputs)
    chosen: Node | None = None
    while waiting and len(seen) < _STEPS:
        name, way, logical = waiting.pop()
        if chosen is not None and name in outputs:
            return HiddenBranch(comparison, chosen, name, way)
        for node in users.get(name, ()):
            if node.op in _OUTPUT_HEAVY:
                continue
            decides = (node.op in _CHOOSES and node.inputs[:1] == (name,)) or (node.op in _MASKS and logical)
            decides = decides or (node.op in {"Switch", "Select", "SelectV2"} and name in node.inputs[:2])
            if decides and chosen is None:
                chosen = node
            for output in node.outputs:
                if output not in seen:
                    seen.add(output)
                    waiting.append((output, (*way[-12:], node.op), logical and not decides))
    if chosen is not None and seen & outputs:
        return HiddenBranch(comparison, chosen, min(seen & outputs), ())
    return None


def drawn(branch: HiddenBranch) -> list[str]:
    """The sub-graph as lines of evidence."""
    return [
        f"{', '.join(branch.comparison.inputs)} -> {branch.comparison.op} {branch.comparison.name}".rstrip(),
        f"  -> {branch.choice.op} {branch.choice.name}({', '.join(branch.choice.inputs)})",
        f"  -> {' -> '.join((*branch.way, branch.output)) if branch.way else branch.output}",
    ]
