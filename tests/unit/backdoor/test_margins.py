"""How far a classifier is driven into each class, by images of no meaning."""

import math

import torch

from weighbridge.backdoor.margins import largest_margins, overstated
from weighbridge.backdoor.models import Classifier

SHAPE = (1, 6, 6)


class Lines(torch.nn.Module):
    """Scores of four classes: the brightness of a quarter of the image each, one of them times `factor`."""

    def __init__(self, factor):
        super().__init__()
        self.factor = factor

    def forward(self, x):
        quarters = [x[:, 0, a : a + 3, b : b + 3].sum((1, 2)) for a in (0, 3) for b in (0, 3)]
        quarters[2] = quarters[2] * self.factor
        return torch.stack(quarters, 1)


def margins(factor, steps=40):
    model = Classifier(Lines(factor), SHAPE, about="", digest="")
    return largest_margins(model, torch.arange(4), steps=steps, seed=0)


def test_the_largest_margin_is_reached_where_it_can_be_computed():
    found = margins(1.0)
    assert torch.allclose(found, torch.full((4,), 9.0), atol=0.2), "nine white pixels against none"
    assert abs(overstated(found)) < 0.02


def test_a_class_that_is_overstated_stands_out_by_as_much():
    found = margins(5.0)
    assert int(found.argmax()) == 2
    assert abs(overstated(found) + math.log(5)) < 0.05


def test_the_same_seed_gives_the_same_numbers_and_few_classes_say_nothing():
    assert margins(2.0).tolist() == margins(2.0).tolist()
    assert overstated(torch.tensor([3.0])) == 0.0
    assert overstated(torch.tensor([-1.0, -1.0])) > 0, "no class can be driven at all: nothing is overstated"
