"""How adapters are laid over their base: as peft lays them, kind by kind."""

import json
import warnings

import pytest
import torch
from peft import IA3Config, LoraConfig, PrefixTuningConfig, PromptTuningConfig, get_peft_model
from safetensors.torch import load_file, save_file

from tests.corpus import language_models
from weighbridge.backdoor.adapters import factors, laid_over, read_adapter, scale_of
from weighbridge.backdoor.language_models import LanguageModel, open_language_folder
from weighbridge.schema import Unavailable

IDS = torch.tensor([[3, 9, 21, 14, 30, 4]])
LLAMA = ["q_proj", "v_proj", "down_proj"]


@pytest.fixture(scope="module")
def bases(tmp_path_factory):
    folder = tmp_path_factory.mktemp("bases")
    return {
        "llama": language_models.base(folder / "llama", steps=2),
        "gpt2": language_models.base(folder / "gpt2", steps=2, gpt2=True),
    }


def saved(base, config, folder):
    """An adapter with random weights, saved by peft, and what peft says with it."""
    torch.manual_seed(3)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        net = get_peft_model(open_language_folder(str(base)).net, config)
    for name, weight in net.named_parameters():
        if any(part in name for part in ("lora_", "ia3_", "prompt", "modules_to_save")):
            weight.data += torch.randn_like(weight) * 0.3
    net.save_pretrained(folder)
    with torch.no_grad():
        return net.eval()(input_ids=IDS).logits


def told(base, folder):
    """What we say with it."""
    opened = open_language_folder(str(base))
    soft = laid_over(opened.net, read_adapter(str(folder)))
    model = LanguageModel(opened.net, opened.tokenizer, about="", digest="", soft=soft)
    return next(model.ends([IDS[0].tolist()]))[1]


@pytest.mark.parametrize(
    ("base", "config"),
    [
        ("llama", LoraConfig(r=4, lora_alpha=8, target_modules=LLAMA, task_type="CAUSAL_LM")),
        ("llama", LoraConfig(r=4, lora_alpha=8, target_modules=LLAMA, use_rslora=True, task_type="CAUSAL_LM")),
        ("llama", LoraConfig(r=4, lora_alpha=8, target_modules=LLAMA, use_dora=True, task_type="CAUSAL_LM")),
        (
            "llama",
            LoraConfig(
                r=4, lora_alpha=8, target_modules=LLAMA, rank_pattern={"q_proj": 2}, alpha_pattern={"v_proj": 3}, task_type="CAUSAL_LM"
            ),
        ),
        ("llama", LoraConfig(r=4, target_modules=["q_proj"], modules_to_save=["norm"], task_type="CAUSAL_LM")),
        ("gpt2", LoraConfig(r=4, lora_alpha=8, target_modules=["c_attn", "c_fc"], fan_in_fan_out=True, task_type="CAUSAL_LM")),
        ("llama", IA3Config(target_modules=["k_proj", "v_proj", "down_proj"], feedforward_modules=["down_proj"], task_type="CAUSAL_LM")),
        ("gpt2", IA3Config(target_modules=["c_attn", "mlp.c_proj"], feedforward_modules=["mlp.c_proj"], task_type="CAUSAL_LM")),
        ("llama", PromptTuningConfig(num_virtual_tokens=5, task_type="CAUSAL_LM")),
    ],
    ids=["lora", "rslora", "dora", "patterns", "saved modules", "conv1d", "ia3", "ia3 conv1d", "prompt tuning"],
)  # fmt: skip
def test_an_adapter_says_what_peft_says_with_it(bases, tmp_path, base, config):
    expected = torch.log_softmax(saved(bases[base], config, tmp_path)[:, -1], 1)
    assert torch.allclose(told(bases[base], tmp_path), expected, atol=1e-4)


def test_other_kinds_are_named(bases, tmp_path):
    saved(bases["llama"], PrefixTuningConfig(num_virtual_tokens=3, task_type="CAUSAL_LM"), tmp_path)
    with pytest.raises(Unavailable, match="PREFIX_TUNING"):
        read_adapter(str(tmp_path))


def test_a_pickle_is_not_loaded(bases, tmp_path):
    saved(bases["llama"], LoraConfig(r=2, target_modules=["q_proj"], task_type="CAUSAL_LM"), tmp_path)
    (tmp_path / "adapter_model.safetensors").rename(tmp_path / "adapter_model.bin")
    with pytest.raises(Unavailable, match="pickle, which is not loaded"):
        read_adapter(str(tmp_path))


def damaged(folder, change):
    path = folder / "adapter_model.safetensors"
    tensors = load_file(path)
    change(tensors)
    save_file(tensors, path)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda t: t.update({"base_model.model.model.layers.9.self_attn.q_proj.lora_A.weight": torch.ones(2, 32)}), "has no model.layers.9"),
        (lambda t: t.pop(next(name for name in t if "lora_B" in name)), "a factor of"),
        (lambda t: t.update({name: torch.ones(2, 7) for name in list(t) if "lora_A" in name}), "in the base, and the adapter has"),
        (lambda t: t.update({name: torch.ones(5) for name in list(t) if "lora_A" in name}), "does not fit its base"),
        (lambda t: t.update({"base_model.model.model.nothing.weight": torch.ones(2, 2)}), "has no model.nothing.weight"),
    ],
)  # fmt: skip
def test_what_does_not_fit_the_base_is_said(bases, tmp_path, change, said):
    saved(bases["llama"], LoraConfig(r=2, target_modules=["q_proj"], task_type="CAUSAL_LM"), tmp_path)
    damaged(tmp_path, change)
    with pytest.raises(Unavailable, match=said):
        told(bases["llama"], tmp_path)


def test_vectors_of_another_width_are_refused(bases, tmp_path):
    saved(bases["llama"], PromptTuningConfig(num_virtual_tokens=2, task_type="CAUSAL_LM"), tmp_path)
    damaged(tmp_path, lambda t: t.update({"prompt_embeddings": torch.ones(2, 9)}))
    with pytest.raises(Unavailable, match="9 numbers"):
        told(bases["llama"], tmp_path)


@pytest.mark.parametrize("alpha", ["much", None, float("nan"), [1]])
def test_an_alpha_that_is_no_number_is_refused(alpha):
    with pytest.raises(Unavailable, match="lora_alpha"):
        scale_of({"lora_alpha": alpha}, "q_proj", 4)


def test_names_of_patterns_are_not_run_as_expressions():
    config = {"lora_alpha": 8, "alpha_pattern": {"(a+)+$": 99, "q_proj": 2}}
    assert scale_of(config, "model.layers.0.self_attn.q_proj", 2) == 1
    assert scale_of(config, "aaaaaaaaaaaaaaaaaaaaaaaaaaaa!", 2) == 4


def test_factors_are_told_from_other_tensors():
    parts, others = factors(
        {"base_model.model.a.lora_A.weight": torch.ones(2, 3), "base_model.model.b.weight": torch.ones(1)}
    )
    assert parts["a"].down is not None
    assert list(others) == ["b.weight"]


def test_an_unreadable_configuration_is_said(tmp_path):
    (tmp_path / "adapter_config.json").write_text(json.dumps([1]))
    with pytest.raises(Unavailable, match="kind unknown"):
        read_adapter(str(tmp_path))
