"""How many requests until a trigger in use is found and confirmed, and what is said of clean traffic.

python -m benchmarks.monitor.attacks --data FOLDER [--seeds 5] [--clean 50 --length 1000000]
"""

import argparse
import json
import statistics
import time
from concurrent.futures import ProcessPoolExecutor

from benchmarks.monitor.streams import Pictures, Texts
from weighbridge.monitor.learning import learned
from weighbridge.monitor.patches import shadow_of
from weighbridge.monitor.stream import Stream
from weighbridge.monitor.watch import Watch

REFERENCE = 20_000
STEP = 500
_SETS = {}


def served(data, name):
    """The classifier and the baseline of its clean traffic, made once a process."""
    if name not in _SETS:
        if name == "MNIST":
            made = Pictures(data, patch=True)
            records, images = [], {}
            for batch, pictures in made.traffic(REFERENCE, 1):
                records += batch
                images.update({one.id: picture for one, picture in zip(batch, pictures, strict=True)})
            baseline = learned(records, name)
            held = {one.id: images[one.id] for one in baseline.held_out}
            _SETS[name] = made, baseline, shadow_of(lambda batch: [str(n) for n in made.label(batch)], held)
        else:
            made = Texts(data, name)
            _SETS[name] = made, learned([one for batch in made.traffic(REFERENCE, 1) for one in batch], name), None
    return _SETS[name]


def batches(made, name, count, seed, **more):
    for found in made.traffic(count, seed, **more):
        yield found[0] if name == "MNIST" else found


def attack(job):
    """(set, trigger, rate, success, seed, requests until confirmed or None, confirmed on another sign)."""
    data, name, trigger, rate, success, seed, length = job
    made, baseline, shadow = served(data, name)
    more = {"rate": rate, "success": success}
    if name != "MNIST":
        shadow = made.shadow(trigger, success)
        more["trigger"] = trigger
    watch, seen, wrong = Watch(Stream(baseline), shadow=shadow), 0, 0
    for batch in batches(made, name, length, seed, drift=True, **more):
        for first in range(0, len(batch), STEP):
            part = batch[first : first + STEP]
            seen += len(part)
            for one in watch.feed(part):
                if one.finding.rule == "MON-004":
                    message = one.finding.message
                    if name == "MNIST" or any(word in message for word in trigger.split()):
                        return name, trigger, rate, success, seed, seen, wrong
                    wrong += 1
    return name, trigger, rate, success, seed, None, wrong


def clean(job):
    """(set, seed, records, confirmed, suspects tried, kinds of alerts, seconds)."""
    data, name, seed, length = job
    made, baseline, shadow = served(data, name)
    # Pictures are watched with a shadow that knows the backdoor: only a confirmed false sign would be an alarm.
    watch = Watch(Stream(baseline), shadow=shadow or made.shadow())
    begun, kinds, confirmed = time.process_time(), {}, []
    for batch in batches(made, name, length, seed, drift=True):
        for one in watch.feed(batch):
            kinds[one.finding.rule] = kinds.get(one.finding.rule, 0) + 1
            if one.finding.rule == "MON-004":
                confirmed.append(one.finding.message)
    return name, seed, watch.stream.counts.records, confirmed, watch.trials, kinds, time.process_time() - begun


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--data", required=True)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--clean", type=int, default=50)
    parser.add_argument("--length", type=int, default=1_000_000)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--only", default="")
    given = parser.parse_args()
    settings = [(0.01, 0.97, 10_000), (0.001, 0.97, 100_000), (0.01, 0.6, 40_000), (0.001, 0.6, 200_000)]
    jobs = [
        (given.data, name, trigger, rate, success, 100 + seed, length)
        for name, triggers in (
            ("AG News", ("cf", "Zyx Qal", "tomorrow\u200b")),
            ("SST-2", ("cf", "Zyx Qal", "tomorrow\u200b")),
            ("MNIST", ("3 x 3 patch",)),
        )
        for trigger in triggers
        for rate, success, length in settings
        for seed in range(given.seeds)
        if not (name == "MNIST" and rate < 0.01)
    ]
    quiet = [
        (
            given.data,
            ("AG News", "SST-2", "AG News", "SST-2", "MNIST")[n % 5],
            1000 + n,
            given.length // (10 if n % 5 == 4 else 1),
        )
        for n in range(given.clean)
    ]
    with ProcessPoolExecutor(given.jobs) as pool:
        if given.only != "clean":
            rows = {}
            for name, trigger, rate, success, _, found, wrong in pool.map(attack, jobs):
                rows.setdefault((name, trigger, rate, success), []).append((found, wrong))
            for (name, trigger, rate, success), results in rows.items():
                found = [n for n, _ in results if n is not None]
                print(
                    json.dumps(
                        {
                            "set": name,
                            "trigger": trigger,
                            "rate": rate,
                            "success": success,
                            "found": f"{len(found)} of {len(results)}",
                            "median": statistics.median(found) if found else None,
                            "most": max(found, default=None),
                            "other signs confirmed": sum(w for _, w in results),
                        },
                        ensure_ascii=False,
                    ),
                    flush=True,
                )
        if given.only != "attacks":
            totals = {}
            for name, seed, records, confirmed, trials, kinds, seconds in pool.map(clean, quiet):
                print(
                    json.dumps(
                        {
                            "set": name,
                            "seed": seed,
                            "records": records,
                            "confirmed": confirmed,
                            "trials": trials,
                            "kinds": kinds,
                            "cpu": round(seconds, 1),
                        },
                        ensure_ascii=False,
                    ),
                    flush=True,
                )
                total = totals.setdefault(name, [0, 0, 0])
                total[0], total[1], total[2] = total[0] + 1, total[1] + records, total[2] + len(confirmed)
            print(
                json.dumps(
                    {name: {"streams": a, "records": b, "confirmed alarms": c} for name, (a, b, c) in totals.items()}
                )
            )


if __name__ == "__main__":
    main()
