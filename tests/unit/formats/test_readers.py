"""Readers of tensors and tables: real files are read whole, any bytes end in facts or a refusal."""

from __future__ import annotations

import io
import json
import struct

import numpy as np
import pytest
import safetensors.numpy
import torch
from hypothesis import given
from hypothesis import strategies as st

from tests.corpus import rules
from tests.corpus.techniques import _safetensors
from weighbridge.formats.msgpack import MsgpackFacts, read_msgpack
from weighbridge.formats.numpy import NpyHeader, parse_literal, read_npy
from weighbridge.formats.safetensors import SafetensorsFacts, read_safetensors
from weighbridge.formats.skops import read_skops
from weighbridge.schema import LimitExceeded, MalformedInput, WeighbridgeError
from weighbridge.source import BytesBlob


def npy(array):
    buffer = io.BytesIO()
    np.save(buffer, array, allow_pickle=True)
    return BytesBlob(buffer.getvalue())


@pytest.mark.parametrize("dtype", ["f4", "i8", "U7", "S3", "c16", "?", "M8[s]", [("a", "f4"), ("b", "U5", (2, 3))]])
@pytest.mark.parametrize("shape", [(), (3,), (2, 0, 4), (5, 6)])
def test_npy_headers_say_what_numpy_wrote(dtype, shape):
    array = np.zeros(shape, dtype)
    header = read_npy(npy(array))
    assert (header.shape, header.size, header.objects) == (array.shape, array.nbytes, False)


def test_npy_object_arrays_have_no_size():
    header = read_npy(npy(np.array([None], object)))
    assert header.objects
    assert header.size == -1


literals = st.recursive(
    st.one_of(st.integers(-(10**30), 10**30), st.booleans(), st.none(), st.text(alphabet="abc <>|_", max_size=8)),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.lists(inner, max_size=3).map(tuple),
        st.dictionaries(st.text("abc", max_size=4), inner, max_size=3),
    ),
    max_leaves=12,
)


@given(literals)
def test_literals_are_read_as_python_writes_them(value):
    assert parse_literal(repr(value)) == value


@pytest.mark.parametrize(
    "text", ["__import__('os')", "(1+2)", "[1", "{1: 2}", "f'x'", "1 2", "", "(" * 5000, "lambda: 1"]
)
def test_what_is_no_literal_is_refused(text):
    with pytest.raises(MalformedInput):
        parse_literal(text)


def test_safetensors_of_the_library_have_no_problem():
    tensors = {f"layer.{i}": np.ones((i + 1, 3), np.float16) for i in range(20)}
    facts = read_safetensors(BytesBlob(safetensors.numpy.save(tensors, {"format": "np"})))
    assert facts.problems == ()
    assert len(facts.tensors) == 20


@pytest.mark.parametrize("length", [2**60, 2**63, 2**64 - 1, 90_000_000])
def test_safetensors_lengths_are_lies_until_checked(length):
    with pytest.raises((MalformedInput, LimitExceeded)):
        read_safetensors(BytesBlob(struct.pack("<Q", length) + b"{}"))


@pytest.mark.parametrize(
    ("entry", "kind"),
    [
        ({"dtype": "F32", "shape": [-1], "data_offsets": [0, 4]}, "size"),
        ({"dtype": "F32", "shape": [2**63, 2**63], "data_offsets": [0, 4]}, "size"),
        ({"dtype": "F32", "shape": [True], "data_offsets": [0, 4]}, "size"),
        ({"dtype": "F32", "shape": [1], "data_offsets": [0, 4, 8]}, "size"),
        ({"dtype": "F4", "shape": [3], "data_offsets": [0, 2]}, "dtype"),
        ({"dtype": "F32", "shape": [1], "data_offsets": [0, 4], "more": 1}, "grammar"),
        ([1], "grammar"),
    ],
)
def test_safetensors_entries_that_lie(entry, kind):
    facts = read_safetensors(BytesBlob(_safetensors(json.dumps({"a": entry}), 4)))
    assert kind in {problem.kind for problem in facts.problems}


def test_msgpack_goes_deep_without_recursion():
    facts = read_msgpack(BytesBlob(b"\x91" * 100_000))
    assert facts.limit == "depth"


def test_flax_trees_are_understood_to_the_last_byte():
    facts = read_msgpack(BytesBlob(rules.TREE))
    assert (facts.end, facts.broken, facts.extensions[0].dtype) == (len(rules.TREE), "", "float32")


def outcome(read, *arguments):
    try:
        return read(*arguments)
    except WeighbridgeError as refusal:
        return refusal


@given(st.binary(max_size=400))
def test_any_bytes_end_in_facts_or_a_refusal(data):
    framed = struct.pack("<Q", len(data)) + data
    assert isinstance(outcome(read_safetensors, BytesBlob(data)), (SafetensorsFacts, WeighbridgeError))
    assert isinstance(outcome(read_safetensors, BytesBlob(framed)), (SafetensorsFacts, WeighbridgeError))
    assert isinstance(outcome(read_msgpack, BytesBlob(data)), MsgpackFacts)
    assert isinstance(outcome(read_npy, BytesBlob(b"\x93NUMPY\x01\x00" + data)), (NpyHeader, MalformedInput))
    assert isinstance(outcome(read_skops, data), (tuple, MalformedInput))


@pytest.mark.parametrize(
    "make",
    [
        lambda t: t,
        lambda t: t[1:],
        lambda t: t.t(),
        lambda t: t.expand(3, 4, 5),
        lambda t: t.to_sparse(),
        lambda t: t.to(torch.bfloat16),
    ],
)
def test_real_tensors_never_reach_beyond_their_storage(make, report_of):
    buffer = io.BytesIO()
    torch.save({"a": make(torch.ones(4, 5))}, buffer)
    report = report_of({"a.pt": buffer.getvalue()})
    assert report.findings == ()
    assert report.complete


def test_what_weights_only_would_say_is_what_torch_says(report_of, tmp_path):
    for number, thing in enumerate(
        ({"a": torch.ones(2)}, torch.nn.Linear(2, 2), {"lr": 0.1, "s": {1, 2}}, [torch.float16, torch.Size([1])])
    ):
        path = tmp_path / f"{number}.pt"
        torch.save(thing, path)
        try:
            torch.load(path, weights_only=True)
            accepted = True
        except Exception:
            accepted = False
        (fact,) = report_of({f"{number}.pt": path.read_bytes()}).facts
        assert (fact.value == "accepts it") == accepted


def test_every_byte_of_a_checkpoint_is_accounted_for(report_of):
    buffer = io.BytesIO()
    torch.save({"a": torch.ones(1000)}, buffer)
    report = report_of({"a.pt": buffer.getvalue()})
    assert sum(entry.opaque for entry in report.coverage) == 0
    assert sum(entry.tensor for entry in report.coverage) == 4000
