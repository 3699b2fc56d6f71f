"""Where Linux's layers are not: the same answers through pipes, and refusal where a layer is missing.

macOS and Windows are not here: what is tested is the way of the bytes, with a stand-in for `sandbox-exec`, and the profile's text.
"""

from __future__ import annotations

import os
import pickle
import stat

import numpy as np
import pytest

from tests.corpus.payloads import Does
from weighbridge.sandbox import Bounds, Elsewhere, Kind
from weighbridge.sandbox.elsewhere import profile
from weighbridge.schema import Unavailable
from weighbridge.source.blob import OpenBlob

BOUNDS = Bounds(memory=200 << 20, processor=4, seconds=8, output=1 << 22)


@pytest.fixture
def tool(tmp_path):
    """Keeps the profile that it was given, and runs the rest of its command line."""
    path = tmp_path / "sandbox-exec"
    path.write_text(f'#!/bin/sh\nprintf %s "$2" > {tmp_path}/profile\nshift 2\nexec "$@"\n')
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return str(path)


def loaded(folder, value, tool="", **more):
    (folder / "m.pkl").write_bytes(pickle.dumps(value, 2))
    return Elsewhere(tool=tool).load(
        str(folder / "m.pkl"), "pickle", bounds=BOUNDS, **{"required": ("rlimits",), **more}
    )


def test_tensors_and_values_come_out(tmp_path, tool):
    array = np.arange(6.0).reshape(2, 3)
    found = loaded(tmp_path, {"a": array, "n": 3}, tool, required=("seatbelt", "rlimits"))
    assert found.layers == ("seatbelt", "rlimits")
    one = found.tensors.tensors[0]
    assert OpenBlob(found.image).read(found.tensors.data + one.start, one.end - one.start) == array.tobytes()
    assert [(value.path, value.what) for value in found.answer.values] == [("n", "3")]
    os.close(found.image)
    assert (tmp_path / "profile").read_text().startswith("(version 1)(deny default)")


def test_a_layer_that_is_missing_stops_the_load(tmp_path):
    with pytest.raises(Unavailable, match="seatbelt missing, active: rlimits"):
        loaded(tmp_path, Does(f"open({str(tmp_path / 'ran')!r}, 'w')"), required=("seatbelt", "rlimits"))
    assert not (tmp_path / "ran").exists()


def test_limits_and_failures_are_told(tmp_path):
    assert loaded(tmp_path, Does("import time; time.sleep(60)")).limit == "time"
    assert loaded(tmp_path, Does("b = []\nwhile True: b.append(bytearray(1 << 24))")).limit == "memory"
    assert loaded(tmp_path, Does("1 / 0")).answer.error == "ZeroDivisionError: division by zero"
    assert "without an answer" in loaded(tmp_path, Does("import os; os._exit(0)")).answer.error


def test_an_answer_that_is_none_is_refused(tmp_path):
    code = "import os\nfor f in range(3, 20):\n try: os.write(f, b'\\xff' * 64)\n except OSError: pass\nos._exit(0)"
    found = loaded(tmp_path, Does(code))
    assert found.image == -1
    assert [one.kind for one in found.attempts] == [Kind.ANSWER] or "without an answer" in found.answer.error


def test_the_profile_names_what_may_be_read_and_nothing_else():
    made = profile("/opt/python/bin/python3", ('/opt/a "b"',))
    assert '(subpath "/opt/a \\"b\\"")' in made
    assert "(deny network*)" in made
    assert "(allow network" not in made
    assert made.count("file-write") == 1
