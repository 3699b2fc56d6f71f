"""Knows vision transformers by the names and shapes of their tensors, as torchvision and timm name them.

Sources: Dosovitskiy et al. 2020 (arXiv 2010.11929), torchvision 0.25 and timm 1.0 for names. How many heads attend no tensor tells:
it is that of the published sizes, by their width.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

import torch
from torch import Tensor, nn

from weighbridge.schema import Unavailable

if TYPE_CHECKING:
    from weighbridge.backdoor.weights import Tensors

_HEADS: Final = {192: 3, 384: 6, 768: 12, 1024: 16, 1280: 16}
_NORMAL: Final = 1e-6
_OURS: Final = (
    # timm's names, and torchvision's, as what they are called here
    (r"cls_token\Z|class_token\Z", "token"),
    (r"pos_embed\Z|encoder\.pos_embedding\Z", "places"),
    (r"patch_embed\.proj\.|conv_proj\.", "patches."),
    (r"blocks\.(\d+)\.|encoder\.layers\.encoder_layer_(\d+)\.", "blocks.{}."),
    (r"(?:head|heads\.head)\.", "head."),
    (r"(?:norm|encoder\.ln)\.", "normal."),
)
_INSIDE: Final = (
    (r"\Anorm1\.|\Aln_1\.", "first."),
    (r"\Anorm2\.|\Aln_2\.", "second."),
    (r"\Aattn\.qkv\.(\w+)\Z|\Aself_attention\.in_proj_(\w+)\Z", "all.{}"),
    (r"\Aattn\.proj\.|\Aself_attention\.out_proj\.", "out."),
    (r"\Amlp\.fc1\.|\Amlp\.0\.|\Amlp\.linear_1\.", "wide."),
    (r"\Amlp\.fc2\.|\Amlp\.3\.|\Amlp\.linear_2\.", "narrow."),
)


def is_vision_transformer(tensors: Tensors) -> bool:
    """Whether tensors have the names of one."""
    return {"cls_token", "patch_embed.proj.weight"} <= tensors.keys() or {
        "class_token",
        "conv_proj.weight",
    } <= tensors.keys()


class VisionTransformer(nn.Module):
    """The network in the widths of its tensors; `side` is that of its images. Raises Unavailable where a tensor has no place in it."""

    def __init__(self, tensors: Tensors) -> None:
        super().__init__()
        named = renamed(tensors)
        outer, inner, patch = named["patches.weight"].shape[:3]
        self.about = f"vision transformer, width {outer}"
        self.side = patch * round((named["places"].shape[1] - 1) ** 0.5)
        self.patches = nn.Conv2d(inner, outer, patch, patch, bias="patches.bias" in named)
        self.token = nn.Parameter(torch.zeros(1, 1, outer))
        self.places = nn.Parameter(torch.zeros(named["places"].shape))
        count = 1 + max(int(name.split(".")[1]) for name in named if name.startswith("blocks."))
        heads = _HEADS.get(outer, max(1, outer // 64))
        self.blocks = nn.Sequential(
            *(_Block(outer, named[f"blocks.{at}.wide.weight"].shape[0], heads) for at in range(count))
        )
        self.normal = nn.LayerNorm(outer, eps=_NORMAL)
        self.head = nn.Linear(named["head.weight"].shape[1], named["head.weight"].shape[0])

    def forward(self, x: Tensor) -> Tensor:
        """Scores by class (n, classes) of images (n, channels, side, side)."""
        x = self.patches(x).flatten(2).transpose(1, 2)
        x = torch.cat([self.token.expand(len(x), -1, -1), x], 1) + self.places
        found: Tensor = self.head(self.normal(self.blocks(x))[:, 0])
        return found


class _Block(nn.Module):
    """Attention and two dense layers, each normalised first and added to what came in."""

    def __init__(self, width: int, wide: int, heads: int) -> None:
        super().__init__()
        self._heads = heads
        self.first, self.second = nn.LayerNorm(width, eps=_NORMAL), nn.LayerNorm(width, eps=_NORMAL)
        self.all, self.out = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.wide, self.narrow = nn.Linear(width, wide), nn.Linear(wide, width)

    def forward(self, x: Tensor) -> Tensor:
        many, long, width = x.shape
        parts = self.all(self.first(x)).reshape(many, long, 3, self._heads, width // self._heads).permute(2, 0, 3, 1, 4)
        seen = nn.functional.scaled_dot_product_attention(parts[0], parts[1], parts[2])
        x = x + self.out(seen.transpose(1, 2).reshape(many, long, width))
        found: Tensor = x + self.narrow(nn.functional.gelu(self.wide(self.second(x))))
        return found


def renamed(tensors: Tensors) -> Tensors:
    """Tensors by the names that they have in `VisionTransformer`. Raises Unavailable for one that has none."""
    return {_name(name): one for name, one in tensors.items()}


def _name(name: str) -> str:
    for pattern, ours in _OURS:
        match = re.match(pattern, name)
        if match is None:
            continue
        rest = name[match.end() :]
        if ours != "blocks.{}.":
            return ours + rest
        inside = _inside(rest)
        if inside:
            return ours.format(next(filter(None, match.groups()))) + inside
    raise Unavailable(
        f"the tensor {name[:80]} has no place in a vision transformer as published", hint="export it as ONNX"
    )


def _inside(rest: str) -> str:
    for pattern, ours in _INSIDE:
        match = re.match(pattern, rest)
        if match is not None:
            return ours.format(next(filter(None, match.groups()), "")) + rest[match.end() :]
    return ""
