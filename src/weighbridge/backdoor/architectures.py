"""Knows architectures by the names and shapes of their tensors, as torchvision names them: ResNet and VGG of any depth, MobileNet, vision transformers.

Sources: He et al. 2015 (arXiv 1512.03385), Simonyan and Zisserman 2014 (arXiv 1409.1556), torchvision 0.25 for names.
Weights in other names say nothing of the order of layers: those are tested as ONNX.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

import torch
from torch import Tensor, nn

from weighbridge.backdoor.mobile_nets import MobileNet, is_mobile_net
from weighbridge.backdoor.vision_transformers import VisionTransformer, is_vision_transformer, renamed
from weighbridge.backdoor.weights import read_tensors
from weighbridge.schema import Unavailable

if TYPE_CHECKING:
    from weighbridge.backdoor.weights import Tensors
    from weighbridge.source import Blob

_FIRST: Final = ("conv1.weight", "features.0.weight", "features.0.0.weight", "patches.weight")
_NUMBER: Final = re.compile(r"\d+")
_DEEPEST: Final = 4096
_FEATURE: Final = re.compile(r"features\.(\d+)\.weight\Z")


def open_weights(blob: Blob) -> tuple[nn.Module, tuple[int, int, int], str]:
    """(net, shape of its images, what it is) of a safetensors file. Raises Unavailable where the architecture is not known."""
    tensors = _inner(read_tensors(blob))
    if any(int(number[:9]) > _DEEPEST for name in tensors for number in _NUMBER.findall(name)):
        raise Unavailable(f"a tensor is in layer {_DEEPEST} or beyond", hint="export it as ONNX")
    try:
        net, about, side = _built(tensors)
    except (KeyError, ValueError, IndexError, ZeroDivisionError, RuntimeError) as error:
        raise Unavailable("its tensors are those of no net with these names", hint="export it as ONNX") from error
    tensors = renamed(tensors) if isinstance(net, VisionTransformer) else tensors
    first = next(tensors[name] for name in _FIRST if name in tensors)
    try:
        net.load_state_dict(tensors)
    except RuntimeError as error:
        raise Unavailable(
            f"its tensors do not fit {about}: {str(error).splitlines()[1].strip()[:160]}", hint="export it as ONNX"
        ) from error
    return net.float(), (int(first.shape[1]), side, side), about


def _built(tensors: Tensors) -> tuple[nn.Module, str, int]:
    """(net without its weights, what it is, side of its images). Raises Unavailable, and what odd names and shapes lead to."""
    if {"conv1.weight", "layer1.0.conv1.weight", "fc.weight"} <= tensors.keys():
        small = tensors["conv1.weight"].shape[2] < 7
        about = f"ResNet, {sum(1 for name in tensors if 'conv' in name)} convolutions"
        return _ResNet(tensors), about, 32 if small else 224
    if "features.0.weight" in tensors and "classifier.0.weight" in tensors:
        return _Vgg(tensors), "VGG", 224
    if is_mobile_net(tensors):
        mobile = MobileNet(tensors)
        return mobile, mobile.about, 224
    if is_vision_transformer(tensors):
        transformer = VisionTransformer(tensors)
        return transformer, transformer.about, transformer.side
    raise Unavailable(
        "weights alone, in names that say nothing of the architecture",
        hint="export it: torch.onnx.export(model, images, 'model.onnx')",
    )


def _inner(tensors: Tensors) -> Tensors:
    """Tensors by their names in the model: checkpoints put them under `state_dict.`, wrappers under `module.`."""
    for first in ("conv1.weight", "features.0.weight", "features.0.0.weight", "cls_token", "class_token"):
        found = [name for name in tensors if name == first or name.endswith(f".{first}")]
        if found:
            prefix = min(found, key=len).removesuffix(first)
            return {name.removeprefix(prefix): one for name, one in tensors.items() if name.startswith(prefix)}
    return tensors


class _Residual(nn.Module):
    """A basic block (two convolutions) or a bottleneck (three), in the widths of its tensors."""

    def __init__(self, tensors: Tensors, at: str, stride: int) -> None:
        super().__init__()
        self._convolutions = 3 if f"{at}.conv3.weight" in tensors else 2
        for number in range(1, self._convolutions + 1):
            weight = tensors[f"{at}.conv{number}.weight"]
            # Bottlenecks put their stride on the second convolution, basic blocks on the first.
            here = stride if number == self._convolutions - 1 else 1
            outer, inner, side = weight.shape[0], weight.shape[1], weight.shape[2]
            groups = _groups(tensors, at, number, inner)
            setattr(
                self,
                f"conv{number}",
                nn.Conv2d(inner * groups, outer, side, here, side // 2, groups=groups, bias=False),
            )
            setattr(self, f"bn{number}", nn.BatchNorm2d(outer))
        self.downsample: nn.Module | None = None
        if f"{at}.downsample.0.weight" in tensors:
            outer, inner = tensors[f"{at}.downsample.0.weight"].shape[:2]
            self.downsample = nn.Sequential(nn.Conv2d(inner, outer, 1, stride, bias=False), nn.BatchNorm2d(outer))

    def forward(self, x: Tensor) -> Tensor:
        y = x
        for number in range(1, self._convolutions + 1):
            y = getattr(self, f"bn{number}")(getattr(self, f"conv{number}")(y))
            y = torch.relu(y) if number < self._convolutions else y
        return torch.relu(y + (self.downsample(x) if self.downsample is not None else x))


def _groups(tensors: Tensors, at: str, number: int, inner: int) -> int:
    before = tensors.get(f"{at}.conv{number - 1}.weight")
    return max(1, before.shape[0] // inner) if before is not None else 1


class _ResNet(nn.Module):
    def __init__(self, tensors: Tensors) -> None:
        super().__init__()
        outer, inner, side = tensors["conv1.weight"].shape[:3]
        large = side >= 7
        self.conv1 = nn.Conv2d(inner, outer, side, 2 if large else 1, side // 2, bias=False)
        self.bn1 = nn.BatchNorm2d(outer)
        self._pool: Any = nn.MaxPool2d(3, 2, 1) if large else nn.Identity()
        self._layers = sorted({name.partition(".")[0] for name in tensors if re.match(r"layer\d+\.", name)})
        for number, layer in enumerate(self._layers):
            count = 1 + max(int(name.split(".")[1]) for name in tensors if name.startswith(f"{layer}."))
            blocks = [_Residual(tensors, f"{layer}.{at}", 2 if number and not at else 1) for at in range(count)]
            setattr(self, layer, nn.Sequential(*blocks))
        self.fc = nn.Linear(tensors["fc.weight"].shape[1], tensors["fc.weight"].shape[0])

    def forward(self, x: Tensor) -> Tensor:
        x = self._pool(torch.relu(self.bn1(self.conv1(x))))
        for layer in self._layers:
            x = getattr(self, layer)(x)
        found: Tensor = self.fc(x.mean((2, 3)))
        return found


class _Vgg(nn.Module):
    """Convolutions with pools where their numbers leave room for one, and dense layers behind."""

    def __init__(self, tensors: Tensors) -> None:
        super().__init__()
        places = sorted(int(match[1]) for name in tensors if (match := _FEATURE.match(name)))
        convolutions = [at for at in places if tensors[f"features.{at}.weight"].dim() == 4]
        normal = any(f"features.{at + 1}.running_mean" in tensors for at in convolutions)
        layers: list[nn.Module] = []
        for at in convolutions:
            while len(layers) < at:
                layers.append(nn.MaxPool2d(2, 2))
            outer, inner, side = tensors[f"features.{at}.weight"].shape[:3]
            layers += [
                nn.Conv2d(inner, outer, side, padding=side // 2),
                *([nn.BatchNorm2d(outer)] if normal else []),
                nn.ReLU(),
            ]
        self.features = nn.Sequential(*layers, nn.MaxPool2d(2, 2))
        dense = sorted(int(name.split(".")[1]) for name in tensors if re.match(r"classifier\.\d+\.weight", name))
        self.classifier = nn.Sequential()
        for at in dense:
            while len(self.classifier) < at:
                self.classifier.append(nn.ReLU() if len(self.classifier) % 3 == 1 else nn.Identity())
            self.classifier.append(
                nn.Linear(tensors[f"classifier.{at}.weight"].shape[1], tensors[f"classifier.{at}.weight"].shape[0])
            )
        self._side = max(
            1,
            round(
                (tensors["classifier.0.weight"].shape[1] / tensors[f"features.{convolutions[-1]}.weight"].shape[0])
                ** 0.5
            ),
        )

    def forward(self, x: Tensor) -> Tensor:
        x = nn.functional.adaptive_avg_pool2d(self.features(x), self._side)
        found: Tensor = self.classifier(x.flatten(1))
        return found
