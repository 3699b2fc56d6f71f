"""Returns of fine-tuning services, as ordered and not: how many of each are told to be otherwise (ADP-015).

python -m benchmarks.backdoor.service_returns [--each 40]
"""

import argparse
import collections
import tempfile
from pathlib import Path

import numpy as np
from safetensors.numpy import save_file
from tests.corpus.derivatives import KINDS, base, derived

from weighbridge.inspection.service_return import held_to_job
from weighbridge.provenance.job import Job

JOBS = {
    "low-rank merge": Job(method="lora", rank=16, modules=("q_proj", "v_proj")), "full fine-tune": Job(method="full"),
    "head only": Job(method="head"), "quantised and back": Job(method="quantised"),
}  # fmt: skip


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--each", type=int, default=40)
    each = parser.parse_args().each
    alarms, told = collections.Counter(), collections.Counter()
    with tempfile.TemporaryDirectory() as folder:
        old, new = Path(folder) / "old.safetensors", Path(folder) / "new.safetensors"
        for number in range(each):
            for kind in KINDS:
                rng = np.random.default_rng([number, KINDS.index(kind), 7])
                sent = base(rng)
                save_file(sent, old)
                save_file(derived(kind, sent, rng), new)
                for ordered, job in JOBS.items():
                    found = any(one.rule == "ADP-015" for one in held_to_job(str(old), job, str(new)).findings)
                    if kind == ordered or (ordered == "full fine-tune" and kind == "part of the layers"):
                        alarms[ordered] += found
                    else:
                        told[kind, ordered] += found
    print(f"as ordered, and told to be otherwise: {dict(alarms)} of {each} each")
    missed = {pair: f"{count} of {each}" for pair, count in told.items() if count < each}
    print(f"not as ordered: {sum(told.values())} of {each * len(told)} told; fewer than all: {missed}")


if __name__ == "__main__":
    main()
