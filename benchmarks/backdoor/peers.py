"""Detectors of other people on the same models, written from their papers.

Each gives the number that its authors decide by, and one that can be held against clean models.
"""

import math

import torch

from weighbridge.backdoor.inversion import masked
from weighbridge.backdoor.margins import largest_margins
from weighbridge.backdoor.vision import anomaly_index


def neural_cleanse(model, x, seed=0):
    """Wang et al., S&P 2019: (anomaly index, logarithm of the smallest mask). Their rule: an index above 2."""
    sizes = torch.tensor([float(masked(model, x, target, seed)[0].sum()) for target in range(model.classes)])
    return anomaly_index(sizes), math.log(max(float(sizes.min()), 1e-6))


def maximum_margin(model, steps=100, seed=0):
    """MM-BD (Wang et al., S&P 2024, arXiv 2205.06900): (p-value, ratio of the largest margin to the median of the others).

    The largest margin of each class over all images, by ascent from random ones; the null is a gamma distribution of the
    other classes, the p-value that of a maximum of as many draws. Their rule: p below 0.05.
    """
    margins = largest_margins(model, torch.arange(model.classes), steps=steps, seed=seed)
    top = int(margins.argmax())
    others = torch.cat([margins[:top], margins[top + 1 :]]).clamp_min(1e-6)
    spread = float(others.var()) / float(others.mean())
    shape = torch.tensor(float(others.mean()) / max(spread, 1e-9))
    below = torch.special.gammainc(shape, margins[top] / max(spread, 1e-9))
    return 1 - float(below) ** len(margins), float(margins[top] / others.median())


def last_layer(model):
    """The outlier among the rows of the last dense layer, by mean weight, in median absolute deviations (DFBScanner's family)."""
    weight = [one for one in model.modules() if isinstance(one, torch.nn.Linear)][-1].weight.detach()
    rows = weight.mean(1)
    spread = 1.4826 * (rows - rows.median()).abs().median()
    return float(((rows - rows.median()).abs() / spread.clamp_min(1e-9)).max())
