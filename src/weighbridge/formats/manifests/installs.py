"""Knows the commands that install packages, wherever they are written: Dockerfiles, workflows, scripts, notebooks.

Read as words, not run: what a variable stands for is not known, and a package named by one is a gap.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

from weighbridge.formats.commands import Command, commands
from weighbridge.formats.document import walk
from weighbridge.formats.manifests.listed import Gap, Included, Index, Listed, Manifest, Origin, exact
from weighbridge.formats.manifests.npm import asked
from weighbridge.formats.manifests.requirements import placed, requirement
from weighbridge.formats.notebook import read_notebook

if TYPE_CHECKING:
    from collections.abc import Iterator

_START: Final = re.compile(r"^\s*(?:RUN|CMD|ENTRYPOINT)\s+(?:--\S+\s+)*", re.IGNORECASE)
_BEFORE: Final = re.compile(r"(?:sudo|env|exec|time|nohup|then|do|else|if|!|\w+=\S*|-\w+)\Z")
_VALUED: Final = frozenset(
    [
        "-r", "--requirement", "-c", "--constraint", "-i", "--index-url", "--extra-index-url", "-f", "--find-links", "--trusted-host", "-e",
        "--editable", "-t", "--target", "--prefix", "--root", "--python", "-p", "--platform", "--abi", "--implementation", "--cache-dir",
        "--timeout", "--retries", "--proxy", "--cert", "--only-binary", "--no-binary", "--progress-bar", "--index", "--default-index",
        "--index-strategy", "-n", "--name", "--channel", "--registry", "--with", "--from", "--group", "--extra", "-w", "--workspace",
        "--torch-backend", "--python-version", "--src", "--log", "--build-constraint", "--report", "--config-settings", "-C",
    ]
)  # fmt: skip
_ROLES: Final = {
    "-i": "index", "--index-url": "index", "--default-index": "index", "--extra-index-url": "extra", "--index": "extra",
    "-f": "find-links", "--find-links": "find-links", "--channel": "channel", "-c": "channel", "--registry": "index",
}  # fmt: skip
_STEPS: Final = frozenset({"run", "script", "before_script", "after_script", "bash", "commands", "command", "args"})
_VARIABLE: Final = re.compile(r"\$[\w{(]|%\w+%|\{\{|`")
_SHELLS: Final = re.compile(
    r"(?:^|/)(?:Dockerfile|Containerfile|Makefile|makefile|GNUmakefile)(?:\.[\w-]+)?\Z|\.(?:sh|bash|dockerfile|mk|ps1)\Z"
)
_FLOWS: Final = re.compile(r"(?:^|/)(?:\.github/(?:workflows|actions)/.*|\.gitlab-ci|azure-pipelines|bitbucket-pipelines|\.circleci/config|\.drone|\.travis|cloudbuild|action)\.ya?ml\Z")  # fmt: skip


def is_script(name: str) -> bool:
    """Whether a file of this name is read as shell."""
    return bool(_SHELLS.search(name))


def is_flow(name: str) -> bool:
    """Whether a file of this name is a pipeline whose steps are shell."""
    return bool(_FLOWS.search(name))


def read_script(text: str, *, kind: str = "commands") -> Manifest:
    """The packages that a shell script, Dockerfile or Makefile installs."""
    return _gathered(commands(_bare(text)), kind)


def read_flow(root: dict[str, Any], text: str) -> Manifest:
    """The packages that the steps of a pipeline install."""
    found: list[Command] = []
    for _, key, value in walk(root):
        if isinstance(value, str) and (key in _STEPS or isinstance(key, int)):
            line = text.count("\n", 0, max(0, text.find(value.split("\n")[0].strip()))) + 1
            found += commands(value, line=line)
    return _gathered(iter(found), "pipeline")


def read_cells(root: dict[str, Any]) -> Manifest:
    """The packages that the cells of a notebook install."""
    found = [
        Command(line, one.text, one.words)
        for cell in read_notebook(root).cells
        for line, text in cell.commands
        for one in commands(text.lstrip("!% "), line=line)
    ]
    return _gathered(iter(found), "notebook")


def _bare(text: str) -> str:
    return "\n".join(
        _START.sub("", line).lstrip("@-\t ") if _START.match(line) or line[:1] == "\t" else line
        for line in text.split("\n")
    )


class _Gathered:
    """What the commands of one file come to."""

    def __init__(self) -> None:
        self.listed: list[Listed] = []
        self.indexes: list[Index] = []
        self.includes: list[Included] = []
        self.options: list[str] = []
        self.gaps: list[Gap] = []


def _gathered(found: Iterator[Command], kind: str) -> Manifest:
    made = _Gathered()
    ecosystem = ""
    for command in found:
        asked_of, words = _installer(command.words)
        if not asked_of:
            continue
        ecosystem = ecosystem or asked_of
        _take(made, asked_of, words, command.line)
    return Manifest(
        kind=kind,
        ecosystem=ecosystem or "pypi",
        commands=True,
        listed=tuple(made.listed),
        indexes=tuple(made.indexes),
        includes=tuple(made.includes),
        options=tuple(made.options),
        gaps=tuple(made.gaps),
    )


def _installer(words: tuple[str, ...]) -> tuple[str, tuple[str, ...]]:
    """(ecosystem, words behind the verb) of a command that installs; an empty ecosystem for others."""
    at = 0
    while at < len(words) and _BEFORE.match(words[at]) and not words[at].startswith("-m"):
        at += 1
    rest = words[at:]
    if not rest:
        return "", ()
    tool = rest[0].rpartition("/")[2].removesuffix(".exe")
    rest = rest[1:]
    if re.match(r"python[\d.]*\Z|py\Z", tool) and rest[:2] == ("-m", "pip"):
        tool, rest = "pip", rest[2:]
    if tool == "uv" and rest[:1] == ("pip",):
        tool, rest = "pip", rest[1:]
    plain = [word for word in rest if not word.startswith("-")]
    verb = plain[0] if plain else ""
    behind = rest[rest.index(verb) + 1 :] if verb else ()
    if re.match(r"(?:pip[\d.]*|pipx|pipenv)\Z", tool) and verb in {"install", "download", "wheel"}:
        return "pypi", behind
    if tool in {"uv", "poetry", "pdm", "rye", "hatch"} and verb == "add":
        return "pypi", behind
    # What stands behind the package is its own business.
    if tool == "pipx" and verb == "run":
        return "pypi", _first(behind)
    if tool == "uvx":
        return "pypi", _first(rest)
    if tool in {"conda", "mamba", "micromamba"} and verb in {"install", "create"}:
        return "conda", behind
    if tool in {"npm", "pnpm", "yarn", "bun"} and verb in {"install", "i", "add"}:
        return "npm", behind
    if tool in {"npx", "bunx"} or (tool in {"pnpm", "yarn", "bun"} and verb in {"dlx", "x"}):
        return "npm", _first(behind if verb in {"dlx", "x"} else rest)
    return "", ()


def _first(words: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(word for word in words if not word.startswith("-"))[:1]


def _take(made: _Gathered, ecosystem: str, words: tuple[str, ...], line: int) -> None:
    waiting = ""
    for word in words:
        if word in {"|", ">", ">>", "2>&1", "<"}:
            return
        option, equals, value = word.partition("=")
        if waiting:
            _option(made, ecosystem, waiting, word, line)
            waiting = ""
        elif word.startswith("-"):
            if equals:
                _option(made, ecosystem, option, value, line)
            elif word in _VALUED and not (
                ecosystem == "npm" and word in {"-f", "-i", "-e", "-p", "-t", "-C", "-r", "-c"}
            ):
                waiting = word
            elif word in {"--pre", "--no-index", "--require-hashes", "--ignore-scripts", "--break-system-packages"}:
                made.options.append(word.lstrip("-"))
        elif _VARIABLE.search(word):
            made.gaps.append(Gap(line, f"the package is named by a variable: {word[:60]}"))
        else:
            one = _package(ecosystem, word, line)
            if one is not None:
                made.listed.append(one)


def _option(made: _Gathered, ecosystem: str, option: str, value: str, line: int) -> None:
    if ecosystem == "conda" and option in {"-c", "--channel"}:
        made.indexes.append(Index(address=value, role="channel", line=line))
    elif option in {"-r", "--requirement", "-c", "--constraint"}:
        if not _VARIABLE.search(value):
            made.includes.append(Included(value, line))
    elif option in {"-e", "--editable"}:
        made.listed.append(placed(value, line=line, editable=True))
    elif option in {"--with", "--from"}:
        one = _package(ecosystem, value, line)
        made.listed += [one] if one else []
    elif option in _ROLES:
        made.indexes.append(Index(address=value, role=_ROLES[option], line=line))
    elif option in {"--trusted-host", "--index-strategy"}:
        made.options.append(f"{option.lstrip('-')} {value}")


def _package(ecosystem: str, word: str, line: int) -> Listed | None:
    if ecosystem == "npm":
        at = word.rfind("@")
        name, wanted = (word[:at], word[at + 1 :]) if at > 0 else (word, "")
        return asked(name, wanted, line) if re.match(r"@?[a-z0-9][\w./-]*\Z", name) else None
    if ecosystem == "conda":
        match = re.match(r"(?:(?P<channel>[\w.-]+)::)?(?P<name>[A-Za-z][\w.-]*)(?P<wanted>[=<>!].*)?\Z", word)
        if match is None:
            return None
        wanted = (match["wanted"] or "").lstrip("=")
        return Listed(
            ecosystem="conda", name=match["name"], version=exact(wanted.partition("=")[0]), wanted=wanted, line=line, index=match["channel"] or ""
        )  # fmt: skip
    if word in {".", ".."}:
        return None
    if "@" in word and "://" not in word and re.match(r"[\w.-]+@[\d.]+\Z", word):
        word = word.replace("@", "==")
    one = requirement(word, line=line)
    return one if one is None or one.origin is not Origin.PATH or one.address.startswith((".", "/")) else None
