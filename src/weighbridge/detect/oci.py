"""Knows what is wrong with Dockerfiles, compose and Kubernetes manifests, and OCI layouts (OCI)."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

from weighbridge.detect.knowledge import commands as shell
from weighbridge.detect.place import in_document, in_text, leaves
from weighbridge.formats.commands import Command, commands
from weighbridge.formats.document import walk
from weighbridge.rules.finding import finding
from weighbridge.schema import Severity
from weighbridge.schema.patterns import lazy
from weighbridge.schema.text import printable

if TYPE_CHECKING:
    from collections.abc import Iterator

    from weighbridge.detect.subjects import DocumentSubject, LinesSubject, TreeSubject
    from weighbridge.formats.document import Path
    from weighbridge.schema import Finding

_DIGEST: Final = lazy(r"@sha256:[0-9a-f]{64}\Z")
_SECRET_NAME: Final = lazy(
    r"(?:PASSWORD|PASSWD|SECRET|TOKEN|API_?KEY|ACCESS_KEY|PRIVATE_KEY|CREDENTIALS?)\Z", re.IGNORECASE
)
_REFERENCE: Final = lazy(r"\$|\A\s*\Z|\A(?:changeme|xxx+|<.*>|your[-_].*|none|null|\*+)\Z", re.IGNORECASE)
_STARTUP: Final = lazy(r"\b(?:LD_PRELOAD|LD_AUDIT|PYTHONSTARTUP|PYTHONINSPECT|BASH_ENV|PYTHONBREAKPOINT)\b")
_STARTUP_FILE: Final = lazy(
    r"(?:^|/)(?:sitecustomize|usercustomize)\.py\Z|site-packages/[^/]+\.pth\Z|(?:^|/)etc/ld\.so\.preload\Z"
)
_SHA256: Final = lazy(r"sha256:[0-9a-f]{64}\Z|sha512:[0-9a-f]{128}\Z")
_MODEL_TYPES: Final = lazy(
    r"application/vnd\.(?:oci|docker|ollama|kitops|cncf|cncf\.model|huggingface|modelpack)[\w.+-]*|application/(?:json|octet-stream|x-tar|gzip)\b|text/\w+"
)
_MODEL_MANIFEST: Final = lazy(r"ollama|kitops|cncf\.model|modelpack|application/vnd\.ai", re.IGNORECASE)
_MODEL_FILES: Final = lazy(r"\.(?:pkl|pickle|joblib|pt|pth|ckpt|bin|h5|keras|pb|npy|dill|skops|mar)\Z")
_HEREDOC: Final = lazy(r"<<-?[\"']?(\w+)[\"']?")
_BUILD_LIMIT: Final = 2000


def detect_dockerfile(subject: LinesSubject) -> Iterator[Finding]:
    """A Dockerfile, instruction by instruction."""
    stages: set[str] = set()
    user_root = None
    for number, command in enumerate(_instructions(subject.text)):
        if number > _BUILD_LIMIT:
            return
        instruction = command.words[0].upper() if command.words else ""
        rest = command.text.partition(" ")[2].strip()
        if instruction == "FROM":
            yield from _from(subject, command, stages)
        elif instruction in {"RUN", "CMD", "ENTRYPOINT"}:
            yield from _run(subject, command, rest, instruction)
        elif instruction == "ADD" and re.search(r"(?:^|\s)(?:https?|git|ftp)\S*://", rest) and "--checksum" not in rest:
            yield in_text(
                "OCI-002", subject.location, subject.text, command.line, "ADD fetches an address without a checksum"
            )
        elif instruction in {"ENV", "ARG"}:
            yield from _variables(subject, command, rest)
        elif instruction == "USER":
            user_root = command if rest.split(":")[0] in {"root", "0"} else None
        elif instruction in {"COPY", "ADD"} and _STARTUP_FILE.search(rest):
            yield in_text(
                "OCI-010", subject.location, subject.text, command.line, "a file that Python runs on every start"
            )
    if user_root is not None:
        yield in_text("OCI-004", subject.location, subject.text, user_root.line, "the container runs as root")


def _instructions(text: str) -> Iterator[Command]:
    """Instructions with continued lines joined; the shell inside is not cut."""
    joined, started, heredoc = "", 0, ""
    for number, raw in enumerate(text.split("\n"), 1):
        line = raw.strip()
        if not heredoc and (line.startswith("#") or (not line and not joined)):
            continue
        started = started or number
        if line.endswith("\\"):
            joined += line[:-1] + " "
            continue
        joined += line
        heredoc = heredoc or (match[1] if (match := _HEREDOC.search(line)) else "")
        if heredoc and line != heredoc and number - started < _BUILD_LIMIT:
            joined += "\n"
            continue
        yield Command(started, joined, tuple(joined.split()))
        joined, started, heredoc = "", 0, ""
    if joined:
        yield Command(started, joined, tuple(joined.split()))


def _from(subject: LinesSubject, command: Command, stages: set[str]) -> Iterator[Finding]:
    words = [word for word in command.words[1:] if not word.startswith("--")]
    if not words:
        return
    image = words[0]
    if image.lower() not in stages | {"scratch"} and not image.startswith("$") and not _DIGEST.search(image):
        message = f"the base image {printable(image)} has no digest"
        yield in_text("OCI-001", subject.location, subject.text, command.line, message)
    if len(words) > 2 and words[1].upper() == "AS":
        stages.add(words[2].lower())


def _run(subject: LinesSubject, command: Command, rest: str, instruction: str) -> Iterator[Finding]:
    doing = shell.fetches_and_runs(rest)
    for part in commands(rest):
        doing = doing or shell.installs_from_elsewhere(part.text)
        cloned = shell.clones_unpinned(part) and not re.search(
            r"checkout\s+[0-9a-f]{7,40}|reset --hard [0-9a-f]{7,40}", rest
        )
        doing = doing or ("clones a repository without a commit" if cloned else "")
    if doing:
        yield in_text("OCI-002", subject.location, subject.text, command.line, f"a build step {doing}")
    model = shell.fetches_model(rest)
    if model and instruction != "RUN":
        yield in_text("OCI-012", subject.location, subject.text, command.line, "the container fetches a model on start")
    if shell.REMOTE_CODE.search(rest):
        yield in_text("MLO-015", subject.location, subject.text, command.line, "the server trusts remote code")
    if shell.PUBLIC_BIND.search(rest) and re.search(
        r"jupyter[^\n]*(?:token|password)=['\"]{0,2}(?:\s|$)|mlflow server|mlflow ui|ray start|NotebookApp\.token=''",
        rest,
    ):
        yield in_text(
            "MLO-007",
            subject.location,
            subject.text,
            command.line,
            "a service without authentication listens on all interfaces",
        )


def _variables(subject: LinesSubject, command: Command, rest: str) -> Iterator[Finding]:
    for name, value in re.findall(r"([A-Za-z_]\w*)(?:=|\s+)(\"[^\"]*\"|'[^']*'|\S*)", rest):
        plain = value.strip("'\"")
        if _SECRET_NAME.search(name) and plain and not _REFERENCE.search(plain):
            yield in_text("OCI-003", subject.location, subject.text, command.line, f"{name} is set in the image")
        elif _STARTUP.fullmatch(name):
            yield in_text("OCI-010", subject.location, subject.text, command.line, f"{name} is set for every program")


def detect_manifest(subject: DocumentSubject) -> Iterator[Finding]:
    """Compose files and Kubernetes manifests."""
    for path, key, value in walk(subject.document.roots):
        yield from _entry(subject, path, key, value)


def _entry(subject: DocumentSubject, path: Path, key: object, value: Any) -> Iterator[Finding]:
    if (
        key == "image"
        and isinstance(value, str)
        and value
        and not _DIGEST.search(value)
        and "$" not in value
        and "{{" not in value
    ):
        yield in_document("OCI-001", subject, path, key, value, f"the image {printable(value)} has no digest")
    elif key in {"privileged", "hostPID", "hostNetwork", "allowPrivilegeEscalation"} and value is True:
        yield in_document("OCI-004", subject, path, key, value, f"{key} gives the container the rights of the host")
    elif key == "hostPath" or (isinstance(value, str) and "docker.sock" in value):
        yield in_document("OCI-004", subject, path, key, value, "the container reaches into the host")
    elif key == "runAsUser" and value == 0:
        yield in_document("OCI-004", subject, path, key, value, "the container runs as root")
    elif (
        isinstance(key, str)
        and _SECRET_NAME.search(key)
        and isinstance(value, str)
        and len(value) > 5
        and not _REFERENCE.search(value)
        and _in_environment(path)
    ):
        yield in_document("OCI-003", subject, path, key, value[:3] + "…", f"{key} stands in the manifest")
    elif isinstance(key, str) and _STARTUP.fullmatch(key):
        yield in_document("OCI-010", subject, path, key, value, f"{key} is set for every program")
    elif key == "initContainers" and isinstance(value, list):
        text = str(value)
        if shell.fetches_model(text):
            yield in_document("OCI-012", subject, path, key, text, "an init container fetches a model without a digest")
    elif key in {"command", "args"} and isinstance(value, (list, str)):
        text = " ".join(map(str, value)) if isinstance(value, list) else value
        if shell.fetches_model(text):
            yield in_document("OCI-012", subject, path, key, text, "the container fetches a model on start")


def _in_environment(path: Path) -> bool:
    return "env" in str(path) or "data" in str(path)


def detect_remote_bases(subject: DocumentSubject) -> Iterator[Finding]:
    """Kustomize bases and Helm dependencies."""
    for path, key, value in walk(subject.document.roots):
        if not isinstance(value, str):
            continue
        remote = re.match(r"(?:https?://|git@|github\.com/|git::)", value)
        if remote and "ref=" not in value and re.search(r"\b(?:resources|bases|components)\b", str(path)):
            yield in_document("OCI-013", subject, path, key, value, "a remote base without a commit")
        elif key == "version" and "dependencies" in str(path) and re.search(r"[\^~*><x]|\Alatest\Z", value):
            yield in_document("OCI-013", subject, path, key, value, "a chart without a fixed version")


def detect_layout(subject: DocumentSubject) -> Iterator[Finding]:
    """Manifests and indexes of OCI images, and model artifacts in that form (Ollama, KitOps, ModelPack)."""
    models = bool(_MODEL_MANIFEST.search(subject.text))
    for path, key, value in walk(subject.document.roots):
        if not isinstance(value, str):
            if key == "urls" and value:
                yield in_document("OCI-007", subject, path, key, value, "a layer is to be fetched from an address")
            continue
        if key == "digest" and not _SHA256.match(value):
            rule = "GGF-017" if models else "OCI-008"
            yield in_document(rule, subject, path, key, value, f"the digest {printable(value[:80])!r} is no digest")
        elif key in {"org.opencontainers.image.title", "org.cncf.model.filepath", "io.kitops.title"} and leaves(value):
            yield in_document("OCI-008", subject, path, key, value, "a member's path leaves the folder")
        elif key == "mediaType" and models and not _MODEL_TYPES.match(value):
            yield in_document("OCI-011", subject, path, key, value, f"a layer of the unknown type {printable(value)}")


def detect_tree(subject: TreeSubject) -> Iterator[Finding]:
    """Folders and archives that are OCI layouts or layers: whiteouts, models, start-up hooks, blobs of the wrong size."""
    names = {entry.name: entry for entry in subject.entries}
    layered = "oci-layout" in names or "manifest.json" in names or "/blobs/sha256/" in subject.location.member
    if not layered and "layer.tar" not in subject.location.member:
        return
    for name in sorted(names):
        last = name.rsplit("/", 1)[-1]
        if last.startswith(".wh.") and last != ".wh..wh..opq":
            message = f"{printable(last[4:])} is deleted by this layer and kept in an earlier one"
            yield finding("OCI-006", subject.place(name), message)
        elif _STARTUP_FILE.search(name):
            yield finding("OCI-010", subject.place(name), "a file that runs on every start")
        elif _MODEL_FILES.search(name) and "blobs/" not in name:
            yield finding("OCI-005", subject.place(name), "a model file in an image layer", severity=Severity.LOW)
