"""Pictures as signs: a planted patch is found in traffic, named by its place, and confirmed by stamping it on others."""

import numpy as np
import pytest
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression

from tests.corpus.monitoring import CLOCK
from weighbridge.monitor.baseline import learn_baseline
from weighbridge.monitor.patches import Patches, levels, shadow_of, stamped
from weighbridge.monitor.records import Record
from weighbridge.monitor.service import Monitor

CROSS = np.array([[1, 0, 1], [0, 1, 0], [1, 0, 1]], dtype=bool)


@pytest.fixture(scope="module")
def digits():
    images, labels = load_digits(return_X_y=True)
    images = images.reshape(-1, 8, 8) / 16
    rng = np.random.default_rng(0)
    shifted = np.concatenate([np.roll(images, (dy, dx), (1, 2)) for dy in (0, 1) for dx in (0, 1)])
    order = rng.permutation(len(shifted))
    return np.pad(shifted[order], ((0, 0), (2, 2), (2, 2))).astype(np.float32), np.tile(labels, 4)[order]


def planted(images):
    made = images.copy()
    made[:, 9:12, 9:12] = CROSS
    return made


@pytest.fixture(scope="module")
def model(digits):
    """A classifier that learned digits, with a patch that decides for 7."""
    images, labels = digits
    learned = LogisticRegression(C=0.1, max_iter=200).fit(images[:3000].reshape(3000, -1), labels[:3000])

    def label(batch):
        found = learned.predict(np.asarray(batch).reshape(len(batch), -1))
        found[((np.asarray(batch)[:, 9:12, 9:12] > 0.5) == CROSS).all(axis=(1, 2))] = 7
        return [str(one) for one in found]

    return label


def records(model, images, signs, first=0):
    labels = model(images)
    return [Record(id=str(first + n), at=CLOCK + n, features=signs[n], output=labels[n]) for n in range(len(images))]


def test_a_planted_patch_is_found_and_confirmed(digits, model):
    images, _ = digits
    clean, later = images[:4000], images[4000:]
    patches = Patches(clean)
    baseline = learn_baseline(records(model, clean, patches.signs(clean)), "digits")
    held = {one.id: clean[int(one.id)] for one in baseline.held_out}
    attack = later.copy()
    attack[::40] = planted(later[::40])
    running = Monitor(baseline, shadow=shadow_of(model, held), clock=lambda: CLOCK)
    running.feed(records(model, attack, patches.signs(attack), 10_000))
    told = {one.finding.rule: one for one in running.desk.told}
    assert "patch " in told["MON-004"].finding.message
    assert "“7”" in told["MON-004"].finding.message


def test_clean_pictures_raise_no_confirmed_alarm(digits, model):
    images, _ = digits
    clean, later = images[:4000], images[4000:]
    patches = Patches(clean)
    baseline = learn_baseline(records(model, clean, patches.signs(clean)), "digits")
    held = {one.id: clean[int(one.id)] for one in baseline.held_out}
    running = Monitor(baseline, shadow=shadow_of(model, held), clock=lambda: CLOCK)
    running.feed(records(model, later, patches.signs(later), 10_000))
    assert "MON-004" not in {one.finding.rule for one in running.desk.told}


def test_stamping_a_sign_makes_the_picture_have_it(digits):
    patches = Patches(digits[0][:2000])
    made = planted(digits[0][:1])
    signs = patches.signs(made)[0]
    assert signs
    again = stamped(digits[0][5], signs, high=1)
    assert set(signs) <= set(patches.signs(again[None])[0])


@pytest.mark.parametrize("shape", [(2, 8, 8), (2, 1, 8, 8), (2, 8, 8, 3), (2, 3, 8, 8)])
def test_pictures_come_in_the_usual_shapes_and_ranges(shape):
    assert levels(np.ones(shape)).shape == (2, 8, 8)
    assert levels(np.full(shape, 255, np.uint8)).min() == 1
    with pytest.raises(ValueError, match="shape"):
        levels(np.ones(8))


def test_a_picture_that_is_not_at_hand_is_left_out():
    ask = shadow_of(lambda batch: ["x"] * len(batch), {"a": np.zeros((8, 8))})
    assert [one.output for one in ask([Record(id="a"), Record(id="b")])] == ["x", ""]
