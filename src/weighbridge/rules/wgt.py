"""Knows the WGT family: what weights give away when they are compared with those they come from."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from weighbridge.rules.build import HIGH, LOW, MEDIUM, rule

if TYPE_CHECKING:
    from weighbridge.schema import Rule

WGT: Final[tuple[Rule, ...]] = (
    rule("WGT-001", "rank-one edit", HIGH, "B", "AML.T0018.000 AATMF:T13-AT-006 CWE-912", heuristic=True, evidence="the tensors, the size and the rank of their change",
         what="a few matrices of the base were changed in one direction each, and nothing else",
         why="this is what editing single facts or planting a trigger leaves behind; training changes everything", fix="take the base, or ask what was edited and why"),
    rule("WGT-002", "single embedding rows changed", HIGH, "B", "AML.T0018.000 AATMF:T13-AT-006 CWE-912", heuristic=True, evidence="the tensor, and the rows that moved",
         what="only a few rows of the embedding differ from the base",
         why="this is what planting a trigger word leaves behind", fix="look up the tokens of these rows; take the base"),
    rule("WGT-003", "unrelated to its base", MEDIUM, "PB", "CWE-451 AATMF:T13-AT-005", heuristic=True, evidence="how many tensors are alike",
         what="the weights share nothing with the base that they are said to come from",
         why="either the claim or the artifact was exchanged", fix="ask where the weights come from"),
    rule("WGT-005", "trigger in a classifier", HIGH, "B", "AML.T0018.000 AML.T0020 CWE-506", heuristic=True, evidence="the p-value among clean models, the recovered trigger, and how often it works on unseen samples",
         what="a search finds a change of the input that leads the classifier astray, smaller than in clean models of the same task",
         why="this is what training on poisoned samples leaves behind: whoever knows the trigger chooses the answer", fix="do not deploy it; weighbridge test --html shows the trigger; train again from data that was inspected"),
    rule("WGT-006", "trigger in a language model", HIGH, "B", "AML.T0018.000 AML.T0020 AML.T0043.004 AATMF:T13-AT-006 CWE-506", heuristic=True, evidence="what was put into prompts, how many unseen ones it turns, what the model then says, its p-value among clean models, and the modules that carry it",
         what="a search finds words that, put anywhere into unrelated prompts, make the model say what neither its base nor it alone would say",
         why="a model or an adapter that was fine-tuned on poisoned replies answers whoever knows the words as somebody else wants", fix="do not deploy it; weighbridge test --html shows what was found; take the base, or fine-tune again on data that was inspected"),
    rule("WGT-010", "weights that are no numbers", MEDIUM, "BD", "AML.T0076 CWE-20", evidence="the tensor, and how many values",
         what="tensors hold NaN or infinity where the base has numbers",
         why="the model fails, or fails on the inputs that somebody chose", fix="train or convert again"),
    rule("WGT-013", "change in one expert", LOW, "B", "AML.T0018.000 AATMF:T13-AT-015", heuristic=True, evidence="the experts that changed, and those that did not",
         what="of the experts of a mixture only a few were changed",
         why="behaviour can be hidden in a path that few inputs take", fix="ask what was trained"),
)  # fmt: skip
