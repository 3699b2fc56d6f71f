"""The verb `policy`: show and check the policy that is in force."""

from __future__ import annotations

from weighbridge.cli.options import parser
from weighbridge.policy import find_settings


def run(arguments: list[str]) -> int:
    """Run the verb."""
    made = parser(
        "policy", "Show and check the policy that is in force.", "weighbridge policy --policy weighbridge.toml"
    )
    made.add_argument("--policy", metavar="FILE", help="policy file (default: the one of the current folder)")
    given = made.parse_args(arguments)
    settings = find_settings(given.policy)
    policy = settings.policy
    print(f'policy "{policy.name}" from {settings.source or "the defaults"}')
    for statement in policy.statements:
        severity = ", ".join(s.value for s in statement.severity) or "any severity"
        which = ", ".join(statement.rules) or "any rule"
        effects = f", effects {statement.effects}" if statement.effects else ""
        print(f"  {statement.outcome.value:<6}  {statement.name}: {severity}, {which}{effects}")
    print(f"  {policy.incomplete.value:<6}  everything is inspected")
    for waiver in policy.waivers:
        state = "expired" if waiver.expires < policy.today else f"until {waiver.expires}"
        print(f"  waiver  {waiver.rule} in {waiver.path}, {state}, {waiver.owner}: {waiver.reason}")
    return 0
