"""What is found in scripts, wherever it stands in them."""

from __future__ import annotations

import pytest

from weighbridge.formats import javascript
from weighbridge.formats.javascript import read_javascript

MARKED = [
    ("process", "require('child_process').exec(a)"), ("process", "execSync('ls')"), ("process", "spawnSync('ls')"), ("network", "https.get(a, b)"),
    ("network", "await fetch(a)"), ("network", "dns.resolve(a)"), ("environment", "JSON.stringify( process.env )"), ("environment", "Object.keys(a || process.env)"),
    ("identity", "os.hostname()"), ("decodes", "Buffer.from(a, 'base64')"), ("decodes", "decodeURIComponent(escape(a))"), ("runs", "new Function(a)"),
    ("runs", "a['constructor']('b')"), ("runs", "setTimeout( 'a()', 1)"), ("secrets", "'.aws/credentials'"), ("secrets", "Local Storage\\leveldb"),
    ("publishes", "npm publish"), ("runtime", "https://bun.sh/install"), ("wallets", "'0x" + "a" * 40 + "'"), ("wallets", '"bc1' + "q" * 30 + '"'),
]  # fmt: skip
UNMARKED = ["prefetch(a)", "Object.keys(a)", "process.env.HOME", "xatob(a)", "'0x12'", "setTimeout(a, 1)", "evaluation"]


@pytest.mark.parametrize(("mark", "text"), MARKED)
@pytest.mark.parametrize("before", ["", "x\n" * 50, ";" * 5_000, "prefetch(a);'0x1';" * 3_000])
def test_a_mark_is_found_at_its_line(mark, text, before):
    assert read_javascript(f"{before};{text}").marks[mark] == before.count("\n") + 1


@pytest.mark.parametrize("text", UNMARKED)
def test_what_only_looks_alike_is_no_mark(text):
    assert read_javascript(text).marks == {}


@pytest.mark.parametrize(("mark", "text"), MARKED)
def test_every_mark_holds_one_of_its_literals(mark, text):
    match = javascript._MARKS[mark].search(text)
    assert match
    assert any(token in match[0] for token in javascript._TOKENS[mark])
