"""Knows how model formats other than pickles and tensors become subjects: one function for each format."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from weighbridge.detect.subjects import FactsSubject, LinesSubject
from weighbridge.formats.document import Document
from weighbridge.identify.wire import protobuf_kind
from weighbridge.inspection.reading import plain
from weighbridge.inspection.reading.text import document, template
from weighbridge.schema import Coverage, LimitExceeded, MalformedInput, Reason, Status
from weighbridge.source import Slice

if TYPE_CHECKING:
    from collections.abc import Callable

    from weighbridge.formats.onnx import OnnxFacts
    from weighbridge.inspection.stages import Member, Stages
    from weighbridge.source import Blob

_JSON_ATTRIBUTE: Final = 1 << 24
_NOTED: Final = 20_000


def protobuf(stages: Stages, member: Member) -> None:
    """A protobuf message, by what its first fields look like; without a known shape it is unknown."""
    kind = protobuf_kind(member.blob, member.location.path[-1])
    reader = _WIRE.get(kind)
    if reader is None:
        plain.unknown(stages, member)
        return
    try:
        reader(stages, member)
    except MalformedInput as error:
        _told(stages, member, f"broken {kind}", error.message)
        stages.skipped(member.location, member.blob.size, Reason.MALFORMED, error.message, kind)


def _told(stages: Stages, member: Member, kind: str, facts: Any) -> None:
    stages.subjects.append(FactsSubject(location=member.location, kind=kind, facts=facts, size=member.blob.size))


def _onnx(stages: Stages, member: Member) -> None:
    from weighbridge.formats.onnx import read_onnx  # noqa: PLC0415

    _onnx_facts(stages, member, read_onnx(member.blob))


def _tensor_proto(stages: Stages, member: Member) -> None:
    from weighbridge.formats.onnx import read_tensor  # noqa: PLC0415

    _onnx_facts(stages, member, read_tensor(member.blob))


def _onnx_facts(stages: Stages, member: Member, facts: OnnxFacts) -> None:
    _told(stages, member, "onnx", facts)
    outside = [(tensor.name, dict(tensor.external)) for tensor in facts.tensors if tensor.external]
    if outside:
        stages.note("external data", member.location, tuple(outside[:_NOTED]))
        stages.note("numbers", member.location, tuple({values.get("location", "") for _, values in outside}))
    size = member.blob.size
    stages.covered(member.location, "onnx", size, inspected=size - facts.tensor_bytes, tensor=facts.tensor_bytes)


def _saved_model(stages: Stages, member: Member) -> None:
    from weighbridge.formats.tensorflow import read_saved_model  # noqa: PLC0415

    _graph(stages, member, read_saved_model(member.blob))


def _graph_def(stages: Stages, member: Member) -> None:
    from weighbridge.formats.tensorflow import read_graph_def  # noqa: PLC0415

    _graph(stages, member, read_graph_def(member.blob))


def _meta_graph(stages: Stages, member: Member) -> None:
    from weighbridge.formats.tensorflow import read_meta_graph  # noqa: PLC0415

    _graph(stages, member, read_meta_graph(member.blob))


def _keras_metadata(stages: Stages, member: Member) -> None:
    from weighbridge.formats.tensorflow import read_keras_metadata  # noqa: PLC0415

    _graph(stages, member, read_keras_metadata(member.blob))


def _graph(stages: Stages, member: Member, facts: Any) -> None:
    _told(stages, member, "tensorflow", facts)
    for text in facts.metadata:
        _json_inside(stages, member, text)
    size = member.blob.size
    stages.secrets(member.location, member.blob, facts.kind)
    stages.covered(member.location, facts.kind, size, inspected=size - facts.tensor_bytes, tensor=facts.tensor_bytes)


def _json_inside(stages: Stages, member: Member, text: str) -> None:
    """A JSON text that another format carries; it is read like a file of its own."""
    if not text.lstrip().startswith("{"):
        return
    if len(text) >= _JSON_ATTRIBUTE:
        raise LimitExceeded(f"a configuration of {len(text)} characters inside {member.format}", limit="header")
    from weighbridge.formats.document import read_json  # noqa: PLC0415

    try:
        document(stages, member.location, read_json(text), text)
    except MalformedInput:
        stages.subjects.append(LinesSubject(location=member.location, kind="text", text=text))


def _coreml(stages: Stages, member: Member) -> None:
    from weighbridge.formats.wire_models import read_coreml  # noqa: PLC0415

    _whole(stages, member, "coreml", read_coreml(member.blob))


def _paddle(stages: Stages, member: Member) -> None:
    from weighbridge.formats.wire_models import read_paddle  # noqa: PLC0415

    _whole(stages, member, "paddle", read_paddle(member.blob))


def _caffe(stages: Stages, member: Member) -> None:
    from weighbridge.formats.wire_models import read_caffe  # noqa: PLC0415

    _whole(stages, member, "caffe", read_caffe(member.blob))


def _sentencepiece(stages: Stages, member: Member) -> None:
    from weighbridge.formats.wire_models import read_sentencepiece  # noqa: PLC0415

    _whole(stages, member, "sentencepiece", read_sentencepiece(member.blob))


def _whole(stages: Stages, member: Member, kind: str, facts: Any) -> None:
    _told(stages, member, kind, facts)
    stages.covered(member.location, kind, member.blob.size, inspected=member.blob.size)


def gguf(stages: Stages, member: Member) -> None:
    """GGUF: header, keys, tensor records, and the chat templates among the keys."""
    from weighbridge.formats.gguf import read_gguf  # noqa: PLC0415

    facts = read_gguf(member.blob)
    _told(stages, member, "gguf", facts)
    for key, value in facts.values.items():
        if key.startswith("tokenizer.chat_template") and isinstance(value, str):
            template(stages, member.location, key, value)
    size = member.blob.size
    header = min(facts.data or size, size)
    stages.secrets(member.location, Slice(member.blob, 0, header), "gguf")
    fatal = next((p for p in facts.problems if not facts.data), None)
    stages.coverage.append(
        Coverage(
            path=member.location.path,
            format="gguf",
            size=size,
            inspected=header,
            tensor=min(size - header, sum(max(0, tensor.size) for tensor in facts.tensors)),
            status=Status.TRUNCATED if fatal else Status.INSPECTED,
            reason=Reason.MALFORMED if fatal else Reason.NONE,
            detail=fatal.detail if fatal else "",
        )
    )


def hdf5(stages: Stages, member: Member) -> None:
    """HDF5: groups, links, datasets, attributes; Keras configuration among the attributes."""
    from weighbridge.formats.hdf5 import read_hdf5  # noqa: PLC0415

    facts = read_hdf5(member.blob)
    _told(stages, member, "hdf5", facts)
    for attribute in facts.attributes:
        if attribute.name in {"model_config", "training_config", "layer_config"}:
            _json_inside(stages, member, attribute.text)
    stages.note("tensors", member.location, tuple((d.path, d.shape) for d in facts.datasets[:_NOTED]))
    size = member.blob.size
    stored = min(size, sum(max(0, dataset.stored) for dataset in facts.datasets))
    stages.secrets(member.location, Slice(member.blob, 0, 1 << 20), "hdf5")
    stages.coverage.append(
        Coverage(
            path=member.location.path,
            format="hdf5",
            size=size,
            inspected=size - stored,
            tensor=stored,
            status=Status.TRUNCATED if facts.unread else Status.INSPECTED,
            reason=Reason.MALFORMED if facts.unread else Reason.NONE,
            detail=facts.unread[0] if facts.unread else "",
        )
    )


def tflite(stages: Stages, member: Member) -> None:
    """TensorFlow Lite."""
    from weighbridge.formats.tflite import read_tflite  # noqa: PLC0415

    _flat(stages, member, "tflite", read_tflite)


def ort(stages: Stages, member: Member) -> None:
    """ONNX Runtime's own format."""
    from weighbridge.formats.tflite import read_ort  # noqa: PLC0415

    _flat(stages, member, "ort", read_ort)


def _flat(stages: Stages, member: Member, kind: str, reader: Callable[[Blob], Any]) -> None:
    try:
        facts = reader(member.blob)
    except MalformedInput as error:
        _told(stages, member, f"broken {kind}", error.message)
        stages.skipped(member.location, member.blob.size, Reason.MALFORMED, error.message, kind)
        return
    _whole(stages, member, kind, facts)


def ubjson(stages: Stages, member: Member) -> None:
    """XGBoost's binary JSON, judged like its textual one."""
    from weighbridge.formats.trees import read_ubjson  # noqa: PLC0415

    root = read_ubjson(member.blob)
    parsed = Document(carrier="ubjson", roots=(root,))
    document(stages, member.location, parsed, "")
    stages.covered(member.location, "xgboost (ubjson)", member.blob.size, inspected=member.blob.size)


def xgboost(stages: Stages, member: Member) -> None:
    """XGBoost's binary format, removed from the library in 3.1: recognised, with its header only."""
    _told(stages, member, "xgboost-binary", None)
    stages.skipped(
        member.location,
        member.blob.size,
        Reason.UNSUPPORTED,
        "the old binary format of XGBoost has no reader",
        "xgboost",
    )


def rds(stages: Stages, member: Member) -> None:
    """R serialisation."""
    from weighbridge.formats.rds import read_rds  # noqa: PLC0415

    facts = read_rds(member.blob)
    _told(stages, member, "rds", facts)
    stages.coverage.append(
        Coverage(
            path=member.location.path,
            format="rds",
            size=member.blob.size,
            inspected=min(facts.end, member.blob.size),
            status=Status.TRUNCATED if facts.problem else Status.INSPECTED,
            reason=Reason.MALFORMED if facts.problem else Reason.NONE,
            detail=facts.problem,
        )
    )


def catboost(stages: Stages, member: Member) -> None:
    """CatBoost: the envelope and the root of its FlatBuffer."""
    from weighbridge.formats.flatbuffers import root  # noqa: PLC0415
    from weighbridge.formats.window import Window  # noqa: PLC0415

    length = int.from_bytes(member.blob.read(4, 4), "little")
    problem = ""
    if length > member.blob.size - 8:
        problem = f"the model claims {length} bytes and {max(0, member.blob.size - 8)} are left"
    else:
        try:
            table = root(Window(Slice(member.blob, 8, length)))
            table.text(0)
            table.table(1)
        except MalformedInput as error:
            problem = f"{error.message} (byte {8 + error.offset})"
    _told(stages, member, "catboost", problem)
    stages.covered(member.location, "catboost", member.blob.size, inspected=member.blob.size)


def scanned(stages: Stages, member: Member) -> None:
    """Formats that are searched for code without being parsed: Java, MATLAB, Torch7, BSON, TensorRT and others."""
    from weighbridge.formats.signs import read_signs  # noqa: PLC0415

    facts = read_signs(member.blob, member.format)
    _told(stages, member, member.format, facts)
    if facts.complete:
        stages.covered(member.location, member.format, member.blob.size, inspected=member.blob.size)
    else:
        stages.skipped(member.location, member.blob.size, Reason.UNSUPPORTED, facts.note, member.format)


def checkpoint(stages: Stages, member: Member) -> bool:
    """The index of a TensorFlow checkpoint, or the shard that it describes; False where it is neither."""
    from weighbridge.formats.tensorflow import is_checkpoint_index, read_checkpoint_index  # noqa: PLC0415

    if ".data-" in member.name and "-of-" in member.name:
        stages.note("shard", member.location, member.blob.size)
        stages.covered(member.location, "checkpoint shard", member.blob.size, tensor=member.blob.size)
        return True
    if not is_checkpoint_index(member.blob):
        return False
    entries = read_checkpoint_index(member.blob)
    stages.note("checkpoint", member.location, tuple((e.name, e.dtype, e.shard, e.offset, e.size) for e in entries))
    stages.covered(member.location, "checkpoint index", member.blob.size, inspected=member.blob.size)
    return True


_WIRE: Final[dict[str, Callable[[Stages, Member], None]]] = {
    "onnx": _onnx,
    "tensorproto": _tensor_proto,
    "savedmodel": _saved_model,
    "graphdef": _graph_def,
    "metagraph": _meta_graph,
    "keras-metadata": _keras_metadata,
    "coreml": _coreml,
    "paddle": _paddle,
    "caffe": _caffe,
    "sentencepiece": _sentencepiece,
}
