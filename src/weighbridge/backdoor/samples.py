"""Knows the images that a user gives: a folder (one folder a class, or none), or arrays in an .npz or .npy file.

Pixels are floats from 0 to 1, shape (images, channels, height, width).
"""

from __future__ import annotations

import io
import os
import zipfile
from itertools import islice, zip_longest
from typing import TYPE_CHECKING, Any, Final

import numpy
from msgspec import Struct

from weighbridge.schema import SourceError, Unavailable, UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from torch import Tensor

_IMAGES: Final = (".png", ".jpg", ".jpeg", ".bmp", ".gif", ".webp", ".tif", ".tiff")
_MOST: Final = 2000
_PIXELS: Final = 64_000_000
_BYTES: Final = 2 << 30
_X: Final = ("x", "images", "data", "x_test", "x_train", "arr_0")
_Y: Final = ("y", "labels", "targets", "target", "y_test", "y_train", "arr_1")
Array = Any


class Samples(Struct, frozen=True):
    """Images and, where they are known, the number of the class of each. `source` says where they come from."""

    images: Array
    labels: Array | None
    source: str

    def __len__(self) -> int:
        return len(self.images)


def read_samples(path: str, shape: tuple[int, int, int], *, most: int = _MOST) -> Samples:
    """At most `most` images of a shape (channels, height, width). Raises UsageError, SourceError, Unavailable."""
    if os.path.isdir(path):
        return _folder(path, shape, most)
    if not os.path.isfile(path):
        raise UsageError(f"{path}: there are no samples", hint="a folder of images, or an .npz with x and y")
    return _arrays(path, shape, most)


def noise(shape: tuple[int, int, int], count: int = 100, seed: int = 0) -> Samples:
    """Smooth noise, where nobody gives images: the search has something to start from, and its power is weak."""
    made = numpy.random.default_rng(seed)
    channels, height, width = shape
    small = made.random((count, channels, max(1, height // 4), max(1, width // 4)), dtype=numpy.float32)
    rows = numpy.linspace(0, small.shape[2] - 1, height).round().astype(int)
    columns = numpy.linspace(0, small.shape[3] - 1, width).round().astype(int)
    images = 0.7 * small[:, :, rows][:, :, :, columns] + 0.3 * made.random((count, *shape), dtype=numpy.float32)
    return Samples(images.astype(numpy.float32), None, "noise")


def _arrays(path: str, shape: tuple[int, int, int], most: int) -> Samples:
    if os.path.getsize(path) > _BYTES:
        raise UsageError(f"{path}: more than {_BYTES >> 30} GiB of samples", hint="a few hundred images are enough")
    try:
        # allow_pickle stays off: an array of objects is refused by numpy itself.
        with open(path, "rb") as file:
            found = numpy.load(io.BytesIO(file.read()), allow_pickle=False)
        if isinstance(found, numpy.ndarray):
            images, labels = found, None
        else:
            names = set(found.files)
            x = next((name for name in _X if name in names), None)
            y = next((name for name in _Y if name in names), None)
            if x is None:
                raise UsageError(
                    f"{path} holds {', '.join(sorted(names))[:200]}", hint="name the images x, the labels y"
                )
            images, labels = found[x], found[y] if y else None
    except (OSError, ValueError, EOFError, zipfile.BadZipFile, KeyError) as error:
        raise SourceError(
            f"{path}: these are no arrays ({str(error)[:200]})", hint="save them with numpy.savez"
        ) from error
    if labels is not None and (labels.ndim != 1 or len(labels) != len(images)):
        raise UsageError(f"{path}: {len(images)} images and labels of shape {labels.shape}", hint="one number an image")
    chosen = _spread(len(images), labels, most)
    return Samples(
        _shaped(images[chosen], shape, path), None if labels is None else labels[chosen].astype(numpy.int64), path
    )


def _spread(count: int, labels: Array | None, most: int) -> Array:
    """Which of many samples to take: every class in turn, so that few suffice."""
    if count <= most and labels is None:
        return numpy.arange(count)
    if labels is None:
        return numpy.linspace(0, count - 1, most).astype(int)
    return numpy.array(in_turn([numpy.flatnonzero(labels == one).tolist() for one in numpy.unique(labels)], most))


def in_turn(queues: Sequence[list[int]], most: int) -> list[int]:
    """At most so many of the numbers in several queues: the first of each, the second of each, and so on."""
    rounds = zip_longest(*queues)
    return list(islice((one for each in rounds for one in each if one is not None), most))


def unseen_of(images: Tensor, used: Tensor, most: int) -> Tensor:
    """At most so many images that are not among those used, both (images, channels, height, width)."""
    flat = {row.numpy().tobytes() for row in used}
    left = (at for at in range(len(images)) if images[at].numpy().tobytes() not in flat)
    return images[list(islice(left, most))]


def _shaped(images: Array, shape: tuple[int, int, int], path: str) -> Array:
    channels, height, width = shape
    if images.dtype.kind not in "fiu":
        raise UsageError(
            f"{path}: pixels of the type {images.dtype}", hint="whole numbers from 0 to 255, or floats from 0 to 1"
        )
    made = images.astype(numpy.float32)
    if images.dtype.kind in "iu" or made.max(initial=0.0) > 1.5:
        made /= 16.0 if made.max(initial=0.0) <= 16 else 255.0
    if made.ndim == 3:
        made = made[:, None]
    if made.ndim == 4 and made.shape[1] != channels and made.shape[3] == channels:
        made = made.transpose(0, 3, 1, 2)
    if made.ndim == 2 and made.shape[1] == channels * height * width:
        made = made.reshape(-1, *shape)
    if made.ndim != 4 or made.shape[1:] != shape:
        raise UsageError(
            f"{path}: images of shape {images.shape[1:]}, and the model takes {channels} x {height} x {width}",
            hint="give them in the size of the model",
        )
    if not numpy.isfinite(made).all():
        raise UsageError(f"{path}: some pixels are no numbers", hint="leave those images out")
    return numpy.ascontiguousarray(made.clip(0, 1))


def _folder(path: str, shape: tuple[int, int, int], most: int) -> Samples:
    classes = sorted(one.name for one in os.scandir(path) if one.is_dir())
    images: list[Array] = []
    labels: list[int] = []
    per_class = max(1, most // max(1, len(classes)))
    for number, name in enumerate(classes):
        for image in _read(os.path.join(path, name), shape, per_class):
            images.append(image)
            labels.append(number)
    if not images:
        images = list(_read(path, shape, most))
    if not images:
        raise UsageError(f"{path}: there are no images", hint=f"one of {', '.join(_IMAGES)}")
    return Samples(numpy.stack(images), numpy.array(labels) if labels else None, path)


def _read(folder: str, shape: tuple[int, int, int], most: int) -> Iterator[Array]:
    try:
        from PIL import Image  # noqa: PLC0415  # an extra
    except ImportError as error:
        raise Unavailable(
            "reading images needs the extra backdoor", hint="pip install 'weighbridge[backdoor]'"
        ) from error
    channels, height, width = shape
    names = sorted(one.name for one in os.scandir(folder) if one.is_file() and one.name.lower().endswith(_IMAGES))
    for name in names[:most]:
        where = os.path.join(folder, name)
        try:
            with Image.open(where) as image:
                if image.width * image.height > _PIXELS:
                    raise UsageError(f"{where}: {image.width} x {image.height} pixels", hint="make it smaller")
                made = image.convert("L" if channels == 1 else "RGB").resize((width, height))
                array = numpy.asarray(made, dtype=numpy.float32) / 255
        except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
            raise SourceError(f"{where}: this is no image that can be read", hint="leave it out") from error
        yield array[None] if array.ndim == 2 else array.transpose(2, 0, 1)
