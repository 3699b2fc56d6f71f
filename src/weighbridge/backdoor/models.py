"""Knows how a model is opened to be tested, as a function of images that gradients flow through.

Nothing of it is executed: an ONNX program is data, and architectures are our own or a library's.
"""

from __future__ import annotations

import hashlib
import math
import os
from typing import TYPE_CHECKING, Any, Final

import torch
from torch import Tensor, nn

from weighbridge.backdoor.onnx_net import OnnxNet
from weighbridge.formats.onnx_program import read_program
from weighbridge.schema import MalformedInput, Unavailable, UsageError
from weighbridge.source.blob import FileBlob

if TYPE_CHECKING:
    from weighbridge.backdoor.pixels import Pixels

_CLASSES: Final = 100_000
_VALUES: Final = 2_000_000  # of the images that are passed at once: a large net holds hundreds of layers of each


class Classifier(nn.Module):
    """Images (n, channels, height, width), from 0 to 1, to one score a class, unnormalised."""

    def __init__(
        self, net: nn.Module, shape: tuple[int, int, int], *, about: str, digest: str, last: bool = False, came: Any = None,
    ) -> None:  # fmt: skip
        """`last` says that the net takes channels last, `came` is what `tried` gave where that is known."""
        super().__init__()
        self._net, self.shape, self._last = net.eval().requires_grad_(requires_grad=False), shape, last
        self.about, self.digest = about, digest
        self.pixels: Pixels | None = None
        self.expected: Pixels | None = None
        self._probabilities = False
        self.classes = self._looked_at(tried(self._net, shape, last=last) if came is None else came)

    def outputs(self, x: Tensor) -> Any:
        """What the net gives for images whose pixels are as it expects them: a tensor, or a tuple of several."""
        return self._net(x.permute(0, 2, 3, 1) if self._last else x)

    def _looked_at(self, came: Any) -> int:
        """How many classes there are, by what came of two images. Raises Unavailable where it is no classifier."""
        found = _alone(came)
        if found.dim() != 2 or not torch.is_floating_point(found):
            raise Unavailable(
                f"its output has the shape {tuple(found.shape)}, and a classifier gives one score a class",
                hint="only classifiers of images and detectors of objects are tested this way",
            )
        if found.shape[1] == 1:
            raise Unavailable("it gives one number an image: a regression, or a binary score", hint="not testable")
        if found.shape[1] > _CLASSES:
            raise Unavailable(f"it tells {found.shape[1]} classes apart", hint="not testable")
        one = bool((found >= 0).all()) and torch.allclose(found.sum(1), torch.ones(len(found)), atol=1e-3)
        self._probabilities = one
        return int(found.shape[1])

    def forward(self, x: Tensor) -> Tensor:
        """The scores of a batch."""
        found = _alone(self.outputs(self.pixels.applied(x) if self.pixels else x))
        # A model that ends in probabilities has gradients that vanish; their logarithm does not.
        return torch.log(found.clamp_min(1e-12)) if self._probabilities else found

    @torch.no_grad()
    def predicted(self, x: Tensor, batch: int = 256) -> Tensor:
        """The class of every image."""
        return torch.cat([self(part).argmax(1) for part in torch.split(x, batch)])

    def at_once(self, most: int, *, least: int = 1) -> int:
        """How many images are passed through it at once: at most so many, fewer of large ones."""
        return max(least, min(most, _VALUES // math.prod(self.shape)))

    def seconds(self, count: int = 32) -> float:
        """How long a step of a search over `count` images takes on this machine."""
        import time  # noqa: PLC0415

        x = torch.rand(count, *self.shape, requires_grad=True)
        best = float("inf")
        for _ in range(2):
            begun = time.perf_counter()
            self(x).sum().backward()
            best = min(best, time.perf_counter() - begun)
        return best


def tried(net: nn.Module, shape: tuple[int, int, int], *, last: bool = False) -> Any:
    """What a net gives for two images of noise. Raises Unavailable where it does not run."""
    x = torch.rand(2, *shape, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        try:
            return net(x.permute(0, 2, 3, 1) if last else x)
        except (RuntimeError, LookupError, ValueError, TypeError, MemoryError, ArithmeticError) as error:
            raise Unavailable(f"it does not run: {str(error).splitlines()[0][:200]}", hint="is it complete?") from error


def _alone(found: Any) -> Tensor:
    """The scores among what a classifier gives: the first, others are features."""
    first: Tensor = found[0] if isinstance(found, tuple) else found
    return first.reshape(first.shape[0], -1) if first.dim() == 4 and first.shape[2:] == (1, 1) else first


def seen_as(net: nn.Module, shape: tuple[int, int, int], *, about: str, digest: str, last: bool = False) -> Classifier:
    """A net as a classifier, or as a detector of objects where it gives scores of many places. Raises Unavailable for what is neither."""
    from weighbridge.backdoor.detectors import Detector  # noqa: PLC0415  # they build on classifiers

    # Before it runs at all: one that trains would move its statistics.
    came = tried(net.eval(), shape, last=last)
    first = came[0] if isinstance(came, tuple) else came
    kind = Detector if first.dim() == 3 else Classifier
    return kind(net, shape, about=about, digest=digest, last=last, came=came)


def open_classifier(path: str) -> Classifier:
    """A classifier of images, or a detector of objects, from a file or folder.

    Raises Unavailable with what is missing, UsageError, MalformedInput.
    """
    if os.path.isdir(path):
        from weighbridge.backdoor.hub_models import open_folder  # noqa: PLC0415  # loads transformers

        return open_folder(path)
    if not os.path.isfile(path):
        raise UsageError(
            f"{path}: there is no such file", hint="name a model: an ONNX file, or a folder with config.json"
        )
    blob = FileBlob(path)
    head = blob.read(0, 16)
    if path.endswith(".safetensors") or head[8:9] == b"{":
        from weighbridge.backdoor.architectures import open_weights  # noqa: PLC0415  # only for these

        net, shape, about = open_weights(blob)
        return seen_as(net, shape, about=about, digest=digest_of(blob))
    if head[:1] == b"\x80" or head[:2] == b"PK":
        from weighbridge.backdoor.archives import open_archive  # noqa: PLC0415  # only for these

        net, shape, about = open_archive(blob, path)
        return seen_as(net, shape, about=about, digest=digest_of(blob))
    try:
        program = read_program(blob)
    except MalformedInput as error:
        raise Unavailable(
            f"it is no ONNX model: {error.message}", hint="an ONNX file, or a folder with config.json"
        ) from error
    return _onnx(program, digest_of(blob))


def _onnx(program: Any, digest: str) -> Classifier:
    if len(program.inputs) != 1:
        raise Unavailable(
            f"it takes {len(program.inputs)} inputs", hint="only classifiers of images are tested this way"
        )
    dims = program.inputs[0].dims
    if len(dims) != 4 or any(size <= 0 for size in dims[1:]):
        raise Unavailable(
            f"its input has the shape {dims}, and images have batch x channels x height x width",
            hint="export it with a fixed size of image",
        )
    last = dims[3] in {1, 3} and dims[1] not in {1, 3}
    shape = (dims[3], dims[1], dims[2]) if last else (dims[1], dims[2], dims[3])
    net = OnnxNet(program)
    return seen_as(net, shape, about=f"ONNX, {len(program.steps)} steps", digest=digest, last=last)


def digest_of(blob: FileBlob) -> str:
    """SHA-256 of a file, in hexadecimal."""
    made, at = hashlib.sha256(), 0
    while piece := blob.read(at, 1 << 20):
        made.update(piece)
        at += len(piece)
    return made.hexdigest()
