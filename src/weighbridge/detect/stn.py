"""Knows what is wrong with safetensors files and their index (STN)."""

from __future__ import annotations

import json
import re
import unicodedata
from typing import TYPE_CHECKING, Final

from weighbridge.rules.finding import finding
from weighbridge.schema import Location, Severity
from weighbridge.schema.patterns import lazy
from weighbridge.schema.text import printable
from weighbridge.source import Kind

if TYPE_CHECKING:
    from collections.abc import Iterator

    from weighbridge.detect.subjects import RepositorySubject, SafetensorsSubject, TextSubject, TreeSubject
    from weighbridge.formats.safetensors import Tensor
    from weighbridge.schema import Finding

_RULES: Final = {
    "grammar": "STN-002", "duplicate": "STN-003", "overlap": "STN-004", "hole": "STN-005", "tail": "STN-005",
    "size": "STN-006", "dtype": "STN-007", "metadata": "STN-008",
}  # fmt: skip
_CODE: Final = lazy(
    r"_target_|__import__|\bexec\s*\(|\beval\s*\(|\bos\.system|subprocess|\{\{.*?(?:__|cycler|lipsum).*?\}\}|!!python/|<script|powershell|\bcurl\s+\S*https?://",
    re.IGNORECASE | re.DOTALL,
)
_BASE64: Final = lazy(r"[A-Za-z0-9+/]{512,}={0,2}")
_LONG: Final = 1 << 20
_SHOWN: Final = 20
_PICKLES: Final = frozenset({"pkl", "pickle", "joblib"})
_SIDE_PICKLES: Final = frozenset(
    {
        "tokenizer",
        "vocab",
        "vocabulary",
        "scaler",
        "index",
        "config",
        "processor",
        "preprocessor",
        "feature_extractor",
        "merges",
        "labels",
    }
)
_LAYERS: Final = ("num_hidden_layers", "n_layer", "n_layers", "num_layers")
_HIDDEN: Final = ("hidden_size", "n_embd", "d_model", "dim")
_LAYER: Final = lazy(r"(?:^|\.)(?:layers|layer|h|blocks?)\.(\d{1,5})\.")
# Multi-token prediction adds a layer or two of its own; encoders and vision towers count for themselves.
_SPARE_LAYERS: Final = 4
_OTHER_STACK: Final = lazy(r"vision|visual|audio|encoder|decoder|image|speech|mtp|draft|talker|tower", re.IGNORECASE)
_EMBEDDING: Final = lazy(r"(?:^|\.)(?:embed_tokens|wte)\.weight\Z")
_SHARD: Final = lazy(r"(?P<stem>.+)-(?P<number>\d{5})-of-(?P<count>\d{5})(?P<ending>\.(?:safetensors|bin))\Z")


def detect_safetensors(subject: SafetensorsSubject) -> Iterator[Finding]:
    """One file."""
    if subject.error:
        yield finding(
            "STN-001" if subject.too_long or "claims" in subject.error else "STN-002",
            subject.location.at(0),
            subject.error,
        )
    if subject.also:
        yield finding("STN-009", subject.location, f"the file is also {' and '.join(subject.also)}")
    facts = subject.facts
    if facts is None:
        return
    counted: dict[str, int] = {}
    for problem in facts.problems:
        counted[problem.kind] = counted.get(problem.kind, 0) + 1
        if counted[problem.kind] <= _SHOWN:
            name = f"{printable(problem.name)}: " if problem.name else ""
            yield finding(_RULES[problem.kind], subject.location.at(8), f"{name}{printable(problem.detail)}")
    for key, value in facts.metadata:
        yield from _metadata(subject, key, value)
    for tensor in facts.tensors:
        yield from _name(subject, tensor)


def _metadata(subject: SafetensorsSubject, key: str, value: object) -> Iterator[Finding]:
    if not isinstance(value, str):
        return
    match = _CODE.search(value)
    if match:
        shown = printable(value[max(0, match.start() - 40) : match.end() + 60])
        yield finding("STN-008", subject.location.at(8), f"metadata {printable(key)!r} holds code", evidence=[shown])
    elif _BASE64.search(value):
        yield finding(
            "STN-008",
            subject.location.at(8),
            f"metadata {printable(key)!r} holds an encoded blob",
            severity=Severity.MEDIUM,
        )
    elif len(value) > _LONG:
        yield finding(
            "STN-008",
            subject.location.at(8),
            f"metadata {printable(key)!r} has {len(value)} characters",
            severity=Severity.MEDIUM,
        )


def _name(subject: SafetensorsSubject, tensor: Tensor) -> Iterator[Finding]:
    odd = any(unicodedata.category(c) in {"Cc", "Cf", "Zl", "Zp"} for c in tensor.name)
    if odd or ".." in tensor.name.replace("\\", "/").split("/") or tensor.name.startswith(("/", "\\")):
        yield finding("STN-010", subject.location.at(8), f"the tensor name {printable(tensor.name)!r} is deceptive")


def detect_index(subject: TextSubject) -> Iterator[Finding]:
    """`*.index.json`: every shard is a plain name of a weights file."""
    if not subject.location.path[-1].endswith(".index.json"):
        return
    named = shards(subject.whole())
    if named is None:
        yield finding("SCN-002", subject.location, "the index cannot be read as JSON", severity=Severity.MEDIUM)
        return
    for shard in sorted(set(named)):
        evil = (
            "://" in shard
            or shard.startswith(("/", "\\"))
            or ".." in shard.replace("\\", "/").split("/")
            or shard[1:2] == ":"
        )
        foreign = not shard.endswith((".safetensors", ".bin", ".msgpack", ".h5", ".pt"))
        swapped = "safetensors" in subject.location.path[-1] and not shard.endswith(".safetensors")
        if evil or foreign or swapped:
            yield finding("STN-011", subject.location, f"the index names {printable(shard)!r}")


def shards(data: bytes) -> list[str] | None:
    """The shard names of an index; None where it is not JSON."""
    try:
        document = json.loads(data)
    except (ValueError, RecursionError):
        return None
    table = document.get("weight_map") if isinstance(document, dict) else None
    return [value for value in table.values() if isinstance(value, str)] if isinstance(table, dict) else []


def detect_folder(subject: TreeSubject) -> Iterator[Finding]:
    """Files of one folder against each other: shard sets and needless pickles."""
    names = {entry.name for entry in subject.entries if entry.kind is Kind.FILE}
    yield from _sets(subject, names)
    stems = {name.removesuffix(".safetensors") for name in names if name.endswith(".safetensors")}
    folders = {stem.rpartition("/")[0] for stem in stems}
    for name in sorted(names):
        stem, _, ending = name.rpartition(".")
        folder, _, last = stem.rpartition("/")
        if ending in _PICKLES and (stem in stems or (folder in folders and last.lower() in _SIDE_PICKLES)):
            yield finding("PKL-019", subject.place(name), "a pickle where the safe format beside it makes it needless")


def _sets(subject: TreeSubject, names: set[str]) -> Iterator[Finding]:
    groups: dict[tuple[str, str, str], set[int]] = {}
    for name in names:
        match = _SHARD.match(name)
        if match:
            groups.setdefault((match["stem"], match["count"], match["ending"]), set()).add(int(match["number"]))
    for (stem, count, ending), numbers in sorted(groups.items()):
        missing = sorted(set(range(1, int(count) + 1)) - numbers) if int(count) < 100_000 else []
        extra = sorted(number for number in numbers if not 1 <= number <= int(count))
        if missing or extra:
            what = f"shards {missing[:5]} are missing" if missing else f"shards {extra[:5]} lie beyond the set"
            yield finding("SCN-016", subject.place(f"{stem}-*-of-{count}{ending}"), what)


def detect_twins(sizes: dict[str, int]) -> Iterator[Finding]:
    """Torch files that hold another number of tensor bytes than the safetensors file beside them."""
    for path, size in sorted(sizes.items()):
        if not path.endswith(".safetensors"):
            continue
        stem = path.removesuffix(".safetensors")
        folder = stem[: stem.rfind("/") + 1]
        others = [f"{stem}{ending}" for ending in (".bin", ".pt", ".pth", ".ckpt")]
        others += [f"{folder}pytorch_model.bin"] if stem.endswith("/model") else []
        for other in others:
            if other in sizes and sizes[other] != size:
                message = f"{sizes[other]} bytes of tensors, and {size} in {path.rsplit('/', 1)[-1]}"
                yield finding("STN-012", Location(path=(other,)), message)


def detect_repository(subject: RepositorySubject) -> Iterator[Finding]:
    """The tensors of a folder against its configuration, where that says what there should be."""
    config = next((value for name, value in subject.of("config") if name == "config.json"), None)
    if not isinstance(config, dict):
        return
    text = config.get("text_config")
    sizes = {**config, **text} if isinstance(text, dict) else config
    layers = next((sizes[key] for key in _LAYERS if type(sizes.get(key)) is int), None)
    hidden = next((sizes[key] for key in _HIDDEN if type(sizes.get(key)) is int), None)
    for name, tensors in subject.of("tensors"):
        if "/" in name or name.startswith("adapter"):
            continue
        for tensor, shape in tensors:
            match = _LAYER.search(tensor)
            if (
                match
                and isinstance(layers, int)
                and int(match[1]) >= layers + _SPARE_LAYERS
                and not _OTHER_STACK.search(tensor)
            ):
                message = f"{printable(tensor)} lies beyond the {layers} layers of the configuration"
                yield finding("STN-013", subject.place(name), message)
                break
            if (
                _EMBEDDING.search(tensor)
                and len(shape) == 2
                and isinstance(hidden, int)
                and shape[1] != hidden
                and hidden not in shape
            ):
                message = f"{printable(tensor)} has the shape {list(shape)}, and the configuration a width of {hidden}"
                yield finding("STN-013", subject.place(name), message, severity=Severity.LOW)
                break


def detect_shards(subject: RepositorySubject) -> Iterator[Finding]:
    """An index against the shards that lie beside it, in both directions."""
    tensors = {name: {tensor for tensor, _ in value} for name, value in subject.of("tensors")}
    for name, table in subject.of("index"):
        named = set(table.values())
        missing = sorted(shard for shard in named if shard not in subject.names)
        if missing:
            message = f"the index names {printable(missing[0])}, which is not there"
            yield finding("SCN-016", subject.place(name), message)
        stem = name.removesuffix(".index.json")
        ending = stem.rpartition(".")[2]
        extra = sorted(
            file
            for file in subject.names
            if (match := _SHARD.match(file)) and f"{match['stem']}.{ending}" == stem and file not in named
        )
        if extra:
            yield finding("SCN-016", subject.place(extra[0]), f"the index {printable(name)} does not name this shard")
        for shard in sorted(named & tensors.keys()):
            listed = {tensor for tensor, file in table.items() if file == shard}
            unlisted, absent = tensors[shard] - listed, listed - tensors[shard]
            if unlisted:
                shown = printable(min(unlisted)[:80])
                yield finding(
                    "STN-013", subject.place(shard), f"{len(unlisted)} tensors are not in the index, {shown} among them"
                )
            elif absent:
                shown = printable(min(absent)[:80])
                yield finding(
                    "SCN-016",
                    subject.place(shard),
                    f"{len(absent)} tensors of the index are missing, {shown} among them",
                )
