"""Knows exact binomial tails, as logarithms where they would underflow."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence


def at_least(count: int, of: int, share: float) -> float:
    """P(X >= count) for X ~ Binomial(of, share); at least 1e-300."""
    if count <= 0 or share >= 1:
        return 1.0
    if share <= 0:
        return 1e-300
    here = math.lgamma(of + 1) - math.lgamma(count + 1) - math.lgamma(of - count + 1)
    term = here + count * math.log(share) + (of - count) * math.log1p(-share)
    total, ratio, number = 1.0, 1.0, count
    while number < of:
        ratio *= (of - number) / (number + 1) * share / (1 - share)
        number += 1
        total += ratio
        if ratio < total * 1e-12 and number > of * share:
            break
    return min(1.0, max(1e-300, math.exp(max(-690.0, term + math.log(total)))))


def discoveries(p_values: Sequence[float], examined: int, level: float) -> int:
    """How many of the smallest p-values, in order, survive the control of false discoveries over all that were examined.

    Source: Benjamini and Hochberg 1995.
    """
    return max((number for number, one in enumerate(p_values, 1) if one <= level * number / examined), default=0)
