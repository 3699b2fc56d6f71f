"""Knows how an inspection and the digests of an artifact become its description, from which bills of materials are made."""

from __future__ import annotations

import math
import os
import re
from typing import TYPE_CHECKING, Any, Final

from weighbridge.formats.card import card_at
from weighbridge.formats.manifests import is_manifest, read_manifest
from weighbridge.inspection.plan import Options, collect
from weighbridge.policy import Policy, waived
from weighbridge.provenance.description import Base, Claim, Description, Package, root_of
from weighbridge.provenance.digest import FileDigest, digests, members
from weighbridge.provenance.places import places
from weighbridge.schema import Finding, MalformedInput, SourceError, Status

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from weighbridge.detect.subjects import Note
    from weighbridge.schema import Coverage

_DTYPES: Final = {"float32": "F32", "float16": "F16", "bfloat16": "BF16", "float64": "F64"}
_PICKLED: Final = re.compile(r"pickle|torch|joblib|zip \(")
_MANIFEST: Final = 4 << 20
_ROLES: Final = (
    (re.compile(r"adapter.*\.(?:safetensors|bin|pt)\Z"), "adapter"),
    (re.compile(r"\Aadapter_config\.json\Z"), "adapter configuration"),
    (re.compile(r"\A(?:tokenizer|vocab|merges|special_tokens_map|added_tokens|spiece)\b.*"), "tokenizer"),
    (re.compile(r"\Achat_template\.|\.jinja2?\Z"), "template"),
    (re.compile(r"\.py\Z"), "code"),
    (re.compile(r"\AREADME\.md\Z"), "card"),
    (re.compile(r"config.*\.json\Z"), "configuration"),
    (re.compile(r"\.(?:safetensors|gguf|onnx|h5|keras|bin|pt|pth|ckpt|pkl|joblib|npz?|tflite|pb)\Z"), "weights"),
)
_WEIGHTS: Final = {"safetensors": "safetensors", "gguf": "gguf", "onnx": "onnx", "hdf5": "hdf5"}


def describe(
    path: str,
    options: Options | None = None,
    *,
    base: str = "",
    policy: Policy | None = None,
    attested: tuple[Claim, ...] = (),
    without: Sequence[str] = (),
) -> Description:
    """Inspect an artifact on this machine and put together what is known of it. `base` is a folder of its declared base.

    `without` are files beside it that are not part of it. Raises SourceError, VerificationFailed.
    """
    result = collect([path], options or Options())
    root = path.rstrip("/")
    formats = {_relative(entry.path[0], root): entry.format for entry in result.coverage if len(entry.path) == 1}
    files = digests(members(path, without=[os.path.realpath(name) for name in without]))
    claims = [*attested, *_observed(result.notes, result.coverage, root), *_declared(result.notes, root), *_card(path)]
    if base:
        claims += _beside_base(path, base)
    chosen = policy or Policy()
    from weighbridge import __version__  # noqa: PLC0415  # the package imports this module's siblings

    findings = tuple(sorted(dict.fromkeys(result.findings), key=Finding.sort_key))
    return Description(
        name=os.path.basename(os.path.realpath(path)),
        files=files,
        formats=formats,
        roles={one.name: role for one in files if (role := _role(one.name))},
        claims=tuple(dict.fromkeys(claims)),
        bases=tuple(_bases(claims, base)),
        packages=tuple(_packages(path, files)),
        findings=findings,
        waived=waived(findings, chosen),
        incomplete=tuple(
            f"{_relative(entry.path[0], root)}: {entry.detail or entry.reason.value}"
            for entry in result.coverage
            if entry.status is not Status.INSPECTED
        ),
        tool=f"weighbridge {__version__}",
    )


def claims_of(path: str, notes: tuple[Note, ...], coverage: tuple[Coverage, ...]) -> Description:
    """What an inspection already knows, without digests: enough to find contradictions."""
    root = path.rstrip("/")
    claims = [*_observed(notes, coverage, root), *_declared(notes, root), *_card(path)]
    names = [_relative(entry.path[0], root) for entry in coverage if len(entry.path) == 1]
    files = tuple(FileDigest(name=name, size=0, sha256="") for name in names)
    return Description(name=path, files=files, formats={}, claims=tuple(dict.fromkeys(claims)), findings=(), tool="")


def _role(name: str) -> str:
    last = name.rpartition("/")[2]
    return next((role for pattern, role in _ROLES if pattern.search(last)), "")


def _bases(claims: list[Claim], folder: str) -> Iterator[Base]:
    named = dict.fromkeys((c.value, c.evidence) for c in claims if c.name == "base model")
    relation = next((c.value for c in claims if c.name == "relation"), "derived")
    fits = next((c.value for c in claims if c.name == "base fits"), "")
    for number, (name, evidence) in enumerate(named):
        whole = folder if number == 0 and fits == "yes" else ""
        yield Base(
            name=name,
            evidence=evidence,
            relation=relation,
            sha256=root_of(digests(members(whole))) if whole else "",
        )


def _packages(path: str, files: tuple[FileDigest, ...]) -> Iterator[Package]:
    """Packages that manifests inside the artifact list."""
    for one in files:
        if one.size > _MANIFEST or not is_manifest(one.name) or not os.path.isdir(path):
            continue
        try:
            with open(os.path.join(path, one.name), encoding="utf-8", errors="replace") as file:
                listed = read_manifest(one.name, file.read()).listed
        except (OSError, MalformedInput):
            continue
        for package in listed:
            yield Package(name=package.name, purl=package.purl, place=one.name, version=package.version)


def _beside_base(path: str, base: str) -> Iterator[Claim]:
    """Whether the tensors have a place in those of the base, and under which licence the base is."""
    try:
        own, theirs = places(path), places(base)
    except (SourceError, MalformedInput):
        return
    shapes = {name: place.shape for name, place in theirs.items()}
    own = {name: place for name, place in own.items() if ".lora_" not in name}
    if own:
        same = sum(shapes.get(name) == place.shape for name, place in own.items())
        fits = "yes" if same * 2 >= len(own) else "no"
        yield Claim("base fits", fits, "observed", f"{same} of {len(own)} tensors have the base's names and shapes")
    yield from (
        Claim("licence of the base", claim.value, "declared", f"{base}/README.md")
        for claim in _card(base)
        if claim.name == "licence"
    )


def _relative(path: str, base: str) -> str:
    return path.removeprefix(f"{base}/") if path != base else os.path.basename(base)


def _observed(notes: tuple[Note, ...], coverage: tuple[Coverage, ...], base: str) -> Iterator[Claim]:
    parameters, places = 0, []
    for note in notes:
        name = _relative(note.path[0], base)
        if note.kind == "tensors" and isinstance(note.value, tuple) and "adapter" not in name:
            parameters += sum(math.prod(shape) for _, shape in note.value)
            places.append(name)
        elif note.kind == "dtypes" and isinstance(note.value, tuple):
            yield from (Claim("dtype", dtype, "observed", name) for dtype in note.value)
    if parameters:
        yield Claim("parameters", str(parameters), "observed", ", ".join(sorted(places)[:3]))
    for entry in coverage:
        kind = _WEIGHTS.get(entry.format) or ("pickle" if _PICKLED.match(entry.format) else "")
        if kind and len(entry.path) == 1:
            yield Claim("weights format", kind, "observed", _relative(entry.path[0], base))


def _declared(notes: tuple[Note, ...], base: str) -> Iterator[Claim]:
    for note in notes:
        name = _relative(note.path[0], base)
        config = note.value
        if note.kind != "config" or not isinstance(config, dict) or "/" in name:
            continue
        architectures = config.get("architectures")
        if isinstance(architectures, list) and architectures:
            yield Claim("architecture", str(architectures[0]), "declared", name)
        if isinstance(config.get("model_type"), str) and name == "config.json":
            yield Claim("family", config["model_type"], "declared", name)
        dtype = config.get("dtype") or config.get("torch_dtype")
        if isinstance(dtype, str) and dtype in _DTYPES and name == "config.json":
            yield Claim("dtype", _DTYPES[dtype], "declared", name)
        if isinstance(config.get("base_model_name_or_path"), str):
            yield Claim("base model", config["base_model_name_or_path"], "declared", name)


def _card(path: str) -> Iterator[Claim]:
    """The front matter of the card: what its author says."""
    table = card_at(os.path.join(path, "README.md"))
    for key, name in (
        ("license", "licence"),
        ("pipeline_tag", "task"),
        ("base_model", "base model"),
        ("datasets", "dataset"),
    ):
        yield from (Claim(name, one, "declared", "README.md") for one in _texts(table, key))
    relation = _texts(table, "base_model_relation")
    if relation:
        yield Claim("relation", relation[0], "declared", "README.md")
    if "safetensors" in _texts(table, "tags"):
        yield Claim("weights format", "safetensors", "declared", "README.md")


def _texts(table: dict[Any, Any], key: str) -> list[str]:
    value = table.get(key)
    return [str(one) for one in (value if isinstance(value, list) else [value]) if isinstance(one, str)]
