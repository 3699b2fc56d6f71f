"""Knows regular expressions that are compiled when they are first used: a run needs few of those that detectors know."""

from __future__ import annotations

import re
from typing import Any, AnyStr, cast


class _Lazy:
    """Stands for a pattern. What is asked of it is kept, so that only the first question takes the longer way."""

    def __init__(self, source: str | bytes, flags: int) -> None:
        self._source, self._flags = source, flags

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        made = re.compile(self._source, self._flags)
        for method in ("search", "match", "fullmatch", "findall", "finditer", "sub", "split", "pattern", "flags"):
            setattr(self, method, getattr(made, method))
        return getattr(made, name)


def lazy(source: AnyStr, flags: int = 0) -> re.Pattern[AnyStr]:
    """The pattern of a source, compiled when it is first used. A source that is no pattern raises re.error then."""
    return cast("re.Pattern[AnyStr]", _Lazy(source, flags))
