"""Knows how an adapter is laid over its base to be tested: LoRA with its kinds of scaling, DoRA, IA3, prompt tuning, replaced modules.

Nothing of an adapter is imported: its factors are read by our own reader and put into the weights of the base, as peft does
when it merges. Sources: Hu et al. 2021 (arXiv 2106.09685), rsLoRA (2312.03732), DoRA (2402.09353), IA3 (2205.05638), prompt
tuning (2104.08691); key names of peft 0.17.
"""

from __future__ import annotations

import math
import os
import re
from typing import TYPE_CHECKING, Any, Final

import torch
from msgspec import Struct

from weighbridge.backdoor.hub_models import document
from weighbridge.backdoor.models import digest_of
from weighbridge.backdoor.weights import read_tensors
from weighbridge.schema import Unavailable
from weighbridge.source.blob import FileBlob

if TYPE_CHECKING:
    from torch import Tensor, nn

    from weighbridge.backdoor.weights import Tensors

CONFIG: Final = "adapter_config.json"
_WEIGHTS: Final = "adapter_model.safetensors"
_PICKLED: Final = "adapter_model.bin"
_OUTER: Final = "base_model.model."
_FACTOR: Final = re.compile(
    r"(.+)\.(lora_A|lora_B|lora_embedding_A|lora_embedding_B|lora_magnitude_vector|ia3_l)(?:\.weight)?\Z"
)
_PROMPT: Final = "prompt_embeddings"
_KINDS: Final = ("LORA", "IA3", "PROMPT_TUNING")


class Adapter(Struct, frozen=True, kw_only=True):
    """An adapter as it was read: its kind, what its configuration says, its tensors, and the SHA-256 of them."""

    kind: str
    config: dict[str, Any]
    tensors: dict[str, Any]
    digest: str

    @property
    def about(self) -> str:
        """What it is, in words."""
        rank = f" of rank {self.config.get('r')}" if self.kind == "LORA" else ""
        return f"{'DoRA' if self.config.get('use_dora') else _SPOKEN[self.kind]}{rank}"


_SPOKEN: Final = {"LORA": "LoRA", "IA3": "IA3", "PROMPT_TUNING": "prompt tuning"}


class Factors(Struct, frozen=True, kw_only=True):
    """What an adapter holds for one module of the base."""

    down: Any = None
    up: Any = None
    magnitude: Any = None
    scales: Any = None


def is_adapter(path: str) -> bool:
    """Whether a folder holds an adapter instead of a model."""
    return os.path.isfile(os.path.join(path, CONFIG))


def read_adapter(path: str) -> Adapter:
    """An adapter from its folder. Raises Unavailable with what is missing, or what kind cannot be tested."""
    config = document(os.path.join(path, CONFIG)) or {}
    kind = str(config.get("peft_type", "")).upper()
    if kind not in _KINDS:
        raise Unavailable(
            f"it is an adapter of the kind {kind or 'unknown'}", hint="merge it into its base, and test that"
        )
    weights = os.path.join(path, _WEIGHTS)
    if not os.path.isfile(weights):
        pickled = os.path.isfile(os.path.join(path, _PICKLED))
        raise Unavailable(
            "its weights are a pickle, which is not loaded" if pickled else f"the folder has no {_WEIGHTS}",
            hint="weighbridge convert makes safetensors of it" if pickled else "is it complete?",
        )
    blob = FileBlob(weights)
    try:
        return Adapter(kind=kind, config=config, tensors=read_tensors(blob), digest=digest_of(blob))
    finally:
        blob.close()


def factors(tensors: Tensors) -> tuple[dict[str, Factors], Tensors]:
    """(factors by the module they belong to, tensors that are none)."""
    found: dict[str, dict[str, Tensor]] = {}
    others: Tensors = {}
    names = {
        "lora_A": "down", "lora_embedding_A": "down", "lora_B": "up", "lora_embedding_B": "up", "lora_magnitude_vector": "magnitude",
        "ia3_l": "scales",
    }  # fmt: skip
    for name, tensor in tensors.items():
        match = _FACTOR.match(name.removeprefix(_OUTER))
        if match is None:
            others[name.removeprefix(_OUTER)] = tensor
        else:
            found.setdefault(match[1], {})[names[match[2]]] = tensor.float()
    return {name: Factors(**parts) for name, parts in found.items()}, others


def scale_of(config: dict[str, Any], module: str, rank: int) -> float:
    """What the product of the factors of a module is multiplied with. Raises Unavailable where that is no number."""
    alpha = _matching(config.get("alpha_pattern"), module, config.get("lora_alpha", rank))
    if not isinstance(alpha, (int, float)) or not math.isfinite(alpha):
        raise Unavailable("its lora_alpha is no number", hint="weighbridge scan says more")
    return float(alpha) / (math.sqrt(rank) if config.get("use_rslora") else rank)


def _matching(patterns: object, module: str, otherwise: object) -> object:
    """The value of the first name that a module ends with; patterns are taken as names, not run as expressions."""
    if isinstance(patterns, dict):
        for name, value in patterns.items():
            if module == name or module.endswith(f".{name}"):
                return value
    return otherwise


def laid_over(net: nn.Module, adapter: Adapter) -> Tensor | None:
    """Put an adapter into the weights of its base; prompt tuning gives the vectors that stand before every prompt instead.

    Raises Unavailable where a part of it has no place in the base.
    """
    parts, others = factors(adapter.tensors)
    if adapter.kind == "PROMPT_TUNING":
        found = others.get(_PROMPT)
        if found is None or found.dim() != 2:
            raise Unavailable("it holds no vectors to put before a prompt", hint="is it complete?")
        return found.float()
    modules = dict(net.named_modules())
    for name, one in parts.items():
        module = modules.get(name)
        if module is None or not hasattr(module, "weight"):
            raise Unavailable(f"its base has no {name}", hint="is this the base it was made for?")
        with torch.no_grad():
            _put(module, name, one, adapter.config)
    _replace(net, others)
    return None


def _put(module: Any, name: str, one: Factors, config: dict[str, Any]) -> None:
    weight = module.weight.data
    # Conv1D of GPT-2 keeps inputs first; embeddings keep one row a token, and their factors are laid the other way round.
    turned = type(module).__name__ == "Conv1D"
    rows = weight.T if turned else weight
    try:
        if one.scales is not None:
            scales = one.scales.flatten()
            feedforward = any(name.endswith(str(end)) for end in config.get("feedforward_modules") or ())
            rows.mul_(scales if feedforward else scales[:, None])
            if not feedforward and getattr(module, "bias", None) is not None:
                module.bias.data.mul_(scales)
            return
        if one.down is None or one.up is None:
            raise Unavailable(f"a factor of {name} is missing", hint="is it complete?")
        delta = one.up @ one.down * scale_of(config, name, one.down.shape[0])
        delta = delta.T if type(module).__name__ == "Embedding" else delta
        if delta.shape != rows.shape:
            raise Unavailable(
                f"{name} is {tuple(rows.shape)} in the base, and the adapter has {tuple(delta.shape)}",
                hint="is this the base it was made for?",
            )
        rows.add_(delta.to(rows.dtype))
        if one.magnitude is not None:
            rows.mul_((one.magnitude.flatten() / rows.norm(dim=1))[:, None])
    except RuntimeError as error:
        raise Unavailable(
            f"{name} does not fit its base: {str(error).splitlines()[0][:160]}",
            hint="is this the base it was made for?",
        ) from error


def _replace(net: nn.Module, others: Tensors) -> None:
    """Modules that an adapter brings whole."""
    known = dict(net.named_parameters())
    for name, tensor in others.items():
        place = known.get(name.replace(".modules_to_save.default", "").replace(".base_layer", ""))
        if place is None or place.shape != tensor.shape:
            raise Unavailable(f"its base has no {name} of this shape", hint="is this the base it was made for?")
        with torch.no_grad():
            place.copy_(tensor.to(place.dtype))
