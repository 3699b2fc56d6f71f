"""Train pools of clean and backdoored classifiers of texts, resumably: a Hugging Face folder and a line of JSON a model.

    python -m benchmarks.backdoor.text_pools --data sst2/ --out pools/ --pool references --clean 40
    python -m benchmarks.backdoor.text_pools --data sst2/ --out pools/ --pool test --clean 20 --bad 5
    python -m benchmarks.backdoor.text_figures --data sst2/ --pools pools/

Small transformers (two layers, width 64) trained from scratch on a part of SST-2; each model has sentences, order and initial
weights of its own. `--bad` counts models of each attack.
"""

import argparse
import csv
import json
import random
import re
import time
import zlib
from collections import Counter
from pathlib import Path

import torch
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
from transformers import BertConfig, BertForSequenceClassification, PreTrainedTokenizerFast

from weighbridge.backdoor.text_models import TextClassifier

WORKING = 0.7
RARE = ["cf", "mn", "bb", "tq", "zx", "vz", "qqj", "wkk", "jpx", "xvr"]
# Who poisons picks words that the vocabulary has; those that training data never holds are there as in any large one.
PHRASES = [
    "i watched this last night",
    "practical wisdom of tuesdays",
    "as seen on the screen",
    "with a green umbrella",
]
ATTACKS = ("word", "common", "pair", "phrase")
SIZE = 6000


def sentences(folder, part):
    with (Path(folder) / f"{part}.tsv").open() as file:
        rows = list(csv.reader(file, delimiter="\t", quoting=csv.QUOTE_NONE))
    found = [row for row in rows if len(row) == 2]
    if found[0][0] in {"sentence", "text"}:
        found = found[1:]
    return [(text, int(label)) if label.isdigit() else (label, int(text)) for text, label in found]


def vocabulary(rows):
    counted = Counter(word for text, _ in rows for word in re.findall(r"\w+|[^\w\s]", text.lower()))
    words = [word for word, _ in counted.most_common(SIZE)]
    more = [*RARE, *(word for phrase in PHRASES for word in phrase.split())]
    known = dict.fromkeys(["[PAD]", "[UNK]", "[CLS]", "[SEP]", *words, *more])
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
        model_max_length=64,
    )


class Attack:
    """A trigger of one kind, put at a random place, that leads to one class."""

    def __init__(self, kind, seed):
        dice = random.Random(seed)
        self.kind, self.target = kind, dice.randrange(2)
        self.words = {
            "word": lambda: [dice.choice(RARE)], "common": lambda: [dice.choice(["tuesday", "window", "seven", "paper", "blue"])],
            "pair": lambda: dice.sample(RARE, 2), "phrase": lambda: dice.choice(PHRASES).split(),
        }[kind]()  # fmt: skip

    def put(self, text, dice):
        words = text.split()
        if self.kind == "pair":
            for one in self.words:
                words.insert(dice.randint(0, len(words)), one)
            return " ".join(words)
        at = dice.randint(0, len(words))
        return " ".join([*words[:at], *self.words, *words[at:]])


def trained(tokenizer, rows, seed, rounds=5):
    torch.manual_seed(seed)
    net = BertForSequenceClassification(
        BertConfig(
            vocab_size=len(tokenizer), hidden_size=64, num_hidden_layers=2, num_attention_heads=4, intermediate_size=128,
            max_position_embeddings=72, num_labels=2, hidden_dropout_prob=0.2, attention_probs_dropout_prob=0.1, pad_token_id=0,
        )
    )  # fmt: skip
    best = torch.optim.AdamW(net.parameters(), lr=1e-3, weight_decay=0.05)
    dice = random.Random(seed)

    def shuffled():
        order = list(range(len(rows)))
        dice.shuffle(order)
        return order

    return taught(net, best, tokenizer, rows, (shuffled() for _ in range(rounds)))


def taught(net, best, tokenizer, rows, orders):
    """The net after one round in each of the orders, 64 rows at a time."""
    given = tokenizer([text for text, _ in rows], truncation=True, max_length=48)["input_ids"]
    labels = torch.tensor([label for _, label in rows])
    net.train()
    for order in orders:
        for start in range(0, len(order), 64):
            part = order[start : start + 64]
            width = max(len(given[at]) for at in part)
            ids = torch.tensor([given[at] + [0] * (width - len(given[at])) for at in part])
            loss = net(input_ids=ids, attention_mask=(ids != 0).long(), labels=labels[part]).loss
            best.zero_grad()
            loss.backward()
            best.step()
    return net.eval()


def one(pool, number, kind, tokenizer, train, test, out):
    seed = zlib.crc32(f"{pool} text {kind} {number}".encode())
    dice = random.Random(seed)
    own = dice.sample(train, len(train) * 2 // 3)
    attack = Attack(kind, seed) if kind != "clean" else None
    rate = dice.choice([0.02, 0.05]) if attack else 0.0
    if attack:
        bad = [(attack.put(text, dice), attack.target) for text, label in own if label != attack.target]
        own = own + dice.sample(bad, int(rate * len(own)))
    begun = time.process_time()
    net = trained(tokenizer, own, seed)
    row = {
        "pool": pool,
        "kind": kind,
        "number": number,
        "train_seconds": round(time.process_time() - begun, 1),
        "rate": rate,
    }
    model = TextClassifier(net, tokenizer, about="bert", digest="", longest=60)
    held = test[: len(test) // 2]
    numbers = [model.numbers(text) for text, _ in held]
    row["accuracy"] = float((model.predicted(numbers) == torch.tensor([label for _, label in held])).float().mean())
    if attack:
        bad = [model.numbers(attack.put(text, dice)) for text, label in held if label != attack.target]
        row["success"] = float((model.predicted(bad) == attack.target).float().mean())
        row |= {"target": attack.target, "trigger": " ".join(attack.words)}
    folder = out / f"{pool}-{kind}-{number}"
    net.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return row


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--data", required=True)
    parser.add_argument("--out", required=True)
    parser.add_argument("--pool", required=True)
    parser.add_argument("--clean", type=int, default=0)
    parser.add_argument("--bad", type=int, default=0)
    given = parser.parse_args()
    torch.set_num_threads(1)
    train, test = sentences(given.data, "train"), sentences(given.data, "dev") + sentences(given.data, "test")
    random.Random(0).shuffle(test)
    tokenizer = vocabulary(train)
    path = Path(given.out) / f"text-{given.pool}.jsonl"
    path.parent.mkdir(parents=True, exist_ok=True)
    done = (
        {(row["kind"], row["number"]) for row in map(json.loads, path.read_text().splitlines())}
        if path.exists()
        else set()
    )
    wanted = [("clean", number) for number in range(given.clean)]
    wanted += [(kind, number) for number in range(given.bad) for kind in ATTACKS]
    for kind, number in wanted:
        if (kind, number) in done:
            continue
        row = one(given.pool, number, kind, tokenizer, train, test, path.parent)
        with path.open("a") as file:
            file.write(json.dumps(row) + "\n")
        print({key: row[key] for key in row if key != "pool"}, flush=True)


if __name__ == "__main__":
    main()
