"""Two thousand streams against CPython's two unpicklers; `make fuzz` runs two hundred thousand."""

from __future__ import annotations

import json
import subprocess
import sys


def test_the_machine_agrees_with_both_unpicklers():
    command = [sys.executable, "-m", "tests.property.differential", "2000", "20261123"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    *complaints, summary = done.stdout.strip().splitlines()
    assert complaints == []
    assert json.loads(summary) == {"cases": 2000, "wrong": 0}
