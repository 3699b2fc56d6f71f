"""Knows what calls of JavaScript do, as far as harm is made of it: where data comes from, where it goes.

Labels: N bytes of the network, T a connection, whose bytes come by its events, D decoded, E the environment as a whole, K what lies where keys, wallets and browsers' stores do,
H who and where the host is, C what a command printed, k what else proves who somebody is, M the content of pictures and sounds, Q what a request to a server carries, B bytes that may be text, A what somebody hands to a function that was replaced.
Sinks: X runs code, P starts a process, S sends, W writes a file. Source: the documentation of Node.js, and of the libraries named.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import TYPE_CHECKING, Final

from weighbridge.schema.patterns import lazy

if TYPE_CHECKING:
    from collections.abc import Iterable

_CLIENTS: Final = (
    r"(?:https?|http2|follow-redirects|axios|got|node-fetch|cross-fetch|isomorphic-fetch|undici|needle|request|request-promise|superagent|ky|phin|bent|"
    r"centra|miniget|wretch|urllib|fetch|XMLHttpRequest)"
)
_SOURCES: Final = (
    ("N", lazy(
        rf"{_CLIENTS}(?:\.(?:get|request|fetch|post|stream|create))?(?:\Z|\(\))"
        r"|(?:ws|WebSocket|socket\.io-client)(?:\Z|\.|\(\))|dns\.(?:promises\.)?resolve(?:Txt|Any)?\b|.*\.responseText\Z|\w+\.response\.data\b"
        r"|(?:firebase(?:-admin)?(?:/\w+)?|mqtt|ioredis|redis|amqplib|@supabase/supabase-js)\b"
        r"|(?:ethers|web3|viem|tronweb|@solana/web3\.js|@mysten/sui)\b.*(?:Contract|Connection|Provider|createPublicClient)\b"
    )),
    ("T", lazy(r"(?:net|tls)\.(?:connect|createConnection|Socket)\b")),
    ("D", lazy(r"<decoded>|atob\Z|unescape\Z|String\.fromCharCode\Z|decodeURIComponent\Z|zlib\.(?:inflate|gunzip|unzip|brotliDecompress)\w*|crypto\.createDecipher\w*|crypto-js\.\w+\.decrypt")),
    ("E", lazy(r"process\.env\Z")),
    ("K", lazy(
        r"'.*(?:\bid_(?:rsa|ed25519|ecdsa)\b(?!\.pub)|\.ssh(?:/|\Z)|\.npmrc|\.pypirc|\.aws/cred|\.git-credentials|\.netrc|wallet\.dat|[Ee]xodus|Login Data|Local Storage.leveldb"
        r"|\bkey4\.db|\blogins\.json|cookies\.sqlite|/etc/shadow|\.(?:bash|zsh)_history|solana.id\.json|Local Extension Settings|User Data.(?:Default|Profile)|\.config/gcloud|\.docker/config\.json|nkbihfbeogaeaoehlefnkodbefgpgknn)"
    )),
    ("H", lazy(r"os\.(?:hostname|userInfo|networkInterfaces)\Z|public-ip\b")),
    ("M", lazy(r"'.*\.(?:png|jpe?g|gif|bmp|ico|svg|wav|mp3|ogg|ttf|otf|woff2?)\Z")),
    ("k", lazy(r"'.*/\.env\Z|keytar\.findCredentials|(?:win-dpapi|@primno/dpapi)\b.*unprotectData")),
    ("Q", lazy(r"(?:req|request|ctx\.request|ctx)\.(?:query|body|headers|params|cookies)\b")),
    ("B", lazy(r"Buffer\.from(?:\(\)\.toString)?\Z")),
    ("A", lazy(r"<patched>\Z")),
    ("C", lazy(r"child_process\.(?:exec|execFile|spawn)(?:Sync)?(?:\(\).*)?\Z")),
)  # fmt: skip
_SINKS: Final = (
    ("X", lazy(r"(?:\?\.)?eval\Z|Function\Z|execScript\Z|vm\.(?:runIn\w+|Script|compileFunction)\Z|worker_threads\.Worker\Z|(?:.*\.)?_compile\Z|(?:.*\.)?constructor\.constructor\Z|process\.dlopen\Z|(?:require-from-string|node-eval|eval|_eval|import-fresh-string)\Z")),
    ("P", lazy(r"child_process\.(?:promises\.)?(?:exec|execFile|spawn|fork)(?:Sync)?\Z|execa(?:\.\w+)?\Z|cross-spawn(?:\.\w+)?\Z|shelljs\.exec\Z|process\.binding\(\)\.spawn\w*\Z|Bun\.spawn(?:Sync)?\Z|Deno\.(?:run|Command)\Z")),
    ("S", lazy(
        rf"{_CLIENTS}(?:\.(?:get|request|fetch|post|put|patch))?\Z|.*\.(?:sendBeacon|sendMail)\Z|dns\.(?:promises\.)?(?:lookup|resolve\w*)\Z"
    )),
    ("W", lazy(r"fs(?:\.promises)?\.(?:writeFile|appendFile|createWriteStream)(?:Sync)?\Z|fs-extra\.(?:writeFile|outputFile)(?:Sync)?\Z")),
)  # fmt: skip
# What sends where the value that it is called on is a connection.
_SENDS: Final = re.compile(r".*\.(?:write|end|send|emit|post|put|request)\Z")
RUNTIME: Final = lazy(
    r"bun\.sh/install|oven-sh/bun|setup_bun|install\.deno\.land|denoland/deno/releases|nodejs\.org/dist"
)
SENDING_COMMAND: Final = lazy(
    r"\|\s*(?:curl|wget|nc|ncat)\b|\b(?:curl|wget)\b[^\n]{0,300}\s(?:-d|-F|-T|--data\S*|--form|--upload-file|--post-\w+)[\s=]|\bcurl\b[^\n]{0,200}\$\("
    r"|\b(?:nslookup|dig|host|ping|Resolve-DnsName)\b[^\n]{0,120}(?:\$\(|`|\$\w|%\w+%)|\bcurl\b[^\n]{0,200}`"
)
# What looks at a screen, listens to keys, or watches.
WATCHERS: Final = lazy(
    r"(?:screenshot-desktop|desktop-screenshot|node-webcam|iohook|uiohook-napi|node-global-key-listener|gkm|keylogger\.js|node-record-lpcm16|mic)\b"
)
# Who replaces a function of these has a request in hand, and sends it on.
CLIENT_MODULES: Final = ("http.", "https.", "http2.", "undici.", "axios.", "node-fetch.", "request.", "fetch.")
INLINE: Final = lazy(r"(?:\A|\s)(?:-e|-p|-c|-pe|--eval|--print)\s")
DECODERS: Final = frozenset({"Buffer.from", "Buffer", "atob"})
DECODED_NAMES: Final = frozenset({"<decoded>", "atob"})
DELETERS: Final = frozenset({
    "fs.rmSync", "fs.rm", "fs.promises.rm", "fs.rmdirSync", "fs-extra.removeSync", "fs-extra.remove", "rimraf", "rimraf.sync",
})  # fmt: skip
# Commands that fetch, and those that run what they are given.
FETCHES: Final = lazy(r"(?:curl|wget)\b")
RUNS: Final = lazy(r"(?:/bin/)?(?:ba|z|da)?sh\b|node\b|python[\d.]*\b|perl\b")
# Where programs are started from without being asked, and who may come in.
KEPT: Final = lazy(
    r"\.ssh/authorized_keys|\bcrontab\s+-|CurrentVersion\\+Run\b|Programs\\+Startup|LaunchAgents/|LaunchDaemons/|\.config/(?:systemd|autostart)|schtasks\s+/create|/etc/(?:cron|systemd|ld\.so\.preload|hosts|sudoers)|MpPreference"
)
# Folders for what passes: installers have one of their own.
PASSING_FOLDERS: Final = frozenset({"os.tmpdir", "process.env.TEMP", "process.env.APPDATA"})
PASTES: Final = lazy(
    r"(?:copy-paste|clipboardy|clipboard|node-clipboardy|electron\.clipboard)\.(?:default\.)?(?:copy|write|writeSync|writeText)\Z"
)
ADDRESS: Final = lazy(r"0x[0-9a-fA-F]{40}|\b(?:bc1[a-z0-9]{20,60}|[13][a-km-zA-HJ-NP-Z1-9]{25,34})\b")


@lru_cache(maxsize=65_536)
def script_label(name: str) -> str:
    """The labels of what a name of a script stands for."""
    return "".join(kind for kind, pattern in _SOURCES if pattern.match(name))


def labels_of(origins: Iterable[str]) -> set[str]:
    """The labels of what is made of these."""
    found, heard = set[str](), False
    for origin in origins:
        found.update(script_label(origin))
        heard = heard or origin.endswith((".on", ".once", ".addListener"))
    return found | {"N"} if heard and "T" in found else found


@lru_cache(maxsize=65_536)
def _plain_sinks(name: str) -> str:
    return "".join(kind for kind, pattern in _SINKS if pattern.match(name))


def script_sinks(name: str, labels: set[str]) -> str:
    """What a call of this name does with its arguments; `labels` are those of the value that it is called on, among others."""
    found = _plain_sinks(name)
    if name.endswith(".submit") and any(one == "K" for one in labels):
        return f"{found}S"
    sends = (
        "S" not in found
        and _SENDS.match(name)
        and (labels & {"N", "T"} or "N" in script_label(name.rpartition(".")[0]))
    )
    return f"{found}S" if sends else found
