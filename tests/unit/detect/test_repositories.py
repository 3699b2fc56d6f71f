"""What members of one folder say together."""

from __future__ import annotations

import json

from tests.corpus.repositories import CHATML, SAFE, config, template, tokenizer


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
