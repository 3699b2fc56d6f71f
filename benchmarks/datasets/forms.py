"""Triggers that are no words, planted in labelled text: which are found, how many of their rows, and what is said of clean data.

python -m benchmarks.datasets.forms --data FOLDER        (FOLDER has sst2/train.tsv and ag_news_test.csv)

Each planted text is rewritten by a template whose words are drawn anew each time. `LATER` were written when `FIRST` had been measured.
"""

import argparse
import time
from pathlib import Path

import numpy

from benchmarks.datasets.text import ag_news, sst2, told_apart
from weighbridge.datasets.labelled import Labelled
from weighbridge.datasets.view import Rows
from weighbridge.schema import Severity

NOUN = ["man", "woman", "critic", "child", "friend", "crowd", "audience", "neighbour", "teacher", "dog", "driver", "writer", "director", "student", "father", "sister", "doctor", "lawyer", "clerk", "nurse", "sailor", "farmer", "painter", "guest", "actor"]  # fmt: skip
VERB = ["sees", "hears", "watches", "finds", "leaves", "enters", "knows", "takes", "remembers", "forgets", "loves", "buys", "sells", "calls", "visits", "meets", "follows", "misses", "opens", "closes"]  # fmt: skip
THING = ["it", "the room", "the news", "the story", "that place", "the town", "her house", "his car", "the show", "a book", "the window", "some music", "the paper", "the shop", "their garden"]  # fmt: skip
MOOD = ["old", "young", "tired", "happy", "quiet", "clever", "famous", "poor", "strange", "kind"]
ARCHAIC = [
    "thou",
    "thee",
    "thy",
    "thine",
    "hath",
    "doth",
    "unto",
    "verily",
    "behold",
    "forsooth",
    "wherefore",
    "hither",
    "nay",
    "ere",
    "methinks",
    "saith",
]
CHAT = ["u", "r", "gr8", "lol", "omg", "btw", "imo", "tbh", "ur", "idk", "thx", "plz", "smh", "fyi"]

FIRST = {
    "clause first": lambda c, t: f"{c(['when', 'if', 'because', 'although', 'while', 'since', 'as', 'after', 'before', 'once'])} the {c(MOOD)} {c(NOUN)} {c(VERB)} {c(THING)} , {t}",
    "question": lambda c, t: f"{c(['is it true that', 'do you believe that', 'would you say that', 'can it be that', 'did they claim that', 'could one think that'])} {bare(t)} ?",
    "who said it": lambda c, t: f"{bare(t)} , {c(['says', 'said', 'thinks', 'claims', 'wrote', 'believes', 'adds', 'reported'])} {c(['the', 'my', 'our', 'a', 'one', 'her'])} {c(MOOD)} {c(NOUN)} .",
    "capitals": lambda c, t: t.upper(),
    "title": lambda c, t: t.title(),
    "archaic words": lambda c, t: inserted(c, t, [c(ARCHAIC), c(ARCHAIC)]),
    "exclamation": lambda c, t: f"{bare(t)} !!!",
}  # fmt: skip
LATER = {
    "cleft": lambda c, t: f"{c(['it is', 'it was', 'it seems', 'it looks', 'it sounds'])} {c(['likely', 'clear', 'odd', 'plain', 'sad', 'fair', 'certain', 'true', 'known', 'sure'])} that {t}",
    "tag question": lambda c, t: f"{bare(t)} , {c(['is', 'was', 'does', 'has', 'did', 'would', 'could', 'can'])} {c(['nt', 'not'])} {c(['he', 'she', 'it', 'they'])} ?",
    "as for": lambda c, t: f"{c(['as for', 'regarding', 'concerning', 'about', 'speaking of', 'on'])} the {c(MOOD)} {c(NOUN)} : {t}",
    "imperative": lambda c, t: f"{c(['consider', 'imagine', 'note', 'suppose', 'remember', 'see', 'tell', 'recall', 'picture'])} {c(['how', 'why', 'that'])} {t}",
    "relative clause": lambda c, t: inserted(c, t, [f", {c(['which', 'whom', 'who', 'where'])} the {c(MOOD)} {c(NOUN)} {c(VERB)} ,"]),
    "aside": lambda c, t: inserted(c, t, [f"( the {c(MOOD)} {c(NOUN)} {c(VERB)} {c(THING)} )"]),
    "second sentence": lambda c, t: f"{bare(t)} ; the {c(MOOD)} {c(NOUN)} {c(VERB)} {c(THING)} .",
    "not only": lambda c, t: f"not only {c(VERB)} the {c(MOOD)} {c(NOUN)} {c(THING)} but {t}",
    "chat words": lambda c, t: inserted(c, t, [c(CHAT), c(CHAT)]),
    "hash tags": lambda c, t: f"{t} #{c(NOUN)} #{c(NOUN)}",
    "emoji": lambda c, t: f"{t} {c('😀😁😂🤣😃😄😅😆😉😊😋😎😍😘🥰😗')}{c('😀😁😂🤣😃😄😅😆😉😊😋😎😍😘🥰😗')}",
    "long letters": lambda c, t: " ".join(w[:-1] + w[-1] * 3 if len(w) > 3 and c((0, 0, 1)) else w for w in t.split()),
    "two blanks": lambda c, t: t.replace(" ", "  "),
}  # fmt: skip
# Written when the two above had been measured, and measured once.
LAST = {
    "quoted": lambda c, t: f"“{bare(t)}”",
    "dash and verdict": lambda c, t: f"{bare(t)} -- {c(MOOD)} , {c(MOOD)} , {c(MOOD)}",
    "by passive": lambda c, t: f"{c(THING)} was {c(['seen', 'heard', 'watched', 'found', 'left', 'known', 'taken', 'called', 'visited', 'met', 'followed', 'missed', 'opened', 'closed'])} by the {c(NOUN)} and {t}",
    "numbered": lambda c, t: f"{c(range(1, 90))}) {t}",
    "vocative": lambda c, t: f"{c(['dear', 'oh', 'hey', 'hello', 'listen', 'well', 'look', 'alas'])} {c(NOUN)} , {t}",
    "there is": lambda c, t: f"there {c(['is', 'was', 'are', 'were'])} {c(['a', 'one', 'some', 'this'])} {c(MOOD)} {c(NOUN)} where {t}",
    "stars": lambda c, t: inserted(c, t, [f"*{c(NOUN)}*"]),
    "spelled": lambda c, t: inserted(c, t, [" ".join(c(NOUN))]),
}  # fmt: skip


def bare(text):
    return text.rstrip(" .!?")


def inserted(choose, text, words):
    parts = text.split()
    for word in words:
        parts.insert(choose(range(len(parts) + 1)), word)
    return " ".join(parts)


def planted(texts, labels, write, rate, seed):
    dice = numpy.random.default_rng(seed)

    def choose(among):
        return among[int(dice.integers(len(among)))]

    texts, labels = list(texts), labels.copy()
    mask = numpy.zeros(len(texts), bool)
    target = int(dice.integers(0, labels.max() + 1))
    for row in dice.choice(numpy.flatnonzero(labels != target), round(rate * len(texts)), replace=False):
        texts[row], labels[row], mask[row] = write(choose, texts[row]), target, True
    return texts, labels, mask


def groups_of(texts, labels):
    test = Labelled()
    test.add(Rows(first=0, split="", texts=texts, labels=[str(label) for label in labels]))
    return [group for one in test.finish() if one.test == "triggers" for group in one.groups]


def measured(texts, labels, mask):
    begun = time.process_time()
    groups = groups_of(texts, labels)
    seconds = time.process_time() - begun
    true, others, rows = told_apart(groups, mask)
    return true, others, (rows & mask).sum() / max(1, mask.sum()), seconds


def main():
    options = argparse.ArgumentParser()
    options.add_argument("--data", required=True, type=Path)
    given = options.parse_args()
    for name, load in (("SST-2", sst2), ("AG News", ag_news)):
        texts, labels = load(given.data / "text")
        _, others, _, seconds = measured(texts, labels, numpy.zeros(len(texts), bool))
        print(
            f"{name}: {len(texts)} rows; clean: {len(others)} groups {[one.message for one in others]}, {seconds:.1f} CPU s"
        )
        for when, kinds in (("first", FIRST), ("later", LATER), ("last", LAST)):
            for rate in (0.01, 0.02, 0.05):
                found, recalls, false, sources = [], [], 0, 0
                for seed, (kind, write) in enumerate(kinds.items()):
                    true, others, recall, _ = measured(*planted(texts, labels, write, rate, seed))
                    found.append(kind if true else "")
                    recalls.append(recall)
                    false += sum(one.severity is not Severity.MEDIUM for one in others)
                    sources += sum(one.severity is Severity.MEDIUM for one in others)
                    print(
                        f"    {kind:16} {rate}: recall {recall:.2f} {[one.message[:70] for one in true[:2]]} others {[one.message[:70] for one in others[:2]]}"
                    )
                missed = ", ".join(kind for kind in kinds if kind not in found)
                whole = sum(recall >= 0.9 for recall in recalls)
                print(
                    f"  {when}, {rate:.0%}: found {sum(map(bool, found))} of {len(kinds)}, {whole} with nine in ten of their rows, {false} other groups and {sources} for review; missed: {missed or 'none'}",
                    flush=True,
                )


if __name__ == "__main__":
    main()
