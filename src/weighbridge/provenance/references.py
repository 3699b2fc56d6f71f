"""Knows which models and datasets a code base uses: constant names in calls of hub libraries, and in configuration."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from msgspec import Struct

from weighbridge.formats.document import read_json, read_yaml, walk
from weighbridge.formats.notebook import read_notebook
from weighbridge.formats.python_source import read_python
from weighbridge.schema import LimitExceeded, MalformedInput
from weighbridge.source import Entry, FileBlob, Kind, local

if TYPE_CHECKING:
    from collections.abc import Iterator

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
_KEYS: Final = {
    "base_model_name_or_path": "models",
    "base_model": "models",
    "model_name_or_path": "models",
    "dataset_name": "datasets",
}
_MOST: Final = 4 << 20
_SKIPPED: Final = re.compile(r"(?:^|/)(?:\.git|\.venv|venv|node_modules|__pycache__|site-packages|\.tox)/")


class Reference(Struct, frozen=True, kw_only=True):
    """A repository that is named: `kind` is models or datasets, `revision` is empty where none is given.

    `merged` tells parts of a merge recipe.
    """

    kind: str
    name: str
    revision: str
    file: str
    line: int
    merged: bool = False

    @property
    def address(self) -> str:
        """The repository as an address without revision."""
        return f"hf://{'' if self.kind == 'models' else self.kind + '/'}{self.name}"


def references(path: str) -> list[Reference]:
    """Every reference below a folder, or in one file, in order. Raises SourceError where the path does not exist."""
    source = local(path)
    if isinstance(source, FileBlob):
        return list(_in_file(path.rsplit("/", 1)[-1], source))
    found: list[Reference] = []
    for entry in source.entries():
        if _wanted(entry):
            blob = FileBlob(source.path_of(entry))
            found += _in_file(entry.name, blob)
            blob.close()
    return found


def _wanted(entry: Entry) -> bool:
    ending = entry.name.rpartition(".")[2].lower()
    return (
        entry.kind is Kind.FILE
        and ending in {"py", "ipynb", "json", "yaml", "yml"}
        and entry.size < _MOST
        and not _SKIPPED.search(f"{entry.name}")
    )


def _in_file(name: str, blob: FileBlob) -> Iterator[Reference]:
    text = blob.read(0, _MOST).decode("utf-8", "replace")
    try:
        if name.endswith(".py"):
            yield from _in_python(name, text)
        elif name.endswith(".ipynb"):
            root = read_json(text).root
            for cell in read_notebook(root).cells if isinstance(root, dict) else ():
                yield from _in_python(f"{name}, cell {cell.number}", cell.python)
        elif name.endswith((".json", ".yaml", ".yml")):
            document = read_json(text) if name.endswith(".json") else read_yaml(text)
            recipe = any(key == "merge_method" for _, key, _ in walk(document.roots))
            for _, key, value in walk(document.roots):
                part = recipe and key == "model"
                if (part or key in _KEYS) and isinstance(value, str) and _NAME.match(value):
                    kind = "models" if part else _KEYS[str(key)]
                    yield Reference(kind=kind, name=value, revision="", file=name, line=0, merged=recipe)
    except (MalformedInput, LimitExceeded):
        return


def _in_python(name: str, text: str) -> Iterator[Reference]:
    for call in read_python(text).calls:
        last = call.name.rpartition(".")[2]
        kind = "models" if last in _MODELS else "datasets" if last in _DATASETS else ""
        if not kind:
            continue
        named = _named(call)
        if isinstance(named, str) and _NAME.match(named):
            revision = call.keyword("revision")
            given = revision.value if revision is not None else ""
            repository = call.keyword("repo_type")
            kind = "datasets" if repository is not None and repository.value == "dataset" else kind
            yield Reference(
                kind=kind, name=named, revision=given if isinstance(given, str) else "", file=name, line=call.line
            )


def _named(call: Call) -> object:
    for keyword in ("repo_id", "pretrained_model_name_or_path", "model", "path"):
        found = call.keyword(keyword)
        if found is not None:
            return found.value
    return call.arguments[0] if call.arguments else None
