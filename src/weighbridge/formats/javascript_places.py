"""Knows where in a script something could run or send: what is worth reading of large ones, and which are worth reading at all."""

from __future__ import annotations

import re
from typing import Final

_AROUND: Final = 3_000
PLACES: Final = 200
# What every script names that could run or send something on its own; looked for as it stands, which is quick.
_TELLING: Final = (
    "eval", "Function(", "Function (", "child_process", "vm.run", "vm.Script", "os.hostname", "os.userInfo", "hostname()", "_compile", "id_rsa", ".npmrc",
    "ethereum.request", "clipboard.writeText", "wallet", "Login Data", ".ssh", "execa", "worker_threads", "process.binding", "_load(", "mainModule",
    ".constructor", "process[", "webhooks/", "api.telegram.org/bot", "oast.", "oastify", "burpcollaborator", "interactsh", "pipedream", "webhook.site",
    "fromSecretKey", "mnemonicTo", "homedir()", ".dlopen", "require('vm')", 'require("vm")', "node:vm", "'/etc/", "'/.env'", "/.env'", "findCredentials", "dpapi", "getPrototypeOf(async", "screenshot-desktop", "iohook", "global-key-listener", "node-webcam", "data:text/javascript", "require-from-string", "atob(", ".reverse()", "clipboardy", "copy-paste", "require('/", 'require("/',
)  # fmt: skip
_ENVIRONMENT: Final = re.compile(r"process\.env(?![.\w\[])")
# Words that are put together, or written as escapes.
_HIDING: Final = re.compile(
    r"""\\x[0-9a-fA-F]{2}\\x|["']\w{1,10}["']\s{0,2}\+\s{0,2}["']\w{1,10}["']|String\.fromCharCode\(\d|\]\s*\.\s*join\("""
)


def tells(text: str) -> bool:
    """Whether a script names anything that could run or send on its own, or hides its words."""
    return any(literal in text for literal in _TELLING) or bool(_ENVIRONMENT.search(text) or _HIDING.search(text))


def windows(text: str) -> list[tuple[int, int]]:
    """The parts of a large script around what could run or send something, joined where they meet; one beyond PLACES where there are more."""
    places = [match.start() for match in _ENVIRONMENT.finditer(text)]
    for literal in _TELLING:
        at = text.find(literal)
        while at >= 0:
            places.append(at)
            at = text.find(literal, at + _AROUND)
    found: list[tuple[int, int]] = []
    for place in sorted(places):
        start, end = max(0, place - _AROUND), min(len(text), place + _AROUND)
        if found and start <= found[-1][1]:
            found[-1] = (found[-1][0], end)
        elif len(found) <= PLACES:
            found.append((start, end))
    return found
