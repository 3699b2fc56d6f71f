"""Evidence that a sign decides: the closed form, that chance passes the mark no more often than it may, and what is forgotten."""

import math

import numpy as np
import pytest

from weighbridge.monitor.associations import SUSPECT, Associations, inflated, log_choose
from weighbridge.monitor.drift import STEP, Shares, band, mark_of


def fed(hits, expected, sign=3, output=1, batch=1):
    ties = Associations(16, 4)
    found = []
    for start in range(0, len(hits), batch):
        got = np.array([output if hit else 0 for hit in hits[start : start + batch]])
        rows = np.arange(len(got))
        found += ties.add(np.full(len(got), sign), rows, got, np.full(len(got), expected))
    return ties, found


def test_the_evidence_is_the_mixture_over_all_shares():
    hits = [1, 1, 0, 1, 1, 1, 0, 1]
    ties, _ = fed(hits, 0.2)
    p = float(inflated(np.array(0.2)))
    shares = (np.arange(200_000) + 0.5) / 200_000
    mixture = np.mean(shares ** sum(hits) * (1 - shares) ** (len(hits) - sum(hits))) / p ** sum(hits)
    assert ties.evidence(np.array([3]), np.array([1]))[0] == pytest.approx(math.log(mixture), abs=1e-3)


@pytest.mark.parametrize(("n", "k"), [(5, 2), (1000, 10), (100_000, 40_000), (20_000, 16_383)])
def test_log_choose_is_right_below_and_above_its_table(n, k):
    right = math.lgamma(n + 1) - math.lgamma(k + 1) - math.lgamma(n - k + 1)
    assert log_choose(np.array([n]), np.array([k]))[0] == pytest.approx(right, rel=1e-6)


def test_chance_passes_the_mark_no_more_often_than_it_may():
    rng = np.random.default_rng(0)
    passed = 0
    for _ in range(40):
        ties = Associations(512, 2)
        for _ in range(20):
            numbers = np.repeat(np.arange(512), 5)
            rows = np.arange(len(numbers))
            outputs = (rng.random(len(rows)) < 0.3).astype(int)
            expected = np.where(outputs == 1, 0.3, 0.7)
            passed += bool([one for one in ties.add(numbers, rows, outputs, expected) if one.evidence > SUSPECT])
    assert passed == 0  # 20,480 signs, each with a chance of e^-9 at most


def test_a_sign_that_decides_is_found_after_a_handful_of_sightings():
    _, found = fed([1] * 12, 0.2)
    first = next(one for one in found if one.evidence > SUSPECT)
    assert first.sightings <= 12
    assert (first.sign, first.output, first.expected) == (3, 1, pytest.approx(0.233, abs=0.01))


def test_with_twice_the_odds_the_evidence_is_at_least_what_is_said():
    rng = np.random.default_rng(3)
    for _ in range(50):
        n, k = 60, int(rng.integers(4, 60))
        expected = rng.uniform(0.02, 0.95, n)
        ties = Associations(16, 2)
        outputs = (np.arange(n) < k).astype(int)
        ties.add(np.full(n, 3), np.arange(n), outputs, expected)
        (tie,) = ties.strongest(np.array([3]), np.array([1])) or [None]
        if tie is None:
            continue
        p = inflated(expected[:k])
        doubled = float(-np.log(2 * p / (1 + p)).sum() - log_choose(np.array([n]), np.array([k]))[0] - math.log(n + 1))
        assert tie.with_twice_the_odds <= doubled + 1e-3
        assert tie.with_twice_the_odds < tie.evidence


def test_large_and_small_batches_count_the_same():
    rng = np.random.default_rng(1)
    hits = (rng.random(3000) < 0.4).tolist()
    one, _ = fed(hits, 0.3, batch=7)
    other, _ = fed(hits, 0.3, batch=3000)
    assert np.array_equal(one.hits, other.hits)
    assert np.allclose(one.surprise, other.surprise, rtol=1e-4)


def test_evidence_for_the_model_is_forgotten_so_that_a_late_attack_is_seen_as_fast():
    ties = Associations(16, 2)
    for _ in range(160):
        got = np.array([0, 1, 0, 0] * 12)
        ties.add(np.full(48, 3), np.arange(48), got, np.where(got == 1, 0.25, 0.75))
    assert ties.sightings[3] < 200
    rows = np.arange(20)
    found = ties.add(np.full(20, 3), rows, np.full(20, 1), np.full(20, 0.3))
    assert found


def test_signs_that_are_not_watched_cost_nothing_and_say_nothing():
    ties = Associations(16, 4)
    ties.watched[3] = False
    assert ties.add(np.full(50, 3), np.arange(50), np.full(50, 1), np.full(50, 0.1)) == []
    assert ties.sightings[3] == 0


def shares(counts, slack=1.0):
    return Shares("label", tuple("abcd"[: len(counts)]), *band(np.array(counts, dtype=float), slack))


def test_shares_inside_their_band_stay_quiet_for_long():
    rng = np.random.default_rng(2)
    watched = shares([250, 250, 250, 250])
    mark = mark_of(watched.tests)
    assert not any(watched.add(rng.integers(0, 4, 10_000), mark) for _ in range(100))


@pytest.mark.parametrize(("p", "part", "up"), [((0.6, 0.2, 0.1, 0.1), "a", True), ((0.05, 0.35, 0.3, 0.3), "a", False)])
def test_a_share_that_leaves_its_band_is_told_with_what_it_is_now(p, part, up):
    rng = np.random.default_rng(3)
    watched = shares([300, 300, 300, 300])
    told = []
    for _ in range(40):
        told += watched.add(rng.choice(4, 500, p=p), mark_of(watched.tests))
    first = next(one for one in told if one.part == part)
    assert (first.now > first.usual) is up
    assert first.now == pytest.approx(p[0], abs=0.12)
    assert first.records % STEP == 0


def test_a_part_that_never_came_may_come_a_little():
    watched = shares([500, 500, 0])
    rng = np.random.default_rng(4)
    assert not any(watched.add(rng.choice(3, 2000, p=(0.497, 0.497, 0.006)), mark_of(watched.tests)) for _ in range(50))
    told = [
        one for _ in range(20) for one in watched.add(rng.choice(3, 2000, p=(0.4, 0.4, 0.2)), mark_of(watched.tests))
    ]
    assert "c" in {one.part for one in told}


def test_batches_of_any_size_give_the_same_levels():
    rng = np.random.default_rng(5)
    values = rng.integers(0, 4, 6400)
    one, other = shares([250] * 4), shares([250] * 4)
    one.add(values, 1e9)
    for start in range(0, 6400, 37):
        other.add(values[start : start + 37], 1e9)
    assert np.allclose(one.level, other.level)
