"""Knows every reader, in one explicit tuple; the table of formats in the documentation is made from it."""

from __future__ import annotations

from functools import cache
from importlib import import_module
from typing import TYPE_CHECKING, Final

from msgspec import Struct

if TYPE_CHECKING:
    from collections.abc import Callable

    from weighbridge.inspection.stages import Member, Stages


class Reader(Struct, frozen=True, kw_only=True):
    """One reader: the formats that `identify` names for it, and where its function stands.

    `title`, `reads`, `rules` and `gaps` are what the documentation says about it.
    """

    formats: tuple[str, ...]
    module: str
    function: str = "read"
    title: str
    reads: str
    rules: str = ""
    gaps: str = ""


READERS: Final[tuple[Reader, ...]] = (
    Reader(
        formats=("pickle",), module="pickles", title="Pickle", rules="PKL JBL TCH",
        reads="every opcode, executed symbolically; also joblib's array sections and torch's legacy streams",
        gaps="what a harmless class does with its state later",
    ),
    Reader(
        formats=("zip", "tar", "7z", "gzip", "zlib", "bz2", "xz", "lzma", "lz4", "zstd"), module="containers",
        title="Archives and compressed streams", rules="ARC SCN",
        reads="directory, headers, every member with the readers of this table, checksums", gaps="RAR; contents behind a password",
    ),
    Reader(formats=("npy",), module="tensors", function="npy", title="NumPy", rules="NPY", reads="the header; pickled objects behind it"),
    Reader(
        formats=("safetensors",), module="tensors", function="safetensors", title="safetensors", rules="STN",
        reads="the whole header, strictly", gaps="the values of the tensors",
    ),
    Reader(
        formats=("executorch",), module="tensors", function="executorch", title="ExecuTorch", rules="TCH",
        reads="root table and extended header", gaps="the instructions of the program",
    ),
    Reader(
        formats=("text", "json", "script", "unknown"), module="plain", title="Text", rules="HFR TPL TOK ADP NMO MLO OCI NBK COD CIC AGT SEC",
        reads="JSON, YAML, TOML strictly; Python and notebooks as syntax trees; Jinja as a syntax tree; Dockerfiles, shell, XML, prose; secrets",
        gaps="other programming languages; YAML that is a template of something else",
    ),
    Reader(
        formats=("protobuf",), module="models", function="protobuf", title="ONNX, TensorFlow, Core ML, Paddle, Caffe, SentencePiece",
        rules="ONX TFL NAT TOK", reads="the wire format: every node of every graph and function, tensors' claims, metadata",
        gaps="the values of tensors; what a custom operator does",
    ),
    Reader(formats=("gguf",), module="models", function="gguf", title="GGUF", rules="GGF TPL", reads="every key and tensor record", gaps="the quantised values"),
    Reader(
        formats=("hdf5",), module="models", function="hdf5", title="HDF5, Keras .h5, MATLAB 7.3, JLD2", rules="KRS CML",
        reads="superblock, groups, links, datasets' storage, attributes; dense groups of one heap level",
        gaps="values of datasets; objects in huge or filtered heaps, which are reported as not read",
    ),
    Reader(formats=("tflite",), module="models", function="tflite", title="TensorFlow Lite", rules="TFL", reads="operators, tensors, buffers, all offsets"),
    Reader(formats=("ort",), module="models", function="ort", title="ONNX Runtime (.ort)", rules="ONX", reads="nodes and their domains", gaps="initialisers"),
    Reader(formats=("ubjson",), module="models", function="ubjson", title="XGBoost UBJSON", rules="CML", reads="the whole document; tree indices"),
    Reader(formats=("xgboost",), module="models", function="xgboost", title="XGBoost, old binary", rules="CML", reads="the signature", gaps="everything else: exit code 3"),
    Reader(formats=("rds",), module="models", function="rds", title="R (RDS, RData)", rules="CML", reads="the kind of every object", gaps="bytecode; text and native encodings"),
    Reader(formats=("catboost",), module="models", function="catboost", title="CatBoost", rules="CML", reads="envelope and root table", gaps="trees"),
    Reader(
        formats=("java", "matlab", "torch7", "bson", "binaryformatter", "fasttext", "mlir", "tensorrt", "bitstream", "ggml"), module="models",
        function="scanned", title="Java, MATLAB 5, Torch7, Julia BSON, .NET, fastText, StableHLO bytecode, TensorRT, bitstreams, old GGML", rules="CML NAT GGF JAX",
        reads="class names, code markers and embedded executables in all bytes", gaps="the structure behind them",
    ),
    Reader(
        formats=("elf", "pe", "mach-o"), module="plain", function="native", title="Native programs and libraries (ELF, PE, Mach-O)", rules="SCN PKG-012",
        reads="the headers: program or library, Python modules that are exported, imports, packed code", gaps="the code itself",
    ),
    Reader(
        formats=("media", "pdf", "lfs-pointer", "lnk", "wasm"), module="plain", function="inert",
        title="Media, shortcuts, WebAssembly, Git LFS pointers", rules="SCN", reads="the signature; an executable among model files is a finding by itself",
    ),
    Reader(
        formats=("bytecode",), module="plain", function="bytecode", title="Compiled Python (.pyc)", rules="PKG-030",
        reads="the header: whether it belongs to the source beside it", gaps="the code itself, which is not unmarshalled",
    ),
    Reader(formats=("empty",), module="plain", function="empty", title="Empty files", reads="nothing, and says so"),
)  # fmt: skip


# What the readers of text and protobuf tell apart in turn; each kind has its function in the module that is named.
KINDS: Final[tuple[Reader, ...]] = (
    Reader(
        formats=("json", "lines of json"), module="text", title="JSON: hub configuration, indexes, adapters, Keras and TensorFlow.js models, MXNet, XGBoost, OCI and Ollama manifests, MCP and workspace settings, sign-in documents",
        rules="HFR TOK ADP KRS TFL NAT CML OCI GGF MLO AGT TPL NMO", reads="the whole document, duplicates and comments noted", gaps="JSON lines: secrets only",
    ),
    Reader(
        formats=("yaml", "toml"), module="text", title="YAML and TOML: Hydra and NeMo, MLmodel, conda, compose, Kubernetes, Kustomize, Helm, GitHub and GitLab workflows, pre-commit, DVC, BentoML, Ray, merge and training recipes",
        rules="NMO MLO OCI CIC ADP HFR", reads="the events of the text: tags, anchors, every document; nothing is constructed", gaps="YAML that is a template of Helm or Jinja: reported as not parsed",
    ),
    Reader(
        formats=("python",), module="text", title="Python", rules="COD HFR-007 HFR-006 MLO-009 PKG",
        reads="the syntax tree: calls under their real names, constants folded, what runs on import", gaps="values that only running the program would give; modules of other packages",
    ),
    Reader(formats=("notebook",), module="text", title="Jupyter notebooks", rules="NBK COD SEC", reads="cells without magics, shell commands, outputs", gaps="cells of other kernels: commands and secrets only"),
    Reader(formats=("template",), module="text", title="Jinja and chat templates", rules="TPL GGF-009", reads="the syntax tree with constants folded; all copies in a folder compared", gaps="what a template renders to"),
    Reader(formats=("prose", "text", "git"), module="text", title="Markdown, rules files and skills, requirements, git settings", rules="HFR AGT", reads="code blocks as commands, hidden characters, active content, covert instructions", gaps="meaning"),
    Reader(formats=("shell",), module="text", title="Shell and PowerShell scripts, makefiles", rules="MLO AGT", reads="commands, joined and cut as a shell would", gaps="this is no shell: variables are not followed"),
    Reader(formats=("dockerfile",), module="text", title="Dockerfiles", rules="OCI MLO", reads="every instruction"),
    Reader(formats=("modelfile",), module="text", title="Modelfiles of Ollama", rules="GGF-018", reads="every directive"),
    Reader(formats=("xml",), module="text", title="XML: PMML, OpenVINO", rules="CML-004 NAT-003", reads="every element; entities are refused", gaps="HTML and SVG are read as prose"),
    Reader(formats=("prototxt", "ini"), module="text", title="Caffe prototxt, Triton and TorchServe settings, spaCy configuration", rules="NAT-006 MLO CML-012", reads="lines"),
    Reader(formats=("lightgbm",), module="text", title="LightGBM", rules="CML-002", reads="every tree's counts and indices"),
    Reader(formats=("java", "kernel", "javascript", "lua", "mlir", "path file", "ncnn", "torch7", "rds text"), module="text", title="Java, GPU kernels, JavaScript, Lua, StableHLO text, ncnn, .pth files", rules="CML-008 NAT JAX-007 SEC PKG", reads="presence, marks of models, custom calls, secrets", gaps="the programs themselves"),
    Reader(formats=("onnx", "tensorproto"), module="models", title="ONNX", rules="ONX", reads="every node of every graph and function, tensors' claims, external data, metadata", gaps="tensor values"),
    Reader(formats=("savedmodel", "graphdef", "metagraph", "keras-metadata"), module="models", title="TensorFlow SavedModel, GraphDef, MetaGraph, Keras metadata", rules="TFL KRS-016", reads="every node of the main graph and of every function, assets, signatures", gaps="variables; checkpoints: the index against its shards, compressed index blocks are not read"),
    Reader(formats=("coreml",), module="models", title="Core ML", rules="NAT-004", reads="model type, custom layers and models, linked files, pipelines", gaps="ML programs: the operations inside"),
    Reader(formats=("paddle", "caffe"), module="models", title="PaddlePaddle programs, Caffe weights", rules="NAT-008 NAT-006", reads="operator and layer types", gaps="parameters; `.pdparams` are pickles and read as such"),
    Reader(formats=("msgpack",), module="plain", title="Flax msgpack", rules="JAX", reads="structure and extension types", gaps="array values"),
    Reader(formats=("checkpoint index", "checkpoint shard"), module="models", title="TensorFlow checkpoints", rules="TFL-010", reads="every entry of the index, held against its shards", gaps="compressed index blocks"),
    Reader(
        formats=("torch", "torch-tar", "skops", "keras", "npz"), module="containers", title="Archives with a meaning: torch (checkpoint, TorchScript, torch.package, pt2), skops, .keras, npz",
        rules="TCH JBL KRS NPY", reads="their members together: storages against tensors, schema against loaders, member names", gaps="the semantics of TorchScript and of exported programs",
    ),
    Reader(formats=("sentencepiece",), module="models", title="SentencePiece", rules="TOK-009 TOK-001", reads="pieces and the normaliser's map"),
)  # fmt: skip


@cache
def reader_of(found: str) -> Callable[[Stages, Member], None]:
    """The function that reads a format; one that reports the format as unsupported where none does."""
    known = next((reader for reader in READERS if found in reader.formats), None)
    module, function = (known.module, known.function) if known else ("plain", "unsupported")
    read: Callable[[Stages, Member], None] = getattr(
        import_module(f"weighbridge.inspection.reading.{module}"), function
    )
    return read
