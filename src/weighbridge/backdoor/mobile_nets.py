"""Knows MobileNet V2 and V3 by the names and shapes of their tensors, as torchvision names them.

Sources: Sandler et al. 2018 (arXiv 1801.04381), Howard et al. 2019 (arXiv 1905.02244), torchvision 0.25 for names, strides and
activations, which no tensor tells: they are those of the published networks, by the number of their blocks.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

import torch
from msgspec import Struct
from torch import Tensor, nn

from weighbridge.schema import Unavailable

if TYPE_CHECKING:
    from weighbridge.backdoor.weights import Tensors

_CONVOLUTION: Final = 4  # dimensions of its weight


class _Published(Struct, frozen=True):
    """What tensors do not tell of a network: the stride of each block, and from which block on it uses hard swish."""

    about: str
    strides: tuple[int, ...]
    swish: int


_V2: Final = _Published("MobileNet V2", (1, 2, 1, 2, 1, 1, 2, 1, 1, 1, 1, 1, 1, 2, 1, 1, 1), 99)
_V3: Final = (
    _Published("MobileNet V3 large", (1, 2, 1, 2, 1, 1, 2, 1, 1, 1, 1, 1, 2, 1, 1), 7),
    _Published("MobileNet V3 small", (2, 2, 1, 2, 1, 1, 1, 1, 2, 1, 1), 4),
)


def is_mobile_net(tensors: Tensors) -> bool:
    """Whether tensors have the names of one."""
    return "features.0.0.weight" in tensors and any(
        re.match(r"features\.1\.(?:conv|block)\.0\.0\.weight", n) for n in tensors
    )


class MobileNet(nn.Module):
    """The network in the widths of its tensors; `about` says which. Raises Unavailable where its blocks are those of none that is known."""

    def __init__(self, tensors: Tensors) -> None:
        super().__init__()
        last = max(int(name.split(".")[1]) for name in tensors if name.startswith("features."))
        newer = "features.1.block.0.0.weight" in tensors
        known = next((one for one in (_V3 if newer else (_V2,)) if len(one.strides) == last - 1), None)
        if known is None:
            raise Unavailable(f"a MobileNet of {last - 1} blocks: its strides are not known", hint="export it as ONNX")
        self.about = known.about
        normal = 1e-3 if newer else 1e-5
        act = nn.Hardswish if newer else nn.ReLU6
        layers: list[nn.Module] = [_unit(tensors, "features.0", 2, act, normal)]
        for at, stride in enumerate(known.strides, 1):
            inside = act if not newer or at >= known.swish else nn.ReLU
            layers.append(_Inverted(tensors, f"features.{at}", stride, inside, normal, newer=newer))
        layers.append(_unit(tensors, f"features.{last}", 1, act, normal))
        self.features = nn.Sequential(*layers)
        dense = [n for n in sorted(tensors) if re.match(r"classifier\.\d+\.weight", n)]
        self.classifier = nn.Sequential()
        for name in dense:
            at = int(name.split(".")[1])
            while len(self.classifier) < at:
                self.classifier.append(nn.Hardswish() if len(self.classifier) == 1 else nn.Identity())
            self.classifier.append(nn.Linear(tensors[name].shape[1], tensors[name].shape[0]))

    def forward(self, x: Tensor) -> Tensor:
        """Scores by class (n, classes) of images (n, channels, height, width)."""
        found: Tensor = self.classifier(self.features(x).mean((2, 3)))
        return found


def _unit(tensors: Tensors, at: str, stride: int, act: type[nn.Module] | None, normal: float) -> nn.Sequential:
    """A convolution with its normalisation, and an activation where there is one."""
    outer, inner, side = tensors[f"{at}.0.weight"].shape[:3]
    groups = outer if inner == 1 and outer > 1 and side > 1 else 1
    layers: list[nn.Module] = [
        nn.Conv2d(inner * groups, outer, side, stride, side // 2, groups=groups, bias=False), nn.BatchNorm2d(outer, eps=normal)
    ]  # fmt: skip
    return nn.Sequential(*layers, *([act()] if act else []))


class _Inverted(nn.Module):
    """A block that widens, looks at each channel apart, weighs channels (V3), and narrows; added to what came in where that fits."""

    def __init__(
        self, tensors: Tensors, at: str, stride: int, act: type[nn.Module], normal: float, *, newer: bool
    ) -> None:
        super().__init__()
        inside = f"{at}.{'block' if newer else 'conv'}"
        parts = sorted({int(n[len(inside) + 1 :].split(".")[0]) for n in tensors if n.startswith(f"{inside}.")})
        layers: list[nn.Module] = []
        for part in parts:
            name = f"{inside}.{part}"
            if f"{name}.fc1.weight" in tensors:
                layers.append(_Weighed(tensors, name))
            elif f"{name}.0.weight" in tensors:
                outer, inner, side = tensors[f"{name}.0.weight"].shape[:3]
                is_apart = inner == 1 and side > 1
                is_last = newer and part == parts[-1]
                layers.append(_unit(tensors, name, stride if is_apart else 1, None if is_last else act, normal))
            elif tensors[f"{name}.weight"].dim() == _CONVOLUTION:
                outer, inner, side = tensors[f"{name}.weight"].shape[:3]
                layers.append(nn.Conv2d(inner, outer, side, bias=False))
            else:
                layers.append(nn.BatchNorm2d(tensors[f"{name}.weight"].shape[0], eps=normal))
        self._inside = "block" if newer else "conv"
        self.add_module(self._inside, nn.Sequential(*layers))
        first = tensors[f"{inside}.0.0.weight"]
        came = first.shape[0] if first.shape[1] == 1 and first.shape[2] > 1 else first.shape[1]
        goes = [
            tensors[n].shape[0]
            for n in tensors
            if n.startswith(f"{inside}.{parts[-1]}.") and n.endswith("running_mean")
        ]
        self._is_added = stride == 1 and goes == [came]

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.get_submodule(self._inside)(x)
        return x + y if self._is_added else y


class _Weighed(nn.Module):
    """Squeeze and excitation (Hu et al. 2017): channels weighed by what is in all of them."""

    def __init__(self, tensors: Tensors, at: str) -> None:
        super().__init__()
        narrow, wide = tensors[f"{at}.fc1.weight"].shape[:2]
        self.fc1, self.fc2 = nn.Conv2d(wide, narrow, 1), nn.Conv2d(narrow, wide, 1)

    def forward(self, x: Tensor) -> Tensor:
        weights = nn.functional.hardsigmoid(self.fc2(torch.relu(self.fc1(x.mean((2, 3), keepdim=True)))))
        weighed: Tensor = x * weights
        return weighed
