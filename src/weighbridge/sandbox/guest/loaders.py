"""Knows how each library loads a file from an open descriptor. This executes what the file says: only inside the child."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, Final

from weighbridge.sandbox.guest.harvest import harvest
from weighbridge.sandbox.protocol import MODEL, OUTPUT, Answer

if TYPE_CHECKING:
    from collections.abc import Callable

_SHOWN: Final = 400


def load(request: Any) -> Answer:
    """Load the model and gather what can leave. Every failure is an answer; a MemoryError names itself."""
    file = os.fdopen(MODEL, "rb", closefd=False)
    try:
        found = LOADERS[request.loader](file)
    except BaseException as error:  # noqa: BLE001  # SystemExit too: whatever the file raises is an answer
        return Answer(error=told(error))
    try:
        return harvest(found, OUTPUT)
    except BaseException as error:  # noqa: BLE001
        return Answer(kind=_kind(found), error=f"its content could not be taken out: {told(error)}")


def told(error: BaseException) -> str:
    """A failure in words; the exception may belong to the file as well."""
    try:
        text = str(error)
    except BaseException:  # noqa: BLE001
        text = "?"
    return f"{type(error).__name__}: {text}"[:_SHOWN]


def _kind(found: object) -> str:
    return f"{type(found).__module__}.{type(found).__qualname__}"[:_SHOWN]


def _torch(file: Any) -> Any:
    import torch  # noqa: PLC0415

    return torch.load(file, weights_only=False, map_location="cpu")


def _script(file: Any) -> Any:
    import torch  # noqa: PLC0415

    return torch.jit.load(file, map_location="cpu")  # type: ignore[no-untyped-call]  # as torch declares it


def _joblib(file: Any) -> Any:
    import joblib  # noqa: PLC0415

    return joblib.load(file)


def _pickle(file: Any) -> Any:
    import pickle  # noqa: PLC0415

    return pickle.load(file)  # noqa: S301


def _numpy(file: Any) -> Any:
    import numpy  # noqa: PLC0415

    found = numpy.load(file, allow_pickle=True)
    return dict(found) if hasattr(found, "files") else found


def _keras(file: Any) -> Any:
    head = file.read(8)
    file.seek(0)
    if head.startswith(b"\x89HDF"):
        import h5py  # noqa: PLC0415
        from keras.src.legacy.saving import legacy_h5_format  # noqa: PLC0415

        return legacy_h5_format.load_model_from_hdf5(h5py.File(file, "r"), compile=False, safe_mode=False)
    from keras.src.saving import saving_lib  # noqa: PLC0415

    return saving_lib._load_model_from_fileobj(file, None, False, False)  # noqa: SLF001  # custom objects, compile, safe mode


LOADERS: Final[dict[str, Callable[[Any], Any]]] = {
    "torch": _torch,
    "torchscript": _script,
    "joblib": _joblib,
    "pickle": _pickle,
    "numpy": _numpy,
    "keras": _keras,
}
