"""Knows what is wrong with adapters and merge recipes (ADP)."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

from weighbridge.detect.place import in_document
from weighbridge.detect.tok import NESTED
from weighbridge.formats.document import walk
from weighbridge.rules.finding import finding
from weighbridge.schema import Severity
from weighbridge.schema.patterns import lazy
from weighbridge.schema.text import printable

if TYPE_CHECKING:
    from collections.abc import Iterator

    from weighbridge.detect.subjects import DocumentSubject, RepositorySubject
    from weighbridge.schema import Finding

_LIBRARIES: Final = frozenset(
    {"transformers", "peft", "diffusers", "torch", "sentence_transformers", "timm", "accelerate"}
)
_TYPES: Final = frozenset(
    [
        "PROMPT_TUNING",
        "MULTITASK_PROMPT_TUNING",
        "P_TUNING",
        "PREFIX_TUNING",
        "LORA",
        "ADALORA",
        "BOFT",
        "ADAPTION_PROMPT",
        "IA3",
        "LOHA",
        "LOKR",
        "OFT",
        "POLY",
        "LN_TUNING",
        "VERA",
        "FOURIERFT",
        "XLORA",
        "HRA",
        "VBLORA",
        "CPT",
        "BONE",
        "RANDLORA",
        "ROAD",
        "TRAINABLE_TOKENS",
        "SHIRA",
        "C3A",
        "MISS",
        "ARROW",
        "WAVEFT",
        "OSF",
        "DELORA",
        "GRALORA",
        "CARTRIDGE",
        "HIRA",
        "UNILORA",
    ]
)
_OUTSIDE: Final = lazy(r"(?:\\\\|[A-Za-z]:[\\/]|[a-z][a-z0-9+.-]{1,12}://)")
_ADAPTER_TENSOR: Final = lazy(
    r"lora_|lokr_|loha_|hada_|ia3_|prompt|adapter|oft_|boft_|vera_|fourierft|hra_|bone_|miss_|shira|c3a|road_|randlora|modules_to_save|internal_xlora|poly_|ln_tuning|trainable_tokens|token_adapter|prefix|\.alpha\Z|\.scale\Z|magnitude_vector"
)
_WEIGHTS: Final = lazy(r"(?:^|/)adapter_model\.(?:bin|pt|pth|ckpt)\Z")
_PINNED: Final = lazy(r"@[0-9a-f]{40}\b")


def detect_adapter(subject: DocumentSubject) -> Iterator[Finding]:
    """`adapter_config.json`."""
    root = subject.document.root
    if not isinstance(root, dict):
        return
    base = root.get("base_model_name_or_path")
    if isinstance(base, str) and base:
        yield from _base(subject, base, root.get("revision"))
    mapping = root.get("auto_mapping")
    library = str(mapping.get("parent_library", "")) if isinstance(mapping, dict) else ""
    if library and library.partition(".")[0] not in _LIBRARIES:
        own = library == "__main__"
        message = f"the model class is imported from {printable(library)}"
        severity = Severity.MEDIUM if own else None
        yield in_document(
            "ADP-003", subject, ((), "auto_mapping"), "parent_library", library, message, severity=severity
        )
    kind = root.get("peft_type")
    if isinstance(kind, str) and kind not in _TYPES:
        yield in_document(
            "ADP-003", subject, (), "peft_type", kind, f"peft_type {printable(kind)} is not the library's"
        )
    targets = root.get("target_modules")
    if isinstance(targets, str) and NESTED.search(targets):
        yield in_document("ADP-006", subject, (), "target_modules", targets, "the pattern repeats a repetition")


def _base(subject: DocumentSubject, base: str, revision: object) -> Iterator[Finding]:
    key = "base_model_name_or_path"
    if _OUTSIDE.match(base):
        yield in_document("ADP-001", subject, (), key, base, "the base model is an address or another machine's path")
    elif base.startswith(("/", "~", ".")):
        # Trainers write their own local path here; the caller has to say which base is meant anyway.
        yield in_document("ADP-001", subject, (), key, base, "the base model is a local path", severity=Severity.INFO)
    elif not (isinstance(revision, str) and re.fullmatch(r"[0-9a-f]{40}", revision)):
        message = "the base model is named without a commit"
        yield in_document("ADP-001", subject, (), key, base, message, severity=Severity.INFO)


def detect_repository(subject: RepositorySubject) -> Iterator[Finding]:
    """Adapter weights and what lies beside them."""
    configs = [config for name, config in subject.of("config") if name == "adapter_config.json"]
    for name in sorted(subject.names):
        if _WEIGHTS.search(name) and "/" not in name:
            safe = "adapter_model.safetensors" in subject.names
            severity = Severity.MEDIUM if safe else Severity.HIGH
            yield finding(
                "ADP-004", subject.place(name), "adapter weights that have to be unpickled", severity=severity
            )
    if not configs or not isinstance(configs[0], dict):
        return
    yield from _foreign_tensors(subject, configs[0])
    templates = [name for name, _ in subject.of("template") if "/" not in name]
    if templates:
        message = "the adapter brings a chat template that replaces the base model's"
        yield finding("ADP-009", subject.place(templates[0]), message, severity=Severity.INFO)


def _foreign_tensors(subject: RepositorySubject, config: dict[str, Any]) -> Iterator[Finding]:
    saved = config.get("modules_to_save") or []
    saved = [str(name) for name in saved] if isinstance(saved, list) else []
    # Trainers save the embedding with the adapter when they have resized it.
    saved += ["embed_tokens", "lm_head", "wte", "word_embeddings"]
    for name, tensors in subject.of("tensors"):
        if name != "adapter_model.safetensors":
            continue
        foreign = [t for t, _ in tensors if not _ADAPTER_TENSOR.search(t) and not any(s in t for s in saved)]
        if foreign:
            message = f"{len(foreign)} tensors are no adapter weights, the first is {printable(foreign[0])!r}"
            yield finding("ADP-008", subject.place(name), message)


def detect_merge(subject: DocumentSubject) -> Iterator[Finding]:
    """A mergekit recipe."""
    for path, key, value in walk(subject.document.roots):
        if key == "trust_remote_code" and value is True:
            yield in_document("ADP-011", subject, path, key, value, "the merge trusts remote code")
        elif key in {"model", "base_model", "lora"} and isinstance(value, str):
            if _OUTSIDE.match(value):
                yield in_document("ADP-011", subject, path, key, value, "a part of the merge is an address")
            elif not value.startswith((".", "/")) and not _PINNED.search(value):
                message = "a part of the merge has no commit"
                yield in_document("ADP-011", subject, path, key, value, message, severity=Severity.MEDIUM)
