"""What a script calls, under the real names, and what its arguments are made of."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from weighbridge.formats.javascript_flow import _ORIGINS, _WHOLE, read_flow
from weighbridge.formats.javascript_tokens import STRING, tokens


def words(text):
    return [token.text for token in tokens(text)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("'a' + \"b\" + `c`", ["abc"]),
        ("a['b'].c", ["a", ".", "b", ".", "c"]),
        ("return ['b']", ["return", "[", "b", "]"]),
        ("'\\x61\\u0062\\u{63}\\144\\n'", ["abcd\n"]),
        ("a // b\n/* c */ d", ["a", "d"]),
        ("x = /[/'\"]/g; y / z / w", ["x", "=", "", ";", "y", "/", "z", "/", "w"]),
        ("`a${b + `c${d}`}e`", ["a", "+", "(", "b", "+", "c", "+", "(", "d", ")", "+", "", ")", "+", "e"]),
        ("a?.b", ["a", ".", "b"]),
        ("'broken\nnext", ["broken", "next"]),
    ],
)
def test_tokens_mean_what_they_mean_to_an_engine(text, expected):
    assert words(text) == expected


def test_a_token_knows_where_it_stands():
    second = tokens("a\n  'b'")[1]
    assert (second.kind, second.at, second.first) == (STRING, 4, True)


def calls(text):
    return {one.name: one for one in read_flow(f"{text}\n// eval child_process").calls}


@pytest.mark.parametrize(
    ("text", "name", "made_of"),
    [
        ("const a = require('node:fs'); b(a.readFileSync('/etc/x'))", "b", "fs.readFileSync"),
        ("const {exec: run} = require('child_process'); run(process.env)", "child_process.exec", "process.env"),
        ("import {exec as run} from 'child_process'; run(globalThis.process.env)", "child_process.exec", "process.env"),
        ("import * as cp from 'child_process'; cp.exec(f())", "child_process.exec", "f"),
        ("let x; x = f(); g(x)", "g", "f"),
        ("let x = '';\nx += f()\ng(x)", "g", "f"),
        ("const {a, b: c} = f(); g(c)", "g", "f"),
        ("f().then(r => r.text()).then(function (t) { g(t) })", "g", "f().then().then"),
        ("s.on('data', (d) => { g(d) }); var s = f()", "g", "f"),
        ("function h(x) { return x } g(h(f()))", "g", "f"),
        ("function h() { return f() }\nconst v = h()\ng(v)", "g", "f"),
        ("function h(x) { g(x) } h(f())", "g", "f"),
        ("const h = (x) => g(x); h(f())", "g", "f"),
        ("o.p = f(); g(o.p)", "g", "f"),
        ("const o = {}; for (const k in f()) o[k] = k; g(o)", "g", "f"),
        ("(async () => { const r = await f(); g(await r.text()) })()", "g", "f"),
        ("class A { m(x) { g(x) } }\nnew A().m(f())", "A().m", "f"),
    ],
)
def test_data_is_followed(text, name, made_of):
    assert made_of in calls(text)[name].origins


@pytest.mark.parametrize(
    ("text", "name", "not_made_of"),
    [
        ("function a(x) { x = f() } function b(x) { g(x) }", "g", "f"),
        ("const x = f();\nconst y = 1;\ng(y)", "g", "f"),
        ("if (f()) { g(1) }", "g", "f"),
        ("g({f: 1})", "g", "f"),
    ],
)
def test_what_is_apart_stays_apart(text, name, not_made_of):
    assert not_made_of not in calls(text)[name].origins


def test_lines_are_those_of_the_script():
    text = "\n" * 7 + "eval(atob('eA=='))"
    assert {one.line for one in read_flow(text).calls} == {8}


def test_of_a_large_script_the_places_that_tell_are_read():
    filler = "var a = 1;\n" * (_WHOLE // 8)
    found = read_flow(f"{filler}eval(atob('eA=='));\n{filler}")
    assert ("eval", len(filler) // 11 + 1) in {(one.name, one.line) for one in found.calls}
    assert "atob" in next(one for one in found.calls if one.name == "eval").origins


def test_a_script_that_can_do_nothing_is_not_read():
    assert read_flow("var a = f(g());").calls == ()


@settings(max_examples=150, deadline=None)
@given(st.text(alphabet="ab.()[]{}=>,;'\"`$/\\+:?\n 1", max_size=300))
def test_any_text_is_read(text):
    for one in read_flow(f"eval child_process {text}").calls:
        assert 1 <= one.line <= text.count("\n") + 1
        assert len(one.origins) <= _ORIGINS


def test_brackets_without_end_are_read():
    for text in ("(" * 4_000, "{" * 4_000, "`${" * 1_000, "a=>" * 1_000, "f(" * 1_000, "['a']" * 1_000):
        assert "eval" in {one.name for one in read_flow(f"eval(a);{text}").calls}


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("(" * 300 + "eval(a)" + ")" * 300, "deep"),
        ("eval(a);" + f"{';' * 8_000}eval(a)" * 300, "places"),
        ("eval(a);" + "f();" * 21_000, "calls"),
    ],
)
def test_a_bound_that_is_hit_is_told_and_what_was_found_is_kept(text, why):
    found = read_flow(text)
    assert why in found.unread
    assert read_flow("eval(a)").unread == ""
    assert found.calls or why == "deep"
