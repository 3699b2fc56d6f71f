"""Knows configuration that is instantiated: Hydra, NeMo, Lightning, unsafe YAML (NMO)."""

from __future__ import annotations

import json
import re
from functools import cache
from typing import TYPE_CHECKING, Any, Final

from weighbridge.detect.knowledge import Knowledge
from weighbridge.detect.knowledge.dangerous import BY_MODULE, BY_NAME
from weighbridge.detect.place import in_document, in_text
from weighbridge.formats.document import walk
from weighbridge.formats.pickle.values import Name
from weighbridge.rules.finding import finding
from weighbridge.schema import Severity
from weighbridge.schema.patterns import lazy
from weighbridge.schema.text import printable
from weighbridge.source import Oddity

if TYPE_CHECKING:
    from collections.abc import Iterator

    from weighbridge.detect.subjects import DocumentSubject, SafetensorsSubject, TextSubject, TreeSubject
    from weighbridge.formats.document import Path
    from weighbridge.schema import Finding

# Libraries whose classes such configurations are written for.
_LIBRARIES: Final = frozenset(
    [
        "nemo",
        "torch",
        "pytorch_lightning",
        "lightning",
        "lightning_fabric",
        "omegaconf",
        "hydra",
        "transformers",
        "megatron",
        "apex",
        "torchmetrics",
        "torchvision",
        "torchaudio",
        "numpy",
        "datasets",
        "sentence_transformers",
        "diffusers",
        "peft",
        "accelerate",
        "timm",
        "nemo_text_processing",
        "sklearn",
        "optax",
        "flax",
        "jax",
        "keras",
        "monai",
        "pytorch_forecasting",
        "gluonts",
        "uni2ts",
        "torchtune",
        "trl",
        "bitsandbytes",
        "hydra_plugins",
        "wandb",
        "tensorboard",
        "mlflow",
        "einops",
        "spacy",
        "spacy_transformers",
    ]
)
_CLASS_KEYS: Final = frozenset({"class_path", "import_path", "__import__", "python_module", "callable", "_class_"})
_SECRET: Final = lazy(
    r"\$\{\s*(?:oc\.)?env[:.]\s*\w*(?:TOKEN|SECRET|PASSWORD|PASSWD|API_?KEY|ACCESS_KEY|CREDENTIAL)\w*", re.IGNORECASE
)
_EVALUATES: Final = lazy(r"\$\{\s*(?:eval|exec|python|py|import|shell|cmd|system|call)\s*[:.]", re.IGNORECASE)
_CALLS: Final = lazy(
    r"__\w+__|\b(?:eval|exec|compile|open|getattr|import_module)\s*\(|\bos\.\w+\(|\bsubprocess\b|\blambda\b"
)
_DOTTED: Final = lazy(r"[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)+\Z")
_COMMANDS: Final = frozenset(
    {"pre_script", "post_script", "setup_script", "init_command", "pre_command", "post_command"}
)
_PYTHON_TAG: Final = lazy(r"!!?python/|tag:yaml\.org,2002:python/")
_CARRIERS: Final = frozenset({"pickle", "hdf5", "gguf"})
# The key, whatever a pickle or JSON text puts between a key and its value, and a dotted name.
_STORED: Final = lazy(
    rb"_target_\"?\s*:?\s*\"?(?:q.|r.{4}|\x94)?(?:\x8c.|X.{4}|U.|\x8d.{8})?([A-Za-z_]\w*(?:\.[A-Za-z_]\w*)+)", re.DOTALL
)
_BOMB: Final = 1_000_000
_DOCUMENT: Final = 1 << 20


@cache
def _knowledge() -> Knowledge:
    return Knowledge()


def verdict_on(dotted: str) -> tuple[str, Severity] | None:
    """What is wrong with a callable that a configuration names, and how bad that is; None where nothing is."""
    module, _, name = dotted.rpartition(".")
    if _dangerous(dotted):
        return "can run commands, load code or reach files", Severity.CRITICAL
    root = dotted.partition(".")[0]
    if root in _LIBRARIES:
        return None
    if not module and name in {"eval", "exec", "compile", "open", "__import__"}:
        return "is a built-in function that runs or opens", Severity.CRITICAL
    if root in {
        "builtins",
        "functools",
        "collections",
        "pathlib",
        "math",
        "datetime",
        "itertools",
        "typing",
        "logging",
    }:
        return None
    return "is code of no library that is known here", Severity.MEDIUM


def _dangerous(dotted: str) -> bool:
    """Whether the callable, or anything it is an attribute of, is known to do harm when called."""
    parts = dotted.split(".")
    if parts[0] in _LIBRARIES and dotted not in BY_NAME:
        prefixes = [".".join(parts[:end]) for end in range(2, len(parts))]
        return any(prefix in BY_MODULE for prefix in prefixes) and parts[-1][:1].islower()
    if dotted in BY_NAME or parts[0] in BY_MODULE:
        return True
    if any(".".join(parts[:end]) in BY_NAME for end in range(1, len(parts))):
        return True
    from weighbridge.detect.knowledge.grades import Standing, Use  # noqa: PLC0415

    module, _, name = dotted.rpartition(".")
    return bool(module) and _knowledge().grade(Name(module, name), Use.CALL).standing is Standing.DANGEROUS


def detect_document(subject: DocumentSubject) -> Iterator[Finding]:
    """Targets, class paths and interpolations at any depth of any document."""
    text = subject.text
    if not any(word in text for word in ("_target_", "${", "class_path", "import_path", "python_module", "callable")):
        return
    for path, key, value in walk(subject.document.roots):
        if isinstance(value, str):
            yield from _value(subject, path, key, value)


def _value(subject: DocumentSubject, path: Path, key: object, value: str) -> Iterator[Finding]:
    if key == "_target_":
        if "${" in value:
            yield in_document("NMO-002", subject, path, key, value, "the target is computed")
        elif found := verdict_on(value):
            message = f"{printable(value)} {found[0]}"
            yield in_document("NMO-001", subject, path, key, value, message, severity=found[1])
    elif key in _CLASS_KEYS and _DOTTED.match(value):
        if found := verdict_on(value):
            message = f"{printable(value)} {found[0]}"
            severity = Severity.HIGH if found[1] is Severity.CRITICAL else found[1]
            yield in_document("NMO-006", subject, path, key, value, message, severity=severity)
    elif "${" in value:
        if _EVALUATES.search(value):
            yield in_document("NMO-003", subject, path, key, value, "a resolver evaluates code")
        elif _SECRET.search(value):
            yield in_document("NMO-003", subject, path, key, value, "a secret is read from the environment")


def detect_metadata(subject: SafetensorsSubject) -> Iterator[Finding]:
    """Targets in the metadata of a safetensors file (CVE-2025-23304)."""
    for name, value in subject.facts.metadata if subject.facts else ():
        if not isinstance(value, str) or "_target_" not in value or len(value) > _DOCUMENT:
            continue
        try:
            root = json.loads(value)
        except (ValueError, RecursionError):
            continue
        for _, key, target in walk(root) if isinstance(root, (dict, list)) else ():
            if key == "_target_" and isinstance(target, str) and (found := verdict_on(target)):
                message = f"metadata {printable(name)!r}: {printable(target)} {found[0]}"
                yield finding("NMO-001", subject.location.at(8), message, severity=found[1])


def detect_stored(subject: TextSubject) -> Iterator[Finding]:
    """Targets among the strings of checkpoints and other binary carriers."""
    if subject.format not in _CARRIERS:
        return
    told: set[str] = set()
    for base, data in subject.windows():
        for match in _STORED.finditer(data) if b"_target_" in data else ():
            target = match[1].decode("ascii")
            if target not in told and (found := verdict_on(target)):
                told.add(target)
                message = f"a stored configuration: {printable(target)} {found[0]}"
                yield finding("NMO-001", subject.location.at(base + match.start()), message, severity=found[1])


def detect_yaml(subject: DocumentSubject) -> Iterator[Finding]:
    """Tags and anchors."""
    for tag in subject.document.tags:
        if "python/" in tag.tag:
            message = f"the tag {printable(tag.tag.replace('tag:yaml.org,2002:', '!!'))} builds an object"
            yield in_text("NMO-005", subject.location, subject.text, tag.line, message)
    if subject.document.growth > _BOMB:
        message = f"anchors unfold to {subject.document.growth} nodes"
        yield finding("NMO-005", subject.location, message, severity=Severity.MEDIUM)
    if subject.error and subject.document.carrier == "yaml":
        match = _PYTHON_TAG.search(subject.text)
        if match:
            line = subject.text.count("\n", 0, match.start()) + 1
            yield in_text("NMO-005", subject.location, subject.text, line, "a Python tag in a text that does not parse")


def detect_evaluated(subject: DocumentSubject) -> Iterator[Finding]:
    """Model definitions whose strings are evaluated (Ultralytics, Detectron), and imports they name."""
    root = subject.document.root
    if not isinstance(root, dict):
        return
    for part in ("backbone", "head", "model", "train_pipeline"):
        tree = root.get(part)
        for path, key, value in walk(tree) if isinstance(tree, list) else ():
            if isinstance(value, str) and _CALLS.search(value):
                yield in_document("NMO-007", subject, ((), part), key, value, "an expression with calls is evaluated")
                del path
    imports = root.get("custom_imports")
    if isinstance(imports, dict) and imports.get("imports"):
        yield in_document("NMO-007", subject, (), "custom_imports", imports["imports"], "modules are imported")


def detect_launcher(subject: DocumentSubject) -> Iterator[Finding]:
    """Training and serving recipes."""
    for path, key, value in walk(subject.document.roots):
        if key == "trust_remote_code" and value is True:
            yield in_document("NMO-009", subject, path, key, value, "the recipe trusts remote code")
        elif key in _COMMANDS and isinstance(value, (str, list)) and value:
            yield in_document("NMO-009", subject, path, key, value, "the recipe runs a command")


def detect_archive(subject: TreeSubject) -> Iterator[Finding]:
    """A `.nemo` archive."""
    if not subject.location.path[0].endswith(".nemo"):
        return
    for anomaly in subject.anomalies:
        if anomaly.oddity in {Oddity.TRAVERSAL, Oddity.LINK_ESCAPE}:
            yield finding("NMO-004", subject.location, f"{printable(anomaly.name)}: {anomaly.oddity.value}")


def plain_root(subject: DocumentSubject) -> dict[str, Any]:
    """The first document as a table; an empty one where it is none."""
    root = subject.document.root
    return root if isinstance(root, dict) else {}
