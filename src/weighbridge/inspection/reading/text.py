"""Knows how text of each kind becomes subjects: documents, source, templates, notebooks, lines."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from weighbridge.detect.subjects import (
    DocumentSubject,
    FactsSubject,
    LinesSubject,
    NotebookSubject,
    SourceSubject,
    TemplateSubject,
    TokenizerSubject,
)
from weighbridge.formats.document import Document
from weighbridge.identify.text import text_kind
from weighbridge.schema import Coverage, LimitExceeded, MalformedInput, Reason, Status

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from weighbridge.inspection.stages import Member, Stages
    from weighbridge.schema import Location

_TEMPLATE_KEYS: Final = frozenset(
    {"chat_template", "tool_use_template", "prompt_template", "template", "system_prompt"}
)
_HUB_TEMPLATES: Final = frozenset({"chat_template", "default_chat_template"})
_LINES: Final = frozenset(
    {"prose", "shell", "dockerfile", "modelfile", "prototxt", "xml", "ini", "git", "java", "kernel", "javascript",
     "lightgbm", "torch7", "text", "lua",
        "mlir", "path file", "ncnn"}
)  # fmt: skip
_NOTED_CONFIG: Final = 1 << 16
_NOTED_TENSORS: Final = 20_000
_SNIFFED: Final = 4096
_DATA: Final = frozenset({"json", "yaml", "toml"})


def read(stages: Stages, member: Member) -> None:
    """A member that is text."""
    limit = stages.account.limits.text_bytes
    kind = text_kind(member.location.path[-1], member.blob.read(0, _SNIFFED), member.format)
    if not _surely_packaged(stages, member):
        stages.secrets(member.location, member.blob, member.format)
    text = member.blob.read(0, limit).decode("utf-8-sig" if kind not in {"json", "notebook"} else "utf-8", "replace")
    problem: tuple[Status, Reason, str] = (Status.INSPECTED, Reason.NONE, "")
    try:
        _by_kind(stages, member, kind, text)
    except LimitExceeded as error:
        problem = (Status.TRUNCATED, Reason.LIMIT, error.message)
    except MalformedInput as error:
        problem = _unparsed(stages, member, kind, text, error)
    if member.blob.size > limit and problem[0] is Status.INSPECTED:
        problem = (Status.TRUNCATED, Reason.LIMIT, f"text is read up to {limit} bytes")
    status, reason, detail = problem
    shown = kind if kind not in {"text", "lines of json"} else member.format
    stages.coverage.append(
        Coverage(
            path=member.location.path, format=shown, size=member.blob.size, inspected=min(member.blob.size, limit),
            status=status, reason=reason, detail=detail,
        )
    )  # fmt: skip


def _unparsed(
    stages: Stages, member: Member, kind: str, text: str, error: MalformedInput
) -> tuple[Status, Reason, str]:
    """What breaks its grammar: a loader refuses it as well, but what it holds is still looked at as lines."""
    if kind == "json" and not member.name.endswith((".json", ".ipynb")):
        # A word list may begin with a bracket as well; only the name could have promised JSON.
        stages.subjects.append(LinesSubject(location=member.location, kind="text", text=text))
        return Status.INSPECTED, Reason.NONE, ""
    if kind in {"json", "yaml", "toml"}:
        document = Document(carrier=kind, roots=())
        stages.subjects.append(
            DocumentSubject(location=member.location, document=document, roles=(), text=text, error=error.message)
        )
    stages.subjects.append(LinesSubject(location=member.location, kind="text", text=text))
    return Status.TRUNCATED, Reason.MALFORMED, error.message


def _by_kind(stages: Stages, member: Member, kind: str, text: str) -> None:
    limit = stages.account.limits.text_bytes
    if kind == "json" and member.blob.size > limit:
        raise MalformedInput(f"not JSON as far as it is read, which is {limit} bytes")
    reader = _READERS.get(kind)
    if _packaged(stages, member):
        _of_package(stages, member, kind, text)
    if kind in _DATA:
        parsed = _parsed(kind, text)
        # In a package it counts whether it can be read; what it would mean in a repository says nothing there.
        if not _surely_packaged(stages, member):
            document(stages, member.location, parsed, text)
    elif reader is not None:
        reader(stages, member, text)
    elif kind == "xml":
        _xml(stages, member, text)
    elif kind == "template":
        template(stages, member.location, member.name, text)
    elif kind in _LINES:
        stages.subjects.append(LinesSubject(location=member.location, kind=kind, text=text))


def _packaged(stages: Stages, member: Member) -> bool:
    """Whether a member may belong to a package: it lies in an archive, or in a folder of packages."""
    return stages.packaged or len(member.location.path) > 1


def _surely_packaged(stages: Stages, member: Member) -> bool:
    """Whether a member belongs to other people's package whatever else is found: rules for one's own code do not apply."""
    return stages.in_package(member.location)


def _of_package(stages: Stages, member: Member, kind: str, text: str) -> None:
    """What the look at a whole package needs of files that are no Python."""
    if kind == "path file":
        stages.note("path file", member.location, text[:_NOTED_CONFIG])
    elif kind == "javascript":
        from weighbridge.formats.javascript import read_javascript  # noqa: PLC0415  # only packages

        script = read_javascript(text)
        stages.note("script", member.location, script)
        if script.unread:
            # What was found until then counts all the same.
            raise LimitExceeded(script.unread, limit="members")
    elif member.name in {"record", "pyproject.toml", "package.json"}:
        stages.note(member.name, member.location, text)


def _parsed(kind: str, text: str) -> Document:
    """A document of one of the kinds of data. Raises MalformedInput, LimitExceeded."""
    from weighbridge.formats import document as documents  # noqa: PLC0415  # few artifacts hold all kinds

    readers = {"json": documents.read_json, "yaml": documents.read_yaml, "toml": documents.read_toml}
    return readers[kind](text)


def document(stages: Stages, location: Location, parsed: Document, text: str) -> None:
    """A parsed document, from a file or from the header of something else, with what stands in it."""
    from weighbridge.identify.roles import roles  # noqa: PLC0415

    for root in parsed.roots or (None,):
        one = parsed if len(parsed.roots) < 2 else Document(carrier=parsed.carrier, roots=(root,), tags=parsed.tags)
        found = roles(location.path[-1], root)
        stages.subjects.append(DocumentSubject(location=location, document=one, roles=found, text=text))
        if not isinstance(root, (dict, list)):
            continue
        if "notebook" in found and isinstance(root, dict):
            _notebook(stages, location, root)
        elif "tokenizer" in found and isinstance(root, dict):
            _tokenizer(stages, location, root)
        elif len(text) < _NOTED_CONFIG and (
            {"hub", "adapter"} & set(found) or location.path[-1].endswith("vocab.json")
        ):
            stages.note("config", location, root)
        if location.path[-1].endswith("vocab.json") and isinstance(root, dict):
            stages.note("vocab", location, _fingerprint(root))
        if (
            isinstance(root, dict)
            and isinstance(root.get("weight_map"), dict)
            and len(root["weight_map"]) < _NOTED_TENSORS
        ):
            stages.note("index", location, {str(key): str(value) for key, value in root["weight_map"].items()})
        if "tfjs" in found and isinstance(root, dict):
            stages.note("numbers", location, tuple(_weight_files(root)))
        for origin, template_text in templates(location.path[-1], root):
            template(stages, location, origin, template_text)


def _weight_files(root: dict[str, Any]) -> Iterator[str]:
    """The files of numbers that a TensorFlow.js model names."""
    manifest = root.get("weightsManifest")
    for group in manifest if isinstance(manifest, list) else []:
        paths = group.get("paths") if isinstance(group, dict) else None
        yield from (path for path in paths if isinstance(path, str)) if isinstance(paths, list) else ()


def templates(name: str, root: object) -> Iterator[tuple[str, str]]:
    """(key, text) of the templates of a document: chat templates always, other keys where the value is Jinja."""
    if not isinstance(root, dict):
        return
    for key, value in root.items():
        if key in _HUB_TEMPLATES or (key in _TEMPLATE_KEYS and name.endswith(".json")):
            yield from _variants(key, value)


def _variants(key: str, value: object) -> Iterator[tuple[str, str]]:
    if isinstance(value, str):
        if key in _HUB_TEMPLATES or "{%" in value or "{{" in value:
            yield key, value
    elif isinstance(value, list):
        for item in value:
            if isinstance(item, dict) and isinstance(item.get("template"), str):
                yield f"{key}[{item.get('name', '')}]", item["template"]
    elif isinstance(value, dict):
        for name, text in value.items():
            if isinstance(text, str):
                yield f"{key}[{name}]", text


def template(stages: Stages, location: Location, origin: str, text: str) -> None:
    """A Jinja template, wherever it was found."""
    from weighbridge.formats.template import read_template  # noqa: PLC0415

    facts, message = None, ""
    try:
        facts = read_template(text)
    except (MalformedInput, LimitExceeded) as error:
        message = error.message
    stages.subjects.append(TemplateSubject(location=location, origin=origin, text=text, facts=facts, error=message))
    if len(text) < _NOTED_CONFIG:
        stages.note("template", location, (origin, text))


def _notebook(stages: Stages, location: Location, root: dict[str, Any]) -> None:
    from weighbridge.formats.notebook import read_notebook  # noqa: PLC0415
    from weighbridge.formats.python_source import read_python  # noqa: PLC0415

    notebook = read_notebook(root)
    metadata = root.get("metadata")
    stages.subjects.append(
        NotebookSubject(location=location, notebook=notebook, metadata=metadata if isinstance(metadata, dict) else {})
    )
    for cell in notebook.cells:
        place = location.inside(f"cell {cell.number}")
        try:
            module = read_python(cell.python)
        except (MalformedInput, LimitExceeded):
            continue  # cells of other kernels, or cells that never ran: their commands were read above
        stages.subjects.append(SourceSubject(location=place, module=module, text=cell.source, notebook=True))


def _xml(stages: Stages, member: Member, text: str) -> None:
    """XML proper; HTML and SVG that are no XML are read like prose."""
    from weighbridge.formats.markup import read_markup  # noqa: PLC0415

    if member.name.endswith((".html", ".htm", ".svg")) or "<html" in text[:2000].lower():
        stages.subjects.append(LinesSubject(location=member.location, kind="prose", text=text))
        return
    facts = read_markup(member.blob)
    stages.subjects.append(FactsSubject(location=member.location, kind="markup", facts=facts, size=member.blob.size))
    if facts.root == "net":
        stages.note("numbers", member.location, (f"{member.location.path[-1].rsplit('/', 1)[-1][:-4]}.bin",))
    if not facts.complete and not facts.entities:
        raise MalformedInput("the XML breaks off")


def _notebook_file(stages: Stages, member: Member, text: str) -> None:
    document(stages, member.location, _parsed("json", text), text)


def _python(stages: Stages, member: Member, text: str) -> None:
    from weighbridge.formats.python_source import read_python  # noqa: PLC0415

    packaged, surely = _packaged(stages, member), _surely_packaged(stages, member)
    if surely and not member.risky:
        from weighbridge.formats.python_outline import read_outline  # noqa: PLC0415  # only packages

        stages.note("code", member.location, read_outline(text))
        return
    module = read_python(text)
    if not surely:
        stages.subjects.append(SourceSubject(location=member.location, module=module, text=text))
        stages.note("python", member.location, module.outline)
    if packaged:
        from weighbridge.inspection.connecting import in_full  # noqa: PLC0415  # only packages

        stages.note("code", member.location, in_full(member.location.path, module, text))


def _tokenizer(stages: Stages, location: Location, root: dict[str, Any]) -> None:
    from weighbridge.formats.tokenizer import read_tokenizer  # noqa: PLC0415

    facts = read_tokenizer(root)
    stages.subjects.append(TokenizerSubject(location=location, facts=facts))
    vocabulary = root["model"].get("vocab") if isinstance(root.get("model"), dict) else None
    table = vocabulary if isinstance(vocabulary, dict) else {}
    stages.note("tokenizer", location, (facts.top + 1, facts.size, _fingerprint(table)))


def _fingerprint(table: dict[str, Any]) -> tuple[int, int]:
    """The size of a vocabulary and a checksum over its pairs, whatever their order."""
    from zlib import crc32  # noqa: PLC0415

    total = 0
    for token, number in table.items():
        total = (total + crc32(f"{number} {token}".encode("utf-8", "surrogatepass"))) & 0xFFFFFFFFFFFF
    return len(table), total


_READERS: Final[dict[str, Callable[[Stages, Member, str], None]]] = {
    "python": _python,
    "notebook": _notebook_file,
}
