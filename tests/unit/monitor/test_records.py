"""Logs as records: every form that is known, and what is none is counted with its place."""

import gzip
import io
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from weighbridge.monitor.records import LONGEST_LINE, Lines, Record, Rejects, from_table
from weighbridge.monitor.replay import blocks, records_of
from weighbridge.schema import SourceError


def lines(*tables):
    return b"".join((table if isinstance(table, bytes) else json.dumps(table).encode()) + b"\n" for table in tables)


def decoded(data):
    rejects = Rejects()
    return Lines(rejects).decode(data, 1), rejects


def test_our_own_form_is_read_as_it_is():
    found, rejects = decoded(lines({"id": "1", "text": "a b", "output": "x", "confidence": 0.5, "features": ["k=v"]}))
    assert found == [Record(id="1", text="a b", output="x", confidence=0.5, features=("k=v",))]
    assert not rejects.total


@pytest.mark.parametrize(
    ("table", "text", "output"),
    [
        ({"input": "hello", "prediction": "spam"}, "hello", "spam"),
        ({"sentence": "hello", "label": 3}, "hello", "3"),
        ({"prompt": "hello", "class": True}, "hello", "True"),
    ],
)
def test_names_that_other_logs_use_are_understood(table, text, output):
    found, rejects = decoded(lines(table))
    assert (found[0].text, found[0].output, rejects.total) == (text, output, 0)


def test_a_logged_chat_gives_the_last_words_of_the_user_the_answer_and_the_tools():
    request = {
        "messages": [{"role": "system", "content": "s"}, {"role": "user", "content": [{"type": "text", "text": "hi"}]}]
    }
    call = {"function": {"name": "search", "arguments": "{}"}}
    response = {"id": "c1", "created": 1_700_000_000, "usage": {"completion_tokens": 4}}
    response["choices"] = [{"message": {"content": "hello", "tool_calls": [call]}}]
    (found,), _ = decoded(lines({"request": request, "response": response, "seconds": 0.2}))
    assert found == Record(
        id="c1", at=1_700_000_000.0, text="hi", answer="hello", tools=("search",), seconds=0.2, tokens=4
    )


def test_spans_of_opentelemetry_are_records_also_in_an_export():
    attributes = [
        {
            "key": "gen_ai.input.messages",
            "value": {"stringValue": json.dumps([{"role": "user", "parts": [{"content": "hi"}]}])},
        },
        {
            "key": "gen_ai.output.messages",
            "value": {"stringValue": json.dumps([{"role": "assistant", "parts": [{"content": "yo"}]}])},
        },
        {"key": "gen_ai.usage.output_tokens", "value": {"intValue": "7"}},
    ]
    tool = [
        {"key": "gen_ai.operation.name", "value": {"stringValue": "execute_tool"}},
        {"key": "gen_ai.tool.name", "value": {"stringValue": "mail"}},
    ]
    begun = 1_700_000_000_000_000_000
    spans = [
        {
            "spanId": "a",
            "startTimeUnixNano": str(begun),
            "endTimeUnixNano": str(begun + 500_000_000),
            "attributes": attributes,
        },
        {"spanId": "b", "startTimeUnixNano": str(begun), "attributes": tool},
    ]
    found, rejects = decoded(lines({"resourceSpans": [{"scopeSpans": [{"spans": spans}]}]}))
    assert [(one.text, one.answer, one.tokens, one.tools) for one in found] == [
        ("hi", "yo", 7, ()),
        ("", "", -1, ("mail",)),
    ]
    assert found[0].at == pytest.approx(1_700_000_000, abs=1)
    assert found[0].seconds == pytest.approx(0.5)
    assert not rejects.total


@pytest.mark.parametrize(
    "at", [1_700_000_000, 1_700_000_000_000, 1_700_000_000_000_000_000, "2023-11-14T22:13:20+00:00"]
)
def test_times_are_seconds_whatever_unit_they_come_in(at):
    assert from_table({"text": "x", "timestamp": at}).at == pytest.approx(1_700_000_000, abs=1)


def test_broken_lines_are_counted_with_their_place_and_the_rest_goes_on():
    found, rejects = decoded(
        lines({"text": "a", "output": "x"}, b"{broken", {"nothing": 1}, b"\xff\xfe", b"", {"text": "b", "output": "y"})
    )
    assert [one.text for one in found] == ["a", "b"]
    assert dict(rejects.count) == {"no JSON": 2, "neither an input nor an output in it": 1}
    assert rejects.first["no JSON"] == "line 2"


def test_a_line_without_end_is_passed_over_without_being_kept():
    data = (
        lines({"text": "a", "output": "x"})
        + b'{"text": "'
        + b"x" * (6 << 20)
        + b'"}\n'
        + lines({"text": "b", "output": "y"})
    )
    rejects = Rejects()
    found = [one for batch in blocks(io.BytesIO(data), rejects) for one in batch]
    assert [one.text for one in found] == ["a", "b"]
    assert rejects.count["a line above 1 MiB"] == 1
    assert LONGEST_LINE == 1 << 20


def test_a_packed_log_is_read_and_a_cut_one_is_an_error(tmp_path):
    whole = gzip.compress(lines({"text": "a", "output": "x"}))
    (tmp_path / "a.jsonl.gz").write_bytes(whole)
    (tmp_path / "b.jsonl.gz").write_bytes(whole[:-12])
    assert [one.text for batch in records_of(str(tmp_path / "a.jsonl.gz"), Rejects()) for one in batch] == ["a"]
    with pytest.raises(SourceError):
        list(records_of(str(tmp_path / "b.jsonl.gz"), Rejects()))


def test_parquet_is_read_like_lines(tmp_path):
    import pyarrow as pa
    import pyarrow.parquet as pq

    table = pa.table({"prompt": ["a", "b", None], "label": ["x", "y", None], "ts": [1.0, 2.0, 3.0]})
    pq.write_table(table, tmp_path / "log.parquet")
    rejects = Rejects()
    found = [one for batch in records_of(str(tmp_path / "log.parquet"), rejects) for one in batch]
    assert [(one.text, one.output, one.at) for one in found] == [("a", "x", 1.0), ("b", "y", 2.0)]
    assert rejects.total == 1


PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=20),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from(
                [
                    "text",
                    "output",
                    "messages",
                    "choices",
                    "attributes",
                    "request",
                    "role",
                    "content",
                    "resourceSpans",
                    "spans",
                    "key",
                    "value",
                    "usage",
                    "message",
                ]
            ),
            inner,
            max_size=5,
        )
    ),
    max_leaves=20,
)


@given(PLAIN)
def test_any_json_is_a_record_or_none(value):
    found = from_table(value) if isinstance(value, dict) else None
    assert found is None or isinstance(found, Record)


@given(st.binary(max_size=200))
def test_any_bytes_are_records_or_counted(data):
    found, rejects = decoded(data)
    filled = [line for line in data.split(b"\n") if line.strip()]
    assert len(found) + rejects.total == len(filled)
