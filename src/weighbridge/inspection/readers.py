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
        formats=("java", "matlab", "torch7", "bson", "binaryformatter", "fasttext", "tensorrt", "bitstream", "ggml"), module="models",
        function="scanned", title="Java, MATLAB 5, Torch7, Julia BSON, .NET, fastText, TensorRT, bitstreams, old GGML", rules="CML NAT GGF",
        reads="class names, code markers and embedded executables in all bytes", gaps="the structure behind them",
    ),
    Reader(
        formats=("media", "pdf", "lfs-pointer", "elf", "pe", "mach-o", "lnk", "wasm"), module="plain", function="inert",
        title="Media, executables, Git LFS pointers", rules="SCN", reads="the signature; an executable among model files is a finding by itself",
    ),
    Reader(formats=("empty",), module="plain", function="empty", title="Empty files", reads="nothing, and says so"),
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
