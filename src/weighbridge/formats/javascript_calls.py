"""Knows what is kept of the calls of a script."""

from __future__ import annotations

from msgspec import Struct


class ScriptCall(Struct, frozen=True, kw_only=True):
    """One call: its name, its line, the names that its arguments are made of, and its strings, joined.

    `within` is the function that it stands in, where nothing of the script calls that; empty where it runs with the script.
    """

    name: str
    line: int
    origins: tuple[str, ...]
    text: str = ""
    within: str = ""


class ScriptFlow(Struct, frozen=True, kw_only=True):
    """The calls of a script. `unread` says which bound was hit, empty where none was."""

    calls: tuple[ScriptCall, ...]
    unread: str = ""
