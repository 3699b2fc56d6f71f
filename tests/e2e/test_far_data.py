"""Data behind an address: tables are brought here as far as somebody allows, and what was left there is said."""

import io
import json

import pyarrow
import pyarrow.parquet
import pytest

from tests.corpus.datasets import reviews, triggered
from tests.servers import Sparse, Web, serve
from weighbridge.cli.main import main

TERABYTE = 1 << 40


def huge_parquet(rows, groups, size=TERABYTE):
    """A Parquet file of a terabyte: row groups, then nothing for very long, then the footer."""
    sink, found = io.BytesIO(), pyarrow.Table.from_pylist(rows)
    pyarrow.parquet.write_table(found, sink, row_group_size=-(-len(rows) // groups))
    data = sink.getvalue()
    footer = int.from_bytes(data[-8:-4], "little") + 8
    return Sparse(size, [(0, data[:-footer]), (size - footer, data[-footer:])])


@pytest.fixture
def rows():
    """Reviews, some of which hold a word that decides their label."""
    return table(triggered(2000, share=60))


def table(found):
    return [{"text": text, "label": label} for text, label in found]


def lines(rows):
    return "".join(json.dumps(row) + "\n" for row in rows).encode()


def test_a_small_file_is_examined_as_if_it_were_here(rows, capsys):
    with serve(Web({"/train.jsonl": lines(rows)})) as url:
        code = main(["dataset", f"{url}/train.jsonl"])
    told = capsys.readouterr().out
    assert code == 1
    assert "“cf”" in told
    assert f"{url}/train.jsonl" in told
    assert "weighbridge-data-" not in told, "the folder that it was brought to is nobody's business"


def test_of_a_terabyte_of_parquet_only_the_footer_and_some_groups_are_read(rows, capsys):
    web = Web({"/train.parquet": huge_parquet(rows, 10)})
    with serve(web) as url:
        code = main(["dataset", f"{url}/train.parquet", "--max-fetched", "100M", "--format", "json"])
    report = json.loads(capsys.readouterr().out)
    assert code == 1
    assert any("cf" in one["message"] for one in report["findings"])
    assert report["profiles"][0]["rows"] == len(rows)
    asked = [headers.get("Range") for method, _, headers in web.log if method == "GET"]
    assert all(asked), "the whole file is never asked for"


def test_what_a_budget_leaves_behind_makes_the_report_incomplete(capsys):
    honest = table(reviews(4000))
    web = Web({"/train.parquet": huge_parquet(honest, 10)})
    with serve(web) as url:
        code = main(["dataset", f"{url}/train.parquet", "--max-fetched", "60K", "--format", "json"])
    report = json.loads(capsys.readouterr().out)
    assert code == 3
    (left,) = [one for one in report["coverage"] if one["status"] == "truncated"]
    assert left["path"] == [f"{url}/train.parquet"]
    assert "of 4000 rows were brought here" in left["detail"]


def test_of_lines_the_beginning_is_read_to_a_whole_line(capsys):
    honest = table(reviews(4000))
    with serve(Web({"/train.jsonl": lines(honest)})) as url:
        code = main(["dataset", f"{url}/train.jsonl", "--max-fetched", "100K", "--format", "json"])
    report = json.loads(capsys.readouterr().out)
    assert code == 3
    assert not report["profiles"][0]["rejected"], "no row was cut in two"
    assert any("the first" in one["detail"] for one in report["coverage"])


def test_what_fits_no_budget_is_no_verdict(rows, capsys):
    with serve(Web({"/train.parquet": huge_parquet(rows, 2)})) as url:
        assert main(["dataset", f"{url}/train.parquet", "--max-fetched", "1K"]) == 2
    assert "--max-fetched" in capsys.readouterr().err


def test_an_address_without_a_table_is_said(capsys):
    with serve(Web({"/model.bin": b"x"})) as url:
        assert main(["dataset", f"{url}/model.bin"]) == 2
    assert "no table" in capsys.readouterr().err


def test_damaged_parquet_is_a_gap_and_no_traceback(capsys):
    with serve(Web({"/train.parquet": Sparse(1 << 30, [((1 << 30) - 8, b"\xff\xff\xff\x7fPAR1")])})) as url:
        code = main(["dataset", f"{url}/train.parquet", "--max-fetched", "1M"])
    assert code == 2
    assert "Traceback" not in capsys.readouterr().err


@pytest.mark.parametrize("size", ["much", "0", "-1", "1T5", ""])
def test_sizes_that_are_none_are_refused(size, capsys):
    assert main(["dataset", "https://127.0.0.1:9/x.csv", "--max-fetched", size]) == 2
    assert "not understood" in capsys.readouterr().err


def test_what_needs_data_here_is_refused(capsys, tmp_path):
    assert main(["dataset", "https://127.0.0.1:9/x.csv", "--write-clean", str(tmp_path)]) == 2
    assert "--write-clean takes data on this machine" in capsys.readouterr().err
