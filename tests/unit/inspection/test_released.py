"""Two releases side by side, and a release beside its source: what is new is told, what merely moved is not."""

from __future__ import annotations

import pytest

from tests.corpus.dependencies import released_rules, renamed
from tests.corpus.packages import INCIDENTS, PLAIN, elf, npm, packed, sdist, wheel
from weighbridge.inspection.released import released
from weighbridge.schema import Severity, SourceError, UsageError

RICH = "import subprocess, urllib.request\ndata = urllib.request.urlopen('https://x.example').read()\nsubprocess.run(['tool', 'a'])\n"
WHEELS = {name: files for name, files in INCIDENTS.items() if next(iter(files)).endswith(".whl")}


@pytest.mark.parametrize("host", [PLAIN, RICH], ids=["quiet host", "rich host"])
@pytest.mark.parametrize("name", WHEELS)
def test_what_a_hijacked_release_brings_is_found(tmp_path, name, host):
    old = renamed(wheel({"ranker/__init__.py": host}), "1.0")
    assert released_rules(tmp_path, old, renamed(WHEELS[name], "1.1"))


@pytest.mark.parametrize(
    "after",
    [
        {"ranker/__init__.py": RICH + "def more():\n    return 1\n"},
        {"ranker/__init__.py": "from . import net\n", "ranker/net.py": RICH},
        {
            "ranker/__init__.py": RICH,
            "ranker/call.py": "import requests\ndef ask(url):\n    return requests.get(url)\n",
        },
        {"ranker/__init__.py": RICH, "ranker/_core.cpython-311-x86_64-linux-gnu.so": elf(exports=("PyInit__core",))},
    ],
    ids=["a function", "a move", "a call nobody makes", "an extension module"],
)
def test_what_releases_do_is_left_alone(tmp_path, after):
    old = renamed(wheel({"ranker/__init__.py": RICH}), "1.0")
    assert released_rules(tmp_path, old, renamed(wheel(after), "1.1")) == set()


def test_a_script_that_npm_runs_is_new(tmp_path):
    old = {"ranker-1.0.0.tgz": next(iter(npm({"index.js": "1\n"}).values()))}
    new = {
        "ranker-1.0.1.tgz": next(
            iter(npm({"index.js": "1\n", "setup.js": "1\n"}, {"preinstall": "node setup.js"}).values())
        )
    }
    assert "PKG-018" in released_rules(tmp_path, old, new)


def two(folder, before, after):
    for name, files in (("old", before), ("new", after)):
        (folder / name).mkdir()
        for file, data in files.items():
            (folder / name / file).write_bytes(data)
    return tuple(str(next((folder / name).iterdir())) for name in ("old", "new"))


SOURCE = {
    "src/ranker/__init__.py": "from .core import rank\r\n",
    "src/ranker/core.py": PLAIN,
    "setup.py": "from setuptools import setup\nsetup()\n",
}


def test_a_wheel_is_held_against_its_source_distribution(tmp_path):
    built = {"ranker/__init__.py": "from .core import rank\n", "ranker/core.py": PLAIN, "ranker/_version.py": "v = 1\n"}
    old, new = two(tmp_path, sdist(SOURCE), wheel(built))
    assert not released(old, new).findings


@pytest.mark.parametrize(
    ("change", "severity"),
    [
        ({"ranker/core.py": PLAIN + "import os\n"}, Severity.HIGH),
        ({"ranker/extra.py": "x = 1\n"}, Severity.MEDIUM),
        ({"ranker.pth": "import ranker\n"}, Severity.HIGH),
        ({"ranker/run.js": "1\n"}, Severity.HIGH),
    ],
    ids=["other code", "code that is nowhere", "a start-up file", "a script"],
)
def test_what_no_source_holds_is_told(tmp_path, change, severity):
    built = {"ranker/__init__.py": "from .core import rank\n", "ranker/core.py": PLAIN, **change}
    old, new = two(tmp_path, sdist(SOURCE), wheel(built))
    (found,) = released(old, new).findings
    assert (found.rule, found.severity) == ("PKG-018", severity)


def test_a_source_distribution_is_held_against_the_folder_of_its_tag(tmp_path):
    tag = tmp_path / "tag"
    for name, text in SOURCE.items():
        (tag / name).parent.mkdir(parents=True, exist_ok=True)
        (tag / name).write_bytes(text.encode())
    same, other = tmp_path / "same", tmp_path / "other"
    for folder, files in ((same, SOURCE), (other, {**SOURCE, "setup.py": "import os\nos.system('x')\n"})):
        folder.mkdir()
        (folder / "ranker-1.0.tar.gz").write_bytes(next(iter(sdist(files).values())))
    assert not released(str(tag), str(same / "ranker-1.0.tar.gz")).findings
    assert [one.rule for one in released(str(tag), str(other / "ranker-1.0.tar.gz")).findings] == ["PKG-018"]


def test_what_is_no_package_is_refused(tmp_path):
    old, new = two(
        tmp_path, packed({"a.txt": "x"}, "a-1.0", "a-1.0.tar.gz"), packed({"a.txt": "x"}, "a-1.1", "a-1.1.tar.gz")
    )
    with pytest.raises(UsageError):
        released(old, new)
    empty = tmp_path / "empty"
    empty.mkdir()
    with pytest.raises(SourceError):
        released(str(empty), new)
