"""Knows what a shell command does that it should not: fetch and run, install from elsewhere, switch protection off."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from weighbridge.schema.patterns import lazy

if TYPE_CHECKING:
    from weighbridge.formats.commands import Command

_SHELL: Final = r"(?:sudo\s+(?:-\w+\s+)*)?(?:/\S*/)?(?:ba|z|da|k|fi)?sh\b"
_FETCH: Final = r"(?:curl|wget|fetch|aria2c|http|iwr|irm|invoke-webrequest|invoke-restmethod)\b"
FETCH_AND_RUN: Final = lazy(
    rf"{_FETCH}[^\n|;]{{0,400}}\|\s*(?:[\w.]+\s*\|\s*)*(?:{_SHELL}|(?:sudo\s+)?(?:python[\d.]*|perl|ruby|node|iex)\b)"
    rf"|{_SHELL}\s+(?:-\w+\s+)*[\"']?(?:<\(|\$\(|`)\s*{_FETCH}"
    rf"|\biex\s*\(?\s*\(?\s*(?:{_FETCH}|new-object)|\|\s*iex\b|downloadstring\s*\("
    rf"|{_FETCH}[^\n]{{0,400}}?(?:-o|-O|>|--output)\s*\S+[^\n]{{0,400}}?(?:&&|;)\s*(?:sudo\s+)?(?:chmod\s+\S*[+7]\S*\s+\S+\s*(?:&&|;)\s*)?(?:{_SHELL}\s+|\./)\S+",
    re.IGNORECASE,
)
DECODE_AND_RUN: Final = lazy(
    rf"base64\s+(?:-d|-D|--decode)[^\n|]{{0,400}}\|\s*{_SHELL}|powershell[^\n]{{0,400}}\s-e(?:nc|ncodedcommand|c)?\s+[A-Za-z0-9+/=]{{16,}}"
    rf"|xxd\s+-r[^\n|]{{0,400}}\|\s*{_SHELL}|openssl\s+enc\s+-d[^\n|]{{0,400}}\|\s*{_SHELL}",
    re.IGNORECASE,
)
REVERSE_SHELL: Final = lazy(
    r"/dev/(?:tcp|udp)/[\w.-]+/\d+|\bnc(?:at)?\s+(?:-\w+\s+)*-\w*[ec]\w*\s|\bsocat\s[^\n]{0,400}exec:|mkfifo\s[^\n]{0,400}\|\s*nc\b"
    r"|\bperl\s[^\n]{0,80}\bSocket\b[^\n]{0,600}\bexec\b|\bruby\s[^\n]{0,40}-rsocket\b[^\n]{0,400}\bexec\b|\bphp\s[^\n]{0,40}fsockopen\([^\n]{0,200}\bexec\b"
    r"|\bpython[\d.]*\s[^\n]{0,40}\bsocket\b[^\n]{0,400}(?:\bdup2\b|\bpty\b)|\blua\s[^\n]{0,40}\bsocket\b[^\n]{0,400}\bio\.popen\b",
    re.IGNORECASE,
)
# What somebody owns, or the whole disk: not a folder of one's own. Options are read once (possessive), however many there are.
DESTROYS: Final = lazy(
    r"\brm(?=(?:\s++-(?!\S*r)\S++)*+\s++-\w*r)(?:\s++-\S++)++\s++[\"']?(?:~|\$\{?HOME\}?|/|/home|/root|/etc|/usr|/var)/?\*?[\"']?(?=\s|$|[;&|)\"'])|\brm\s+-(?=\w*r)\w++\s+\*\s*\Z"
    r"|\b(?:rd|rmdir)(?=(?:\s++/(?!s\b)\w)*+\s++/s\b)(?:\s++/\w(?!\S))++\s++[\"']?(?:c:\\?|%userprofile%|%systemdrive%\\?)[\"']?(?=\s|$)|\bdel\s+(?:/\w\s+)*[\"']?(?:c:\\|%userprofile%\\)\*"
    r"|\bdd\s+if=/dev/(?:zero|u?random)\s+of=/dev/(?:sd|nvme|hd|vd)\w*|\bmkfs(?:\.\w+)?\s+(?:-\w+\s+)*/dev/(?:sd|nvme|hd|vd)|\bcipher\s+/w:c:|\bformat\s+c:\s+/",
    re.IGNORECASE,
)
# What a package manager, a container or a tunnel brings in, or lets in.
LETS_IN: Final = lazy(
    r"\bnpx\s+(?:-y|--yes)\s+\S|\bbunx\s+\S|\bpnpm\s+dlx\s+\S|\bgo\s+run\s+[\w./-]+@|\bcargo\s+install\s+--git\b|\bdocker\s+run\s[^\n]{0,200}(?:--privileged|-v\s*/:|--pid[= ]host)"
    r"|\b(?:npm|yarn|pnpm)\s+config\s+set\s+registry\s+http://|\bpip3?\s+config\s+set\s[^\n]{0,40}index-url\s+http://|\b(?:npm|yarn|pnpm)\s+(?:i|install|add)\s[^\n]{0,80}https?://\S"
    r"|\bssh\s[^\n]{0,200}\s-\w*R\w*\s*\S*\d+:|\bngrok\s+(?:tcp|http)\b|\bcloudflared\s+tunnel\b|\buseradd\s+(?:-\S+\s+)*\S|\bchpasswd\b|\bNOPASSWD\b|\bnet\s+user\s+\S+\s+\S+\s+/add|\bsetenforce\s+0\b|\b(?:rundll32|regsvr32)(?:\.exe)?\s"
)
PASSWORD_ARCHIVE: Final = lazy(
    r"(?:unzip\s+(?:-\w+\s+)*-P\s*\S+|7z[az]?\s+[ex]\s[^\n]{0,400}-p\S+|(?:password|passwort|pass|pwd)\s*(?:is|for the (?:archive|zip))?\s*[:=`'\"]+\s*\S+[^\n]{0,400}\.(?:zip|rar|7z)|\.(?:zip|rar|7z)\b[^\n]{0,60}\bpassword\b\s*(?:is|:|=)\s*\S+|(?:zip|rar|7z|archive) password\s*(?:is|:)\s*\S+)",
    re.IGNORECASE,
)
PROTECTION_OFF: Final = lazy(
    r"(?:disable|turn off|switch off|deactivate|add an exclusion (?:in|to))\s+(?:\w+\s+){0,3}(?:windows )?(?:defender|anti-?virus|real-?time protection|smartscreen|gatekeeper|firewall)|set-mppreference\s|spctl\s+--master-disable|xattr\s+-\w*[cd]\w*\s+(?:com\.apple\.quarantine|\S)",
    re.IGNORECASE,
)
INDEX: Final = lazy(r"--(?:extra-)?index-url[= ]\s*(\S+)|--trusted-host[= ]\s*(\S+)|--find-links[= ]\s*(https?://\S+)")
OFFICIAL_INDEX: Final = lazy(
    r"https://(?:pypi\.org|download\.pytorch\.org|pypi\.nvidia\.com|storage\.googleapis\.com/jax-releases)(?:/|$)"
)
_INSTALLERS: Final = lazy(
    r"(?:^|[\s/])(?:pip3?(?:\.\d+)?|uv\s+pip|uv|pipx|conda|mamba)\s+(?:install|add|tool install)\b|-m\s+pip\s+install\b"
)
_FROM_ADDRESS: Final = lazy(r"(?:git\+|https?://)\S+|\s(?:git|hg|svn)\+\S+")
_COMMIT: Final = lazy(r"@[0-9a-f]{40}\b|#sha256=|--hash")
REMOTE_CODE: Final = lazy(r"--?trust[-_]remote[-_]code\b(?!\s*(?:=|\s)\s*(?:false|0|no)\b)", re.IGNORECASE)
AGENT_UNASKED: Final = lazy(
    r"--dangerously-skip-permissions|--dangerously-bypass-approvals-and-sandbox|--yolo\b|--trust-all-tools|--full-auto\b|--auto-approve\b|--approval-mode[= ]yolo|--no-sandbox\s+.*\b(?:claude|codex|gemini|q chat)\b"
)
PUBLIC_BIND: Final = lazy(
    r"(?:--(?:host|ip|listen|bind|server-name|dashboard-host)[= ]\s*[\"']?|(?:HOST|BIND)\s*=\s*[\"']?|OLLAMA_HOST[=:]\s*[\"']?)(?:0\.0\.0\.0|::|\*)"
)
_MODEL_FETCH: Final = lazy(
    r"\b(?:hf|huggingface-cli)\s+download\s+\S+|git\s+(?:lfs\s+)?clone\s+\S*huggingface\.co/\S+|(?:curl|wget)\s[^\n]{0,400}(?:huggingface\.co|/resolve/(?:main|master)/|\.(?:safetensors|gguf|pt|pth|bin|onnx|pkl|ckpt|h5)\b)[^\n]{0,400}"
)
_PINNED: Final = lazy(r"--revision[= ]\s*[0-9a-f]{40}|/resolve/[0-9a-f]{40}/|sha256sum|sha512sum|shasum|--checksum")


def fetches_and_runs(text: str) -> str:
    """What is wrong with a piece of shell that runs what it did not bring; empty where nothing is."""
    if FETCH_AND_RUN.search(text):
        return "pipes a download into an interpreter"
    if DECODE_AND_RUN.search(text):
        return "decodes a blob and runs it"
    if REVERSE_SHELL.search(text):
        return "opens a shell to another machine"
    return ""


def destroys(text: str) -> bool:
    """Whether a command deletes what its user owns, or the disk."""
    return bool(DESTROYS.search(text))


def installs(text: str) -> bool:
    """Whether a command installs packages of Python."""
    return bool(_INSTALLERS.search(text))


def installs_from_elsewhere(text: str) -> str:
    """What is wrong with an installation command; empty where it installs from the ordinary index."""
    match = INDEX.search(text)
    if match and not OFFICIAL_INDEX.match(match[1] or match[3] or ""):
        return f"uses another package index ({match[0].strip()})"
    if _INSTALLERS.search(text):
        address = _FROM_ADDRESS.search(text)
        if address and not _COMMIT.search(text) and not OFFICIAL_INDEX.match(address[0].strip()):
            return f"installs from {address[0].strip()}"
    return ""


def fetches_model(text: str) -> str:
    """The download of a model that names neither a commit nor a digest; empty where there is none."""
    match = _MODEL_FETCH.search(text)
    return match[0][:120] if match and not _PINNED.search(text) else ""


def clones_unpinned(command: Command) -> bool:
    """A git clone of a remote address without a commit to check out."""
    words = command.words
    return len(words) > 2 and words[0] == "git" and words[1] == "clone" and any("://" in word for word in words)
