"""Knows what is wrong with agent tools: MCP configuration, skills, rules files, workspaces that run by themselves (AGT)."""

from __future__ import annotations

import re
import unicodedata
from typing import TYPE_CHECKING, Any, Final

from weighbridge.detect.knowledge import commands as shell
from weighbridge.detect.place import in_document, in_text, leaves
from weighbridge.detect.sec import find_secrets
from weighbridge.formats.commands import commands, fenced
from weighbridge.formats.document import walk
from weighbridge.formats.template import invisible
from weighbridge.identify.roles import SERVER_TABLES
from weighbridge.schema import Severity
from weighbridge.schema.patterns import lazy
from weighbridge.schema.text import printable

if TYPE_CHECKING:
    from collections.abc import Iterator

    from weighbridge.detect.subjects import DocumentSubject, LinesSubject
    from weighbridge.schema import Finding

_RULES_FILE: Final = lazy(
    r"(?:^|/)(?:\.cursorrules|\.windsurfrules|\.clinerules|\.goosehints|AGENTS?\.md|CLAUDE(?:\.local)?\.md|GEMINI\.md|copilot-instructions\.md|CONVENTIONS\.md|SKILL\.md|skill\.md|llms(?:-full)?\.txt|\.cursor/rules/[^/]+|\.github/instructions/[^/]+|\.claude/(?:commands|agents|skills)/.+|\.windsurf/rules/[^/]+|[^/]+\.mdc|[^/]+\.prompt\.md)\Z"
)
_SKILL: Final = lazy(r"(?:^|/)(?:SKILL|skill)\.md\Z")
_RUNNERS: Final = frozenset({"npx", "uvx", "pipx", "bunx", "pnpm", "yarn", "bun", "uv", "docker", "podman"})
_SHELLS: Final = frozenset({"sh", "bash", "zsh", "cmd", "cmd.exe", "powershell", "pwsh"})
_VERSIONED: Final = lazy(r"(?:@|==)v?\d[\w.+-]*\Z|@sha256:[0-9a-f]{64}\Z|@[0-9a-f]{40}\Z|\A(?:\./|/|\.\./|file:)")
_SECRET_NAME: Final = lazy(r"(?:TOKEN|SECRET|PASSWORD|API_?KEY|ACCESS_KEY)", re.IGNORECASE)
_PLACEHOLDER: Final = lazy(r"\$|<|\A\s*\Z|your|xxx|example|placeholder|\*\*|\{\{|env:|input:", re.IGNORECASE)
_SENSITIVE: Final = lazy(
    r"~?/?\.ssh\b|id_rsa|\.aws/credentials|\.env\b|\.netrc|/etc/passwd|/etc/shadow|\.kube/config|\bkeychain\b|\.cursor/mcp\.json|\.claude\.json|\bAPI keys?\b|\bprivate keys?\b|\bcredentials\b|\bpasswords?\b|\baccess tokens?\b|environment variables",
    re.IGNORECASE,
)
_SECRECY: Final = lazy(
    r"do(?: not|n't) (?:tell|mention|inform|notify|reveal|show|disclose|let)\b[^.\n]{0,60}(?:user|human|this|that)|without (?:telling|informing|notifying|mentioning|asking)\b|keep (?:this|it) (?:secret|hidden|confidential)|never (?:mention|reveal|tell)\b[^.\n]{0,40}(?:user|this|that)|\bsecretly\b|\bsilently\b[^.\n]{0,40}(?:send|upload|include|pass|read)",
    re.IGNORECASE,
)
_COMMANDING: Final = lazy(
    r"<(?:IMPORTANT|SYSTEM|CRITICAL|INSTRUCTIONS?|HIDDEN)>|before (?:using|calling|running) (?:this|any other) tool[^.\n]{0,80}(?:must|read|first)|ignore (?:all |any )?(?:previous|prior|other) (?:instructions|tools|rules)|you must (?:always |first )?(?:read|call|send|include|pass|run)\b|always (?:call|use) this tool (?:first|before)|(?:bcc|forward|copy) (?:all|every|each)[^.\n]{0,40}(?:to|@)",
    re.IGNORECASE,
)
_SENDS: Final = lazy(
    r"\b(?:send|post|upload|exfiltrate|forward|transmit|report|submit|curl|webhook|POST)\b[^.\n]{0,120}(?:https?://|webhook|@[\w.-]+\.\w{2,}|to (?:the )?(?:server|endpoint|url))",
    re.IGNORECASE,
)
_READS: Final = lazy(r"\b(?:read|collect|gather|cat|copy|extract|find|list|get|dump|include)\b", re.IGNORECASE)
_DESCRIPTIONS: Final = frozenset({"description", "instructions", "prompt", "summary", "title", "text"})
_HOOKS: Final = frozenset(
    {
        "postCreateCommand",
        "postStartCommand",
        "postAttachCommand",
        "onCreateCommand",
        "updateContentCommand",
        "initializeCommand",
    }
)
_BUILD_PATHS: Final = frozenset({"dockerfile", "context", "buildPath", "build_path", "dockerfilePath", "entrypoint"})
_METACHARACTERS: Final = lazy(r"[`$|;&<>\n]|\$\(")
_URL_KEYS: Final = lazy(r"_(?:endpoint|uri|url)\Z|\Aissuer\Z|\Aauthorization_servers\Z")


def detect_servers(subject: DocumentSubject) -> Iterator[Finding]:
    """MCP server lists, whatever the assistant calls the key."""
    root = subject.document.root
    if not isinstance(root, dict):
        return
    names: list[str] = []
    for key in SERVER_TABLES:
        table = root.get(key)
        for name, server in table.items() if isinstance(table, dict) else ():
            names.append(name)
            if isinstance(server, dict):
                yield from _server(subject, key, name, server)
    tools = root.get("tools")
    names += [str(t.get("name")) for t in tools if isinstance(t, dict)] if isinstance(tools, list) else []
    yield from _shadowing(subject, names)
    yield from _workspace(subject, root)
    yield from _packages(subject, root)


def _server(subject: DocumentSubject, table: str, name: str, server: dict[str, Any]) -> Iterator[Finding]:
    path = (((), table), name)
    command = server.get("command")
    arguments = [str(a) for a in server.get("args", [])] if isinstance(server.get("args"), list) else []
    if isinstance(command, str):
        words = [*command.split(), *arguments]
        problem = _unpinned(words)
        if problem:
            yield in_document("AGT-001", subject, path, "command", " ".join(words), problem)
    for key in ("url", "serverUrl", "endpoint"):
        address = server.get(key)
        if isinstance(address, str) and re.match(r"http://(?!localhost|127\.|\[::1\])", address):
            yield in_document("AGT-001", subject, path, key, address, "the server is reached over plain HTTP")
    environment = server.get("env")
    for key, value in environment.items() if isinstance(environment, dict) else ():
        if isinstance(value, str) and (
            (_SECRET_NAME.search(key) and len(value) > 15 and not _PLACEHOLDER.search(value))
            or any(find_secrets(value))
        ):
            yield in_document(
                "AGT-001",
                subject,
                (path, "env"),
                key,
                value[:4] + "…",
                f"the secret {printable(key)} stands in the file",
            )


def _unpinned(words: list[str]) -> str:
    program = words[0].rsplit("/", 1)[-1].lower()
    rest = [word for word in words[1:] if not word.startswith("-")]
    if program in _SHELLS and any(word in {"-c", "/c", "-Command", "-lc"} for word in words):
        return "a shell is started with a command line"
    if shell.fetches_and_runs(" ".join(words)):
        return "a download is run"
    if program not in _RUNNERS:
        return ""
    if program in {"docker", "podman"}:
        images = [word for word in rest if word not in {"run", "exec"} and "=" not in word and not word.startswith("/")]
        known = next((image for image in images if "/" in image or ":" in image), images[-1] if images else "")
        return f"the image {known} has no digest" if known and "@sha256:" not in known else ""
    skip = {"dlx", "run", "tool", "exec", "x", "--from"}
    package = next((word for word in rest if word not in skip), "")
    return f"{package} is started without a version" if package and not _VERSIONED.search(package) else ""


def _shadowing(subject: DocumentSubject, names: list[str]) -> Iterator[Finding]:
    folded: dict[str, str] = {}
    for name in names:
        plain = re.sub(r"[-_. ]", "", unicodedata.normalize("NFKC", name).casefold())
        if plain in folded:
            message = f"{printable(name)} and {printable(folded[plain])} cannot be told apart"
            yield in_document("AGT-004", subject, (), name, name, message)
        elif (
            not name.isascii()
            and any("CYRILLIC" in unicodedata.name(c, "") or "GREEK" in unicodedata.name(c, "") for c in name)
            and any(c.isascii() and c.isalpha() for c in name)
        ):
            yield in_document("AGT-004", subject, (), name, name, f"{printable(name)} mixes alphabets")
        folded[plain] = name


def _workspace(subject: DocumentSubject, root: dict[str, Any]) -> Iterator[Finding]:
    for path, key, value in walk(root):
        if key == "runOn" and value == "folderOpen":
            yield in_document("AGT-008", subject, path, key, value, "a task runs when the folder is opened")
        elif key in _HOOKS and value:
            text = str(value)
            plain = re.fullmatch(r"\[?'?(?:pip|npm|uv|poetry|yarn|pnpm|make|bundle)\b[^|;&`$]*", text)
            severity = Severity.LOW if plain else None
            yield in_document(
                "AGT-008", subject, path, key, value, f"{key} runs when the container is made", severity=severity
            )
        elif key == "command" and "hooks" in str(path) and isinstance(value, str):
            yield in_document("AGT-008", subject, path, key, value, "a hook of the assistant runs a command")
        elif (
            key in {"enableAllProjectMcpServers", "autoApprove", "alwaysAllow", "bypassPermissions"}
            and value
            and value != []
        ):
            yield in_document("AGT-008", subject, path, key, value, "tools are approved by the repository itself")


def _packages(subject: DocumentSubject, root: dict[str, Any]) -> Iterator[Finding]:
    for path, key, value in walk(root):
        if key in _BUILD_PATHS and isinstance(value, str) and leaves(value):
            yield in_document("AGT-011", subject, path, key, value, "a build path leaves the folder")


def detect_descriptions(subject: DocumentSubject) -> Iterator[Finding]:
    """What tools, resources and prompts say about themselves."""
    for path, key, value in walk(subject.document.roots):
        if key not in _DESCRIPTIONS or not isinstance(value, str):
            continue
        reasons = [
            word
            for word, pattern in (("orders", _COMMANDING), ("secrecy", _SECRECY), ("secrets", _SENSITIVE))
            if pattern.search(value)
        ]
        if len(reasons) > 1 or any(invisible(value)):
            message = f"the {key} speaks to the model ({', '.join(reasons) or 'in invisible characters'})"
            yield in_document("AGT-002", subject, path, key, value, message)


def detect_sign_in(subject: DocumentSubject) -> Iterator[Finding]:
    """OAuth and discovery documents."""
    for path, key, value in walk(subject.document.roots):
        if isinstance(key, str) and _URL_KEYS.search(key) and isinstance(value, str):
            scheme = re.match(r"([a-zA-Z][\w+.-]*):", value)
            if (scheme and scheme[1].lower() not in {"http", "https"}) or _METACHARACTERS.search(
                value.replace("&", "", 20) if "?" in value else value
            ):
                yield in_document("AGT-010", subject, path, key, value, f"{key} would reach a shell")


def detect_rules(subject: LinesSubject) -> Iterator[Finding]:
    """Instruction files and skills."""
    path = subject.location.path[-1]
    if not _RULES_FILE.search(path):
        return
    hidden = list(invisible(subject.text))
    if hidden:
        message = f"{len(hidden)} invisible characters, the first is {hidden[0][1]}"
        yield in_text("AGT-007", subject.location, subject.text, hidden[0][0], message)
    blocks = list(fenced(subject.text)) or [(1, subject.text)]
    for start, block in (*blocks, *_inline(subject.text)):
        for command in commands(block, line=start):
            doing = shell.fetches_and_runs(command.text)
            if doing:
                yield in_text("AGT-005", subject.location, subject.text, command.line, f"an instruction {doing}")
    match = shell.PASSWORD_ARCHIVE.search(subject.text)
    if match:
        line = subject.text.count("\n", 0, match.start()) + 1
        yield in_text("AGT-005", subject.location, subject.text, line, "an archive is to be opened with a password")
    yield from _intent(subject)


def _inline(text: str) -> Iterator[tuple[int, str]]:
    for match in re.finditer(r"`([^`\n]{8,400})`", text):
        yield text.count("\n", 0, match.start()) + 1, match[1]


def _intent(subject: LinesSubject) -> Iterator[Finding]:
    """Reading secrets and sending something, close to each other."""
    lines = subject.text.split("\n")
    for number, line in enumerate(lines, 1):
        if not (_SENSITIVE.search(line) and _READS.search(line)):
            continue
        near = "\n".join(lines[max(0, number - 4) : number + 6])
        if _SENDS.search(near) and (_SECRECY.search(subject.text) or re.search(r"https?://", near)):
            yield in_text(
                "AGT-006", subject.location, subject.text, number, "secrets are to be read, and something is to be sent"
            )
            return


def detect_scripts(subject: LinesSubject) -> Iterator[Finding]:
    """Scripts that start an assistant."""
    for number, line in enumerate(subject.text.split("\n"), 1):
        if shell.AGENT_UNASKED.search(line) and not line.lstrip().startswith("#"):
            yield in_text(
                "AGT-009", subject.location, subject.text, number, "an assistant is started without permission checks"
            )
            return


def detect_package_scripts(subject: DocumentSubject) -> Iterator[Finding]:
    """`package.json`."""
    root = subject.document.root
    scripts = root.get("scripts") if isinstance(root, dict) else None
    for key, value in scripts.items() if isinstance(scripts, dict) else ():
        if isinstance(value, str) and shell.AGENT_UNASKED.search(value):
            yield in_document(
                "AGT-009", subject, ((), "scripts"), key, value, "an assistant is started without permission checks"
            )
