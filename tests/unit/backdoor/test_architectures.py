"""Nets from safetensors alone: by the names and shapes of their tensors, and refused where these leave something open."""

import pytest

torch = pytest.importorskip("torch")
from safetensors.torch import save  # noqa: E402

from weighbridge.backdoor.architectures import open_weights  # noqa: E402
from weighbridge.backdoor.vision_transformers import renamed  # noqa: E402
from weighbridge.schema import Unavailable  # noqa: E402
from weighbridge.source import BytesBlob  # noqa: E402

V2 = ((1, 16, 1), (6, 24, 2), (6, 32, 3), (6, 64, 4), (6, 96, 3), (6, 160, 3), (6, 320, 1))


def blob(state):
    return BytesBlob(save({name: tensor.contiguous() for name, tensor in state.items()}))


def normal(at, count):
    return {
        f"{at}.weight": torch.rand(count) + 0.5, f"{at}.bias": torch.rand(count), f"{at}.running_mean": torch.rand(count),
        f"{at}.running_var": torch.rand(count) + 0.5, f"{at}.num_batches_tracked": torch.tensor(1),
    }  # fmt: skip


def unit(at, outer, inner, side):
    return {f"{at}.0.weight": torch.randn(outer, inner, side, side) / (inner * side * side) ** 0.5} | normal(
        f"{at}.1", outer
    )


def mobile_v2(blocks=V2, classes=6):
    """The tensors of a MobileNet V2, a quarter as wide as published."""
    made, at, came = unit("features.0", 8, 3, 3), 1, 8
    for times, width, count in blocks:
        for _ in range(count):
            wide, goes, name = came * times, width // 4, f"features.{at}.conv"
            parts = (
                unit(f"{name}.0", wide, came, 1) | unit(f"{name}.1", wide, 1, 3)
                if times > 1
                else unit(f"{name}.0", wide, 1, 3)
            )
            last = 2 if times > 1 else 1
            parts |= {f"{name}.{last}.weight": torch.randn(goes, wide, 1, 1) / wide**0.5} | normal(
                f"{name}.{last + 1}", goes
            )
            made, at, came = made | parts, at + 1, goes
    made |= unit(f"features.{at}", 64, came, 1)
    return made | {"classifier.1.weight": torch.randn(classes, 64), "classifier.1.bias": torch.randn(classes)}


def transformer(layers=2, classes=5):
    """A vision transformer of the library transformers, and its tensors under the names of timm and of torchvision."""
    from transformers.models.vit.configuration_vit import ViTConfig
    from transformers.models.vit.modeling_vit import ViTForImageClassification

    config = ViTConfig(
        hidden_size=192, num_hidden_layers=layers, num_attention_heads=3, intermediate_size=96, image_size=16, patch_size=4,
        num_labels=classes, layer_norm_eps=1e-6,
    )  # fmt: skip
    torch.manual_seed(0)
    net = ViTForImageClassification(config).eval()
    with torch.no_grad():
        for tensor in net.parameters():
            tensor.add_(torch.randn_like(tensor) * 0.05)
    return net


def timm_names(net):
    state, made = net.state_dict(), {}
    attention = sorted({name.rpartition(".")[0] for name in state if name.endswith(("query.weight", "q_proj.weight"))})
    assert len(attention) == 2
    for name, tensor in state.items():
        for ours, theirs in (
            (("cls_token",), "cls_token"), (("position_embeddings",), "pos_embed"), (("patch_embeddings.projection.",), "patch_embed.proj."),
            (("vit.layernorm.",), "norm."), (("classifier.",), "head."),
        ):  # fmt: skip
            found = next((one for one in ours if one in name), "")
            if found:
                made[theirs + (name.partition(found)[2] if theirs.endswith(".") else "")] = tensor
    for at, place in enumerate(attention):
        stem = place.rpartition("attention")[0] + "attention" if "attention" in place else place
        inside = [name for name in state if name.startswith(stem.partition("attention")[0])]
        for kind in ("weight", "bias"):
            parts = [next(n for n in inside if n.endswith(f"{q}.{kind}")) for q in _qkv(inside)]
            made[f"blocks.{at}.attn.qkv.{kind}"] = torch.cat([state[one] for one in parts])
            for names, theirs in (
                (("layernorm_before",), "norm1"), (("layernorm_after",), "norm2"), (("attention.output.dense", "attention.o_proj"), "attn.proj"),
                (("intermediate.dense", "mlp.fc1"), "mlp.fc1"), ((f"layer.{at}.output.dense", "mlp.fc2"), "mlp.fc2"),
            ):  # fmt: skip
                made[f"blocks.{at}.{theirs}.{kind}"] = next(
                    state[n] for n in inside if n.endswith(f".{kind}") and any(one in n for one in names)
                )
    return made


def _qkv(names):
    return ("query", "key", "value") if any("query" in name for name in names) else ("q_proj", "k_proj", "v_proj")


def torchvision_names(state):
    made = {}
    for name, tensor in state.items():
        ours = name
        for one, other in (
            ("cls_token", "class_token"), ("pos_embed", "encoder.pos_embedding"), ("patch_embed.proj", "conv_proj"), ("attn.qkv.", "self_attention.in_proj_"),
            ("attn.proj", "self_attention.out_proj"), ("norm1", "ln_1"), ("norm2", "ln_2"), ("mlp.fc1", "mlp.0"), ("mlp.fc2", "mlp.3"), ("blocks.", "encoder.layers.encoder_layer_"),
        ):  # fmt: skip
            ours = ours.replace(one, other)
        ours = "encoder.ln." + ours[5:] if ours.startswith("norm.") else ours
        made["heads." + ours if ours.startswith("head.") else ours] = tensor
    return made


@pytest.mark.parametrize("names", [timm_names, lambda net: torchvision_names(timm_names(net))])
def test_a_vision_transformer_says_what_its_library_says(names):
    theirs = transformer()
    net, shape, about = open_weights(blob(names(theirs)))
    x = torch.randn(3, 3, 16, 16)
    with torch.no_grad():
        assert torch.allclose(net.eval()(x), theirs(x).logits, atol=1e-4)
    assert shape == (3, 16, 16)
    assert about == "vision transformer, width 192"


def test_a_mobile_net_is_built_with_its_strides_and_can_be_searched():
    torch.manual_seed(0)
    net, shape, about = open_weights(blob(mobile_v2()))
    assert (shape, about) == ((3, 224, 224), "MobileNet V2")
    x = torch.randn(2, 3, 64, 64, requires_grad=True)
    features = net.eval().features(x)
    assert features.shape == (2, 64, 2, 2)
    net(x).sum().backward()
    assert float(x.grad.abs().max()) > 0


def test_a_wrapper_around_the_names_is_looked_through():
    _, _, about = open_weights(blob({f"model.{name}": tensor for name, tensor in mobile_v2().items()}))
    assert about == "MobileNet V2"


def test_a_mobile_net_of_other_blocks_is_not_guessed():
    with pytest.raises(Unavailable, match="a MobileNet of 6 blocks: its strides are not known"):
        open_weights(blob(mobile_v2(((1, 16, 1), (6, 24, 2), (6, 32, 3)))))


def test_a_tensor_without_a_place_is_no_such_transformer():
    with pytest.raises(Unavailable, match="dist_token has no place in a vision transformer"):
        renamed({"dist_token": torch.zeros(1)})
    with pytest.raises(Unavailable, match="ls1"):
        renamed({"blocks.0.ls1.gamma": torch.zeros(1)})


def test_a_shape_that_does_not_fit_is_told():
    state = mobile_v2()
    state["features.18.1.running_mean"] = torch.zeros(3)
    with pytest.raises(Unavailable, match="do not fit MobileNet V2"):
        open_weights(blob(state))


@pytest.mark.parametrize(
    "odd",
    [
        {"features.0.0.weight": torch.zeros(4, 3, 3, 3), "features.1.conv.0.0.weight": torch.zeros(4, 1, 3, 3), "features.x.weight": torch.zeros(1)},
        {"features.0.weight": torch.zeros(4, 3, 3, 3), "classifier.0.weight": torch.zeros(2, 4), "features.999999999.weight": torch.zeros(4, 4, 3, 3)},
        {"cls_token": torch.zeros(1), "patch_embed.proj.weight": torch.zeros(4), "pos_embed": torch.zeros(1)},
        {"conv1.weight": torch.zeros(1), "layer1.0.conv1.weight": torch.zeros(1), "fc.weight": torch.zeros(1)},
    ],
)  # fmt: skip
def test_odd_names_and_shapes_are_told_in_a_sentence(odd):
    with pytest.raises(Unavailable):
        open_weights(blob(odd))
