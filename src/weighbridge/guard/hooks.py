"""Knows how functions of other libraries are replaced: at once where they are imported, and when they will be."""

from __future__ import annotations

import functools
import importlib.abc
import sys
import threading
from typing import TYPE_CHECKING, Any

from msgspec import Struct

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from importlib.machinery import ModuleSpec
    from types import ModuleType


class Patch(Struct, frozen=True):
    """A function of a module, or a method as `Class.method`, and what stands in for it.

    `instead` gets the original and the arguments; with `derives` it gets the original class and gives another one.
    """

    module: str
    name: str
    instead: Callable[..., Any]
    derives: bool = False


_originals: list[tuple[Any, str, Any]] = []
_finder: _Finder | None = None


def patch(patches: Sequence[Patch]) -> None:
    """Replace what is there, and what is imported from now on."""
    global _finder  # noqa: PLW0603  # there is one finder in a process
    wanted: dict[str, list[Patch]] = {}
    for one in patches:
        wanted.setdefault(one.module, []).append(one)
    _finder = _Finder(wanted)
    sys.meta_path.insert(0, _finder)
    for name, several in wanted.items():
        module = sys.modules.get(name)
        if module is not None:
            for one in several:
                replace(module, one)


def restore() -> None:
    """Put every original back."""
    global _finder  # noqa: PLW0603
    if _finder in sys.meta_path:
        sys.meta_path.remove(_finder)
    _finder = None
    while _originals:
        owner, name, original = _originals.pop()
        setattr(owner, name, original)


def replace(module: ModuleType, one: Patch) -> None:
    """Replace one function, everywhere in its library where it is known under some name."""
    holder, _, name = one.name.rpartition(".")
    owner = getattr(module, holder, None) if holder else module
    original = getattr(owner, name, None)
    if owner is None or original is None or hasattr(original, "__guarded__"):
        return
    made = one.instead(original) if one.derives else _wrapped(original, one.instead)
    made.__guarded__ = True
    _set(owner, name, made, original)
    # A copy of a class may be what other classes derive from already, and has to stay what they know.
    if holder or one.derives:
        return
    # `from library import load` has copied the name by now: into the library's own modules, and into others.
    for known in list(sys.modules.values()):
        for alias, value in list(getattr(known, "__dict__", {}).items()):
            if value is original and known is not owner:
                _set(known, alias, made, original)


def _set(owner: Any, name: str, made: Any, original: Any) -> None:
    _originals.append((owner, name, original))
    setattr(owner, name, made)


def _wrapped(original: Any, instead: Callable[..., Any]) -> Any:
    # Some of them are classes written in Rust, whose table of attributes is not for copying.
    @functools.wraps(original, updated=())
    def made(*args: Any, **kwargs: Any) -> Any:
        return instead(original, *args, **kwargs)

    return made


class _Finder(importlib.abc.MetaPathFinder):
    """Finds as the others do, and replaces functions once a module is there."""

    def __init__(self, wanted: dict[str, list[Patch]]) -> None:
        self.wanted = wanted
        # A finder may ask all finders again; other threads import meanwhile, and are not to be missed.
        self._asked = threading.local()

    def find_spec(self, name: str, path: Any, target: ModuleType | None = None) -> ModuleSpec | None:
        """See `importlib.abc.MetaPathFinder`."""
        if name not in self.wanted or getattr(self._asked, "busy", False):
            return None
        self._asked.busy = True
        try:
            for finder in sys.meta_path:
                if finder is not self and hasattr(finder, "find_spec"):
                    spec = finder.find_spec(name, path, target)
                    if spec is not None and spec.loader is not None:
                        spec.loader = _Loader(spec.loader, self.wanted[name])
                        return spec
        finally:
            self._asked.busy = False
        return None


class _Loader(importlib.abc.Loader):
    """The loader of a module, and what is done once it has loaded it."""

    def __init__(self, inner: Any, patches: list[Patch]) -> None:
        self.inner, self.patches = inner, patches

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        """See `importlib.abc.Loader`."""
        spec.loader = self.inner
        try:
            made: ModuleType | None = self.inner.create_module(spec)
        finally:
            spec.loader = self
        return made

    def exec_module(self, module: ModuleType) -> None:
        """Run the module as its own loader does; the module keeps that one as its loader."""
        module.__loader__ = self.inner
        if module.__spec__ is not None:
            module.__spec__.loader = self.inner
        self.inner.exec_module(module)
        for one in self.patches:
            replace(module, one)
