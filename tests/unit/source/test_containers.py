"""Containers against their own libraries: what they write is read back whole, what is odd is told."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import os
import tarfile
import zipfile
import zlib

import lz4.frame
import py7zr
import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from weighbridge.identify import CONTAINERS, identify, open_container
from weighbridge.schema import LimitExceeded, Limits, MalformedInput, WeighbridgeError
from weighbridge.source import Budget, BytesBlob, LocalTree, Oddity
from weighbridge.source.names import escapes, link_escapes

CONTENT = {"a.txt": b"hello", "folder/b.bin": bytes(range(256)) * 300, "empty": b""}


def opened(data, name="x", limits=None):
    blob = BytesBlob(data)
    found = identify(blob).format
    return open_container(found, blob, name, Budget(limits or Limits())) if found in CONTAINERS else None


def contents(tree):
    found = {}
    for entry in tree.entries():
        blob = tree.open(entry)
        found[entry.name] = blob.read(0, blob.size)
        tree.verify(entry, blob)
    return found


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_zip(method):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", method) as archive:
        for name, data in CONTENT.items():
            archive.writestr(name, data)
    tree = opened(buffer.getvalue())
    assert contents(tree) == CONTENT
    assert tree.anomalies() == []


@pytest.mark.parametrize("form", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_tar_with_long_names(form):
    long = {**CONTENT, "/".join(["deep"] * 18) + "/" + "n" * 90: b"x"} if form != tarfile.USTAR_FORMAT else CONTENT
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=form) as archive:
        for name, data in long.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    tree = opened(buffer.getvalue())
    assert contents(tree) == long
    assert tree.anomalies() == []


@pytest.mark.parametrize(
    "filters",
    [
        None,
        [{"id": py7zr.FILTER_LZMA}],
        [{"id": py7zr.FILTER_BZIP2}],
        [{"id": py7zr.FILTER_DEFLATE}],
        [{"id": py7zr.FILTER_COPY}],
    ],
)
def test_7z(filters):
    buffer = io.BytesIO()
    with py7zr.SevenZipFile(buffer, "w", filters=filters) as archive:
        for name, data in CONTENT.items():
            archive.writestr(data, name)
    assert contents(opened(buffer.getvalue())) == CONTENT


def test_7z_with_a_password_is_encrypted_and_not_silent():
    buffer = io.BytesIO()
    with py7zr.SevenZipFile(buffer, "w", password="x") as archive:
        archive.writestr(b"secret", "a")
    tree = opened(buffer.getvalue())
    (entry,) = tree.entries()
    assert entry.encrypted
    with pytest.raises(MalformedInput):
        tree.open(entry)
    assert tree.anomalies()[0].oddity is Oddity.ENCRYPTED


@pytest.mark.parametrize(
    ("squeeze", "codec"),
    [(gzip.compress, "gzip"), (bz2.compress, "bz2"), (lzma.compress, "xz"), (lambda d: lzma.compress(d, lzma.FORMAT_ALONE), "lzma"),
     (zlib.compress, "zlib"), (lz4.frame.compress, "lz4"), (zstandard.compress, "zstd")],
)  # fmt: skip
def test_streams(squeeze, codec):
    data = os.urandom(3000) + b"a" * 3_000_000
    tree = opened(squeeze(data), "model.pkl.gz")
    assert tree.format == codec
    assert list(contents(tree).values()) == [data]


@pytest.mark.parametrize("squeeze", [gzip.compress, bz2.compress, lzma.compress, lz4.frame.compress])
def test_members_that_follow_one_another_are_one_stream(squeeze):
    assert list(contents(opened(squeeze(b"one") + squeeze(b"two"))).values()) == [b"onetwo"]


def test_bytes_behind_a_stream_are_a_member_of_their_own():
    tree = opened(zlib.compress(b"hello") + b"payload")
    assert contents(tree)["bytes after the stream"] == b"payload"
    assert tree.anomalies()[0].oddity is Oddity.TRAILING


def test_a_bomb_stops_at_its_bound():
    bomb = gzip.compress(b"\0" * 40_000_000)
    with pytest.raises(LimitExceeded):
        opened(bomb, limits=Limits(unpacked_bytes=1_000_000))
    with pytest.raises(LimitExceeded) as refusal:
        opened(bomb, limits=Limits(ratio=100, ratio_floor=1_000_000))
    assert refusal.value.limit == "ratio"


def test_a_cut_stream_keeps_what_came_before():
    tree = opened(gzip.compress(os.urandom(100_000))[:60_000])
    (data,) = contents(tree).values()
    assert len(data) > 50_000
    assert tree.anomalies()[0].oddity is Oddity.CUT


@pytest.mark.parametrize("name", ["../a", "a/../../b", "/etc/passwd", "C:\\x", "a\\..\\..\\b", "..\\x"])
def test_names_that_leave_the_folder(name):
    assert escapes(name)


@pytest.mark.parametrize("name", ["a", "a/b..c", "..a/b", "a/b/c.txt"])
def test_names_that_stay(name):
    assert not escapes(name)


def test_links_are_resolved_from_where_they_stand():
    assert link_escapes("a/b", "../../x")
    assert not link_escapes("a/b", "../x")


def test_a_folder_lists_links_and_pipes_and_follows_none(tmp_path):
    (tmp_path / "a.txt").write_bytes(b"x")
    os.symlink("a.txt", tmp_path / "inside")
    os.symlink("/etc/hostname", tmp_path / "outside")
    os.mkfifo(tmp_path / "pipe")
    tree = LocalTree(str(tmp_path))
    kinds = {entry.name: entry.kind.value for entry in tree.entries()}
    assert kinds == {"a.txt": "file", "inside": "link", "outside": "link", "pipe": "device or pipe"}
    assert {a.name: a.oddity for a in tree.anomalies()} == {"outside": Oddity.LINK_ESCAPE, "pipe": Oddity.MODE}


@pytest.mark.parametrize(
    "magic",
    [
        b"PK\x03\x04",
        b"7z\xbc\xaf\x27\x1c\x00\x04",
        b"\x1f\x8b\x08",
        b"BZh9",
        b"\xfd7zXZ\x00",
        b"\x28\xb5\x2f\xfd",
        b"\x04\x22\x4d\x18",
        b"\x78\x9c",
    ],
)
@given(body=st.binary(max_size=300))
def test_any_bytes_behind_a_magic_end_in_a_tree_or_a_refusal(magic, body):
    try:
        tree = opened(magic + body)
        read = contents(tree) if tree is not None else {}
    except WeighbridgeError as refusal:
        assert refusal.message
    else:
        assert sum(map(len, read.values())) < 1 << 20


def test_a_zip_stored_in_a_zip_is_no_second_directory():
    inner, outer = io.BytesIO(), io.BytesIO()
    with zipfile.ZipFile(inner, "w") as archive:
        archive.writestr("a.txt", "x")
    with zipfile.ZipFile(outer, "w") as archive:
        archive.writestr("inner.zip", inner.getvalue())
    assert opened(outer.getvalue()).anomalies() == []
    appended = outer.getvalue() + inner.getvalue()
    assert {Oddity.PREFIX, Oddity.SECOND_DIRECTORY} & {anomaly.oddity for anomaly in opened(appended).anomalies()}
