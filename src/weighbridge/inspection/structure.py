"""Knows the structure of an artifact beside its tensors, as named aspects that two versions can be compared by.

Configuration key by key, templates line by line, tokenizers, graph operators, names that pickles import and code calls,
metadata of weight files. A file that cannot be read has one aspect that says so.
"""

from __future__ import annotations

import difflib
import hashlib
import os
from collections import Counter
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from weighbridge.schema import Difference, Limits, MalformedInput, WeighbridgeError
from weighbridge.schema.text import printable
from weighbridge.source import Budget, FileBlob

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from weighbridge.formats.pickle import Trace
    from weighbridge.source import Blob

Aspect: TypeAlias = str | frozenset[str]
_TEXT: Final = 16 << 20
_LEAVES: Final = 4000
_SHOWN: Final = 120
_HUNKS: Final = 8
_ELEMENTS: Final = 40


def aspects(name: str, path: str) -> dict[str, Aspect]:
    """What can be said about the structure of one file, by name. Empty for files that have none."""
    read = next((reader for ending, reader in _READERS if name.endswith(ending)), None)
    if read is None:
        return {}
    blob = FileBlob(path)
    try:
        return dict(read(blob))
    except WeighbridgeError as error:
        return {"structure": f"not readable: {error.message}"}
    finally:
        blob.close()


def differences(member: str, old: dict[str, Aspect], new: dict[str, Aspect]) -> Iterator[Difference]:
    """What changed between the aspects of one file."""
    for what in sorted(old.keys() | new.keys()):
        before, after = old.get(what, ""), new.get(what, "")
        if before == after:
            continue
        if isinstance(before, frozenset) or isinstance(after, frozenset):
            yield from _elements(member, what, frozenset(before or ()), frozenset(after or ()))
        elif "\n" in before or "\n" in after:
            yield from _lines(member, what, before, after)
        else:
            yield Difference(member=member, what=what, before=_short(before), after=_short(after))


def _elements(member: str, what: str, before: frozenset[str], after: frozenset[str]) -> Iterator[Difference]:
    changed = sorted(before ^ after)
    for one in changed[:_ELEMENTS]:
        gone = one in before
        yield Difference(
            member=member, what=what, before=_short(one) if gone else "", after="" if gone else _short(one)
        )
    if len(changed) > _ELEMENTS:
        yield Difference(member=member, what=what, after=f"and {len(changed) - _ELEMENTS} more")


def _lines(member: str, what: str, before: str, after: str) -> Iterator[Difference]:
    left, right = before.splitlines()[:_LEAVES], after.splitlines()[:_LEAVES]
    hunks = [
        one for one in difflib.SequenceMatcher(None, left, right, autojunk=False).get_opcodes() if one[0] != "equal"
    ]
    for _, first, last, start, end in hunks[:_HUNKS]:
        yield Difference(
            member=member,
            what=f"{what}, line {start + 1}",
            before=_short(" ⏎ ".join(left[first:last])),
            after=_short(" ⏎ ".join(right[start:end])),
        )
    if len(hunks) > _HUNKS:
        yield Difference(member=member, what=what, after=f"and {len(hunks) - _HUNKS} more places")


def _short(text: str) -> str:
    text = printable(text)
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"


def _text(blob: Blob) -> str:
    if blob.size > _TEXT:
        raise MalformedInput(f"{blob.size} bytes of text are not compared")
    return blob.read(0, blob.size).decode("utf-8", "replace")


def _json(blob: Blob) -> Iterator[tuple[str, Aspect]]:
    from weighbridge.formats.document import read_json  # noqa: PLC0415  # readers load as they are needed

    yield from _leaves(read_json(_text(blob)).root)


def _leaves(root: Any) -> Iterator[tuple[str, Aspect]]:
    """Every leaf with its path; long texts as they are, so that they are compared line by line."""
    waiting, count = [("", root)], 0
    while waiting:
        path, value = waiting.pop()
        if isinstance(value, dict) and value:
            waiting += [(f"{path}.{key}" if path else str(key), inner) for key, inner in value.items()]
        elif isinstance(value, list) and value:
            waiting += [(f"{path}[{number}]", inner) for number, inner in enumerate(value[:_LEAVES])]
        else:
            count += 1
            if count > _LEAVES:
                yield "structure", f"more than {_LEAVES} values; the rest was not compared"
                return
            yield path[:_SHOWN] or "value", value if isinstance(value, str) else repr(value)


def _tokenizer(blob: Blob) -> Iterator[tuple[str, Aspect]]:
    from weighbridge.formats.document import read_json  # noqa: PLC0415
    from weighbridge.formats.tokenizer import read_tokenizer  # noqa: PLC0415

    root = read_json(blob.read(0, min(blob.size, 128 << 20)).decode("utf-8", "replace")).root
    if not isinstance(root, dict):
        return
    facts = read_tokenizer(root)
    model = root.get("model")
    model = model if isinstance(model, dict) else {}
    yield "kind", facts.kind
    yield "number of ids", str(facts.size)
    yield "largest id", str(facts.top)
    yield (
        "added tokens",
        frozenset(f"{one.id} {one.content!r}{' special' if one.special else ''}" for one in facts.added),
    )
    yield "replacements", frozenset(f"{one.stage}: {one.pattern!r} → {one.content!r}" for one in facts.replacements)
    yield "patterns", frozenset(facts.patterns)
    for part in ("vocab", "merges"):
        # Only whether it is the same: a vocabulary is long, and its order counts.
        yield part, hashlib.sha256(repr(model.get(part)).encode("utf-8", "surrogatepass")).hexdigest()[:16]


def _lines_of(blob: Blob) -> Iterator[tuple[str, Aspect]]:
    yield "text", f"{_text(blob)}\n"


def _python(blob: Blob) -> Iterator[tuple[str, Aspect]]:
    from weighbridge.formats.python_source import read_python  # noqa: PLC0415

    module = read_python(_text(blob))
    roots = {name.partition(".")[0] for name in module.imports} | {"builtins"}
    foreign = {call.name for call in module.calls if call.name.partition(".")[0] in roots}
    yield "imports", frozenset(module.imports)
    yield "calls", frozenset(foreign)
    yield "calls on import", frozenset(call.name for call in module.at_import if call.name in foreign)


def _onnx(blob: Blob) -> Iterator[tuple[str, Aspect]]:
    from weighbridge.formats.onnx import read_onnx  # noqa: PLC0415

    facts = read_onnx(blob)
    for operator, count in Counter(
        f"{node.domain}{'.' * bool(node.domain)}{node.op}" for node in facts.graph.nodes
    ).items():
        yield f"operator {operator}", str(count)
    yield "domains", frozenset(facts.domains)
    yield "functions", frozenset(f"{one.domain}.{one.name}" for one in facts.functions)
    yield "inputs", frozenset(facts.graph.inputs)
    yield "outputs", frozenset(facts.graph.outputs)


def _safetensors(blob: Blob) -> Iterator[tuple[str, Aspect]]:
    from weighbridge.formats.safetensors import read_safetensors  # noqa: PLC0415

    for name, value in read_safetensors(blob).metadata:
        yield f"metadata {name}", str(value)


def _gguf(blob: Blob) -> Iterator[tuple[str, Aspect]]:
    from weighbridge.formats.gguf import read_gguf  # noqa: PLC0415

    for name, value in read_gguf(blob).values.items():
        yield name, value if isinstance(value, str) else repr(value)


def _pickle(blob: Blob) -> Iterator[tuple[str, Aspect]]:
    from weighbridge.formats.pickle import Brief, read_pickles  # noqa: PLC0415

    streams: list[Trace] = []
    for part in _pickled(blob):
        streams += read_pickles(part.read, part.size, Limits(), Brief()).streams
    yield "imports", frozenset(one.name.dotted for stream in streams for one in stream.imports)


def _pickled(blob: Blob) -> Iterator[Blob]:
    """The pickles of a torch zip, or the file itself."""
    if blob.read(0, 4) != b"PK\3\4":
        yield blob
        return
    from weighbridge.source.zip import ZipTree  # noqa: PLC0415

    tree = ZipTree(blob, Budget(Limits()))
    for entry in tree.entries():
        if entry.name.endswith(".pkl"):
            yield tree.open(entry)


def _trainer(blob: Blob) -> Iterator[tuple[str, Aspect]]:
    """Where a training stands; its log is held against the other's elsewhere."""
    for name, value in _json(blob):
        if not name.startswith("log_history"):
            yield name, value


_READERS: Final[tuple[tuple[str | tuple[str, ...], Callable[[Blob], Iterator[tuple[str, Aspect]]]], ...]] = (
    ("tokenizer.json", _tokenizer),
    ("trainer_state.json", _trainer),
    (".index.json", lambda _: iter(())),
    (".json", _json),
    ((".jinja", ".jinja2", ".txt", ".md", ".yaml", ".yml", ".toml"), _lines_of),
    (".py", _python),
    (".onnx", _onnx),
    (".safetensors", _safetensors),
    (".gguf", _gguf),
    ((".pkl", ".pickle", ".bin", ".pt", ".pth", ".ckpt"), _pickle),
)  # fmt: skip


def training(path: str) -> tuple[int, list[Any]] | None:
    """The step and log that `trainer_state.json` tells, where there is one that can be read."""
    from weighbridge.formats.document import read_json  # noqa: PLC0415

    try:
        blob = FileBlob(os.path.join(path, "trainer_state.json"))
    except WeighbridgeError:
        return None
    try:
        root = read_json(_text(blob)).root
    except WeighbridgeError:
        return None
    finally:
        blob.close()
    step, log = (root.get("global_step"), root.get("log_history")) if isinstance(root, dict) else (None, None)
    return (step, log) if isinstance(step, int) and isinstance(log, list) else None
