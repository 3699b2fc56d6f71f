"""Knows the ADP family: adapters, merges and fine-tuned outputs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from weighbridge.rules.build import CRITICAL, HIGH, LOW, MEDIUM, rule

if TYPE_CHECKING:
    from weighbridge.schema import Rule

ADP: Final[tuple[Rule, ...]] = (
    rule("ADP-001", "adapter whose base is anywhere", HIGH, "PN", "CWE-610 AATMF:T13-AT-007 ML07:2023",
         what="the base model is a local path, an address, or named without a revision",
         why="the adapter is laid over whatever is there", fix="name the base as owner/name with a commit", surface="fine-tuning"),
    rule("ADP-002", "adapter that does not fit its base", HIGH, "BP", "AATMF:T13-AT-007 CWE-354", evidence="the tensors, and their shapes in the base",
         what="tensors of the adapter have no place in the base, or other shapes",
         why="it was made for another model than it says", fix="ask for which base and commit the adapter was made", surface="fine-tuning"),
    rule("ADP-003", "adapter class from elsewhere", HIGH, "X", "CWE-470 AATMF:T13-AT-007",
         what="auto_mapping or peft_type names something outside the known libraries",
         why="the loader imports the module that is named", fix="use an adapter type of the library", surface="fine-tuning"),
    rule("ADP-004", "pickled adapter weights", CRITICAL, "X", "CWE-502 AATMF:T13-AT-007",
         what="the adapter comes as adapter_model.bin or another pickle",
         why="adapters are passed around more freely than models, and loading this one unpickles", fix="ask for adapter_model.safetensors", surface="fine-tuning"),
    rule("ADP-006", "target pattern that explodes", LOW, "DB", "CWE-1333", heuristic=True,
         what="target_modules is a regular expression that repeats a repetition",
         why="matching module names stalls", fix="list the modules", surface="fine-tuning"),
    rule("ADP-008", "adapter with tensors of the model", MEDIUM, "B", "AML.T0018 AATMF:T13-AT-007",
         what="the adapter holds tensors that are neither adapter weights nor listed in modules_to_save",
         why="it replaces parts of the model instead of adding to them", fix="ask what the tensors are for", surface="fine-tuning"),
    rule("ADP-009", "adapter replaces the template", HIGH, "B", "AML.T0018.003 AATMF:T13-AT-007",
         what="the adapter folder ships a tokenizer or chat template",
         why="loading from this folder replaces that of the base model", fix="compare with the base model's", surface="fine-tuning"),
    rule("ADP-011", "merge recipe with open ends", HIGH, "PX", "CWE-829 AATMF:T13-AT-007",
         what="a merge recipe trusts remote code or names parts by a path, an address, or without a revision",
         why="the merged model is made of whatever is there", fix="pin each part to a commit", surface="fine-tuning"),
    rule("ADP-012", "merge of unknown parts", MEDIUM, "BP", "AATMF:T13-AT-007 CWE-829", evidence="the part, and the recipe",
         what="a merge recipe takes a part that is not in the lock",
         why="a merge carries whatever its parts carry", fix="inspect and lock the part first", surface="fine-tuning"),
    rule("ADP-014", "broken chain of checkpoints", HIGH, "PB", "AATMF:T13-AT-006 CWE-345", evidence="steps and history of both",
         what="the newer checkpoint is not a continuation of the older one: its steps go back or its history differs",
         why="a stage of the training was exchanged", fix="ask for every stage, signed", surface="fine-tuning"),
    rule("ADP-015", "more was changed than the job", HIGH, "B", "AATMF:T13-AT-009 AML.T0018.000", evidence="the tensors that should have been untouched, with the size of their change",
         what="tensors that the job had to leave alone are not bit-identical, or something else was done than was ordered",
         why="a service that touches frozen layers did something that nobody ordered", fix="do not use it; ask the service", surface="fine-tuning"),
    rule("ADP-016", "job without evidence", MEDIUM, "P", "AATMF:T13-AT-009 CWE-345", evidence="what the build provenance leaves out",
         what="the build provenance names no builder, or no digests of base and data",
         why="nobody can tell what the model was made of", fix="ask the service for complete provenance (SLSA v1)", surface="fine-tuning"),
)  # fmt: skip
