"""Knows what is wrong with Keras configurations and HDF5 files (KRS)."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Final

from weighbridge.detect.place import in_document
from weighbridge.formats.document import walk
from weighbridge.rules.finding import finding
from weighbridge.schema import Severity
from weighbridge.schema.patterns import lazy
from weighbridge.schema.text import printable
from weighbridge.source import Kind, Oddity

if TYPE_CHECKING:
    from collections.abc import Iterator

    from weighbridge.detect.subjects import DocumentSubject, FactsSubject, TreeSubject
    from weighbridge.formats.document import Path
    from weighbridge.formats.hdf5 import Dataset
    from weighbridge.schema import Finding

_LAMBDAS: Final = frozenset({"Lambda", "__lambda__"})
_FOREIGN: Final = frozenset({"TorchModuleWrapper", "TFSMLayer", "JaxLayer", "FlaxLayer", "TFSMLayerWrapper"})
_KERAS: Final = lazy(
    r"(?:tensorflow\.)?(?:python\.)?(?:keras|keras_core|tf_keras|keras_nlp|keras_hub|keras_cv|keras_tuner)(?:\.[\w.]+)?\Z"
)
_BUILTIN: Final = frozenset(
    {
        "function",
        "slice",
        "dict",
        "list",
        "tuple",
        "set",
        "frozenset",
        "type",
        "range",
        "str",
        "int",
        "float",
        "bool",
        "bytes",
        "NoneType",
        "complex",
    }
)
_GADGETS: Final = frozenset(
    [
        "get_file",
        "load_model",
        "save_model",
        "load_img",
        "save_img",
        "load_weights",
        "save_weights",
        "enable_unsafe_deserialization",
        "disable_interactive_logging",
        "image_dataset_from_directory",
        "text_dataset_from_directory",
        "audio_dataset_from_directory",
        "timeseries_dataset_from_array",
        "run_eagerly",
        "deserialize_keras_object",
        "import_module",
        "get_custom_objects",
        "exec_",
        "eval_",
        "unpack_archive",
        "extract_archive",
        "model_to_dot",
        "plot_model",
        "set_backend",
    ]
)
_FUNCTION_HOMES: Final = lazy(
    r"keras(?:\.src)?\.(?:activations|initializers|losses|metrics|ops|regularizers|constraints|layers|optimizers|backend|random|quantizers|dtype_policies|utils\.numerical_utils)\b"
)
_LOOKUPS: Final = frozenset(
    {"StringLookup", "IntegerLookup", "IndexLookup", "TextVectorization", "Hashing", "VocabularyLayer"}
)
_PATH_KEYS: Final = frozenset({"vocabulary", "filepath", "file_path", "asset_path", "saved_model_path", "idf_weights"})
_OUTSIDE: Final = lazy(r"/|\\\\|\.\.|[A-Za-z]:[\\/]|[a-z][a-z0-9+.-]{1,12}://|~")
_FILTERS: Final = frozenset({1, 2, 3, 4, 5, 6, 32000})
_MEMBERS: Final = lazy(
    r"(?:metadata\.json|config\.json|model\.weights\.(?:h5|npz|json)|model_\d+\.weights\.h5|model\.weights[\w.-]*|assets/.*|variables\.h5|_self_saveable_object_graph/.*|[^/]+\.weights\.h5)\Z"
)
_CODE: Final = lazy(r"\.(?:py|pyc|so|dll|sh|bat|exe|pkl|pickle|pt|pth)\Z")
_BOMB: Final = 1 << 43
_DENSE: Final = 1 << 30


def detect_config(subject: DocumentSubject) -> Iterator[Finding]:
    """The objects of a configuration, at any depth: layers, losses, metrics, functions."""
    for root in subject.document.roots:
        tables = [((), "", root)] if isinstance(root, dict) else []
        tables += [(path, key, value) for path, key, value in walk(root) if isinstance(value, dict)]
        for path, key, table in tables:
            yield from _object(subject, path, key, table)
    for tag in subject.document.tags:
        if "python/" in tag.tag:
            yield finding(
                "KRS-015", subject.location, "the model configuration holds a Python tag", evidence=[printable(tag.tag)]
            )


def _object(subject: DocumentSubject, path: Path, key: object, table: dict[str, Any]) -> Iterator[Finding]:
    name, module = table.get("class_name"), table.get("module")
    if not isinstance(name, str):
        return
    where: Path = (path, key) if key != "" else ()
    config = table.get("config")
    if name in _LAMBDAS:
        yield from _lambda(subject, where, name, config)
    elif name in _FOREIGN:
        message = f"{name} runs a model of another framework from inside this one"
        yield in_document("KRS-005", subject, where, "class_name", name, message)
    elif isinstance(module, str) and module:
        yield from _module(subject, where, name, module, config)
    elif table.get("registered_name") and not _is_builtin_name(str(table["registered_name"])):
        message = f"the custom object {printable(str(table['registered_name']))} has to be brought by the caller"
        yield in_document(
            "KRS-002", subject, where, "registered_name", table["registered_name"], message, severity=Severity.INFO
        )
    if isinstance(config, dict):
        yield from _paths(subject, where, name, config)


def _is_builtin_name(name: str) -> bool:
    return ">" not in name or name.startswith(("keras", "Keras"))


def _lambda(subject: DocumentSubject, where: Path, name: str, config: Any) -> Iterator[Finding]:
    file = subject.location.path[-1]
    stored = name == "__lambda__" or "__lambda__" in str(config)[:100_000] or isinstance(_function(config), list)
    severity = None if stored or name == "__lambda__" else Severity.HIGH
    rule = "KRS-016" if file.endswith(".pb") else "KRS-001"
    message = "a Lambda layer with stored code" if stored else "a Lambda layer that calls a named function"
    yield in_document(rule, subject, where, "class_name", name, message, severity=severity)
    if file.endswith((".h5", ".hdf5")) and name == "Lambda":
        yield in_document("KRS-004", subject, where, "class_name", name, "safe_mode does not apply to this format")


def _function(config: Any) -> Any:
    return config.get("function") if isinstance(config, dict) else None


def _module(subject: DocumentSubject, where: Path, name: str, module: str, config: Any) -> Iterator[Finding]:
    compiled = any(part in str(where) for part in ("compile_config", "training_config", "build_config"))
    target = f"{module}.{config}" if name == "function" and isinstance(config, str) else f"{module}.{name}"
    if module == "builtins":
        if name not in _BUILTIN:
            yield in_document("KRS-002", subject, where, "class_name", name, f"builtins.{printable(name)} is called")
        return
    if not _KERAS.match(module):
        rule = "KRS-013" if compiled else "KRS-002"
        yield in_document(rule, subject, where, "module", target, f"{printable(target)} is imported")
        return
    last = config if name == "function" and isinstance(config, str) else name
    if last in _GADGETS or (
        isinstance(last, str) and last.lower() == last and last.startswith(("load_", "save_", "get_file"))
    ):
        yield in_document(
            "KRS-003", subject, where, "class_name", target, f"{printable(target)} fetches, loads or writes"
        )
    elif name == "function" and not _FUNCTION_HOMES.match(module):
        message = f"{printable(target)} is a function that no layer needs"
        yield in_document("KRS-003", subject, where, "class_name", target, message, severity=Severity.MEDIUM)


def _paths(subject: DocumentSubject, where: Path, name: str, config: dict[str, Any]) -> Iterator[Finding]:
    for key in _PATH_KEYS:
        value = config.get(key)
        if isinstance(value, str) and value and (_OUTSIDE.match(value) or name in _LOOKUPS):
            message = f"{printable(name)} reads {printable(value[:100])!r} while it is built"
            yield in_document("KRS-006", subject, (where, "config"), key, value, message)


def detect_hdf5(subject: FactsSubject) -> Iterator[Finding]:
    """Links and storage that lead elsewhere, and sizes that cannot be."""
    facts = subject.facts
    for link in facts.links:
        if link.kind == "external":
            message = f"{printable(link.path)} is {printable(link.target)} in the file {printable(link.file)!r}"
            yield finding("KRS-008", subject.location, message)
    for dataset in facts.datasets:
        yield from _dataset(subject, dataset)
    for attribute in facts.attributes:
        if attribute.head[:1] == b"\x80" and attribute.head[1:2] in {b"\x02", b"\x03", b"\x04", b"\x05"}:
            message = f"the attribute {printable(attribute.name)} of {printable(attribute.path) or '/'} holds a pickle"
            yield finding("KRS-011", subject.location, message)


def _dataset(subject: FactsSubject, dataset: Dataset) -> Iterator[Finding]:
    path = printable(dataset.path)
    for file in dataset.external:
        yield finding("KRS-007", subject.location, f"the bytes of {path} are read from the file {printable(file)!r}")
    for file in dataset.sources:
        if file != ".":
            yield finding("KRS-009", subject.location, f"{path} is put together from the file {printable(file)!r}")
    size = math.prod(dataset.shape) * max(1, dataset.item)
    if size > _BOMB or (dataset.layout == 1 and size > _DENSE and size > subject.size * 1000):
        yield finding("KRS-010", subject.location, f"{path} claims {size} bytes in a file of {subject.size}")
    for number in dataset.filters:
        if number not in _FILTERS:
            message = f"{path} needs the filter {number}, which is loaded as a plug-in"
            yield finding("KRS-010", subject.location, message, severity=Severity.LOW if number >= 32000 else None)


def detect_archive(subject: TreeSubject) -> Iterator[Finding]:
    """A `.keras` archive: its members are known by name."""
    if subject.role != "keras":
        return
    for entry in subject.entries:
        if entry.kind is Kind.FILE and not _MEMBERS.match(entry.name):
            severity = None if _CODE.search(entry.name) else Severity.LOW
            yield finding("KRS-012", subject.place(entry.name), "a member that no Keras model has", severity=severity)
    for anomaly in subject.anomalies:
        if anomaly.oddity in {Oddity.TRAVERSAL, Oddity.DUPLICATE, Oddity.LINK_ESCAPE}:
            yield finding("KRS-012", subject.location, f"{printable(anomaly.name)}: {anomaly.oddity.value}")
