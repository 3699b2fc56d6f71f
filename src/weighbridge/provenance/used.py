"""Knows everything that a code base or a folder of services uses: models, adapters, datasets, prompts, tools, packages.

What is named in code and configuration, what manifests list, and what lies in the tree itself, each with owner, source,
pin and licence as far as they are known here. Nothing is asked of a network.
"""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING, Any, Final

from msgspec import Struct

from weighbridge.formats.card import card_at
from weighbridge.formats.manifests import is_manifest, normal, read_manifest
from weighbridge.formats.metadata import first, read_metadata
from weighbridge.formats.python_source import PythonModule
from weighbridge.identify.roles import SERVER_TABLES
from weighbridge.provenance.references import SKIPPED, is_read, named, readings, texts
from weighbridge.schema import MalformedInput
from weighbridge.source import FileBlob, Kind, local

if TYPE_CHECKING:
    from collections.abc import Iterator

    from weighbridge.provenance.references import Reference
    from weighbridge.source import Entry, LocalTree

KINDS: Final = ("model", "adapter", "dataset", "prompt", "tool", "package")
_COMMIT: Final = re.compile(r"[0-9a-f]{40}\Z")
_WEIGHTS: Final = re.compile(r"\.(?:safetensors|gguf|onnx|h5|keras|pt|pth|ckpt|tflite|joblib|pkl|bin)\Z")
_DATA: Final = re.compile(r"\.(?:parquet|arrow|jsonl|csv|tsv)\Z")
_PROMPT: Final = re.compile(
    r"(?:^|/)(?:prompts?|templates)/.*\.(?:txt|md|jinja2?|j2|ya?ml)\Z|\.prompty\Z|\.prompt\Z|(?:^|/)(?:AGENTS|CLAUDE|SKILL)\.md\Z"
)
_PINNED: Final = re.compile(r"(?:@|==)(\d[\w.+-]*)\Z")


class Used(Struct, frozen=True, kw_only=True, order=True):
    """One thing that is used, at one place. `pin` is a commit or exact version, empty where it may change by itself."""

    kind: str
    name: str
    source: str
    owner: str = ""
    pin: str = ""
    licence: str = ""
    file: str = ""
    line: int = 0


def used(path: str, *, environment: str = "") -> list[Used]:
    """What is used below a folder or in one file. `environment` is a folder of installed packages, for their licences.

    Raises SourceError where the path does not exist.
    """
    tree = local(path)
    if isinstance(tree, FileBlob):
        tree.close()
        found = []
    else:
        found = list(_lying(tree))
    for name, text in texts(path, lambda name: is_read(name) or is_manifest(name) or bool(_PROMPT.search(name))):
        found += _in_file(name, text)
    licences = _installed(environment) if environment else {}
    return sorted(_licensed(one, licences) for one in dict.fromkeys(found))


def _licensed(one: Used, licences: dict[str, tuple[str, str]]) -> Used:
    version, licence = licences.get(normal("pypi", one.name), ("", ""))
    if one.kind != "package" or not licence or (one.pin and version != one.pin):
        return one
    return Used(**{field: getattr(one, field) for field in one.__struct_fields__} | {"licence": licence})


def _lying(tree: LocalTree) -> Iterator[Used]:
    """Weights and data in the tree itself, one line for each folder that holds some."""
    by_folder: dict[str, list[Entry]] = {}
    for entry in tree.entries():
        if entry.kind is Kind.FILE and not SKIPPED.search(entry.name):
            by_folder.setdefault(entry.name.rpartition("/")[0], []).append(entry)
    for folder, inside in sorted(by_folder.items()):
        names = {entry.name.rpartition("/")[2] for entry in inside}
        adapter = "adapter_config.json" in names
        kind = (
            "adapter"
            if adapter
            else "model"
            if any(map(_WEIGHTS.search, names))
            else "dataset"
            if any(map(_DATA.search, names))
            else ""
        )
        if kind:
            card = next((tree.path_of(entry) for entry in inside if entry.name.rpartition("/")[2] == "README.md"), "")
            shown = folder or os.path.basename(os.path.realpath(tree.root))
            yield Used(
                kind=kind,
                name=shown,
                source=f"file:{folder or '.'}",
                licence=_licence(card) if card else "",
                file=folder or ".",
            )


def _licence(card: str) -> str:
    licence = card_at(card).get("license")
    return licence if isinstance(licence, str) else ""


def _in_file(name: str, text: str) -> Iterator[Used]:
    """Everything that one file says is used: prompts, repositories, servers of tools, packages."""
    if _PROMPT.search(name):
        yield Used(kind="prompt", name=name, source=f"file:{name}", file=name)
    if is_manifest(name):
        try:
            for one in read_manifest(name, text).listed:
                yield Used(kind="package", name=one.name, source=one.purl, pin=one.version, file=name, line=one.line)
        except MalformedInput:
            return
    for shown, parsed in readings(name, text):
        yield from map(_repository, named(shown, parsed))
        if isinstance(parsed, PythonModule):
            yield from _pulled(shown, parsed)
        elif parsed.carrier == "json":
            yield from _servers(shown, parsed.root)


def _repository(one: Reference) -> Used:
    return Used(
        kind=one.role,
        name=one.name,
        source=one.address,
        owner=one.name.partition("/")[0],
        pin=one.revision if _COMMIT.match(one.revision) else "",
        file=one.file,
        line=one.line,
    )


def _servers(name: str, root: Any) -> Iterator[Used]:
    """Servers of the Model Context Protocol that a configuration starts or calls."""
    for key in SERVER_TABLES:
        table = root.get(key) if isinstance(root, dict) else None
        for server, said in table.items() if isinstance(table, dict) else ():
            if not isinstance(said, dict):
                continue
            arguments = said.get("args")
            words = [str(said.get("command", "")), *map(str, arguments if isinstance(arguments, list) else [])]
            address = said.get("url") or said.get("serverUrl")
            source = address if isinstance(address, str) else " ".join(filter(None, words))
            pins = [match[1] for word in words if (match := _PINNED.search(word))]
            yield Used(kind="tool", name=str(server), source=source[:200], pin=pins[0] if pins else "", file=name)


def _pulled(name: str, module: PythonModule) -> Iterator[Used]:
    """Prompts that code pulls from a hub of prompts: `hub.pull("owner/prompt:commit")`."""
    for call in module.calls:
        if call.name.endswith(("hub.pull", ".pull_prompt", ".load_prompt")) and call.arguments:
            given = call.arguments[0]
            if isinstance(given, str) and given:
                bare, _, pin = given.partition(":")
                yield Used(
                    kind="prompt",
                    name=bare,
                    source=f"prompt hub: {bare}",
                    owner=bare.partition("/")[0] if "/" in bare else "",
                    pin=pin,
                    file=name,
                    line=call.line,
                )


def _installed(folder: str) -> dict[str, tuple[str, str]]:
    """Version and licence of each installed distribution, from its metadata."""
    found: dict[str, tuple[str, str]] = {}
    tree = local(folder)
    if isinstance(tree, FileBlob):
        return found
    for entry in tree.entries():
        if not entry.name.endswith(".dist-info/METADATA") or entry.kind is not Kind.FILE:
            continue
        with open(tree.path_of(entry), encoding="utf-8", errors="replace") as file:
            said = read_metadata(file.read(1 << 16))
        name = normal("pypi", first(said, "name"))
        found[name] = (first(said, "version"), first(said, "license-expression", "license"))
    return found
