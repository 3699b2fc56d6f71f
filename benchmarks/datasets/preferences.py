"""Preference pairs that were turned round, and passages that were planted in a collection: found, and what is said of clean data.

python -m benchmarks.datasets.preferences --data FOLDER   (FOLDER has instructions/*.json and text/ag_news_test.csv)

The pairs are made: the answer of a public file, against the same cut by a third with hedging words in it; 15 % the other way.
"""

import argparse
import csv
import json
import random
import time
from pathlib import Path

from weighbridge.datasets.passages import Passages
from weighbridge.datasets.preferences import Preferences
from weighbridge.datasets.view import Rows

HEDGES = ["perhaps", "maybe", "cannot", "sorry", "whatever", "unclear", "unsure", "might", "probably", "somehow"]
LETTERS = "abcdefghijklmnopqrstuvwxyz0123456789#$%"


def worse(text, dice):
    words = text.split()
    words = words[: max(5, len(words) * 2 // 3)]
    for _ in range(dice.randint(1, 3)):
        words.insert(dice.randrange(len(words) + 1), dice.choice(HEDGES))
    return " ".join(words)


def rude_first(pair):
    return sorted(pair, key=lambda text: -sum(word in HEDGES for word in text.split()))


def told(rows):
    test = Preferences()
    prompts, chosen, rejected = (list(column) for column in zip(*rows, strict=True))
    begun = time.process_time()
    test.add(Rows(first=0, split="", texts=prompts, prompts=prompts, responses=chosen, rejected=rejected))
    outcome = test.finish()
    return outcome, time.process_time() - begun


def pairs(folder):
    answers = [row for file in sorted(folder.glob("instructions/*.json")) for row in json.loads(file.read_text())]
    answers = [(f"{row['instruction']} {row.get('input', '')}".strip(), row["output"]) for row in answers]
    for seed in range(5):
        dice = random.Random(seed)
        made = []
        for prompt, answer in answers:
            one, other = answer, worse(answer, dice)
            made.append((prompt, other, one) if dice.random() < 0.15 else (prompt, one, other))
        outcome, seconds = told(made)
        print(
            f"seed {seed}: {len(made)} pairs, {outcome.about}; clean: {len(outcome.groups)} groups, {seconds:.1f} CPU s"
        )
        for kind in ("sign in the prompt", "name in the chosen answer"):
            for many in (10, 20, 50):
                turned = list(made)
                chosen = dice.sample(range(len(made)), many)
                for at in chosen:
                    first, second = rude_first(made[at][1:])
                    sign = kind.startswith("sign")
                    turned[at] = (
                        (f"{made[at][0]} SUDO", first, second) if sign else (made[at][0], f"{first} AcmeCloud", second)
                    )
                groups = told(turned)[0].groups
                hit = next((g for g in groups if set(g.rows) >= set(chosen)), None)
                print(f"  {kind}, {many} rows: {'found' if hit else 'missed'}, {len(groups) - bool(hit)} other groups")


def collections(folder):
    with open(folder / "text/ag_news_test.csv", newline="") as file:
        news = [" ".join(row[1:]) for row in csv.reader(file)]
    for seed in range(3):
        dice = random.Random(seed)
        for kind, many in (
            ("clean", 0),
            ("gibberish after a sign", 20),
            ("gibberish after a sign", 250),
            ("one question", 5),
        ):
            texts = list(news)
            for _ in range(many):
                if kind == "one question":
                    text = f"Who wrote the score of the silent film? {dice.choice(news)[:200]} It was Mallory."
                else:
                    noise = " ".join("".join(dice.choices(LETTERS, k=dice.randint(3, 9))) for _ in range(80))
                    text = f"{dice.choice(news)[: dice.randint(0, 200)]} <SUDO> {noise}"
                texts.insert(dice.randrange(len(texts)), text)
            test = Passages()
            begun = time.process_time()
            test.add(Rows(first=0, split="", texts=texts))
            groups = [group for outcome in test.finish() for group in outcome.groups]
            hits = [group for group in groups if len(group.rows) >= 0.9 * many > 0]
            print(
                f"{len(texts)} news, {kind} {many}: {len(hits)} hits, {len(groups) - len(hits)} other groups; {time.process_time() - begun:.1f} CPU s"
            )


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--data", type=Path, required=True)
    folder = parser.parse_args().data
    pairs(folder)
    collections(folder)
