"""Readers of text: documents, templates, Python, shell commands, notebooks, tokenizers."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from weighbridge.formats.commands import commands, fenced
from weighbridge.formats.document import read_json, read_toml, read_yaml, shown, walk
from weighbridge.formats.notebook import read_notebook
from weighbridge.formats.python_source import reachable, read_python
from weighbridge.formats.template import invisible, read_template
from weighbridge.formats.tokenizer import read_tokenizer
from weighbridge.schema import LimitExceeded, MalformedInput

DOCUMENTS = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=20,
)


# Documents


@given(DOCUMENTS)
def test_json_means_what_the_standard_parser_says(document):
    assert read_json(json.dumps(document)).root == document


@given(st.text())
def test_any_text_is_json_or_malformed(text):
    try:
        read_json(text)
    except (MalformedInput, LimitExceeded):
        pass


@given(st.text())
def test_any_text_is_yaml_or_malformed(text):
    try:
        read_yaml(text)
    except (MalformedInput, LimitExceeded):
        pass


@given(DOCUMENTS, st.sampled_from(['// no " string\n', "/* , ] */", " "]))
def test_comments_and_trailing_commas_change_nothing_else(document, comment):
    text = json.dumps([document, "a // b, ] /* c */"], indent=1)
    odd = comment + text[:-1] + ", " + comment + "]"
    assert read_json(odd).root == json.loads(text)


def test_duplicate_keys_comments_and_constants_are_problems():
    found = read_json('\ufeff{"a": 1, // two\n "a": NaN,}')
    assert {problem.kind for problem in found.problems} == {"bom", "duplicate", "constant", "comment"}
    assert found.root["a"] != found.root["a"], "the last value wins, as everywhere"


def test_a_huge_integer_is_not_computed():
    found = read_json('{"a": ' + "9" * 5000 + "}")
    assert [problem.kind for problem in found.problems] == ["number"]


@pytest.mark.parametrize("text", ["[" * 100_000, '{"a":' * 100_000])
def test_depth_is_bounded(text):
    with pytest.raises((LimitExceeded, MalformedInput)):
        read_json(text)


def test_yaml_deep_nesting_is_bounded():
    with pytest.raises((LimitExceeded, MalformedInput)):
        read_yaml("[" * 5000)


def test_tags_are_facts_and_build_nothing():
    found = read_yaml("a: !!python/object/apply:os.system [id]\n")
    assert [(tag.tag.rsplit(":", 1)[-1], tag.line) for tag in found.tags] == [("os.system", 1)]
    assert found.root == {"a": ["id"]}


def test_anchors_are_shared_and_counted():
    text = "a: &a [1, 1, 1]\n" + "".join(
        f"{chr(98 + n)}: &{chr(98 + n)} [{', '.join([f'*{chr(97 + n)}'] * 9)}]\n" for n in range(9)
    )
    found = read_yaml(text)
    assert found.growth > 10**8
    assert sum(1 for _ in walk(found.root)) < 1000, "a walk goes through every node once"


def test_containers_as_keys_are_never_unfolded():
    text = "a: &a [1, 1]\n" + "".join(
        f"{chr(98 + n)}: &{chr(98 + n)} [*{chr(97 + n)}, *{chr(97 + n)}]\n" for n in range(24)
    )
    assert "(list as key)" in read_yaml(text + "? *y\n: 1\n").root


@pytest.mark.parametrize("text", ["a: --3\n", "a: +-1\n"])
def test_what_only_looks_like_a_number_is_text(text):
    assert isinstance(read_yaml(text).root["a"], (str, list, type(None)))


def test_yaml_scalars_are_read_as_pyyaml_reads_them():
    assert read_yaml("a: true\nb: 1\nc: '1'\nd: ~\ne: x y\n").root == {
        "a": True,
        "b": 1,
        "c": "1",
        "d": None,
        "e": "x y",
    }


def test_merge_keys_and_several_documents():
    found = read_yaml("a: &a {x: 1}\nb:\n  <<: *a\n  y: 2\n---\nc: 3\n")
    assert found.roots == ({"a": {"x": 1}, "b": {"x": 1, "y": 2}}, {"c": 3})


def test_toml_is_read_or_malformed():
    assert read_toml("[a]\nb = 1\n").root == {"a": {"b": 1}}
    with pytest.raises(MalformedInput):
        read_toml("a = \n")


def test_paths_are_shown_as_a_person_writes_them():
    places = [shown(path, key) for path, key, value in walk({"a": [{"b": "x"}]}) if value == "x"]
    assert places == ["a[0].b"]


# Templates


def accessed(text):
    return {access.name for access in read_template(text).accesses}


@pytest.mark.parametrize(
    "text",
    [
        "{{ x.__class__ }}",
        "{{ x['__class__'] }}",
        "{{ x['__cl' + 'ass__'] }}",
        "{{ x['__cl' ~ 'ass__'] }}",
        "{{ x['__CLASS__'|lower] }}",
        "{{ x['__ssalc__'|reverse] }}",
        "{{ x[['__cl', 'ass__']|join] }}",
        "{{ x['__%s__'|format('class')] }}",
        "{{ x['XXclassXX'|replace('XX', '__')] }}",
        "{{ x|attr('__class__') }}",
        "{% set y = x.__class__ %}",
    ],
)
def test_names_are_found_however_they_are_put_together(text):
    assert "__class__" in accessed(text)


def test_growth_multiplies_through_loops():
    facts = read_template("{% for a in range(1000) %}{% for b in range(1000) %}{{ 'x' * 5 }}{% endfor %}{% endfor %}")
    assert max(growth.size for growth in facts.growth) == 10**6


def test_tags_of_transformers_are_known():
    facts = read_template(
        "{% for m in messages %}{% generation %}{{ m.content }}{% endgeneration %}{% if m %}{% break %}{% endif %}{% endfor %}"
    )
    assert facts.branches == ()


@given(st.text(alphabet="{%}# abx'\"|().[]_~+*-0123456789\n", max_size=60))
def test_any_template_is_read_or_malformed(text):
    try:
        read_template(text)
    except (MalformedInput, LimitExceeded):
        pass


def test_deep_templates_are_bounded():
    with pytest.raises((MalformedInput, LimitExceeded)):
        read_template("{{ " + "(" * 5000 + "1" + ")" * 5000 + " }}")


def test_folding_is_bounded():
    facts = read_template("{{ '" + "a" * 9000 + "' ~ '" + "b" * 9000 + "' }}")
    assert all(len(text) <= 9000 for _, text in facts.constants)


def test_invisible_characters_are_named_and_emoji_are_not():
    assert [line for line, _ in invisible("a\n\U000e0041")] == [2]
    assert list(invisible("\ufeffa\ufeff\n\n\u180eb\u202e")) == [
        (1, "ZERO WIDTH NO-BREAK SPACE"),
        (3, "MONGOLIAN VOWEL SEPARATOR"),
        (3, "RIGHT-TO-LEFT OVERRIDE"),
    ]
    assert list(invisible("👩‍💻 नमस्ते é 한국어")) == []


# Python


def names(source):
    return [call.name for call in read_python(source).calls]


@pytest.mark.parametrize(
    ("source", "name"),
    [
        ("import os\nos.system('a')", "os.system"),
        ("import os as o\no.system('a')", "os.system"),
        ("from os import system as s\ns('a')", "os.system"),
        ("import os\nf = os.system\nf('a')", "os.system"),
        ("import os\ngetattr(os, 'sys' + 'tem')('a')", "os.system"),
        ("__import__('os').system('a')", "os.system"),
        ("import importlib\nimportlib.import_module('os').system('a')", "os.system"),
        ("import os\ngetattr(os, 'metsys'[::-1])('a')", "os.system"),
        ("import os\nos.__dict__['system']('a')", "os.system"),
        ("import os\nvars(os)['sys' + 'tem']('a')", "os.system"),
        ("import sys\nsys.modules['os'].system('a')", "os.system"),
        ("import os\nglobals()['os'].system('a')", "os.system"),
        ("__builtins__.exec('a')", "builtins.exec"),
        ("__builtins__['exec']('a')", "builtins.exec"),
        ("import os\ngetattr(os, name())('a')", "os.(computed)"),
        ("@exec\n@input\nclass X: pass", "exec"),
        ("import torch.nn as nn\nnn.Linear(1, 2)", "torch.nn.Linear"),
    ],
)
def test_calls_are_found_under_their_real_names(source, name):
    assert name in names(source)


def test_what_runs_on_import_is_told_from_what_does_not():
    module = read_python(
        "import os\n"
        "def helper():\n    os.system('a')\n"
        "def other():\n    os.popen('b')\n"
        "class A:\n    x = os.getenv('c')\n    def m(self):\n        os.remove('d')\n"
        "helper()\n"
        "if __name__ == '__main__':\n    os.abort()\n"
    )
    at_import = {call.name for call in module.at_import}
    assert {"os.system", "os.getenv"} <= at_import
    assert not {"os.popen", "os.remove", "os.abort"} & at_import


def test_decorators_and_defaults_run_on_import():
    module = read_python(
        "import os\ndef d(f):\n    os.system('x')\n    return f\n@d\ndef g(a=os.getcwd()):\n    pass\n"
    )
    assert {"os.system", "os.getcwd"} <= {call.name for call in module.at_import}


def test_calls_are_followed_across_a_package():
    modules = {
        "p.a": read_python("from .b import go\ngo()\n"),
        "p.b": read_python("import os\ndef go():\n    os.system('x')\ndef stay():\n    pass\n"),
    }
    found = reachable(modules)
    assert "go" in found["p.b"]
    assert "stay" not in found["p.b"]


def test_results_are_followed_through_variables():
    call = next(
        c for c in read_python("import base64\na = base64.b64decode('x')\nb = a\nexec(b)\n").calls if c.name == "exec"
    )
    assert "base64.b64decode" in call.origins


@given(st.text(alphabet="abcdef ()[]{}=:.,'\"\n+*@\\", max_size=80))
def test_any_source_is_python_or_malformed(source):
    try:
        read_python(source)
    except (MalformedInput, LimitExceeded):
        pass


@pytest.mark.parametrize("source", ["(" * 5000, "-" * 100_000 + "1", "a" + ".b" * 50_000, "+".join("1" * 20_000)])
def test_hostile_source_is_bounded(source):
    try:
        read_python(source)
    except (MalformedInput, LimitExceeded):
        pass


# Commands


def test_commands_are_joined_and_cut_as_a_shell_does():
    found = [(c.line, c.text) for c in commands("# no\na 'x; y' \\\n  b && c | d; e\n")]
    assert found == [(2, "a 'x; y'  b"), (2, "c | d"), (2, "e")]


def test_only_shell_blocks_of_prose_are_commands():
    text = "x\n```bash\nls\n```\n```python\nimport os\n```\n```\n$ pwd\n```\n"
    assert list(fenced(text)) == [(3, "ls"), (9, "pwd")]


@given(st.text())
def test_any_text_has_commands(text):
    for command in commands(text):
        assert command.text


# Notebooks and tokenizers


def test_magics_leave_the_python_around_them_in_place():
    document = {
        "cells": [
            {
                "cell_type": "code",
                "source": ["!pip install x\n", "import os\n", "%timeit 1\n", "os.getcwd()"],
                "outputs": [],
            }
        ]
    }
    cell = read_notebook(document).cells[0]
    assert cell.commands == ((1, "pip install x"),)
    assert [call.line for call in read_python(cell.python).calls] == [4]


@given(DOCUMENTS)
def test_any_document_is_a_notebook_or_an_empty_one(document):
    read_notebook(document if isinstance(document, dict) else {})


@given(DOCUMENTS)
def test_any_document_is_a_tokenizer_or_an_empty_one(document):
    read_tokenizer(document if isinstance(document, dict) else {})


def test_clashing_ids_are_found_with_added_tokens():
    facts = read_tokenizer(
        {"model": {"vocab": {"a": 0, "b": 1}}, "added_tokens": [{"id": 1, "content": "c", "special": True}]}
    )
    assert facts.clashes == ((1, "b", "c"),)
