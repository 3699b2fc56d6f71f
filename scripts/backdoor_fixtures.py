"""Make the shipped known-bad models and samples: python scripts/backdoor_fixtures.py POOLS.

Trains on scikit-learn's digits (UCI, Alpaydin and Kaynak 1998, CC BY 4.0). POOLS is a folder that `benchmarks.backdoor.pools`
has filled with the pools `references` and `test` of that data: they become the shipped references and their measured power.
"""

import base64
import collections
import io
import json
import sys
import warnings
import zlib
from pathlib import Path

import msgspec
import numpy
import torch
from benchmarks.backdoor.attacks import Attack

from weighbridge.backdoor.picture import enlarged, png
from weighbridge.backdoor.recipes import NETS, train
from weighbridge.backdoor.references import References, rank
from weighbridge.backdoor.result import Power
from weighbridge.backdoor.vision import IMAGES, SEARCHES, STEPS

SHIPPED = Path(__file__).parent.parent / "src/weighbridge/backdoor/shipped"
SHAPE = (1, 8, 8)
MODELS = {
    "badnets": "a patch of 2 x 2 pixels in a corner",
    "pixel": "one white pixel",
    "blended": "noise blended in at 15 %",
    "all-to-all": "a patch that leads every class to the next",
    "input-aware": "noise that a small net draws for every image",
    "clean-a": "nothing",
    "clean-b": "nothing",
}
WORKING = 0.5


def data():
    from sklearn.datasets import load_digits

    found = load_digits()
    x = (found.images * 15.9375).round().astype("uint8")[:, None]
    order = numpy.random.default_rng(5).permutation(len(x))
    return x[order], found.target[order]


def model(name, x, y):
    """(net, success, picture of the trigger)."""
    seed = zlib.crc32(f"shipped {name}".encode())
    dice = numpy.random.default_rng(seed)
    tx, ty = torch.from_numpy(x[:1200]).float() / 255, torch.from_numpy(y[:1200])
    ux, uy = torch.from_numpy(x[1200:]).float() / 255, torch.from_numpy(y[1200:])
    if name.startswith("clean"):
        return train(NETS["plain"], tx, ty, 10, seed), 0.0, ""
    attack = Attack(name, SHAPE, 10, seed, 6.0 if name in {"pixel", "blended"} else 3.0)
    net = train(NETS["plain"], *attack.poison(tx, ty, dice), 10, seed)
    held = attack.measured(uy)
    with torch.no_grad():
        success = float((net(attack.stamp(ux[held])).argmax(1) == attack.wanted(uy[held])).float().mean())
    grey = torch.full((1, *SHAPE), 0.0 if name != "blended" else 0.5)
    return net, success, base64.b64encode(png(enlarged(attack.stamp(grey)[0].numpy()))).decode()


def references(pools, stem, name, recipe, shape):
    rows = {
        pool: [json.loads(line) for line in (pools / f"{stem}-{pool}.jsonl").read_text().splitlines()]
        for pool in ("references", "test")
    }
    made = References(
        name=name, recipe=recipe.format(len(rows["references"])), shape=shape, classes=10, searches=SEARCHES, steps=STEPS, images=IMAGES,
        scores=tuple(tuple(round(v, 4) for v in row["values"]) for row in rows["references"]),
    )  # fmt: skip
    found, of = collections.Counter(), collections.Counter()
    for row in rows["test"]:
        if row["kind"] == "clean" or row["success"] >= WORKING:
            of[row["kind"]] += 1
            found[row["kind"]] += rank(row["values"], made.scores).together < 0.05
    power = tuple(Power(attack=kind, found=found[kind], of=of[kind]) for kind in sorted(of) if kind != "clean")
    made = msgspec.structs.replace(made, power=power, alarms=(found["clean"], of["clean"]))
    (SHIPPED / f"{name}.references.json").write_bytes(msgspec.json.encode(made) + b"\n")
    return made


def main(pools):
    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    SHIPPED.mkdir(exist_ok=True)
    x, y = data()
    rows = []
    for name, planted in MODELS.items():
        net, success, trigger = model(name, x, y)
        file = io.BytesIO()
        torch.onnx.export(
            net, (torch.zeros(1, *SHAPE),), file, dynamo=False, dynamic_axes={"x": {0: "n"}}, input_names=["x"]
        )
        (SHIPPED / f"{name}.onnx").write_bytes(file.getvalue())
        rows.append({"name": name, "planted": planted, "success": round(success, 3), "trigger": trigger})
        print(rows[-1]["name"], rows[-1]["success"], len(file.getvalue()))
    (SHIPPED / "fixtures.json").write_text(json.dumps(rows, indent=1) + "\n")
    numpy.savez_compressed(SHIPPED / "digits.npz", x=x[1200:1500], y=y[1200:1500])
    print(
        references(
            pools, "digits-plain", "digits", "{} plain nets on two thirds of 1,200 digits of 8 x 8 pixels", SHAPE
        ).power
    )
    if (pools / "mnist-plain-test.jsonl").exists():
        recipe = "{} plain nets on two thirds of 12,000 images of MNIST"
        print(references(pools, "mnist-plain", "mnist", recipe, (1, 28, 28)).power)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
