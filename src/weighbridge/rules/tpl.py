"""Knows the TPL family: chat templates and other prompt-construction assets."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from weighbridge.rules.build import CRITICAL, HIGH, MEDIUM, rule

if TYPE_CHECKING:
    from weighbridge.schema import Rule

TPL: Final[tuple[Rule, ...]] = (
    rule("TPL-001", "template reaches Python internals", CRITICAL, "X", "CVE-2024-34359 CVE-2026-5760 CWE-1336 AML.T0018.003",
         what="a template asks for dunder attributes, the attr filter or objects that lead to the interpreter",
         why="a renderer without a sandbox runs commands", fix="do not render this template; take the one of the base model"),
    rule("TPL-002", "template loads other files", HIGH, "R", "CWE-829",
         what="a template includes, imports or extends another one",
         why="chat templates stand alone; a loader reads files for it", fix="write the text into the template"),
    rule("TPL-003", "text injected on a trigger", HIGH, "B", "AML.T0018.003 AML.T0043.004", heuristic=True,
         what="a condition looks for words in a message and adds instructions of its own where they occur",
         why="a backdoor that lives outside the weights: the model is told something the user did not write", fix="take the template of the base model"),
    rule("TPL-004", "hidden instructions in a template", HIGH, "B", "AML.T0018.003 CWE-1427", heuristic=True,
         what="a template adds URLs or covert instructions to every conversation",
         why="the model obeys them, and no user sees them", fix="take the template of the base model"),
    rule("TPL-008", "template that does not end", MEDIUM, "D", "CVE-2025-61620 CWE-834",
         what="a loop, product or power with a huge constant",
         why="rendering stalls the server, sandboxed or not", fix="remove the expression"),
    rule("TPL-009", "templates disagree", MEDIUM, "EB", "CWE-436 AML.T0018.003",
         what="two copies of the chat template in one repository differ",
         why="the copy that was reviewed is not the one that a loader takes", fix="keep one copy"),
    rule("TPL-010", "invisible characters in a template", HIGH, "BE", "CWE-1007 AML.T0018.003",
         what="a template or prompt holds characters that nobody sees and every tokenizer reads",
         why="instructions can be written in them", fix="remove the characters"),
    rule("TPL-011", "template syntax where none belongs", HIGH, "X", "CWE-1336", heuristic=True,
         what="a configuration or card value is a Jinja expression that reaches for Python internals",
         why="services that render such values run it", fix="remove the value"),
    rule("TPL-013", "text that depends on the date", MEDIUM, "B", "AML.T0018.003 AML.T0051.002", heuristic=True,
         what="a condition compares the current date",
         why="the template behaves in tests and changes later", fix="take the template of the base model"),
)  # fmt: skip
