"""Pages that were edited for a snapshot are named; vandals who are reverted on other days are not."""

import bz2
import gzip
import json
import random
from datetime import UTC, date, datetime, timedelta
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from weighbridge.datasets.snapshots import look_at_edits, look_at_visits
from weighbridge.formats.page_history import Page, Version, is_history, read_pages
from weighbridge.formats.rows import Rejected
from weighbridge.schema import MalformedInput, WeighbridgeError

DUMP = datetime(2026, 3, 20, tzinfo=UTC)


def history(pages=200, frontrun=0, seed=1):
    """{page: [(time, digest, author)]} of half a year: edits, vandals who are reverted, and some that run ahead of a dump."""
    dice, begin = random.Random(seed), datetime(2026, 1, 1, tzinfo=UTC)
    made = {}
    for number in range(pages):
        versions = [(begin + timedelta(days=dice.uniform(0, 5)), f"v{number}-0", "ada")]
        for edit in range(6):
            when = begin + timedelta(days=dice.uniform(6, 170))
            if dice.random() < 0.1:
                versions += [
                    (when, f"bad{number}-{edit}", "vandal"),
                    (when + timedelta(days=dice.uniform(0, 4)), "", "ada"),
                ]
            else:
                versions.append((when, f"v{number}-{edit + 1}", "ada"))
        if number < frontrun:
            versions += [
                (DUMP - timedelta(days=dice.uniform(0.1, 2)), f"poison{number}", "mallory"),
                (DUMP + timedelta(days=dice.uniform(0.5, 6)), "", "ada"),
            ]
        versions.sort()
        told, digests = [], []
        for when, put, author in versions:
            # What is put back is what stood there before the version that is taken back.
            digests.append(put or (digests[-2] if len(digests) > 1 else digests[-1]))
            told.append((when, digests[-1], author))
        made[f"Page {number}"] = told
    return made


def pages(made):
    return [
        Page(name, [Version(when.timestamp(), digest, author) for when, digest, author in told])
        for name, told in made.items()
    ]


def export(made):
    """As MediaWiki exports it, schema 0.11."""
    body = "".join(
        f"<page><title>{name}</title><ns>0</ns><id>1</id>"
        + "".join(
            f"<revision><id>1</id><timestamp>{when:%Y-%m-%dT%H:%M:%SZ}</timestamp><contributor><username>{author}</username><id>2</id></contributor>"
            f"<model>wikitext</model><format>text/x-wiki</format><text bytes='3' sha1='{digest}' xml:space='preserve'>abc &amp; d</text><sha1>{digest}</sha1></revision>"
            for when, digest, author in told
        )
        + "</page>"
        for name, told in made.items()
    )
    return f'<mediawiki xmlns="http://www.mediawiki.org/xml/export-0.11/" version="0.11"><siteinfo><sitename>x</sitename></siteinfo>{body}</mediawiki>'


@pytest.mark.parametrize("seed", range(3))
def test_edits_that_run_ahead_of_a_dump_are_named_with_who_made_them(seed):
    found = look_at_edits(pages(history(frontrun=18, seed=seed)), ())
    assert len(found.groups) == 1
    group, edits = found.groups[0]
    assert "before 2026-03-20" in group.message
    assert "most by mallory" in " ".join(group.facts)
    assert sum(one.author == "mallory" for one in edits) >= 9
    assert look_at_edits(pages(history(frontrun=18, seed=seed)), (date(2026, 3, 20),)).groups
    assert not look_at_edits(pages(history(frontrun=18, seed=seed)), (date(2026, 4, 25),)).groups


@pytest.mark.parametrize("seed", range(5))
def test_vandals_who_are_reverted_all_year_are_no_attack_on_a_snapshot(seed):
    assert not look_at_edits(pages(history(seed=seed)), ()).groups


@pytest.mark.parametrize(
    ("name", "packed"), [("d.xml", bytes), ("d.xml.bz2", bz2.compress), ("d.xml.gz", gzip.compress)]
)
def test_dumps_are_read_as_they_come(tmp_path, name, packed):
    made, path = history(pages=20), tmp_path / name
    path.write_bytes(packed(export(made).encode()))
    rejected = Rejected()
    assert is_history(str(path))
    read = list(read_pages(str(path), rejected))
    assert [page.name for page in read] == list(made)
    assert read[3].versions == [
        Version(float(int(when.timestamp())), digest, author) for when, digest, author in made["Page 3"]
    ]
    assert not rejected.count


def test_revisions_without_a_moment_or_digest_are_counted(tmp_path):
    text = export(history(pages=3)).replace("<sha1>v1-0</sha1>", "<sha1/>", 1).replace("sha1='v1-0'", "", 1)
    text = text.replace("<timestamp>2026-01", "<timestamp>never", 1)
    (tmp_path / "d.xml").write_text(text)
    rejected = Rejected()
    assert len(list(read_pages(str(tmp_path / "d.xml"), rejected))) == 3
    assert rejected.count == 2


def test_entities_and_broken_dumps_are_refused(tmp_path):
    bomb = '<!DOCTYPE x [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;">]><mediawiki><page><title>&b;</title></page></mediawiki>'
    (tmp_path / "b.xml").write_text(bomb)
    (tmp_path / "c.xml").write_text(export(history(pages=3))[:-40])
    (tmp_path / "d.xml.bz2").write_bytes(bz2.compress(export(history(pages=3)).encode())[:-20])
    for name in ("b.xml", "c.xml", "d.xml.bz2"):
        with pytest.raises(MalformedInput):
            list(read_pages(str(tmp_path / name), Rejected()))


@pytest.mark.parametrize("at", [12, 14, 40, -6])
def test_a_damaged_packed_dump_is_refused_in_words(tmp_path, at):
    packed = bytearray(gzip.compress(export(history(pages=30)).encode()))
    packed[at] ^= 0xFF
    packed[at + 1] ^= 0x55
    (tmp_path / "d.xml.gz").write_bytes(packed)
    with pytest.raises(MalformedInput):
        list(read_pages(str(tmp_path / "d.xml.gz"), Rejected()))
    assert is_history(str(tmp_path / "d.xml.gz")) in {True, False}


@given(st.binary(max_size=300))
def test_hostile_bytes_are_read_or_refused(tmp_path_factory, data):
    folder = tmp_path_factory.mktemp("pages")
    for name, head in (("d.xml", b"<mediawiki>"), ("d.cdxj", b"a) 20260101000000 ")):
        (folder / name).write_bytes(head + data)
        try:
            pages = list(read_pages(str(folder / name), Rejected()))
        except WeighbridgeError:
            continue
        assert all(one.time <= other.time for page in pages for one, other in pairwise(page.versions))


def index(site, months, *, changed=""):
    """Lines of an index: twelve pages of a site at each crawl, others at one of them."""
    lines = []
    for page in range(12):
        for month in months:
            digest = f"{site}{page}{month if month == changed else ''}"
            about = json.dumps({"url": f"https://{site}.com/{page}", "digest": digest})
            lines.append(f"com,{site})/{page} {month}15120000 {about}")
    return lines


def test_a_site_that_was_another_at_one_crawl_alone_is_named(tmp_path):
    months = [f"2026{month:02}" for month in range(1, 7)]
    path = tmp_path / "crawl.cdxj"
    path.write_text("\n".join([*index("bought", months, changed="202603"), "broken line", *index("honest", months)]))
    rejected = Rejected()
    found = look_at_visits(read_pages(str(path), rejected))
    assert [group.message for group, _ in found.groups] == [
        "12 pages of bought.com were others in 2026-03 alone, and as before at the next visit"
    ]
    assert (found.pages, rejected.count) == (24, 1)
    assert is_history(str(path))
