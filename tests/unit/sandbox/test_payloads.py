"""The matrix: none of the payloads gets what it wants inside, and most of them do outside."""

from __future__ import annotations

import os

import pytest

from tests.corpus.payloads import DESIGN, OURS, PAYLOADS
from weighbridge.sandbox import Bounds, Kind

# While observing, the network, sleep and the first processes are played: who believes in them has won nothing.
PLAYED = {"sleep", "daemon that stays"}
BOUNDS = Bounds(memory=1 << 29, processor=2, seconds=5, output=1 << 20)


@pytest.fixture(autouse=True)
def secret(monkeypatch):
    monkeypatch.setenv("WEIGHBRIDGE_TEST_TOKEN", "hidden")


def test_the_matrix_is_as_long_as_it_has_to_be():
    assert len(DESIGN) >= 51
    assert len(OURS) >= 30


@pytest.mark.parametrize("observe", [False, True], ids=["enforce", "observe"])
@pytest.mark.parametrize("name", PAYLOADS)
def test_no_payload_wins(sandbox, scene, name, observe):
    before = sorted(os.listdir(os.path.dirname(scene.laid(name))))
    found = sandbox.load(scene.laid(name), "pickle", bounds=BOUNDS, observe=observe)
    played = name in PLAYED or any(one.kind is Kind.NETWORK for one in found.attempts)
    assert "WON" not in found.printed or (observe and played)
    assert scene.victim.poll() is None
    assert sorted(os.listdir(os.path.dirname(scene.home))) == before
    assert sorted(os.listdir(scene.home)) == ["planted.py", "victim", "victim2", "victim3"]
    assert os.path.getsize(os.path.join(scene.home, "victim3")) == 1
