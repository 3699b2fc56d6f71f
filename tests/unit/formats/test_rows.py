"""Files of rows: what is read, what is rejected and where, and that nothing hostile raises anything but our errors."""

import gzip
import json

import pyarrow
import pyarrow.parquet
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from weighbridge.formats import rows
from weighbridge.formats.columnar import ColumnarFile
from weighbridge.formats.rows import open_rows, spans
from weighbridge.schema import LimitExceeded, MalformedInput, WeighbridgeError


def read(path):
    file = open_rows(str(path))
    batches = list(file.batches())
    names = {name for batch in batches for name in batch.columns}
    return {name: [cell for batch in batches for cell in batch.columns[name]] for name in names}, file, batches


def put(tmp_path, name, data):
    (tmp_path / name).write_bytes(data)
    return tmp_path / name


def test_json_lines_with_broken_ones_are_read_and_the_broken_are_located(tmp_path):
    lines = [b'{"a": 1}', b"{broken", b'{"a": 3}', b"[1]", b'{"a": NaN}', b""]
    columns, file, batches = read(put(tmp_path, "x.jsonl", b"\n".join(lines)))
    assert columns["a"][:2] == [1, 3]
    assert len(columns["a"]) == 3
    assert batches[0].lines == [1, 3, 5]
    assert file.rejected.count == 2
    assert [line for line, _ in file.rejected.places] == [2, 4]


def test_a_line_that_never_ends_is_rejected_without_being_held(tmp_path, monkeypatch):
    monkeypatch.setattr(rows, "LONGEST", 1 << 16)
    monkeypatch.setattr(rows, "_WINDOW", 1 << 15)
    data = b'{"a": 1}\n{"a": "' + b"x" * (1 << 18) + b'"}\n{"a": 3}\n'
    columns, file, batches = read(put(tmp_path, "x.jsonl", data))
    assert columns["a"] == [1, 3]
    assert batches[0].lines == [1, 3]
    assert file.rejected.places[0][0] == 2


def test_objects_that_lack_a_member_have_none(tmp_path):
    columns, _, _ = read(put(tmp_path, "x.jsonl", b'{"a": 1}\n{"b": 2}\n'))
    assert columns == {"a": [1, None], "b": [None, 2]}


@pytest.mark.parametrize(
    "document",
    [[{"a": 1}, {"a": 2}], {"data": [{"a": 1}, {"a": 2}]}, {"a": [1, 2]} | {"b": [3, 4]}],
)
def test_a_json_document_is_a_list_or_columns(tmp_path, document):
    columns, _, _ = read(put(tmp_path, "x.json", json.dumps(document).encode()))
    assert columns["a"] == [1, 2]


def test_a_json_document_that_breaks_off_is_malformed(tmp_path):
    with pytest.raises(MalformedInput):
        read(put(tmp_path, "x.json", b'[{"a": 1},'))


@pytest.mark.parametrize(
    ("encoding", "note"), [("utf-8", ""), ("utf-8-sig", ""), ("utf-16", "utf-16"), ("cp1252", "cp1252")]
)
def test_tables_in_odd_encodings_are_read_and_the_guess_is_said(tmp_path, encoding, note):
    columns, file, _ = read(put(tmp_path, "x.csv", "text,label\ncafé au lait,1\n".encode(encoding)))
    assert columns["text"] == ["café au lait"]
    assert note in " ".join(file.notes)


@pytest.mark.parametrize("separator", [",", ";", "\t", "|"])
def test_the_separator_is_found_out(tmp_path, separator):
    text = "\n".join(separator.join(row) for row in [("text", "label"), ("one, two", "a"), ("three", "b")])
    quoted = text.replace("one, two", '"one, two"')
    columns, _, _ = read(put(tmp_path, "x.csv", quoted.encode()))
    assert columns == {"text": ["one, two", "three"], "label": ["a", "b"]}


def test_a_table_without_a_header_has_numbered_columns(tmp_path):
    columns, file, _ = read(put(tmp_path, "x.csv", b'3,"Fears for pension"\n4,"Rockets"\n'))
    assert columns == {"column 1": ["3", "4"], "column 2": ["Fears for pension", "Rockets"]}
    assert "no header" in file.notes[0]


def test_a_row_of_another_width_is_rejected(tmp_path):
    columns, file, _ = read(put(tmp_path, "x.csv", b"a,b\n1,2\n1,2,3\n4,5\n"))
    assert columns["a"] == ["1", "4"]
    assert file.rejected.places == [(3, "3 cells, not 2")]


def test_a_gzipped_file_is_read_and_a_cut_one_is_malformed(tmp_path):
    data = gzip.compress(b'{"a": 1}\n' * 1000)
    assert len(read(put(tmp_path, "x.jsonl.gz", data))[0]["a"]) == 1000
    with pytest.raises(MalformedInput):
        read(put(tmp_path, "y.jsonl.gz", data[:-20]))


def test_a_bomb_ends_at_the_bound(tmp_path, monkeypatch):
    monkeypatch.setattr(rows, "_UNPACKED", 1 << 20)
    with pytest.raises(LimitExceeded):
        read(put(tmp_path, "x.jsonl.gz", gzip.compress(b"\n" * (8 << 20))))


def test_an_empty_file_has_no_rows(tmp_path):
    for name in ("x.jsonl", "x.csv", "x.txt"):
        assert read(put(tmp_path, name, b""))[0] == {}


@settings(max_examples=150, deadline=None)
@given(
    data=st.binary(max_size=400),
    name=st.sampled_from(["x.jsonl", "x.json", "x.csv", "x.tsv", "x.txt", "x.csv.gz", "x.parquet", "x.arrow"]),
)
def test_no_bytes_raise_anything_but_our_errors(tmp_path_factory, data, name):
    path = put(tmp_path_factory.mktemp("rows"), name, data)
    try:
        if name.endswith(("parquet", "arrow")):
            list(ColumnarFile(str(path), name.rpartition(".")[2]).batches())
        else:
            _, file, batches = read(path)
            assert (
                sum(map(len, batches)) + file.rejected.count
                <= data.count(b"\n") + data.count(b"\r") + data.count(b"{") + data.count(b"[") + 2
            )
    except WeighbridgeError:
        pass


@settings(max_examples=60, deadline=None)
@given(place=st.integers(0, 10_000), value=st.integers(0, 255))
def test_a_damaged_parquet_file_is_read_or_malformed(tmp_path_factory, place, value):
    folder = tmp_path_factory.mktemp("parquet")
    pyarrow.parquet.write_table(
        pyarrow.table({"text": ["a b c", "d"] * 50, "label": [0, 1] * 50}), folder / "x.parquet"
    )
    data = bytearray((folder / "x.parquet").read_bytes())
    data[place % len(data)] = value
    try:
        found = list(ColumnarFile(str(put(folder, "y.parquet", bytes(data))), "parquet").batches())
        assert all(len(cells) == len(batch) for batch in found for cells in batch.columns.values())
    except WeighbridgeError:
        pass


def test_arrow_files_and_streams_are_read(tmp_path):
    table = pyarrow.table({"text": ["a", "b"]})
    for name, opened in (("x.arrow", pyarrow.ipc.new_file), ("y.arrow", pyarrow.ipc.new_stream)):
        with opened(str(tmp_path / name), table.schema) as out:
            out.write_table(table)
        (batch,) = ColumnarFile(str(tmp_path / name), "arrow").batches()
        assert batch.columns == {"text": ["a", "b"]}
        assert batch.lines == [1, 2]


@given(st.lists(st.sampled_from(["", "a", "bc", "{", '{"a": 1}', "é" * 9, " "]), max_size=40), st.integers(1, 60))
def test_spans_of_lines_are_the_lines_of_the_whole(tmp_path_factory, lines, size):
    path = str(tmp_path_factory.getbasetemp() / "spans.txt")
    with open(path, "w", encoding="utf-8") as file:
        file.write("\n".join(lines))
    whole = [
        line for batch in open_rows(path).batches() for line in zip(batch.lines, batch.columns["text"], strict=True)
    ]
    parts = spans(path, size)
    apart = [
        line
        for span in parts
        for batch in open_rows(path, span).batches()
        for line in zip(batch.lines, batch.columns["text"], strict=True)
    ]
    assert apart == whole
    assert [span.end for span in parts[:-1]] == [span.start for span in parts[1:]]
    assert all(span.end - span.start >= size for span in parts[:-1])


def test_what_is_packed_or_quoted_over_lines_is_not_divided(tmp_path):
    with gzip.open(tmp_path / "a.jsonl.gz", "wb") as file:
        file.write(b'{"a": 1}\n' * 99)
    (tmp_path / "a.csv").write_text("a,b\n" + '"x\ny",2\n' * 99)
    (tmp_path / "a.json").write_text('[{"a": 1}]')
    assert [spans(str(tmp_path / name), 8) for name in ("a.jsonl.gz", "a.csv", "a.json")] == [(), (), ()]
