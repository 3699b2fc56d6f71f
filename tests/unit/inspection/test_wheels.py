"""A wheel is what its name, its metadata and its RECORD say, and its modules are nobody else's."""

from __future__ import annotations

import pytest

from tests.corpus.packages import PLAIN, wheel
from weighbridge.inspection.wheels import against_itself

CODE = {"ranker/__init__.py": PLAIN}


def told(folder, files, name="ranker-1.0-py3-none-any.whl", record=""):
    (data,) = files.values()
    (folder / name).write_bytes(data)
    return [one.message for one in against_itself(str(folder / name), record)]


@pytest.mark.parametrize(
    "name", ["ranker-1.0-py3-none-any.whl", "Ranker-1.0-py3-none-any.whl", "ranker-1.0-1-py3-none-any.whl"]
)
def test_a_wheel_that_agrees_with_itself_is_left_alone(tmp_path, name):
    assert told(tmp_path, wheel(CODE), name) == []


@pytest.mark.parametrize("name", ["torch-1.0-py3-none-any.whl", "ranker-9.9-py3-none-any.whl"])
def test_a_file_name_that_is_not_that_of_the_metadata_is_told(tmp_path, name):
    assert any("its metadata says ranker 1.0" in one for one in told(tmp_path, wheel(CODE), name))


def test_two_packages_in_one_wheel_are_told(tmp_path):
    files = wheel({**CODE, "other-2.0.dist-info/METADATA": "Name: other\nVersion: 2.0\n"})
    assert any("2 packages in one wheel" in one for one in told(tmp_path, files))


@pytest.mark.parametrize(
    ("module", "whose"),
    [
        ("json/__init__.py", "standard library"),
        ("random.py", "standard library"),
        ("requests/__init__.py", "the package requests"),
    ],
)
def test_modules_that_stand_in_for_others_are_told(tmp_path, module, whose):
    (said,) = told(tmp_path, wheel({**CODE, module: PLAIN}))
    assert whose in said


def test_what_is_no_wheel_says_nothing_here(tmp_path):
    (tmp_path / "a.whl").write_bytes(b"PK\x03\x04 broken")
    assert list(against_itself(str(tmp_path / "a.whl"), "")) == []


def test_a_second_member_of_one_name_is_held_against_record_too(tmp_path):
    import warnings
    import zipfile

    from tests.corpus.packages import recorded

    files = wheel(CODE)
    record = recorded(files)
    (folder := tmp_path / "x").mkdir()
    path = folder / "ranker-1.0-py3-none-any.whl"
    path.write_bytes(next(iter(files.values())))
    with warnings.catch_warnings(), zipfile.ZipFile(path, "a") as made:
        warnings.simplefilter("ignore")
        made.writestr("ranker/__init__.py", "import os\n")
    known = {row.split(",")[0]: "0" for row in record.splitlines()}
    assert any("not what RECORD lists" in one.message for one in against_itself(str(path), record, known))
