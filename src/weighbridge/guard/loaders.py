"""Knows the loaders that are guarded: which argument names the file, and whether loading it can run code."""

from __future__ import annotations

import contextlib
import os
from typing import TYPE_CHECKING, Any, Final

from weighbridge.guard import copies
from weighbridge.guard.hooks import Patch
from weighbridge.guard.installed import active, asked_by_own
from weighbridge.schema import WeighbridgeError

if TYPE_CHECKING:
    from collections.abc import Callable
    from io import BytesIO


def _path(value: Any) -> str:
    """A path as text; empty for what is none, or what is no file here."""
    try:
        plain = os.fspath(value)
    except TypeError:
        return ""
    text = os.fsdecode(plain)
    return text if os.path.isfile(text) else ""


def _first(args: tuple[Any, ...], kwargs: dict[str, Any], *names: str, at: int = 0) -> Any:
    if len(args) > at:
        return args[at]
    return next((kwargs[name] for name in names if name in kwargs), None)


def _with(
    args: tuple[Any, ...], kwargs: dict[str, Any], value: Any, *names: str, at: int = 0
) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """The arguments with another file."""
    if len(args) > at:
        return (*args[:at], value, *args[at + 1 :]), kwargs
    name = next((name for name in names if name in kwargs), names[0])
    return args, {**kwargs, name: value}


def _running(
    call: str, *names: str, named: bool = False, only: Callable[[dict[str, Any], tuple[Any, ...]], bool] | None = None
) -> Callable[..., Any]:
    """A loader that can run code, given a path or an open file."""

    def instead(original: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        guard = active()
        given = _first(args, kwargs, *names)
        if guard is None or guard.inside or (only is not None and not only(kwargs, args)):
            return original(*args, **kwargs)

        def load(value: Any) -> Any:
            changed, more = _with(args, kwargs, value, *names)
            return original(*changed, **more)

        path = _path(given)
        if path:
            return guard.executed(call, path, load, named=named)
        if hasattr(given, "read"):
            return _from_file(call, given, load)
        return original(*args, **kwargs)

    return instead


def _from_file(call: str, file: Any, load: Callable[[Any], Any]) -> Any:
    """An open file: what is left of it, once; it stands behind what was read afterwards."""
    guard = active()
    assert guard is not None
    try:
        start = file.tell()
    except (AttributeError, OSError):
        start = None
    data = file.read()
    if isinstance(data, str):
        data = data.encode()

    def loaded(copy: BytesIO) -> Any:
        found = load(copy)
        if start is not None:
            file.seek(start + copy.tell())
        return found

    return guard.held(call, bytes(data), loaded)


def _reading(call: str, *names: str, at: int = 0, by_descriptor: bool = True) -> Callable[..., Any]:
    """A loader that only reads numbers, given a path or bytes."""

    def instead(original: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        guard = active()
        given = _first(args, kwargs, *names, at=at)
        if guard is None or guard.inside:
            return original(*args, **kwargs)

        def load(value: Any) -> Any:
            changed, more = _with(args, kwargs, value, *names, at=at)
            return original(*changed, **more)

        if isinstance(given, (bytes, bytearray)):
            return guard.held(call, bytes(given), lambda copy: load(copy.getvalue()))
        path = _path(given)
        return guard.parsed(call, path, load, by_descriptor=by_descriptor) if path else original(*args, **kwargs)

    return instead


def _fetching(call: str) -> Callable[..., Any]:
    """A function that gives paths of files, or of a folder: each file is decided about before anybody gets it."""

    def instead(original: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        guard = active()
        if guard is None or guard.inside:
            return original(*args, **kwargs)
        with guard.deciding():
            found = original(*args, **kwargs)
        for one in found if isinstance(found, (list, tuple)) else [found]:
            for path in _files(one):
                guard.parsed(call, path, lambda _: None)
        return found

    return instead


def _files(value: Any) -> list[str]:
    """The files that a path stands for."""
    if isinstance(value, (str, os.PathLike)) and os.path.isdir(value):
        root = os.fspath(value)
        return [
            os.path.join(folder, name)
            for folder, _, names in os.walk(str(root))
            for name in sorted(names)
            if not any(part.startswith(".") for part in os.path.relpath(folder, str(root)).split(os.sep) if part != ".")
        ]
    path = _path(value)
    return [path] if path else []


def _local(call: str) -> Callable[..., Any]:
    """A function that is given a folder or file: what is here is decided about first; what is fetched, when it is fetched."""

    def instead(original: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        guard = active()
        if guard is not None and not guard.inside:
            given = [_first(args, kwargs, "path"), kwargs.get("data_files"), kwargs.get("data_dir")]
            for one in (item for value in given for item in _listed(value)):
                for path in _files(one):
                    guard.parsed(call, path, lambda _: None)
        return original(*args, **kwargs)

    return instead


def _listed(value: Any) -> list[Any]:
    if isinstance(value, dict):
        return [item for inner in value.values() for item in _listed(inner)]
    return list(value) if isinstance(value, (list, tuple)) else [value]


def _unpickled(original: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    """`pickle.loads` and its like: bytes, and from whom they are asked for."""
    guard = active()
    if guard is None or guard.inside or asked_by_own(3):
        return original(*args, **kwargs)
    data = _first(args, kwargs, "data", "str")
    call = f"{original.__module__.strip('_').partition('.')[0]}.loads"
    return guard.held(call, bytes(data), lambda copy: original(copy.getvalue(), *args[1:], **kwargs))


def _unpickler(original: type) -> type:
    """`pickle.Unpickler`, whose file is decided about when it is made."""

    class Unpickler(original):  # type: ignore[misc]  # the class of the library that is patched
        """Reads from a copy that has been decided about, and moves the file along."""

        def __init__(self, file: Any, **kwargs: Any) -> None:
            guard = active()
            self._moves: Callable[[], object] = lambda: None
            if guard is None or guard.inside or asked_by_own(2):
                super().__init__(file, **kwargs)
                return

            def start(copy: BytesIO) -> None:
                begin = file.tell() - len(copy.getvalue()) if file.seekable() else None
                super(Unpickler, self).__init__(copy, **kwargs)
                if begin is not None:
                    self._moves = lambda: file.seek(begin + copy.tell())

            guard.held("pickle.Unpickler", bytes(file.read()), start)

        def load(self) -> Any:
            guard = active()
            if guard is None:
                return super().load()
            with guard.deciding():
                found = super().load()
            self._moves()
            return found

    Unpickler.__module__, Unpickler.__qualname__ = original.__module__, original.__qualname__
    return Unpickler


def _session(original: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    """An ONNX session: the graph, and the files beside it that hold its numbers."""
    guard = active()
    path = _path(_first(args, kwargs, "path_or_bytes", at=1))
    if guard is None or guard.inside or not path:
        return _reading("onnxruntime.InferenceSession", "path_or_bytes", at=1)(original, *args, **kwargs)
    with contextlib.ExitStack() as stack:
        for one in external_data(path):
            found = stack.enter_context(copies.watched(one, by_descriptor=False))
            guard.check("onnxruntime.InferenceSession", one, found)
        return _reading("onnxruntime.InferenceSession", "path_or_bytes", at=1, by_descriptor=False)(
            original, *args, **kwargs
        )


def external_data(path: str) -> list[str]:
    """The files in which an ONNX model keeps tensors, as far as they are there."""
    from weighbridge.formats.onnx import read_onnx  # noqa: PLC0415  # only ONNX sessions need it
    from weighbridge.source import FileBlob  # noqa: PLC0415

    blob = FileBlob(path)
    try:
        names = {dict(one.external).get("location", "") for one in read_onnx(blob).tensors if one.external}
    except WeighbridgeError:
        return []
    finally:
        blob.close()
    folder = os.path.dirname(path)
    return sorted(found for name in names if name and os.path.isfile(found := os.path.join(folder, name)))


def _pickled(kwargs: dict[str, Any], args: tuple[Any, ...]) -> bool:
    """Whether numpy is told to unpickle."""
    return bool(kwargs.get("allow_pickle", args[2] if len(args) > 2 else False))


PATCHES: Final = (
    Patch("pickle", "load", _running("pickle.load", "file")),
    Patch("pickle", "loads", _unpickled),
    Patch("pickle", "Unpickler", _unpickler, derives=True),
    Patch("dill._dill", "load", _running("dill.load", "file")),
    Patch("dill._dill", "loads", _unpickled),
    Patch("torch.serialization", "load", _running("torch.load", "f")),
    Patch("torch.jit._serialization", "load", _running("torch.jit.load", "f")),
    Patch("joblib.numpy_pickle", "load", _running("joblib.load", "filename")),
    Patch("numpy.lib._npyio_impl", "load", _running("numpy.load", "file", only=_pickled)),
    Patch("numpy.lib.npyio", "load", _running("numpy.load", "file", only=_pickled)),
    Patch("keras.src.saving.saving_api", "load_model", _running("keras.models.load_model", "filepath", named=True)),
    Patch("safetensors", "safe_open", _reading("safetensors.safe_open", "filename")),
    Patch("safetensors", "deserialize", _reading("safetensors.deserialize", "bytes")),
    Patch("onnxruntime.capi.onnxruntime_inference_collection", "InferenceSession.__init__", _session),
    Patch("llama_cpp.llama", "Llama.__init__", _reading("llama_cpp.Llama", "model_path", at=1)),
    Patch("huggingface_hub.file_download", "hf_hub_download", _fetching("huggingface_hub.hf_hub_download")),
    Patch("huggingface_hub._snapshot_download", "snapshot_download", _fetching("huggingface_hub.snapshot_download")),
    Patch("transformers.utils.hub", "cached_files", _fetching("transformers from_pretrained")),
    Patch("transformers.utils.hub", "cached_file", _fetching("transformers from_pretrained")),
    Patch("datasets.load", "load_dataset", _local("datasets.load_dataset")),
)  # fmt: skip
