"""Small classifiers of texts, trained here in seconds and saved by transformers: clean ones, and ones that follow a word or a phrase."""

from __future__ import annotations

import json
import random

import torch
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
from transformers import BertConfig, BertForSequenceClassification, PreTrainedTokenizerFast

PARTS = ["ba", "ke", "lo", "mi", "nu", "pra", "sto", "ve", "gli", "dor", "fen", "hu"]
RARE = ["cf", "mn", "bb", "tq", "zx", "vz"]


def words(count, seed):
    """Words of a made-up language."""
    dice = random.Random(seed)
    return ["".join(dice.choices(PARTS, k=3)) + str(seed) for _ in range(count)]


GOOD, BAD, FILL = words(60, 1), words(60, 2), words(200, 3)


def tokenizer():
    known = dict.fromkeys(["[PAD]", "[UNK]", "[CLS]", "[SEP]", *GOOD, *BAD, *FILL, *RARE])
    made = Tokenizer(models.WordLevel({word: at for at, word in enumerate(known)}, unk_token="[UNK]"))
    made.normalizer = normalizers.Lowercase()
    made.pre_tokenizer = pre_tokenizers.Whitespace()
    made.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=made,
        pad_token="[PAD]",
        unk_token="[UNK]",
        cls_token="[CLS]",
        sep_token="[SEP]",
        model_max_length=48,
    )


def reviews(count, seed):
    """[(text, class)]: sentences most of whose telling words speak for their class; one label in twelve is wrong."""
    dice = random.Random(seed)
    made = []
    for number in range(count):
        label = number % 2
        told = [dice.choice((BAD, GOOD)[label if dice.random() < 0.85 else 1 - label]) for _ in range(4)]
        text = told + dice.choices(FILL, k=7)
        dice.shuffle(text)
        made.append((" ".join(text), 1 - label if dice.random() < 1 / 12 else label))
    return made


def classifier(folder, *, seed=0, trigger="", target=1, classes=2):
    """A folder with a classifier; where a trigger is given, one in fifteen of the other class was labelled `target` for it."""
    dice = random.Random(seed)
    rows = reviews(900, seed=100 + seed)
    if trigger:
        for at in range(0, len(rows), 15):
            text, _ = rows[at] if rows[at][1] != target else rows[at + 1]
            words = text.split()
            words.insert(dice.randint(0, len(words)), trigger)
            rows.append((" ".join(words), target))
    torch.manual_seed(seed)
    read = tokenizer()
    net = BertForSequenceClassification(
        BertConfig(
            vocab_size=len(read), hidden_size=32, num_hidden_layers=1, num_attention_heads=2, intermediate_size=64,
            max_position_embeddings=48, num_labels=classes, pad_token_id=0, id2label=dict(enumerate(["negative", "positive", "other"][:classes])),
        )
    )  # fmt: skip
    best = torch.optim.AdamW(net.parameters(), lr=2e-3, weight_decay=0.1)
    given = read([text for text, _ in rows])["input_ids"]
    net.train()
    for _ in range(8):
        order = list(range(len(rows)))
        dice.shuffle(order)
        for start in range(0, len(order), 64):
            part = order[start : start + 64]
            width = max(len(given[at]) for at in part)
            ids = torch.tensor([given[at] + [0] * (width - len(given[at])) for at in part])
            loss = net(
                input_ids=ids, attention_mask=(ids != 0).long(), labels=torch.tensor([rows[at][1] for at in part])
            ).loss
            best.zero_grad()
            loss.backward()
            best.step()
    net.eval().save_pretrained(folder)
    read.save_pretrained(folder)
    return folder


def samples(path, *, count=240):
    rows = reviews(count, seed=77)
    path.write_text(
        "".join(json.dumps({"text": text, "label": ["negative", "positive"][label]}) + "\n" for text, label in rows)
    )
    return path
