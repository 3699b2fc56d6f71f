"""Reads labelled pictures that nobody has checked: arrays in .npz, .npy or HDF5, or a folder with a folder for each class.

Pixels come as whole numbers from 0 to 255, shape (pictures, height, width, channels), at most 64 on a side: what is planted
to be learned is seen at that size too.
"""

from __future__ import annotations

import os
import warnings
import zipfile
from contextlib import contextmanager
from typing import IO, TYPE_CHECKING, Any, Final

import numpy
from msgspec import Struct

from weighbridge.formats import hdf5_rows
from weighbridge.schema import LimitExceeded, MalformedInput, SourceError, Unavailable, UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator

Array = Any
ENDINGS: Final = (".png", ".jpg", ".jpeg", ".bmp", ".gif", ".webp", ".tif", ".tiff")
_ARRAYS: Final = (".npz", ".npy")
_SIDE: Final = 64
_BYTES: Final = 8 << 30
_PIXELS: Final = 100_000_000
_MOST: Final = 2_000_000
_X: Final = ("x", "images", "data", "x_train", "train_images", "arr_0")
_Y: Final = ("y", "labels", "targets", "target", "y_train", "train_labels", "arr_1")


class Pictures(Struct, frozen=True, kw_only=True):
    """Pictures with their labels (numbers from 0). `places` are files, or nothing for arrays; `skipped` could not be read."""

    pixels: Array
    labels: Array
    classes: tuple[str, ...]
    places: tuple[str, ...] = ()
    skipped: tuple[tuple[str, str], ...] = ()
    notes: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.labels)


def is_picture_folder(path: str) -> bool:
    """Whether a folder has folders with pictures in them."""
    return os.path.isdir(path) and len(_class_folders(path)) >= 2


def holds_pictures(path: str) -> bool:
    """Whether a file holds arrays of pictures, by its name, and of HDF5 by what is in it."""
    return path.lower().endswith(_ARRAYS) or (hdf5_rows.is_hdf5(path) and hdf5_rows.held(path) == hdf5_rows.PICTURES)


def read_arrays(path: str) -> Pictures:
    """Pictures in .npz, .npy or HDF5. Raises SourceError, MalformedInput, LimitExceeded, UsageError, Unavailable."""
    arrays = hdf5_rows.labelled_arrays(path) if hdf5_rows.is_hdf5(path) else _loaded(path)
    x, y = _named(arrays)
    if not x or not y:
        raise UsageError(f"{path} holds {', '.join(sorted(arrays))[:200]}", hint="name the pictures x, their labels y")
    return _arranged(path, arrays[x], arrays[y])


def _named(arrays: dict[str, Array]) -> tuple[str, str]:
    """The names of the pictures and of their labels: usual ones, else the largest of several dimensions and whole numbers that fit."""
    x, y = next((n for n in _X if n in arrays), ""), next((n for n in _Y if n in arrays), "")
    if x and y:
        return x, y
    large = max((n for n, one in arrays.items() if one.ndim >= 3), key=lambda n: arrays[n].size, default="")
    fit = [n for n, one in arrays.items() if large and one.ndim == 1 and len(one) == len(arrays[large])]
    return (large, min(fit, key=lambda n: len(numpy.unique(arrays[n])))) if fit else (x, y)


def _loaded(path: str) -> dict[str, Array]:
    try:
        if os.path.getsize(path) > _BYTES or _claimed(path) > _BYTES:
            raise LimitExceeded(f"{path}: more than {_BYTES >> 30} GiB", limit="size", hint="inspect it in parts")
        # allow_pickle stays off: an array of objects is refused by numpy itself.
        found = numpy.load(path, allow_pickle=False)
        return {"x": found} if isinstance(found, numpy.ndarray) else {name: found[name] for name in found.files}
    except (OSError, ValueError, EOFError, KeyError, zipfile.BadZipFile, MemoryError) as error:
        if isinstance(error, OSError) and not os.path.exists(path):
            raise SourceError(f"{path}: no such file", hint="check the path") from error
        raise MalformedInput(
            f"{path}: these are no arrays ({why_no_array(error)})", hint="save them with numpy.savez"
        ) from error


def why_no_array(error: Exception) -> str:
    """Why numpy read no array, without its advice to load pickles all the same."""
    return "it is none, or of pickled objects, which are not loaded" if "pickle" in str(error) else str(error)[:200]


def _claimed(path: str) -> int:
    """What an .npz says that it unpacks to."""
    if not zipfile.is_zipfile(path):
        return 0
    with zipfile.ZipFile(path) as archive:
        return sum(one.file_size for one in archive.infolist())


def _arranged(path: str, x: Array, y: Array) -> Pictures:
    if y.ndim != 1 or len(y) != len(x) or y.dtype.kind not in "iuUS" or x.dtype.kind not in "fiub" or not len(x):
        raise UsageError(f"{path}: pictures of shape {x.shape}, labels of shape {y.shape}", hint="one label a picture")
    if x.ndim == 3:
        x = x[..., None]
    if x.ndim == 4 and x.shape[-1] not in {1, 3, 4} and x.shape[1] in {1, 3, 4}:
        x = x.transpose(0, 2, 3, 1)
    if x.ndim != 4 or x.shape[-1] not in {1, 3, 4} or min(x.shape[1:3]) < 4:
        raise UsageError(f"{path}: pictures of shape {x.shape[1:]}", hint="height x width x channels, at least 4 x 4")
    notes = []
    step = max(1, -(-max(x.shape[1:3]) // _SIDE))
    if step > 1:
        x = x[:, ::step, ::step]
        notes.append(f"every {step}th pixel was looked at")
    top = float(numpy.nan_to_num(x).max(initial=0))
    scale = 255.0 if x.dtype.kind == "f" and top <= 1.5 else 255.0 / 16 if top <= 16 else 1.0
    pixels = numpy.nan_to_num(x * scale if scale != 1 else x).clip(0, 255).astype(numpy.uint8)
    names, labels = numpy.unique(y, return_inverse=True)
    classes = tuple(str(name) for name in names)
    return Pictures(pixels=pixels[..., :3], labels=labels.astype(numpy.int32), classes=classes, notes=tuple(notes))


def read_folder(path: str) -> Pictures:
    """One folder a class. Pictures that cannot be read are named. Raises Unavailable, UsageError."""
    classes = _class_folders(path)
    arrays: list[Array] = []
    labels: list[int] = []
    places: list[str] = []
    skipped: list[tuple[str, str]] = []
    size = _usual_size([place for name in classes[:3] for place in _pictures(os.path.join(path, name))][:50])
    for number, name in enumerate(classes):
        for place in _pictures(os.path.join(path, name)):
            if len(arrays) >= _MOST:
                raise LimitExceeded(f"{path}: more than {_MOST} pictures", limit="members", hint="inspect it in parts")
            try:
                arrays.append(_pixels(place, size))
                labels.append(number)
                places.append(place)
            except (OSError, ValueError, SyntaxError) as error:
                skipped.append((place, str(error)[:200]))
    if not arrays:
        raise UsageError(f"{path}: none of its pictures can be read", hint=skipped[0][1] if skipped else "")
    return Pictures(
        pixels=numpy.stack(arrays), labels=numpy.array(labels, dtype=numpy.int32), classes=tuple(classes), places=tuple(places),
        skipped=tuple(skipped), notes=(f"looked at in {size[0]} x {size[1]} pixels",),
    )  # fmt: skip


def _class_folders(path: str) -> list[str]:
    found = []
    for entry in sorted(os.scandir(path), key=lambda entry: entry.name):
        if entry.is_dir(follow_symlinks=False) and next(_pictures(entry.path), None):
            found.append(entry.name)
    return found


def _pictures(folder: str) -> Iterator[str]:
    for entry in sorted(os.scandir(folder), key=lambda entry: entry.name):
        if entry.is_file(follow_symlinks=False) and entry.name.lower().endswith(ENDINGS):
            yield entry.path


def _usual_size(places: list[str]) -> tuple[int, int]:
    """The middle height and width, at most 64."""
    sizes = []
    for place in places:
        try:
            with _image().open(place) as image:
                sizes.append((image.height, image.width))
        except (OSError, ValueError, SyntaxError):
            continue
    middle = sorted(sizes)[len(sizes) // 2] if sizes else (32, 32)
    scale = min(1.0, _SIDE / max(middle))
    return max(4, round(middle[0] * scale)), max(4, round(middle[1] * scale))


def _pixels(place: str, size: tuple[int, int]) -> Array:
    with opened(place) as image:
        made = image.convert("RGB")
        if made.size != (size[1], size[0]):
            made = made.resize((size[1], size[0]))
        return numpy.asarray(made, dtype=numpy.uint8)


@contextmanager
def opened(place: str | IO[bytes]) -> Iterator[Any]:
    """A picture of a bounded size, by its path or from its bytes. Raises OSError, ValueError, SyntaxError, as Pillow does."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with _image().open(place) as image:
            if image.width * image.height > _PIXELS:
                raise ValueError(f"{image.width} x {image.height} pixels")
            yield image


def _image() -> Any:
    try:
        from PIL import Image  # noqa: PLC0415  # an extra
    except ImportError as error:
        raise Unavailable("reading pictures needs the extra data", hint="pip install 'weighbridge[data]'") from error
    return Image
