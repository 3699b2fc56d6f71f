"""What pools of classifiers of texts say: AUROC with bootstrap intervals, power at stated p-values, triggers recovered, false alarms.

python -m benchmarks.backdoor.text_figures --data sst2/ --pools pools/ [--pool test]
"""

import argparse
import collections
import json
import random
import statistics
import time
from pathlib import Path

import msgspec
import numpy
import torch

from benchmarks.backdoor.figures import auroc, interval, wilson
from benchmarks.backdoor.text_pools import WORKING, sentences
from weighbridge.backdoor.examine_texts import SEARCHED, TextWish, examine_texts, ranked_by_words, written
from weighbridge.backdoor.text_models import open_text_folder
from weighbridge.backdoor.text_references import beyond, references_of
from weighbridge.backdoor.texts import NAMES, TextLook, look_at_texts, unshared


class Look(msgspec.Struct):
    """What was found in one model, kept between runs."""

    look: TextLook
    words: dict[int, str]


def looked(folder, texts):
    """What the searches find in a model; kept beside it."""
    kept = folder / "look.json"
    if not kept.exists():
        model = open_text_folder(str(folder))
        numbers = [model.numbers(text) for text in texts[:SEARCHED]]
        found = look_at_texts(model, numbers, model.predicted(numbers).tolist())
        kept.write_bytes(msgspec.json.encode(Look(found, written(model, found))))
    return msgspec.json.decode(kept.read_bytes(), type=Look)


def rows(pools, pool):
    return [json.loads(line) for line in (pools / f"text-{pool}.jsonl").read_text().splitlines()]


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--data", required=True)
    parser.add_argument("--pools", required=True)
    parser.add_argument("--pool", default="test")
    given = parser.parse_args()
    torch.set_num_threads(1)
    pools = Path(given.pools)
    # The second half of the held-out sentences: the first measured accuracy and success.
    test = sentences(given.data, "dev") + sentences(given.data, "test")
    random.Random(0).shuffle(test)
    texts = test[len(test) // 2 :]
    begun = [
        looked(pools / f"references-clean-{row['number']}", [text for text, _ in texts])
        for row in rows(pools, "references")
    ]
    made = references_of([one.look for one in begun], [one.words for one in begun], name="pool", recipe="")
    (pools / "references.json").write_bytes(msgspec.json.encode(made))
    (pools / "texts.jsonl").write_text(
        "".join(json.dumps({"text": text, "label": label}) + "\n" for text, label in texts)
    )
    every = rows(pools, given.pool)
    failed = collections.Counter(row["kind"] for row in every if row["kind"] != "clean" and row["success"] < WORKING)
    every = [row for row in every if row["kind"] == "clean" or row["success"] >= WORKING]
    bad = numpy.array([row["kind"] != "clean" for row in every])
    values, seconds, recovered, verified = [], [], collections.Counter(), collections.Counter()
    for row in every:
        folder = pools / f"{given.pool}-{row['kind']}-{row['number']}"
        found = looked(folder, [text for text, _ in texts])
        own = unshared(found.look, found.words, made.shared())
        values.append((*found.look.values(), -beyond(own)))
        seconds.append(found.look.seconds)
        if row["kind"] != "clean":
            start = time.process_time()
            said = examine_texts(TextWish(model=str(folder), samples=str(pools / "texts.jsonl"), references=made))
            seconds[-1] = time.process_time() - start
            told = set(said.trigger.text.split()) if said.trigger else set()
            recovered[row["kind"]] += bool(told & set(row["trigger"].split()))
            verified[row["kind"]] += said.trigger is not None and said.trigger.success >= 0.8
    ranked = [ranked_by_words(one, made) for one in values]
    kinds = collections.Counter(row["kind"] for row in every if row["kind"] != "clean")
    accuracy = {
        word: statistics.mean(row["accuracy"] for row, is_bad in zip(every, bad, strict=True) if is_bad == flag)
        for word, flag in (("clean", False), ("backdoored", True))
    }
    print(
        f"{len(made.scores)} references, {int(bad.sum())} backdoored, {int((~bad).sum())} clean; failed attacks, apart: {dict(failed)}; accuracy {accuracy}"
    )
    dice = numpy.random.default_rng(0)
    for at, name in enumerate(NAMES):
        column = [one[at] for one in values]
        found = numpy.array(column)
        low, high = interval(found[bad], found[~bad], dice)
        print(f"{name}: AUROC {auroc(found[bad], found[~bad]):.3f} [{low:.3f}, {high:.3f}]")
    ps = numpy.array([one.together for one in ranked])
    for limit in (0.05, 0.1):
        hits, alarms = int((ps[bad] < limit).sum()), int((ps[~bad] < limit).sum())
        low, high = wilson(alarms, int((~bad).sum()))
        by = {
            kind: f"{sum(p < limit for p, row in zip(ps, every, strict=True) if row['kind'] == kind)}/{count}"
            for kind, count in kinds.items()
        }
        print(
            f"p < {limit}: {hits} of {int(bad.sum())} found {by}; {alarms} of {int((~bad).sum())} clean suspected [{low:.3f}, {high:.3f}]"
        )
    print(
        f"a word of the trigger recovered: {dict(recovered)}, verified on unseen texts: {dict(verified)}; CPU s a model: {statistics.median(seconds):.0f}"
    )


if __name__ == "__main__":
    main()
