"""Knows which models, adapters, datasets and tools a code base names: constants in calls of hub libraries, and in configuration."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from msgspec import Struct

from weighbridge.formats.document import Document, read_json, read_yaml, walk
from weighbridge.formats.notebook import read_notebook
from weighbridge.formats.python_source import PythonModule, read_python
from weighbridge.schema import LimitExceeded, MalformedInput
from weighbridge.source import FileBlob, Kind, local

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from weighbridge.formats.python_source import Call

_NAME: Final = re.compile(r"[\w][\w.-]{0,95}/[\w][\w.-]{0,95}\Z")
_MODELS: Final = frozenset(
    {
        "from_pretrained",
        "hf_hub_download",
        "snapshot_download",
        "SentenceTransformer",
        "CrossEncoder",
        "LLM",
        "pipeline",
    }
)
_DATASETS: Final = frozenset({"load_dataset", "load_dataset_builder"})
_ADAPTERS: Final = frozenset({"load_adapter", "load_lora_weights", "load_textual_inversion", "load_ip_adapter"})
_TOOLS: Final = frozenset({"load_tool", "from_space", "from_hub"})
_KEYS: Final = {
    "base_model_name_or_path": "models",
    "base_model": "models",
    "model_name_or_path": "models",
    "dataset_name": "datasets",
    "adapter_name_or_path": "models",
}
_ROLES: Final = {"models": "model", "datasets": "dataset", "spaces": "tool"}
_MOST: Final = 4 << 20
SKIPPED: Final = re.compile(r"(?:^|/)(?:\.git|\.venv|venv|node_modules|__pycache__|site-packages|\.tox)/")


class Reference(Struct, frozen=True, kw_only=True):
    """A repository that is named: `kind` is models, datasets or spaces, `revision` is empty where none is given.

    `role` is what it is used as: model, adapter, dataset or tool. `merged` tells parts of a merge recipe.
    """

    kind: str
    name: str
    revision: str
    file: str
    line: int
    merged: bool = False
    role: str = "model"

    @property
    def address(self) -> str:
        """The repository as an address without revision."""
        return f"hf://{'' if self.kind == 'models' else self.kind + '/'}{self.name}"


def references(path: str) -> list[Reference]:
    """Every reference below a folder, or in one file, in order. Raises SourceError where the path does not exist."""
    return [one for name, text in texts(path) for shown, parsed in readings(name, text) for one in named(shown, parsed)]


def is_read(name: str) -> bool:
    """Whether a file of this name may name a repository."""
    return name.lower().endswith((".py", ".ipynb", ".json", ".yaml", ".yml"))


def texts(path: str, wanted: Callable[[str], bool] = is_read) -> Iterator[tuple[str, str]]:
    """(name, text) of the files below a folder that may say what is used, or of one file.

    Tools' own folders and files from 4 MiB on are passed over. Raises SourceError where the path does not exist.
    """
    source = local(path)
    if isinstance(source, FileBlob):
        yield path.rsplit("/", 1)[-1], _text(source)
        return
    for entry in source.entries():
        if entry.kind is Kind.FILE and entry.size < _MOST and wanted(entry.name) and not SKIPPED.search(entry.name):
            yield entry.name, _text(FileBlob(source.path_of(entry)))


def _text(blob: FileBlob) -> str:
    try:
        return blob.read(0, _MOST).decode("utf-8", "replace")
    finally:
        blob.close()


def readings(name: str, text: str) -> Iterator[tuple[str, PythonModule | Document]]:
    """A file as it is read here, with the name to show: a module, the cells of a notebook, a document. Nothing for what is broken."""
    try:
        if name.endswith(".py"):
            yield name, read_python(text)
        elif name.endswith(".ipynb"):
            root = read_json(text).root
            for cell in read_notebook(root).cells if isinstance(root, dict) else ():
                yield f"{name}, cell {cell.number}", read_python(cell.python)
        elif name.endswith(".json"):
            yield name, read_json(text)
        elif name.endswith((".yaml", ".yml")):
            yield name, read_yaml(text)
    except (MalformedInput, LimitExceeded):
        return


def named(name: str, parsed: PythonModule | Document) -> Iterator[Reference]:
    """The repositories that a module or document names."""
    return _in_module(name, parsed) if isinstance(parsed, PythonModule) else _in_document(name, parsed)


def _in_document(name: str, document: Document) -> Iterator[Reference]:
    try:
        recipe = any(key == "merge_method" for _, key, _ in walk(document.roots))
        for _, key, value in walk(document.roots):
            part = recipe and key == "model"
            if (part or key in _KEYS) and isinstance(value, str) and _NAME.match(value):
                kind = "models" if part else _KEYS[str(key)]
                role = "adapter" if key == "adapter_name_or_path" else _ROLES[kind]
                yield Reference(kind=kind, name=value, revision="", file=name, line=0, merged=recipe, role=role)
    except LimitExceeded:
        return


def _in_module(name: str, module: PythonModule) -> Iterator[Reference]:
    for call in module.calls:
        kind, role = _kind(call)
        if not kind:
            continue
        called = _named(call, role)
        if isinstance(called, str) and _NAME.match(called):
            revision = call.keyword("revision")
            given = revision.value if revision is not None else ""
            repository = call.keyword("repo_type")
            if repository is not None and repository.value == "dataset":
                kind, role = "datasets", "dataset"
            yield Reference(
                kind=kind,
                name=called,
                revision=given if isinstance(given, str) else "",
                file=name,
                line=call.line,
                role=role,
            )


def _kind(call: Call) -> tuple[str, str]:
    """(kind of repository, role) that a call asks for; empty for other calls."""
    last = call.name.rpartition(".")[2]
    if last in _DATASETS:
        return "datasets", "dataset"
    if last in _ADAPTERS or (last == "from_pretrained" and "Peft" in call.name):
        return "models", "adapter"
    if last in _TOOLS and ("tool" in call.name.casefold() or last == "from_space"):
        return "spaces", "tool"
    return ("models", "model") if last in _MODELS else ("", "")


def _named(call: Call, role: str) -> object:
    for keyword in ("repo_id", "pretrained_model_name_or_path", "model_id", "adapter_id", "space_id", "model", "path"):
        found = call.keyword(keyword)
        if found is not None and found.constant:
            return found.value
    # Adapters are laid on a model, which comes first: `PeftModel.from_pretrained(model, "owner/adapter")`.
    named = [value for value in call.arguments if isinstance(value, str)] if role == "adapter" else call.arguments
    return named[0] if named else None
