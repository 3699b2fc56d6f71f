"""Windows of files: bounded, and never beyond what is there."""

from __future__ import annotations

from weighbridge.source import FileBlob


def test_an_offset_beyond_every_file_reads_nothing(tmp_path):
    (tmp_path / "a").write_bytes(b"abc")
    assert FileBlob(str(tmp_path / "a")).read(1 << 63, 10) == b""
    assert FileBlob(str(tmp_path / "a")).read(1, 10) == b"bc"
