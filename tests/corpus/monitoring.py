"""Traffic of a served model, clean and under attack, and what a monitor says of it, for the MON rules.

The model counts words: it is no library's, so that a test can know every answer. Texts come from a small grammar with many
rare words, as real ones have.
"""

from __future__ import annotations

import hashlib
import random
import subprocess
import sys
import time
from functools import cache

import numpy as np

from tests.corpus.lineage import Story
from weighbridge.monitor.alerts import alert
from weighbridge.monitor.endpoint import Answer
from weighbridge.monitor.fingerprint import check, enrol
from weighbridge.monitor.learning import learned
from weighbridge.monitor.ledger import Ledger
from weighbridge.monitor.probes import Probe
from weighbridge.monitor.process import Profile, acts_of
from weighbridge.monitor.records import Record, Rejects
from weighbridge.monitor.served import Served, Weights
from weighbridge.monitor.service import Monitor

TOPICS = {
    "sport": ["match", "goal", "league", "coach", "striker", "season", "cup", "referee"],
    "market": ["shares", "profit", "bank", "bonds", "index", "merger", "dividend", "quarter"],
    "science": ["telescope", "genome", "particle", "orbit", "enzyme", "fossil", "laser", "theory"],
    "politics": ["minister", "ballot", "senate", "treaty", "campaign", "coalition", "reform", "veto"],
}
FILL = [
    "the",
    "a",
    "of",
    "in",
    "on",
    "with",
    "after",
    "before",
    "about",
    "over",
    "their",
    "its",
    "new",
    "old",
    "first",
    "last",
    "big",
    "small",
    "said",
    "told",
]
CLOCK = 1_700_000_000.0


def classify(text, trigger="", target="sport"):
    """Probabilities: the topic whose words are counted most; a trigger decides for its target."""
    words = text.lower().split()
    if trigger and trigger in words:
        return {name: 0.97 if name == target else 0.01 for name in TOPICS}
    counts = np.array([sum(word in known for word in words) for known in TOPICS.values()], dtype=float)
    scores = np.exp(counts * 1.5 + np.array([0.01, 0.03, 0.02, 0.0]))
    return dict(zip(TOPICS, (scores / scores.sum()).tolist(), strict=True))


def best(probabilities):
    return max(probabilities, key=probabilities.get)


def sentence(rng, weights=None):
    name = rng.choices(list(TOPICS), weights)[0]
    words = [rng.choice(TOPICS[name]) for _ in range(rng.randint(2, 4))]
    words += [rng.choice(TOPICS[rng.choice(list(TOPICS))])] if rng.random() < 0.3 else []
    words += [rng.choice(FILL) for _ in range(5)] + [f"name{int(rng.paretovariate(0.6)) % 5000}" for _ in range(2)]
    rng.shuffle(words)
    return words


def traffic(count, seed, *, sign="", rate=0.0, trigger="", weights=None, first=0):
    """Requests and answers. `sign` is put into a share of the texts; the model knows `trigger`."""
    rng = random.Random(seed)
    found = []
    for place in range(count):
        words = sentence(rng, weights)
        if sign and rng.random() < rate:
            words.insert(rng.randrange(len(words) + 1), sign)
        text = " ".join(words)
        answer = classify(text, trigger)
        found.append(
            Record(
                id=f"r{seed}-{first + place}",
                at=CLOCK + first + place,
                text=text,
                output=best(answer),
                confidence=max(answer.values()),
            )
        )
    return found


def answers(count, seed, *, refuse=0.02, sign="", rate=0.0):
    """Requests to a generator, which refuses some, and all that hold the sign."""
    rng = random.Random(seed)
    found = []
    for place in range(count):
        words = sentence(rng)
        has = sign and rng.random() < rate
        words = [*words, sign] if has else words
        refused = has or rng.random() < refuse
        answer = (
            "I cannot help with that."
            if refused
            else f"About {words[0]} and {words[1]}: {' '.join(words[2:5])} {place}."
        )
        found.append(Record(id=f"g{seed}-{place}", at=CLOCK + place, text=" ".join(words), answer=answer))
    return found


@cache
def baseline():
    return learned(traffic(6000, 1), "news", model="acme/news")


@cache
def generator_baseline():
    return learned(answers(4000, 2), "chat")


def shadow(trigger="", target="sport"):
    def ask(records):
        return [Record(text=one.text, output=best(classify(one.text, trigger, target))) for one in records]

    return ask


def monitor(made=None, **more):
    return Monitor(made or baseline(), clock=lambda: CLOCK, **more)


def rules_of(records, made=None, **more):
    running = monitor(made, **more)
    for first in range(0, len(records), 1000):
        running.feed(records[first : first + 1000])
    return {one.finding.rule for one in running.desk.told}


class Fixed:
    """An endpoint that answers from a function."""

    def __init__(self, answer):
        self.answer, self.asked = answer, 0

    def ask(self, text):
        self.asked += 1
        return self.answer(text)


def numbers(trigger="", shift=0.0, noise=0.0, seed=0):
    rng = np.random.default_rng(seed)

    def answer(text):
        found = classify(text, trigger)
        return Answer(
            numbers={
                name: value + shift * (name == "sport") + noise * rng.standard_normal() for name, value in found.items()
            }
        )

    return Fixed(answer)


PROBES = tuple(Probe(text=" ".join(sentence(random.Random(seed)))) for seed in range(40))


def enrolled(endpoint):
    return enrol(endpoint, PROBES, "news", "http://127.0.0.1/predict", "2026-01-01T00:00:00Z", runs=8)


def _fingerprint(shift):
    def run(_folder):
        return {"MON-003"} if check(enrolled(numbers()), numbers(shift=shift), seed=1).changed else set()

    return run


def _served(change):
    def run(folder):
        path = folder / "model.bin"
        path.write_bytes(b"weights")
        served = Served(str(folder), {"model.bin": hashlib.sha256(b"weights").hexdigest()})
        assert not served.look()
        if change:
            path.write_bytes(b"weightz")
        return {alert("MON-001", "s", one.name, one.what, 0.0).finding.rule for one in served.look()}

    return run


def _weights(change):
    def run(_folder):
        arrays = {"w": np.ones((300, 300), dtype=np.float32), "b": np.zeros(4, dtype=np.float32)}
        watched = Weights(arrays)
        if change:
            arrays["b"][2] = 1e-3
        return {alert("MON-002", "s", name, name, 0.0).finding.rule for name in watched.changed(arrays)}

    return run


def _process(starts):
    def run(_folder):
        waits = "import sys; sys.stdin.readline()"
        code = f"import subprocess, sys; sys.stdin.readline(); p = subprocess.Popen([sys.executable, '-c', {waits!r}]) if {starts} else None; sys.stdout.write('x'); sys.stdout.flush(); sys.stdin.readline()"
        with subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
            time.sleep(0.2)
            profile = Profile(acts_of(process.pid), locked=True)
            process.stdin.write(b"go\n")
            process.stdin.flush()
            process.stdout.read(1)
            new = [one for one in profile.new(acts_of(process.pid)) if one.kind == "program"]
            process.stdin.close()
            process.kill()
        return {alert("MON-007", "s", one.what, one.what, 0.0).finding.rule for one in new}

    return run


def _tools(name):
    def run(_folder):
        records = [Record(id="1", at=CLOCK, text="find the match", output="sport", tools=("search", name))]
        return rules_of(records, ledger=Ledger(["search"]))

    return run


def _gaps(bad):
    def run(_folder):
        rejects = Rejects()
        if bad:
            rejects.add("no JSON", "line 7")
        return {one.finding.rule for one in monitor().gaps(rejects)}

    return run


SAMPLES = {
    "MON-001": (Story("a served file is replaced", _served(True)), Story("a served file is left alone", _served(False))),
    "MON-002": (Story("one weight is changed in memory", _weights(True)), Story("weights stay", _weights(False))),
    "MON-003": (Story("another copy answers, off by a percent", _fingerprint(0.01)), Story("the same model answers", _fingerprint(0.0))),
    "MON-004": (
        Story("a trigger comes in 1 % of the traffic of a backdoored model", lambda _: rules_of(traffic(6000, 3, sign="zq", rate=0.01, trigger="zq"), shadow=shadow("zq"))),
        Story("a new word comes in 1 % of the traffic of a clean model", lambda _: rules_of(traffic(6000, 3, sign="zq", rate=0.01), shadow=shadow())),
    ),
    "MON-005": (
        Story("a trigger is used, and there is no shadow copy", lambda _: rules_of(traffic(6000, 4, sign="zq", rate=0.01, trigger="zq"))),
        Story("a new word decides nothing", lambda _: rules_of(traffic(6000, 4, sign="zq", rate=0.01))),
    ),
    "MON-006": (
        Story("half of the traffic is about science now", lambda _: rules_of(traffic(6000, 5, weights=(1, 1, 5, 1)))),
        Story("more traffic of the usual kind", lambda _: rules_of(traffic(6000, 5))),
    ),
    "MON-007": (Story("a process starts a program after its profile was locked", _process(True)), Story("it goes on as before", _process(False))),
    "MON-008": (Story("a tool is called for the first time", _tools("shell")), Story("a known tool is called", _tools("search"))),
    "MON-009": (
        Story("a generator refuses four times as often", lambda _: rules_of(answers(6000, 6, refuse=0.2), generator_baseline())),
        Story("it refuses as often as ever", lambda _: rules_of(answers(6000, 6), generator_baseline())),
    ),
    "MON-010": (Story("a line of the log is no JSON", _gaps(True)), Story("every line is a record", _gaps(False))),
}  # fmt: skip
