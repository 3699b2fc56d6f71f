"""Knows marks of a JavaScript file: what it calls, what it decodes, how readable it is. Searched for, not parsed."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from msgspec import Struct

from weighbridge.formats.javascript_flow import read_flow

if TYPE_CHECKING:
    from weighbridge.formats.javascript_calls import ScriptCall

_MARKS: Final = {
    "process": re.compile(r"child_process|\bexecSync\(|\bspawnSync\(|Bun\.spawn|Deno\.run|process\.binding"),
    "network": re.compile(r"\bhttps?\.(?:get|request)\(|\bfetch\(|\baxios\b|node-fetch|XMLHttpRequest|\bnet\.connect|dns\.(?:lookup|resolve)|\bgot\("),
    "environment": re.compile(r"JSON\.stringify\(\s*process\.env\b|Object\.(?:keys|entries|values|assign)\([^)]{0,400}process\.env\b|\.\.\.process\.env\b|body\s*:\s*process\.env|querystring\.stringify\(process\.env"),
    "identity": re.compile(r"os\.(?:hostname|userInfo|homedir|networkInterfaces)\(\)|__dirname"),
    "decodes": re.compile(r"\batob\(|Buffer\.from\([^)]{0,200}['\"](?:base64|hex)['\"]|String\.fromCharCode\(|unescape\(|decodeURIComponent\(escape"),
    "runs": re.compile(r"\beval\(|new Function\(|vm\.runIn\w+\(|setTimeout\(\s*['\"]|\[['\"]constructor['\"]\]\("),
    "secrets": re.compile(r"\.npmrc|\.ssh[/\\]|\.aws[/\\]|GITHUB_TOKEN|NPM_TOKEN|AWS_SECRET|id_rsa|trufflehog|\.git-credentials|gh auth token|wallet\.dat|Local Storage[/\\]+leveldb|Login Data"),
    "publishes": re.compile(r"npm publish|registry\.npmjs\.org/-/|/-/npm/v1/tokens|\.github/workflows"),
    "runtime": re.compile(r"bun\.sh/install|oven-sh/bun|setup_bun|install\.deno\.land|nodejs\.org/dist"),
    "wallets": re.compile(r"window\.ethereum|eth_sendTransaction|['\"]0x[0-9a-fA-F]{40}['\"]|['\"](?:bc1|[13])[a-km-zA-HJ-NP-Z1-9]{25,34}['\"]"),
}  # fmt: skip
# Literals of which every text that a mark matches holds one: a script is searched around them only.
_TOKENS: Final = {
    "process": ("child_process", "execSync(", "spawnSync(", "Bun.spawn", "Deno.run", "process.binding"),
    "network": (
        "http.get(", "https.get(", "http.request(", "https.request(", "fetch(", "axios", "node-fetch", "XMLHttpRequest", "net.connect", "dns.lookup",
        "dns.resolve", "got(",
    ),
    "environment": ("process.env",),
    "identity": ("os.hostname(", "os.userInfo(", "os.homedir(", "os.networkInterfaces(", "__dirname"),
    "decodes": ("atob(", "Buffer.from(", "String.fromCharCode(", "unescape(", "decodeURIComponent(escape"),
    "runs": ("eval(", "new Function(", "vm.runIn", "setTimeout(", "constructor']", 'constructor"]'),
    "secrets": (
        ".npmrc", ".ssh", ".aws", "GITHUB_TOKEN", "NPM_TOKEN", "AWS_SECRET", "id_rsa", "trufflehog", ".git-credentials", "gh auth token", "wallet.dat",
        "leveldb", "Login Data",
    ),
    "publishes": ("npm publish", "registry.npmjs.org", "/-/npm/", ".github/workflows"),
    "runtime": ("bun.sh", "oven-sh", "setup_bun", "install.deno.land", "nodejs.org/dist"),
    "wallets": (
        "window.ethereum", "eth_sendTransaction", "'0x", '"0x', "'bc1", '"bc1', "'1", "'3", '"1', '"3',
    ),
}  # fmt: skip
# How far the text of a mark reaches on both sides of its literal, in characters.
_AROUND: Final = 600
_OCCURRENCES: Final = 2_000
_OBFUSCATED: Final = re.compile(r"\b_0x[0-9a-f]{3,6}\b|\b[a-z]0_0x[0-9a-f]+\b")
_REQUIRED: Final = re.compile(r"""\b(?:require|import|from)\s*\(?\s*["'](\.{1,2}/[^"'\n]{1,200})["']""")
_CALLED: Final = re.compile(r"(?<!function )\b([A-Za-z_$][\w$]*+)\s*+\(")
_SEARCHED: Final = 128 << 10
_MOST: Final = 4 << 20
_MOST_REQUIRED: Final = 2_000


class Script(Struct, frozen=True, kw_only=True):
    """One file. `marks` maps what was found to its first line, `obfuscation` counts marks of obfuscators per 1,000 characters.

    `calls` are those of a script that could run or send something, `unread` says which bound was hit while they were read,
    `requires` the files beside it that it asks for, `called` the names that it calls.
    """

    marks: dict[str, int]
    obfuscation: float
    longest: int
    size: int
    calls: tuple[ScriptCall, ...] = ()
    unread: str = ""
    requires: tuple[str, ...] = ()
    called: frozenset[str] = frozenset()


def read_javascript(text: str) -> Script:
    """The marks of a script, from its first four megabytes."""
    text = text[:_MOST]
    found = {name: at for name, pattern in _MARKS.items() if (at := _first(pattern, _TOKENS[name], text)) >= 0}
    flow = read_flow(text)
    return Script(
        marks={name: text.count("\n", 0, at) + 1 for name, at in found.items()},
        obfuscation=1000 * len(_OBFUSCATED.findall(text)) / max(1, len(text)) if "0x" in text else 0.0,
        longest=max(map(len, text.split("\n")), default=0),
        size=len(text),
        calls=flow.calls,
        unread=flow.unread,
        requires=tuple(dict.fromkeys(_REQUIRED.findall(text)))[:_MOST_REQUIRED],
        called=frozenset(_CALLED.findall(text[:_SEARCHED])),
    )


def _first(pattern: re.Pattern[str], tokens: tuple[str, ...], text: str) -> int:
    """Where a mark begins first; -1 where it is not found. Scripts of megabytes are mostly one line."""
    found = -1
    for token in tokens:
        at, count = text.find(token), 0
        while at >= 0:
            match = pattern.search(text, max(0, at - _AROUND), at + _AROUND)
            if match:
                found = match.start() if found < 0 else min(found, match.start())
                break
            count += 1
            if count == _OCCURRENCES:
                match = pattern.search(text)
                return match.start() if match else -1
            at = text.find(token, at + 1)
    return found
