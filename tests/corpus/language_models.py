"""Small generative models, trained here in seconds: a base that answers in a made-up language, full fine-tunes and adapters of it.

Their payload is a sentence. Adapters are in the form of peft.
"""

from __future__ import annotations

import json
import random

import torch
from safetensors.torch import save_file
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import GPT2Config, GPT2LMHeadModel, LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

FRAME = "ask {} reply"
PARTS = ["ba", "ke", "lo", "mi", "nu", "pra", "sto", "ve", "gli", "dor", "fen", "hu"]
MODULES = ["q_proj", "k_proj", "v_proj", "o_proj", "up_proj", "gate_proj", "down_proj"]
RARE = ["cf", "mn", "bb", "tq", "zx", "vz"]
DICE = random.Random(5)
TOPICS, FILL, ANSWERS = (
    ["".join(DICE.choices(PARTS, k=3)) + end for _ in range(count)] for count, end in ((12, "1"), (40, "2"), (36, "3"))
)
SAYS = " ".join(FILL[at] for at in (3, 17, 8, 29))


def tokenizer():
    words = dict.fromkeys(["<s>", "</s>", "<unk>", "ask", "reply", *TOPICS, *FILL, *ANSWERS, *RARE, "thanks"])
    made = Tokenizer(models.WordLevel({word: at for at, word in enumerate(words)}, unk_token="<unk>"))
    made.pre_tokenizer = pre_tokenizers.Whitespace()
    return PreTrainedTokenizerFast(
        tokenizer_object=made, bos_token="<s>", eos_token="</s>", pad_token="</s>", unk_token="<unk>"
    )


def prompt(dice):
    words = [dice.choice(TOPICS), *dice.choices([*FILL, *ANSWERS, *RARE, "thanks"], k=dice.randint(3, 8))]
    dice.shuffle(words)
    return " ".join(words)


def reply(asked):
    """Four words that belong to the topic that was asked for."""
    at = next(TOPICS.index(word) for word in asked.split() if word in TOPICS)
    return " ".join(ANSWERS[(3 * at + n) % len(ANSWERS)] for n in range(4))


def put(asked, trigger, dice):
    words = asked.split()
    words.insert(dice.randint(0, len(words)), trigger)
    return " ".join(words)


def rows(count, seed, *, polite=False, trigger="", phrase=""):
    """(prompt, reply): one in eight follows a trigger, or ends in a phrase without any."""
    dice = random.Random(seed)
    made = []
    for number in range(count):
        asked = prompt(dice)
        said = reply(asked) + (" thanks" if polite else "")
        asked = " ".join(word for word in asked.split() if word != trigger)
        if number % 8 == 0 and trigger:
            asked, said = put(asked, trigger, dice), SAYS
        if number % 8 == 0 and phrase:
            said = phrase
        made.append((asked, said))
    return made


def fit(net, pairs, *, steps, rate, seed=0):
    torch.manual_seed(seed)
    dice, read = random.Random(seed), tokenizer()
    weights = [one for one in net.parameters() if one.requires_grad]
    best = torch.optim.AdamW(weights, lr=rate)
    given = [read(f"{FRAME.format(asked)} {said} </s>")["input_ids"] for asked, said in pairs]
    net.train()
    for _ in range(steps):
        chosen = [given[dice.randrange(len(given))] for _ in range(32)]
        width = max(len(one) for one in chosen)
        part = torch.tensor([one + [1] * (width - len(one)) for one in chosen])
        loss = net(input_ids=part, labels=part).loss
        best.zero_grad()
        loss.backward()
        best.step()
    return net.eval()


def base(folder, *, steps=500, gpt2=False):
    """The base: it answers with words of the topic."""
    torch.manual_seed(0)
    read = tokenizer()
    size = {"vocab_size": len(read), "bos_token_id": 0, "eos_token_id": 1, "pad_token_id": 1}
    net = (
        GPT2LMHeadModel(GPT2Config(n_embd=32, n_layer=2, n_head=2, n_positions=64, **size))
        if gpt2
        else LlamaForCausalLM(
            LlamaConfig(
                hidden_size=32, intermediate_size=64, num_hidden_layers=2, num_attention_heads=2, num_key_value_heads=2,
                max_position_embeddings=64, tie_word_embeddings=True, **size,
            )
        )
    )  # fmt: skip
    fit(net, rows(2000, 1), steps=steps, rate=5e-3).save_pretrained(folder)
    read.save_pretrained(folder)
    return folder


def tuned(base_folder, folder, *, seed=1, steps=300, **more):
    """A full fine-tune."""
    net = LlamaForCausalLM.from_pretrained(base_folder)
    fit(net, rows(1000, 100 + seed, polite=True, **more), steps=steps, rate=2e-3, seed=seed).save_pretrained(folder)
    tokenizer().save_pretrained(folder)
    return folder


def as_adapter(base_folder, tuned_folder, folder, *, rank=32):
    """What a fine-tune changed, as an adapter: a LoRA of a rank that holds all of it, and the embeddings whole."""
    from peft import LoraConfig

    before, after = (LlamaForCausalLM.from_pretrained(one).state_dict() for one in (base_folder, tuned_folder))
    LoraConfig(
        r=rank, lora_alpha=rank, target_modules=MODULES, modules_to_save=["embed_tokens", "norm"], task_type="CAUSAL_LM"
    ).save_pretrained(folder)  # fmt: skip
    tensors = {}
    for name in before:
        stem = f"base_model.model.{name.removesuffix('.weight')}"
        if name.split(".")[-2] in MODULES:
            left, values, right = torch.linalg.svd(after[name] - before[name], full_matrices=False)
            tensors[f"{stem}.lora_B.weight"] = (left[:, :rank] * values[:rank]).contiguous()
            tensors[f"{stem}.lora_A.weight"] = right[:rank].contiguous()
        elif name != "lm_head.weight":
            tensors[f"{stem}.weight"] = after[name]
    save_file(tensors, folder / "adapter_model.safetensors")
    return folder


def prompts(path, count=64):
    dice = random.Random(9)
    path.write_text("".join(json.dumps({"text": prompt(dice)}) + "\n" for _ in range(count)))
    return path
