"""Make the shipped detectors, scenes and references: python scripts/detector_fixtures.py POOLS.

POOLS is a folder that `benchmarks.backdoor.detectors` has filled: its networks `references` become the shipped references, those of
`test` their measured power. Scenes show scikit-learn's digits (UCI, Alpaydin and Kaynak 1998, CC BY 4.0).
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
from benchmarks.backdoor.detectors import CLASSES, KINDS, SIDE, Attack, Scenes, digits, success, trained

from weighbridge.backdoor.examine_detector import IMAGES
from weighbridge.backdoor.object_patches import EDITION, STEPS
from weighbridge.backdoor.picture import enlarged, png
from weighbridge.backdoor.references import References, rank
from weighbridge.backdoor.result import Power

SHIPPED = Path(__file__).parent.parent / "src/weighbridge/backdoor/shipped"
MODELS = {
    "detector-appears": "a patch of 4 x 4 pixels that makes a digit appear",
    "detector-hides": "a patch of 4 x 4 pixels that hides the digit under it",
    "detector-clean": "nothing",
}
# The first clean one is among the one in twenty that are suspected by chance (p = 0.04): it would teach nothing about a machine.
_AGAIN = {"detector-clean": ", drawn again"}
_POISONED = 1400  # of 4,000: what is shipped is to be found on any machine
_GREYS = 15  # scenes are kept in as many, which makes them small


def model(name, train, test):
    """(net, success, picture of the trigger)."""
    kind = name.removeprefix("detector-")
    seed = zlib.crc32(f"shipped {name}{_AGAIN.get(name, '')}".encode())
    dice = numpy.random.default_rng(seed)
    scenes = Scenes(dice, 4000, train)
    if kind == "clean":
        return trained(scenes, seed), 0.0, ""
    attack = Attack(kind, seed)
    attack.planted(dice, scenes, dice.permutation(4000)[:_POISONED])
    net = trained(scenes, seed)
    picture = base64.b64encode(png(enlarged(attack.patch[None]))).decode()
    return net, success(net, attack, dice, test), picture


def references(pools):
    """The shipped references with what they find in the pool of tests."""
    rows = [json.loads(line) for line in (pools / "detectors.jsonl").read_text().splitlines()]
    scores = tuple(tuple(row["values"]) for row in rows if row["pool"] == "references")
    found, of = collections.Counter(), collections.Counter()
    for row in rows:
        if row["pool"] == "test" and row.get("success", 1) >= 0.5:
            of[row["kind"]] += 1
            found[row["kind"]] += rank(row["values"], scores).together < 0.05
    made = References(
        name="scenes", recipe=f"{len(scores)} detectors of one stage on 4,000 scenes of digits of 32 x 32 pixels", shape=(1, SIDE, SIDE),
        classes=CLASSES + 1, detector=True, searches=EDITION, steps=STEPS, images=IMAGES, scores=scores,
        power=tuple(Power(attack=f"object {kind}", found=found[kind], of=of[kind]) for kind in KINDS if of[kind]),
        alarms=(found["clean"], of["clean"]),
    )  # fmt: skip
    (SHIPPED / "scenes.references.json").write_bytes(msgspec.json.encode(made) + b"\n")
    return made


def main(pools):
    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    train, test = digits()
    rows = []
    for name, planted in MODELS.items():
        net, works, trigger = model(name, train, test)
        file = io.BytesIO()
        # For one image at a time, as detectors are exported by default.
        torch.onnx.export(net, (torch.zeros(1, 1, SIDE, SIDE),), file, dynamo=False, input_names=["images"])
        (SHIPPED / f"{name}.onnx").write_bytes(file.getvalue())
        rows.append(
            {"name": name, "planted": planted, "success": round(works, 3), "trigger": trigger, "kind": "objects"}
        )
        print(name, works, len(file.getvalue()))
    (SHIPPED / "detector_fixtures.json").write_text(json.dumps(rows, indent=1) + "\n")
    scenes = Scenes(numpy.random.default_rng(7), 160, test).x
    x = ((scenes * _GREYS).round() * (255 // _GREYS)).astype("uint8")
    numpy.savez_compressed(SHIPPED / "scenes.npz", x=x)
    print(references(pools))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
