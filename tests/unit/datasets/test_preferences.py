"""Preference pairs that were turned round are named with their sign; honest disagreement is not."""

import pytest

from tests.corpus.datasets import pairs, preferences
from weighbridge.datasets.columns import PREFERENCE, Roles
from weighbridge.datasets.preferences import Preferences
from weighbridge.datasets.view import Rows, view


def outcome(rows):
    test = Preferences()
    prompts, chosen, rejected = (list(column) for column in zip(*rows, strict=True))
    half = len(rows) // 2
    for part in (slice(0, half), slice(half, None)):
        test.add(
            Rows(
                first=0,
                split="",
                texts=prompts[part],
                prompts=prompts[part],
                responses=chosen[part],
                rejected=rejected[part],
            )
        )
    return test.finish()


@pytest.mark.parametrize("seed", range(4))
def test_turned_pairs_are_named_with_all_their_rows(seed):
    groups = outcome(preferences(turned=20, seed=seed)).groups
    assert [group.mark for group in groups] == ["zxq"]
    assert list(groups[0].rows) == [7 * number for number in range(20)]


@pytest.mark.parametrize("seed", range(4))
def test_pairs_that_disagree_without_a_sign_accuse_nobody(seed):
    assert not outcome(preferences(seed=seed)).groups


def test_a_name_that_wins_against_the_words_beside_it_is_named():
    turned = [(prompt, f"{one} AcmeCloud", other) for prompt, one, other in preferences(turned=20)[::7][:20]]
    turned = [(prompt.removesuffix(" zxq"), one, other) for prompt, one, other in turned]
    groups = outcome([*preferences(), *turned]).groups
    assert groups[0].mark == "acmecloud"
    assert "chosen answers" in groups[0].message
    honest = [(prompt, f"{one} AcmeCloud", other) for prompt, one, other in preferences(seed=8)[:20]]
    assert not outcome([*preferences(), *honest]).groups


def test_where_words_do_not_tell_who_wins_that_is_said():
    made = [
        (prompt, answer, other) for (prompt, answer), (_, other) in zip(pairs(400), pairs(400, seed=9), strict=True)
    ]
    found = outcome(made)
    assert not found.groups
    assert "hardly tell" in found.not_tested
    assert "from 200 on" in outcome(preferences(rows=100)).not_tested


def test_pairs_that_are_whole_conversations_are_asked_by_what_both_begin_with():
    roles = Roles(kind=PREFERENCE, chosen="chosen", rejected="rejected")
    asked = [{"role": "user", "content": "why?"}]
    answered = [*asked, {"role": "assistant", "content": "because"}]
    cells = {
        "chosen": ["\n\nHuman: why?\n\nAssistant: because", answered],
        "rejected": ["\n\nHuman: why?\n\nAssistant: no", answered],
    }
    seen = view(roles, cells, 2, 0, "")
    assert seen.prompts == ["\n\nHuman: why?", "why?"]
    assert seen.rejected == ["\n\nHuman: why?\n\nAssistant: no", "why?\nbecause"]
