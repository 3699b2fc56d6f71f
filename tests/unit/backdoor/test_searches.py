"""Searches and ranks: what is planted is smaller than what is natural, and a rank is a p-value that holds."""

import random

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from weighbridge.backdoor import searches
from weighbridge.backdoor.models import Classifier
from weighbridge.backdoor.pixels import KNOWN, parse_pixels
from weighbridge.backdoor.references import References, find_references, rank, shipped
from weighbridge.backdoor.vision import IMAGES, SEARCHES, STEPS
from weighbridge.schema import SourceError, Unavailable, UsageError


class Bars(nn.Module):
    """The class is where most light falls, of four quarters; with `trigger`, a bright corner pixel means class 2."""

    def __init__(self, trigger=0.0):
        super().__init__()
        self.trigger = trigger

    def forward(self, x):
        quarters = x.reshape(-1, 4, 2, 8).sum((2, 3))
        bonus = torch.zeros_like(quarters)
        bonus[:, 2] = self.trigger * nn.functional.softplus(10 * (x[:, 0, 0, 0] - 0.7))
        return quarters + bonus


def images(count=24):
    torch.manual_seed(3)
    x = 0.2 * torch.rand(count, 1, 8, 8)
    for at in range(count):
        x[at, :, (at % 4) * 2 : (at % 4) * 2 + 2] += 0.3
    return x


def classifier(net):
    return Classifier(net, (1, 8, 8), about="bars", digest="")


def smallest(net):
    return searches.targeted(classifier(net), images(), torch.arange(4), steps=40, seed=0, told=lambda: None)


def test_a_planted_trigger_is_smaller_than_any_natural_one():
    honest, bad = smallest(Bars()), smallest(Bars(trigger=8.0))

    assert int(bad.sizes.argmin()) == 2
    assert float(bad.sizes[2]) < 0.8 * float(honest.sizes.min())
    assert float(bad.changes[2][0, 0, 0]) > 0.9 * float(bad.sizes[2])


def test_what_was_found_turns_as_many_images_as_is_said():
    model, x = classifier(Bars(trigger=8.0)), images()
    found = searches.targeted(model, x, torch.tensor([2]), steps=40, seed=0, told=lambda: None)
    others = x[model.predicted(x) != 2]
    turned = (model.predicted((others + found.changes[0]).clamp(0, 1)) == 2).float().mean()

    assert float(turned) == pytest.approx(float(found.works[0]))
    assert float(turned) >= searches.WORKS


def test_the_same_search_gives_the_same_numbers():
    assert torch.equal(smallest(Bars()).sizes, smallest(Bars()).sizes)


def test_a_model_that_nothing_moves_has_the_largest_size_there_is():
    class Fixed(nn.Module):
        def forward(self, x):
            own = (x.sum((1, 2, 3)) * 0).unsqueeze(1)
            return torch.cat([own + 1, own], 1)

    found = searches.targeted(classifier(Fixed()), images(), torch.tensor([1]), steps=5, seed=0, told=lambda: None)
    assert float(found.sizes[0]) == 8.0
    assert float(found.works[0]) == 0.0


@pytest.mark.parametrize(("net", "why"), [
    (nn.Sequential(nn.Flatten(), nn.Linear(64, 1)), "one number an image"),
    (nn.Conv2d(1, 3, 3), "one score a class"),
    (nn.Linear(7, 3), "does not run"),
])  # fmt: skip
def test_what_is_no_classifier_is_said(net, why):
    with pytest.raises(Unavailable, match=why):
        classifier(net)


# --- ranks


def references(scores):
    return References(
        name="x",
        recipe="",
        shape=(1, 8, 8),
        classes=4,
        searches=SEARCHES,
        steps=STEPS,
        images=IMAGES,
        scores=tuple(scores),
    )


def drawn(dice):
    return dice.gauss(1, 0.3), dice.gauss(2, 0.3), dice.gauss(0, 0.5)


def test_a_clean_suspect_is_suspected_as_often_as_the_p_value_says():
    dice = random.Random(4)
    ps = [rank(drawn(dice), references(drawn(dice) for _ in range(39)).scores).together for _ in range(400)]

    assert 0.02 <= sum(p <= 0.05 for p in ps) / 400 <= 0.085
    assert min(ps) >= 1 / 40


@given(st.integers(5, 60))
def test_what_lies_beyond_all_references_has_the_smallest_p_value_and_no_smaller(count):
    dice = random.Random(count)
    found = rank((-40.0, 2.0, 0.0), references(drawn(dice) for _ in range(count)).scores)

    assert found.together == 1 / (count + 1)
    assert found.distance == found.distances[0] < -5


def test_references_of_another_task_or_edition_are_refused(tmp_path):
    assert {"digits", "mnist"} <= set(shipped())
    found = find_references("digits")
    assert len(found.scores) >= 100
    assert found.fits((1, 8, 8), 10)
    assert not found.fits((1, 8, 8), 4)
    assert not found.fits((1, 28, 28), 10)
    with pytest.raises(SourceError):
        find_references(str(tmp_path / "nowhere.json"))
    for text, why in (("{}", "no references"), ("nonsense", "no references")):
        (tmp_path / "x.json").write_text(text)
        with pytest.raises(UsageError, match=why):
            find_references(str(tmp_path / "x.json"))


# --- pixels


def test_ranges_of_pixels_are_named_or_given():
    assert parse_pixels("0.5,0.5,0.5/0.2,0.2,0.2").deviation == (0.2, 0.2, 0.2)
    assert parse_pixels("0-255") is KNOWN["0-255"]
    for odd in ("", "x", "1/0", "1,2/3", "0-1024"):
        with pytest.raises(UsageError, match="not understood"):
            parse_pixels(odd)
