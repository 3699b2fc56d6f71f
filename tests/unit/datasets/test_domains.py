"""Addresses at domains that lapsed, soon will, or are new are named; known and unknown ones are told apart."""

from datetime import date

import pytest

from weighbridge.datasets.columns import URLS, Roles
from weighbridge.datasets.domains import Domains, Registered, read_domains
from weighbridge.datasets.view import Rows
from weighbridge.schema import Severity, UsageError

TODAY = date(2026, 11, 28)
KNOWN = {
    "old.example": Registered(date(2009, 1, 1), date(2030, 1, 1)),
    "gone.example": Registered(date(2011, 1, 1), date(2026, 11, 1)),
    "soon.example": Registered(date(2011, 1, 1), date(2026, 12, 20)),
    "new.example": Registered(date(2026, 8, 1), date(2027, 8, 1)),
    "co.uk": Registered(None, None),
}


def outcome(*urls):
    test = Domains(Roles(kind=URLS, url="url"), KNOWN, TODAY)
    test.add(Rows(first=0, split="", texts=[""] * len(urls), cells={"url": list(urls)}))
    return test.finish()


def test_lapsed_lapsing_and_new_domains_are_named_with_their_rows():
    found = outcome(
        "https://img.old.example/1",
        "https://a.gone.example/2",
        "http://soon.example:80/3",
        "https://new.example/4",
        "https://gone.example./5",
    )
    assert [(group.severity, list(group.rows)) for group in found.groups] == [
        (Severity.HIGH, [1, 4]), (Severity.MEDIUM, [2]), (Severity.MEDIUM, [3]),
    ]  # fmt: skip
    assert "gone.example (2)" in found.groups[0].facts[0]
    assert not found.not_tested


def test_domains_that_nobody_gave_are_counted_and_not_judged():
    found = outcome("https://old.example/1", "https://elsewhere.example/2", "https://[broken", "")
    assert not found.groups
    assert found.not_tested == "domains of 2 addresses that are not in the table"


def test_a_table_is_read_by_its_head(tmp_path):
    (tmp_path / "d.csv").write_text(
        "Domain,Created,Expires\nA.Example.,2010-01-01T00:00:00Z,never\nb.example,,2027-01-01\n"
    )
    assert read_domains(str(tmp_path / "d.csv")) == {
        "a.example": Registered(date(2010, 1, 1), None), "b.example": Registered(None, date(2027, 1, 1)),
    }  # fmt: skip
    (tmp_path / "e.csv").write_text("x,y\n1,2\n")
    for name in ("e.csv", "missing.csv"):
        with pytest.raises(UsageError):
            read_domains(str(tmp_path / name))
