"""The report in every format: valid, complete, and safe to show."""

from __future__ import annotations

import json
import re
from html.parser import HTMLParser

import jsonschema
import msgspec
import pytest
from sarif_pydantic import Sarif

from tests.corpus.assemble import call, stream
from tests.corpus.rules import PLAIN
from weighbridge.output import FORMATS, render_as
from weighbridge.output.json_file import from_json, json_schema
from weighbridge.output.terminal import Terminal
from weighbridge.output.words import size_text

EVIL = stream(call("os.system", "<script>alert(1)</script>\u202e\x1b[31m"))


@pytest.fixture
def report(report_of):
    return report_of({"evil <b>.pkl": EVIL, "good.pkl": PLAIN, "cut.pkl": PLAIN[:-3]})


def test_json_round_trips_and_fits_its_published_schema(report):
    text = render_as("json", report)
    assert from_json(text) == report
    jsonschema.validate(json.loads(text), json_schema(), cls=jsonschema.Draft202012Validator)


def assert_is_sarif(document):
    """Valid for an independent model of SARIF 2.1.0, and without a property that it does not know."""
    read = Sarif.model_validate(document)
    again = json.loads(read.model_dump_json(by_alias=True, exclude_unset=True))
    assert again == document


def test_sarif_is_valid(report):
    document = json.loads(render_as("sarif", report))
    assert_is_sarif(document)
    run = document["runs"][0]
    assert {result["ruleId"] for result in run["results"]} == {rule["id"] for rule in run["tool"]["driver"]["rules"]}
    assert run["properties"]["verdict"] == "block"
    assert any("cut.pkl" in note["message"]["text"] for note in run["invocations"][0]["toolExecutionNotifications"])


def test_sarif_of_a_clean_report_is_valid_too(report_of):
    document = json.loads(render_as("sarif", report_of({"a.pkl": PLAIN})))
    assert_is_sarif(document)
    assert document["runs"][0]["results"] == []


def test_github_commands_are_one_line_each(report):
    lines = render_as("github", report).splitlines()
    assert all(re.match(r"::(error|warning|notice) ", line) for line in lines)
    assert any("PKL-001" in line for line in lines)


class Tags(HTMLParser):
    def __init__(self):
        super().__init__()
        self.tags, self.text = [], []

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data):
        self.text.append(data)


def test_the_page_has_no_script_no_remote_asset_and_escapes_everything(report):
    page = render_as("html", report)
    parsed = Tags()
    parsed.feed(page)
    assert not {"script", "img", "link", "iframe", "b"} & {tag for tag, _ in parsed.tags}
    assert not [attrs for _, attrs in parsed.tags if "src" in attrs or "onclick" in attrs]
    assert "<script>alert(1)</script>" in "".join(parsed.text)
    assert "\u202e" not in page
    assert "default-src 'none'" in page


@pytest.mark.parametrize("name", ["terminal", "github", "html"])
def test_control_and_direction_characters_are_escaped(report, name):
    text = Terminal().draw(report) if name == "terminal" else render_as(name, report)
    assert "\u202e" not in text
    assert "\x1b" not in text


def test_colour_is_never_the_only_sign(report):
    plain, coloured = Terminal().draw(report), Terminal(colour=True).draw(report)
    assert re.sub(r"\x1b\[[\d;]*m", "", coloured) == plain


def test_the_last_line_says_it_all(report):
    last = Terminal().draw(report, 0.5).splitlines()[-1]
    assert re.search(r"\d critical.* · \d+ of \d+ members inspected.* · .*B in 0\.50 s · BLOCK by ", last)


def test_every_format_is_known():
    assert FORMATS == ("terminal", "json", "sarif", "github", "html")


@pytest.mark.parametrize(
    ("size", "text"), [(0, "0 B"), (999, "999 B"), (812_000_000, "812 MB"), (1_500, "1.5 kB"), (10**12, "1 TB")]
)
def test_sizes_are_short(size, text):
    assert size_text(size) == text


def test_a_report_holds_no_time_and_no_host(report):
    assert not {"time", "host", "seconds"} & set(msgspec.to_builtins(report))
