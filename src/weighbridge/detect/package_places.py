"""Knows what the place of a file in a package says: whether anything imports it, whether Python starts it."""

from __future__ import annotations

import re
from typing import Final

_ASIDE: Final = re.compile(
    r"(?:^|[./])(?:tests?|testing|docs?|examples?|benchmarks?|samples?|tools|scripts|conftest|_?vendor(?:ed)?)(?:[./]|\Z)"
)
# By dotted name: Python looks for them beside the packages, not in them.
START_MODULES: Final = re.compile(r"\A(?:.*\.data\.(?:purelib|platlib)\.)?(?:sitecustomize|usercustomize)\Z")


def is_aside(name: str) -> bool:
    """Whether a member lies among tests, documentation or examples, which nothing imports."""
    return bool(_ASIDE.search(name))
