"""Verdicts: statements, waivers with reason, owner and expiry, and what incomplete means."""

from __future__ import annotations

from datetime import date

import msgspec
import pytest

from tests.corpus.assemble import call, stream
from tests.corpus.rules import PLAIN
from weighbridge.policy import Policy, Statement, Waiver
from weighbridge.policy.language import parse_settings
from weighbridge.schema import Outcome, UsageError

BAD = stream(call("os.system", "id"))
WAIVER = {
    "rule": "PKL-001",
    "path": "*a.pkl",
    "reason": "our own test file",
    "owner": "sam",
    "expires": date(2030, 1, 1),
}


def judged(report_of, data, **policy):
    return report_of({"a.pkl": data}, policy=Policy(**policy)).verdict


def test_code_blocks_and_names_the_statement(report_of):
    verdict = judged(report_of, BAD)
    assert (verdict.outcome, verdict.decided_by) == (Outcome.BLOCK, "no code in weights")
    assert "PKL-001" in verdict.because


def test_plain_data_is_admitted(report_of):
    assert judged(report_of, PLAIN).outcome is Outcome.ADMIT


def test_what_was_not_inspected_is_never_admitted(report_of):
    assert judged(report_of, PLAIN[:-3]).outcome is Outcome.REVIEW


def test_a_waiver_admits_and_is_shown(report_of):
    verdict = judged(report_of, BAD, waivers=(Waiver(**WAIVER),), today=date(2026, 1, 1))
    assert verdict.outcome is Outcome.ADMIT
    assert [(w.rule, w.owner, w.reason) for w in verdict.waived] == [("PKL-001", "sam", "our own test file")]


def test_an_expired_waiver_does_nothing(report_of):
    assert judged(report_of, BAD, waivers=(Waiver(**WAIVER),), today=date(2031, 1, 1)).outcome is Outcome.BLOCK


def test_a_waiver_for_another_path_does_nothing(report_of):
    waiver = Waiver(**{**WAIVER, "path": "*b.pkl"})
    assert judged(report_of, BAD, waivers=(waiver,), today=date(2026, 1, 1)).outcome is Outcome.BLOCK


def test_statements_can_be_written_for_single_rules(report_of):
    mild = Statement(name="seen", outcome=Outcome.REVIEW, rules=("PKL-*",))
    assert judged(report_of, BAD, statements=(mild,)).decided_by == "seen"


@pytest.mark.parametrize(
    ("document", "part"),
    [
        ({"waiver": [{**WAIVER, "reason": " "}]}, "no reason"),
        ({"waiver": [{key: value for key, value in WAIVER.items() if key != "expires"}]}, "expires"),
        ({"waiver": [{**WAIVER, "rule": "PKL-999"}]}, "unknown rule"),
        ({"policy": {"statement": [{"name": "x", "outcome": "perhaps"}]}}, "perhaps"),
        ({"policy": {"colour": "red"}}, "colour"),
        ({"surprise": {}}, "surprise"),
        ({"limits": {"depth": "deep"}}, "int"),
    ],
)
def test_a_broken_configuration_is_refused_by_key(document, part):
    with pytest.raises(UsageError, match=part):
        parse_settings(document, "weighbridge.toml")


def test_limits_and_own_names_are_read():
    settings = parse_settings(
        {"limits": {"depth": 3}, "knowledge": {"ours": ["acme.Net"]}, "scan": {"exclude": ["*.md"]}}, "x"
    )
    assert (settings.limits.depth, settings.knowledge, settings.exclude) == (3, ("acme.Net",), ("*.md",))


def test_the_same_report_and_policy_give_the_same_verdict(report_of):
    from weighbridge.policy import decide

    report = report_of({"a.pkl": BAD})
    assert decide(report, Policy()) == decide(msgspec.structs.replace(report), Policy())
