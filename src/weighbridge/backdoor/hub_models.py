"""Knows how a Hugging Face folder is opened to be tested: by the library's own classes, from configuration and safetensors.

Code that a repository brings along is never run.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import warnings
from typing import Any, Final

import torch
from torch import Tensor, nn

from weighbridge.backdoor.detectors import Detector
from weighbridge.backdoor.models import Classifier, digest_of
from weighbridge.backdoor.pixels import Pixels
from weighbridge.schema import Unavailable
from weighbridge.source.blob import FileBlob

CONFIG: Final = "config.json"
_SMALL: Final = 4 << 20
WEIGHTS: Final = "model.safetensors"
_LARGEST: Final = 8 << 30
_TOKENIZER: Final = "tokenizer.json"


def open_folder(path: str) -> Classifier:
    """A classifier of images, or a detector of objects, from a folder. Raises Unavailable with what is missing."""
    config = document(os.path.join(path, CONFIG))
    if config is None:
        raise Unavailable("the folder has no config.json", hint="give a Hugging Face folder, or one ONNX file")
    if "auto_map" in config:
        raise Unavailable("its architecture is code in the repository, which is not run", hint="export it as ONNX")
    named = named_architectures(config)
    detects = any("ObjectDetection" in one for one in named)
    if not detects and not any("ImageClassification" in one for one in named):
        raise Unavailable(
            f"it is {named[0] if named else 'no classifier'}",
            hint="only classifiers of images and detectors of objects are tested this way",
        )
    digest = weights_digest(path)
    net: Any = opened(path, "AutoModelForObjectDetection" if detects else "AutoModelForImageClassification")
    said = document(os.path.join(path, "preprocessor_config.json")) or {}
    shape, classes = _shape(config, said), int(net.config.num_labels)
    made = (
        Detector(_Boxes(net), shape, about=named[0], digest=digest, named=classes)
        if detects
        else Classifier(_Logits(net), shape, about=named[0], digest=digest)
    )
    made.expected = _expected(said)
    return made


def named_architectures(config: dict[str, Any]) -> list[str]:
    """The classes that a configuration names."""
    return [str(one) for one in config.get("architectures") or ()]


def weight_files(path: str) -> list[str]:
    """The safetensors of a folder: one file, or the parts that its index names. Raises Unavailable where there is none, or they are too large."""
    index = document(os.path.join(path, f"{WEIGHTS}.index.json"))
    named = index.get("weight_map") if index and not os.path.isfile(os.path.join(path, WEIGHTS)) else None
    names = sorted({str(one) for one in named.values()}) if isinstance(named, dict) else [WEIGHTS]
    files = [os.path.join(path, one) for one in names if os.path.basename(one) == one]
    if len(files) != len(names) or not all(os.path.isfile(one) for one in files):
        raise Unavailable(f"the folder has no {names[0]}", hint="weighbridge convert makes it of a pickle")
    size = sum(os.path.getsize(one) for one in files)
    if size > _LARGEST:
        raise Unavailable(f"{size >> 30} GiB of weights", hint="it is too large to be searched here")
    return files


def weights_digest(path: str) -> str:
    """SHA-256 of the weights of a folder; of several files that of their digests. Raises Unavailable."""
    found = [digest_of(FileBlob(one)) for one in weight_files(path)]
    return found[0] if len(found) == 1 else hashlib.sha256("".join(found).encode()).hexdigest()


def open_tokenizer(path: str) -> Any:
    """The tokenizer of a folder from its `tokenizer.json` alone: of other classes some load pickles. Raises Unavailable."""
    if not os.path.isfile(os.path.join(path, _TOKENIZER)):
        raise Unavailable(
            f"the folder has no {_TOKENIZER}", hint="save the fast tokenizer that it was trained with beside it"
        )
    try:
        from transformers import PreTrainedTokenizerFast  # noqa: PLC0415  # takes seconds
    except ImportError as error:
        raise Unavailable(f"a Hugging Face folder needs {error.name}", hint="pip install transformers") from error
    try:
        return PreTrainedTokenizerFast.from_pretrained(path, local_files_only=True)
    except Exception as error:  # the library raises whatever a file makes it stumble over
        raise Unavailable(
            f"transformers cannot open its tokenizer: {str(error).splitlines()[0][:200]}", hint="is it complete?"
        ) from error


def _claimed(kind: Any, config: Any) -> int:
    """How many weights a configuration claims, found out without memory for them."""
    with torch.device("meta"):
        claimed = kind.from_config(config, trust_remote_code=False)
    return sum(one.numel() for one in claimed.parameters())


def document(path: str) -> dict[str, Any] | None:
    """A JSON object from a file; nothing where there is no such file. Raises Unavailable."""
    try:
        with open(path, "rb") as file:
            found = json.loads(file.read(_SMALL))
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise Unavailable(
            f"{os.path.basename(path)} cannot be read: {error}", hint="weighbridge scan says more"
        ) from error
    return found if isinstance(found, dict) else {}


def opened(path: str, kind: str) -> nn.Module:
    """A model of the library's class `kind` (such as AutoModelForImageClassification) from a folder. Raises Unavailable."""
    try:
        import transformers  # noqa: PLC0415  # takes seconds
        from transformers.utils import logging as quiet  # noqa: PLC0415
    except ImportError as error:
        raise Unavailable(f"a Hugging Face folder needs {error.name}", hint="pip install transformers") from error
    logging.getLogger("transformers").setLevel(logging.ERROR)
    quiet.disable_progress_bar()
    made = getattr(transformers, kind)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            # First without memory: what a configuration claims has to be in the file, or it is made up and fills the machine.
            config = transformers.AutoConfig.from_pretrained(path, local_files_only=True, trust_remote_code=False)
            _held(_claimed(made, config), sum(os.path.getsize(one) for one in weight_files(path)))
            net, info = made.from_pretrained(
                path, config=config, local_files_only=True, trust_remote_code=False, use_safetensors=True, output_loading_info=True
            )  # fmt: skip
    except Unavailable:
        raise
    except Exception as error:  # the library raises whatever a configuration makes it stumble over
        raise Unavailable(
            f"transformers cannot open it: {str(error).splitlines()[0][:200]}", hint="is it complete?"
        ) from error
    missing = sorted([*info["missing_keys"], *(str(one) for one in info["mismatched_keys"])])
    if missing:
        raise Unavailable(
            f"its weights lack {missing[0][:120]}", hint="what is missing would be random: is it complete?"
        )
    found: nn.Module = net.float()
    return found


def _held(count: int, size: int) -> None:
    """Raises Unavailable where a file has less than half a byte for each weight that its configuration claims."""
    if count > 2 * size:
        raise Unavailable(
            f"its configuration claims {count} weights, and the file has {size} bytes",
            hint="weighbridge scan says more",
        )


class _Logits(nn.Module):
    """A model of the library, without the names around its scores."""

    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self._net = net

    def forward(self, x: Tensor) -> Tensor:
        found: Tensor = self._net(pixel_values=x).logits
        return found


class _Boxes(nn.Module):
    """A detector of the library, without the names around its scores and boxes."""

    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self._net = net

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        found = self._net(pixel_values=x)
        return found.logits, found.pred_boxes


def _shape(config: dict[str, Any], said: dict[str, Any]) -> tuple[int, int, int]:
    channels = int(config.get("num_channels", 3))
    size = config.get("image_size") or said.get("size") or 224
    if isinstance(size, dict):
        size = size.get("height") or size.get("shortest_edge") or 224
    side = int(size[0] if isinstance(size, list) else size)
    if not (0 < channels <= 16 and 0 < side <= 2048):
        raise Unavailable(f"images of {channels} x {side} x {side}", hint="check its configuration")
    return channels, side, side


def _expected(said: dict[str, Any]) -> Pixels | None:
    """What its own preprocessor does to pixels."""
    mean, deviation = said.get("image_mean"), said.get("image_std")
    if not (isinstance(mean, list) and isinstance(deviation, list) and len(mean) == len(deviation)):
        return None
    try:
        values = tuple(float(one) for one in mean), tuple(float(one) for one in deviation)
    except (TypeError, ValueError):
        return None
    return Pixels("of its preprocessor", *values) if all(values[1]) else None
