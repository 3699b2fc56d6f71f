"""Where inspections lay files out: whoever starts takes away what the killed left, and nothing of the living."""

import os
import subprocess
import sys

import pytest

from weighbridge.registry.services.workplace import Workplace
from weighbridge.schema import SourceError

BUSY = """
import sys
from weighbridge.registry.services.workplace import Workplace

with Workplace(sys.argv[1]).room() as room:
    open(room + "/weights.npy", "wb").close()
    print(room, flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def busy(tmp_path):
    process = subprocess.Popen(
        [sys.executable, "-c", BUSY, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    yield process
    process.kill()
    process.communicate()


def test_what_a_living_process_inspects_stays_when_another_one_starts(busy, tmp_path):
    room = busy.stdout.readline().strip()
    second = Workplace(str(tmp_path))

    assert os.path.dirname(room) != second.open()
    assert os.listdir(room) == ["weights.npy"]


def test_what_a_killed_process_left_is_removed_by_the_next(busy, tmp_path):
    room = busy.stdout.readline().strip()
    busy.kill()
    busy.wait()
    second = Workplace(str(tmp_path))
    second.open()

    assert not os.path.exists(room)
    assert os.listdir(tmp_path / "work") == [os.path.basename(second.open())]


def test_a_file_or_a_link_where_a_folder_is_expected_hurts_nothing_elsewhere(tmp_path):
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere/kept").touch()
    (tmp_path / "work").mkdir()
    (tmp_path / "work/file").touch()
    (tmp_path / "work/link").symlink_to(tmp_path / "elsewhere")
    place = Workplace(str(tmp_path))
    place.open()
    place.close()

    assert os.listdir(tmp_path / "work") == []
    assert os.listdir(tmp_path / "elsewhere") == ["kept"]


def test_a_folder_that_cannot_be_made_is_told(tmp_path):
    (tmp_path / "work").touch()
    with pytest.raises(SourceError, match="work"):
        Workplace(str(tmp_path)).open()
