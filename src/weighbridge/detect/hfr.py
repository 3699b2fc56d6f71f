"""Knows what is wrong with hub repositories: configuration that reaches code, and files that run (HFR)."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

from weighbridge.detect.knowledge import commands as shell
from weighbridge.detect.place import in_document, in_text, line_of
from weighbridge.formats.commands import commands, fenced
from weighbridge.formats.document import walk
from weighbridge.formats.template import invisible
from weighbridge.rules.finding import finding
from weighbridge.schema import Severity
from weighbridge.schema.patterns import lazy
from weighbridge.schema.text import printable

if TYPE_CHECKING:
    from collections.abc import Iterator

    from weighbridge.detect.subjects import DocumentSubject, LinesSubject
    from weighbridge.formats.document import Path
    from weighbridge.schema import Finding

_IMPLEMENTATION: Final = lazy(r"_?\w*implementation(?:_internal)?\Z")
_OUTSIDE: Final = lazy(r"(?:/|\\\\|[A-Za-z]:[\\/]|[a-z][a-z0-9+.-]{1,12}://|~/)")
_PATH_KEYS: Final = lazy(
    r"(?:_name_or_path|name_or_path|backbone|text_encoder|image_encoder|vision_tower|mm_vision_tower|\w+_file|\w+_path|checkpoint|pretrained_model|resume_from_checkpoint|vocab_file|merges_file)\Z"
)
_HARMLESS_KEYS: Final = frozenset({"_name_or_path", "name_or_path"})
_NAMED: Final = frozenset(
    {"hidden_act", "hidden_activation", "activation_function", "activation", "torch_dtype", "dtype"}
)
_PLAIN: Final = lazy(r"[\w.\-+/ ]*\Z")
_LIBRARIES: Final = frozenset(
    {
        "diffusers",
        "transformers",
        "sentence_transformers",
        "onnxruntime",
        "optimum",
        "flax",
        "torch",
        "peft",
        "safetensors",
    }
)
_PIPELINE_PARTS: Final = frozenset(
    {"stable_diffusion", "deepfloyd_if", "kandinsky", "paint_by_example", "pag", "animatediff", "audioldm2", "wuerstchen",
     "stable_cascade", "shap_e", "unidiffuser", "blip_diffusion", "stable_video_diffusion", "onnx_stable_diffusion"}
)  # fmt: skip
_ACTIVE: Final = lazy(
    r"<script\b|<iframe\b|<object\b|<embed\b|\bon(?:error|load|click|mouseover)\s*=\s*[\"']|javascript:\s*\S|<meta[^>]{1,400}http-equiv=[\"']?refresh|<img[^>]{1,400}(?:width|height)=[\"']?[01](?:px)?[\"'\s>]",
    re.IGNORECASE,
)
_FENCE: Final = lazy(r"(?:```|~~~).*?(?:```|~~~|\Z)|`[^`\n]*`", re.DOTALL)
_REQUIREMENT: Final = lazy(
    r"^\s*(?:(?:-e|--editable)\s+|[\w.\[\],-]+\s*@\s*)?((?:git|hg|svn|bzr)\+\S+|https?://\S+|file:\S+)", re.MULTILINE
)


def detect_config(subject: DocumentSubject) -> Iterator[Finding]:
    """Keys of a configuration that reach code, kernels or places outside."""
    for root in subject.document.roots:
        for path, key, value in walk(root):
            if isinstance(key, str):
                yield from _key(subject, path, key, value)


def _key(subject: DocumentSubject, path: Path, key: str, value: Any) -> Iterator[Finding]:
    if key == "auto_map":
        yield from _auto_map(subject, path, value)
    elif key == "custom_pipelines" and isinstance(value, dict) and value:
        names = ", ".join(map(str, value))
        yield in_document("HFR-005", subject, path, key, value, f"custom pipelines: {printable(names)}")
    elif _IMPLEMENTATION.match(key) and isinstance(value, str) and "/" in value:
        message = f"the implementation is fetched from the hub: {printable(value)}"
        yield in_document("HFR-003", subject, path, key, value, message)
    elif key == "_attn_implementation_internal" and isinstance(value, str):
        message = "an internal key that no library writes chooses the implementation"
        yield in_document("HFR-003", subject, path, key, value, message, severity=Severity.MEDIUM)
    elif key in {"trust_remote_code", "allow_remote_code"} and value not in {False, None, "false", "False"}:
        yield in_document("HFR-004", subject, path, key, value, "the configuration itself trusts remote code")
    elif key in _NAMED and isinstance(value, str) and not _PLAIN.match(value):
        yield in_document("HFR-012", subject, path, key, value, f"{key} is not a plain name")
    elif _PATH_KEYS.match(key) and isinstance(value, str) and _OUTSIDE.match(value):
        harmless = key in _HARMLESS_KEYS and not path and value.startswith(("/", "~"))
        message = f"{key} leads outside the artifact"
        yield in_document("HFR-011", subject, path, key, value, message, severity=Severity.INFO if harmless else None)


def _auto_map(subject: DocumentSubject, path: Path, value: Any) -> Iterator[Finding]:
    names = value.values() if isinstance(value, dict) else [value]
    flat = [n for v in names for n in (v if isinstance(v, list) else [v]) if isinstance(n, str)]
    foreign = [name for name in flat if "--" in name]
    for name in dict.fromkeys(foreign):
        repository = name.partition("--")[0]
        message = f"code comes from another repository, {printable(repository)}"
        yield in_document("HFR-002", subject, path, "auto_map", name, message)
    own = [name for name in flat if "--" not in name]
    if own:
        message = f"custom code is needed: {printable(', '.join(dict.fromkeys(own)))}"
        rule = "TOK-007" if subject.name.startswith("tokenizer") else "HFR-001"
        yield in_document(rule, subject, path, "auto_map", value, message)


def detect_syntax(subject: DocumentSubject) -> Iterator[Finding]:
    """JSON that two parsers read differently."""
    kinds = {problem.kind for problem in subject.document.problems}
    if subject.error and subject.document.carrier == "json":
        yield finding("HFR-024", subject.location, subject.error, severity=Severity.LOW)
    for problem in subject.document.problems:
        if problem.kind == "duplicate":
            line = line_of(subject.text, f'"{problem.detail}"')
            message = f"the key {printable(problem.detail)!r} occurs twice"
            yield in_text("HFR-024", subject.location, subject.text, line, message)
        elif problem.kind == "number":
            yield finding("HFR-024", subject.location, problem.detail)
    if "comment" in kinds and "hub" in subject.roles:
        yield finding("HFR-024", subject.location, "comments or trailing commas in a model configuration")


def detect_lock(subject: DocumentSubject) -> Iterator[Finding]:
    """`weighbridge.lock`: every repository of a hub at a commit, with the digest of each file."""
    root = subject.document.root
    entries = root.get("artifacts") if isinstance(root, dict) and subject.name == "weighbridge.lock" else None
    for number, entry in enumerate(entries if isinstance(entries, list) else []):
        if not isinstance(entry, dict) or not str(entry.get("source", "")).startswith("hf://"):
            continue
        revision = str(entry.get("revision", ""))
        if not re.fullmatch(r"[0-9a-f]{40}", revision) or not entry.get("files"):
            message = f"{printable(str(entry['source']))} is not pinned to a commit and digests"
            yield in_document("HFR-022", subject, (((), "artifacts"), number), "revision", revision, message)


def detect_modules(subject: DocumentSubject) -> Iterator[Finding]:
    """`modules.json` of sentence-transformers and `model_index.json` of diffusers."""
    root = subject.document.root
    if subject.name == "modules.json" and isinstance(root, list):
        for number, item in enumerate(root):
            if isinstance(item, dict):
                yield from _module(subject, number, item)
    elif subject.name == "model_index.json" and isinstance(root, dict):
        yield from _components(subject, root)


def _module(subject: DocumentSubject, number: int, item: dict[str, Any]) -> Iterator[Finding]:
    kind, path = str(item.get("type", "")), str(item.get("path", ""))
    if not kind.startswith("sentence_transformers."):
        yield in_document(
            "HFR-009", subject, ((), number), "type", kind, f"module {printable(kind)} is not the library's"
        )
    if _OUTSIDE.match(path) or ".." in path.replace("\\", "/").split("/"):
        yield in_document("HFR-009", subject, ((), number), "path", path, "the module's path leaves the folder")


def _components(subject: DocumentSubject, root: dict[str, Any]) -> Iterator[Finding]:
    for key, value in root.items():
        if key == "_class_name" and isinstance(value, list) and value:
            yield in_document(
                "HFR-010", subject, (), key, value, f"the pipeline is custom code: {printable(str(value[0]))}"
            )
        if key.startswith("_") or not isinstance(value, list) or len(value) != 2 or not isinstance(value[0], str):
            continue
        library = value[0]
        if library.partition(".")[0] not in _LIBRARIES and library not in _PIPELINE_PARTS:
            message = f"component {printable(key)} comes from {printable(library)}"
            yield in_document("HFR-010", subject, (), key, value, message)


def detect_prose(subject: LinesSubject) -> Iterator[Finding]:
    """README and other documents: instructions, hidden characters, active content."""
    text = subject.text
    for start, block in fenced(text):
        for command in commands(block, line=start):
            doing = shell.fetches_and_runs(command.text)
            if doing:
                yield in_text("HFR-014", subject.location, text, command.line, f"an instruction {doing}")
    for pattern, message in (
        (shell.PASSWORD_ARCHIVE, "an archive is to be opened with a password"),
        (shell.PROTECTION_OFF, "protection is to be switched off"),
    ):
        match = pattern.search(text)
        if match:
            yield in_text("HFR-014", subject.location, text, text.count("\n", 0, match.start()) + 1, message)
    prose = _FENCE.sub(lambda match: "\n" * match[0].count("\n"), text)
    match = _ACTIVE.search(prose)
    if match:
        line = prose.count("\n", 0, match.start()) + 1
        yield in_text("HFR-016", subject.location, text, line, f"active content: {printable(match[0])}")
    hidden = next(iter(invisible(text)), None)
    if hidden:
        message = f"an invisible character ({hidden[1]})"
        yield in_text("HFR-016", subject.location, text, hidden[0], message)


def detect_requirements(subject: LinesSubject) -> Iterator[Finding]:
    """`requirements*.txt`: addresses and indexes in place of pinned packages."""
    if not re.search(r"(?:^|/)(?:[\w-]*requirements[\w-]*|constraints)\.(?:txt|in)$", subject.location.path[-1]):
        return
    for match in _REQUIREMENT.finditer(subject.text):
        if not re.search(r"@[0-9a-f]{40}\b|#sha256=", match[0]):
            line = subject.text.count("\n", 0, match.start(1)) + 1
            message = f"a requirement from {printable(match[1][:100])}"
            yield in_text("HFR-008", subject.location, subject.text, line, message)
    for match in shell.INDEX.finditer(subject.text):
        if not shell.OFFICIAL_INDEX.match(match[1] or match[3] or ""):
            line = subject.text.count("\n", 0, match.start()) + 1
            yield in_text("HFR-008", subject.location, subject.text, line, "another package index is used")


def detect_git(subject: LinesSubject) -> Iterator[Finding]:
    """`.gitattributes` with filters of its own, `.gitmodules` with other hosts."""
    for number, line in enumerate(subject.text.split("\n"), 1):
        used = re.search(r"\b(?:filter|diff|merge)=(?!lfs\b|text\b|binary\b|union\b)(\w+)", line)
        if subject.name == ".gitattributes" and used and used[0].startswith("filter"):
            yield in_text("HFR-017", subject.location, subject.text, number, f"git runs the filter {used[1]!r}")
        address = re.match(r"\s*url\s*=\s*(\S+)", line)
        if subject.name == ".gitmodules" and address and not address[1].startswith("."):
            yield in_text(
                "HFR-017", subject.location, subject.text, number, f"a submodule from {printable(address[1])}"
            )
