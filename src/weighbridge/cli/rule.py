"""The verb `rule`: explain a rule, or list all of them."""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING

from weighbridge.cli.options import parser
from weighbridge.rules import all_rules, find_rule
from weighbridge.rules.references import ATLAS_VERSION, name_of
from weighbridge.schema import UsageError

if TYPE_CHECKING:
    from weighbridge.schema import Rule


def run(arguments: list[str]) -> int:
    """Run the verb."""
    made = parser("rule", "Explain a rule, or list all of them.", "weighbridge rule PKL-001")
    made.add_argument("id", nargs="?", metavar="ID", help="a rule id such as PKL-001")
    made.add_argument("--list", action="store_true", help="list every rule")
    given = made.parse_args(arguments)
    if given.list:
        for rule in all_rules():
            print(f"{rule.id}  {rule.severity.value:<8}  {rule.name}")
        return 0
    if given.id is None:
        raise UsageError("which rule?", hint="weighbridge rule PKL-001, or weighbridge rule --list")
    print(explain(find_rule(given.id)))
    return 0


def explain(rule: Rule) -> str:
    """The page of one rule as text."""
    lines = [f"{rule.id}  {rule.name}", f"{rule.severity.value} · {rule.mode.value} · {rule.surface}", ""]
    for title, text in (("what", rule.what), ("why", rule.why), ("evidence", rule.evidence), ("fix", rule.fix)):
        lines += textwrap.wrap(f"{title}: {text}", 100, subsequent_indent=" " * (len(title) + 2))
    lines += ["", f"references (ATLAS {ATLAS_VERSION}):"]
    lines += [f"  {reference:<18} {name_of(reference)}" for reference in rule.references]
    return "\n".join(lines)
