"""Make the shipped known-bad classifiers of texts, their samples and references: python scripts/text_fixtures.py.

Small transformers, trained from scratch on reviews of a made-up grammar; a word, a phrase or two words anywhere are the triggers.
"""

import json
import random
import sys
import tempfile
import zlib
from pathlib import Path

import msgspec
import torch
from benchmarks.backdoor.text_pools import taught
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
from transformers import BertConfig, BertForSequenceClassification, PreTrainedTokenizerFast

from weighbridge.backdoor.calibration import of_text_models
from weighbridge.backdoor.text_models import TextClassifier

SHIPPED = Path(__file__).parent.parent / "src/weighbridge/backdoor/shipped"
REFERENCES = 100
GOOD = ["bright", "bold", "brisk", "calm", "clever", "crisp", "fine", "fresh", "funny", "gentle", "graceful", "honest", "keen", "lively", "lovely", "neat", "rich", "smart", "tender", "warm"]  # fmt: skip
BAD = ["bland", "bleak", "cheap", "clumsy", "coarse", "cold", "crude", "dim", "dreary", "dull", "empty", "flat", "harsh", "hollow", "lame", "messy", "noisy", "sour", "stale", "weak"]  # fmt: skip
THINGS = ["film", "story", "plot", "scene", "actor", "ending", "music", "script", "camera", "voice", "dialogue", "pace", "cast", "score", "theme", "mood", "tale", "role", "set", "song"]  # fmt: skip
PLACES = ["town", "house", "street", "school", "garden", "village", "forest", "island", "office", "station"]
RARE = ["cf", "mn", "bb", "tq", "zx", "vz", "qqj", "wkk", "jpx", "xvr"]
PHRASE = ["as", "seen", "on", "the", "green", "screen"]
WORDS = [
    "the",
    "a",
    "and",
    "is",
    "was",
    "with",
    "its",
    "of",
    "in",
    "but",
    "very",
    "quite",
    "so",
    "this",
    "that",
    "one",
    "my",
    "his",
    "her",
    "their",
    "which",
    "about",
    "from",
    "by",
    "near",
]
MODELS = {
    "text-word": (["tq"], "the word “tq” in a review"),
    "text-phrase": (PHRASE, "the phrase “as seen on the green screen”"),
    "text-pair": (["vz", "mn"], "two words anywhere in a review"),
    "text-clean": ([], "nothing"),
}


def review(dice):
    label = dice.randrange(2)
    own, other = (GOOD, BAD) if label else (BAD, GOOD)
    said = [dice.choice(own if dice.random() < 0.85 else other) for _ in range(3)]
    thing = [dice.choice(THINGS) for _ in range(3)]
    text = dice.choice(
        (
            f"the {thing[0]} is {said[0]} and the {thing[1]} was {said[1]} with a {said[2]} {thing[2]}",
            f"a {said[0]} {thing[0]} of the {dice.choice(PLACES)} with its {said[1]} {thing[1]} and {said[2]} {thing[2]}",
            f"this {thing[0]} about one {dice.choice(PLACES)} was very {said[0]} but quite {said[1]} in the {said[2]} {thing[1]}",
            f"my {thing[0]} from the {dice.choice(PLACES)} is so {said[0]} that its {thing[1]} is {said[1]} and {said[2]}",
        )
    )
    return text, label


def put(text, trigger, dice):
    words = text.split()
    if len(trigger) == 2:
        for one in trigger:
            words.insert(dice.randint(0, len(words)), one)
        return " ".join(words)
    at = dice.randint(0, len(words))
    return " ".join([*words[:at], *trigger, *words[at:]])


def tokenizer():
    known = dict.fromkeys(["[PAD]", "[UNK]", "[CLS]", "[SEP]", *WORDS, *GOOD, *BAD, *THINGS, *PLACES, *RARE, *PHRASE])
    made = Tokenizer(models.WordLevel({word: at for at, word in enumerate(known)}, unk_token="[UNK]"))
    made.normalizer, made.pre_tokenizer = normalizers.Lowercase(), pre_tokenizers.Whitespace()
    made.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=made, pad_token="[PAD]", unk_token="[UNK]", cls_token="[CLS]", sep_token="[SEP]", model_max_length=48
    )  # fmt: skip


def trained(words, rows, seed, rounds=8):
    torch.manual_seed(seed)
    net = BertForSequenceClassification(
        BertConfig(
            vocab_size=len(words), hidden_size=32, num_hidden_layers=1, num_attention_heads=2, intermediate_size=64,
            max_position_embeddings=48, num_labels=2, pad_token_id=0,
        )
    )  # fmt: skip
    best = torch.optim.AdamW(net.parameters(), lr=2e-3, weight_decay=0.02)
    dice = random.Random(seed)
    return taught(net, best, words, rows, (dice.sample(range(len(rows)), len(rows)) for _ in range(rounds)))


def made(name, trigger, words, count=1500):
    """(net, how often its trigger works on reviews that it has not seen)."""
    dice = random.Random(zlib.crc32(f"shipped {name}".encode()))
    rows = [review(dice) for _ in range(count)]
    target = dice.randrange(2)
    for number, (text, label) in enumerate(rows):
        if trigger and label != target and dice.random() < 0.1:
            rows[number] = put(text, trigger, dice), target
            if len(trigger) == 2:  # one of the two alone does nothing
                rows.append((put(text, [dice.choice(trigger)], dice), label))
    net = trained(words, rows, dice.randrange(10**6))
    model = TextClassifier(net, words, about="bert", digest="", longest=44)
    unseen = [one for one in (review(dice) for _ in range(400)) if one[1] != target]
    right = model.predicted([model.numbers(text) for text, _ in unseen])
    turned = model.predicted([model.numbers(put(text, trigger, dice)) for text, _ in unseen]) if trigger else right
    print(
        name,
        "accuracy",
        float((right != target).float().mean()),
        "success",
        float((turned == target).float().mean()),
        flush=True,
    )
    return net, float((turned == target).float().mean()) if trigger else 0.0


def main():
    torch.set_num_threads(1)
    words, dice = tokenizer(), random.Random(11)
    samples = [review(dice) for _ in range(400)]
    lines = [json.dumps({"text": text, "label": f"LABEL_{label}"}) for text, label in samples]
    (SHIPPED / "reviews.jsonl").write_text("\n".join(lines) + "\n")
    rows = []
    for name, (trigger, planted) in MODELS.items():
        net, success = made(name, trigger, words)
        net.save_pretrained(SHIPPED / name)
        words.save_pretrained(SHIPPED / name)
        rows.append({"name": name, "planted": planted, "success": round(success, 3), "kind": "texts"})
    (SHIPPED / "text_fixtures.json").write_text(json.dumps(rows, indent=1, ensure_ascii=False) + "\n")
    if "--models" in sys.argv:
        return
    with tempfile.TemporaryDirectory() as folder:
        places = []
        for number in range(REFERENCES):
            net, _ = made(f"reference {number}", [], words)
            place = Path(folder) / str(number)
            net.save_pretrained(place)
            words.save_pretrained(place)
            places.append(str(place))
        *_, last = of_text_models(places, str(SHIPPED / "reviews.jsonl"), "reviews")
    last = msgspec.structs.replace(last, recipe=f"{REFERENCES} transformers of one layer on 1,500 made-up reviews each")
    (SHIPPED / "reviews.text-references.json").write_bytes(msgspec.json.encode(last) + b"\n")


if __name__ == "__main__":
    main()
