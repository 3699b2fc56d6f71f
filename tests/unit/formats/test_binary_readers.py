"""Readers of binary formats: what real libraries write is understood, what is hostile is bounded."""

from __future__ import annotations

import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.corpus import binaries, rules
from tests.corpus.readers import READERS
from weighbridge.formats import gguf, hdf5, markup, onnx, rds
from weighbridge.formats.flatbuffers import root
from weighbridge.formats.protobuf import fields
from weighbridge.formats.window import Window
from weighbridge.schema import LimitExceeded, MalformedInput, Reason
from weighbridge.source import BytesBlob as blob


@pytest.mark.parametrize("name", READERS)
def test_a_real_file_is_understood(name):
    read, make = READERS[name]
    assert read(blob(make())) is not None


@pytest.mark.parametrize("name", READERS)
@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_a_changed_file_is_understood_or_refused_in_words(name, data):
    read, make = READERS[name]
    content = bytearray(make())
    for _ in range(data.draw(st.integers(1, 6))):
        at = data.draw(st.integers(0, len(content) - 1))
        content[at : at + data.draw(st.integers(0, 4))] = data.draw(st.binary(max_size=4))
        content = content or bytearray(b"x")
    try:
        read(blob(bytes(content)))
    except (MalformedInput, LimitExceeded) as error:
        assert error.message


@pytest.mark.parametrize("name", READERS)
def test_a_cut_file_is_understood_or_refused_in_words(name):
    read, make = READERS[name]
    content = make()
    for end in range(0, len(content), max(1, len(content) // 60)):
        try:
            read(blob(content[:end]))
        except (MalformedInput, LimitExceeded) as error:
            assert error.message


@given(st.binary(max_size=200))
def test_any_bytes_are_fields_or_malformed(data):
    try:
        for field in fields(Window(blob(data)), 0, len(data)):
            assert 0 <= field.start <= field.end <= len(data)
    except MalformedInput:
        pass


@given(st.binary(max_size=200))
def test_any_bytes_are_a_table_or_malformed(data):
    try:
        table = root(Window(blob(data)))
        for number in range(10):
            table.text(number)
    except MalformedInput:
        pass


# Parsers that trap others


@pytest.mark.parametrize(
    ("rule", "files"),
    [
        ("STN-003", lambda: rules.files_of(rules.SAMPLES["STN-003"][0])),
        ("KRS-007", binaries.KRS["KRS-007"][0]),
        ("KRS-008", binaries.KRS["KRS-008"][0]),
        ("KRS-009", binaries.KRS["KRS-009"][0]),
        ("ONX-010", binaries.ONX["ONX-010"][0]),
        ("GGF-002", binaries.GGF["GGF-002"][0]),
        ("GGF-003", binaries.GGF["GGF-003"][0]),
    ],
    ids=[
        "duplicate tensor names",
        "external storage",
        "external link",
        "virtual dataset",
        "shadowed operator",
        "string of 2^60",
        "array of 2^50",
    ],
)
def test_what_traps_other_parsers_is_a_finding(report_of, rule, files):
    report = report_of(files())
    assert rule in {finding.rule for finding in report.findings}
    assert not [entry for entry in report.coverage if entry.reason is Reason.INTERNAL]


def test_impossible_lengths_cost_no_time_and_no_memory():
    made = {name: binaries.GGF[name][0]()["a.gguf"] for name in ("GGF-001", "GGF-002", "GGF-003")}
    started = time.process_time()
    for data in made.values():
        assert gguf.read_gguf(blob(data)).problems
    assert time.process_time() - started < 5, "five seconds are a hundred thousand times what it takes"


def test_nothing_behind_a_link_is_opened(tmp_path, monkeypatch, report_of):
    opened = []
    monkeypatch.setattr("builtins.open", lambda *a, real=open, **k: (opened.append(str(a[0])), real(*a, **k))[1])
    report_of({"w.h5": binaries.hdf5("external"), "v.h5": binaries.hdf5("virtual"), "l.h5": binaries.hdf5("link")})
    assert not [path for path in opened if path in {"/etc/hostname", "/tmp/other.h5"}]
    del tmp_path


# HDF5


def test_dense_groups_are_read_to_their_last_link():
    facts = hdf5.read_hdf5(blob(binaries.hdf5("dense")))
    assert len([d for d in facts.datasets if d.path.startswith("/layers/dense/d")]) == 60
    assert [link.file for link in facts.links] == ["/tmp/other.h5"]
    assert facts.unread == ()


def test_attributes_of_both_string_kinds_are_read():
    facts = hdf5.read_hdf5(blob(binaries.hdf5(model_config='{"a": 1}')))
    assert [a.text for a in facts.attributes if a.name == "model_config"] == ['{"a": 1}']


def test_sources_of_virtual_datasets_are_named():
    facts = hdf5.read_hdf5(blob(binaries.hdf5("virtual")))
    assert "/tmp/other.h5" in [source for dataset in facts.datasets for source in dataset.sources]


# Graphs


def test_functions_and_subgraphs_belong_to_the_graph():
    facts = onnx.read_onnx(blob(binaries.onnx_model(nodes=binaries.loop(3))))
    assert facts.depth == 4
    assert {node.op for node in facts.graph.nodes} == {"Loop", "Identity"}


def test_entities_are_refused_before_they_unfold():
    text = b'<?xml version="1.0"?><!DOCTYPE a [<!ENTITY b "' + b"c" * 1000 + b'"><!ENTITY d "&b;&b;&b;">]><a>&d;</a>'
    facts = markup.read_markup(blob(text))
    assert facts.entities
    assert not facts.complete


def test_a_promise_is_found_where_it_stands():
    assert [kind for kind, _, _ in rds.read_rds(blob(binaries.promise())).kinds] == ["call", "promise"]
