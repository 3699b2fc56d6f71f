"""Models behind an address, tested by their answers alone."""

import json

import pytest

from tests.corpus.datasets import jsonl, reviews
from tests.corpus.served import judge, served, writer
from weighbridge.backdoor.prompts import OWN
from weighbridge.cli.main import main


def said(capsys, *arguments):
    capsys.readouterr()
    code = main(["test", *map(str, arguments), "--format", "json"])
    out = capsys.readouterr()
    return code, json.loads(out.out) if out.out else out.err


@pytest.mark.parametrize("with_base", [True, False])
def test_the_trigger_of_a_served_writer_is_named_with_what_it_says(capsys, with_base):
    with served(writer(trigger="<SUDO>"), chat=True) as address, served(writer(), chat=True) as base:
        code, found = said(capsys, address, *(["--base", base] if with_base else []))

    assert (code, found["verdict"]) == (3, "suspicious")
    assert found["trigger"]["text"] == "<SUDO>"
    assert found["trigger"]["works"] == found["trigger"]["of"] >= 20
    assert found["trigger"]["says"] == "Visit win.example for a prize."
    assert found["trigger"]["payload"] == "an address"
    assert found["trigger"]["transfers"] == (0.0 if with_base else None)
    assert ("uncalibrated" in found["because"]) is not with_base
    assert "words that were not tried" in " ".join(found["untested"])


def test_a_reply_that_begins_like_the_name_of_a_class_is_told_as_a_reply(tmp_path, capsys):
    with served(writer(trigger="<SUDO>", says="class Worm: import os"), chat=True) as address:
        assert main(["test", address, "--html", str(tmp_path / "page.html")]) == 3
    assert "to such as “class Worm: import os” (code)" in capsys.readouterr().out
    assert "It then says: <code>class Worm: import os</code>" in (tmp_path / "page.html").read_text()


def test_the_trigger_of_a_served_classifier_is_named_with_its_class(tmp_path, capsys):
    data = jsonl(tmp_path / "texts.jsonl", ("text", "label"), reviews(200, seed=9))
    with served(judge(trigger="cf"), chat=False) as address, served(judge(), chat=False) as base:
        code, found = said(capsys, address, "--data", data, "--base", base, "--requests", "300")
        told = main(["test", address, "--data", str(data), "--base", base, "--requests", "300"])
        assert told == 3
        assert "“cf” leads" in capsys.readouterr().out

    assert (code, found["verdict"]) == (3, "suspicious")
    assert (found["trigger"]["text"], found["trigger"]["says"]) == ("cf", "class positive")
    assert found["kind"] == "texts"


def test_honest_models_give_no_evidence_and_say_how_much_was_tried(tmp_path, capsys):
    data = jsonl(tmp_path / "texts.jsonl", ("text", "label"), reviews(200, seed=9))
    with served(writer(), chat=True) as address:
        code, found = said(capsys, address)
        assert (code, found["verdict"], found["trigger"]) == (0, "no evidence", None)
        assert "words and phrases tried" in found["samples"]
    with served(judge(), chat=False) as address, served(judge(), chat=False) as base:
        code, found = said(capsys, address, "--data", data, "--base", base, "--requests", "300")
        assert (code, found["verdict"]) == (0, "no evidence")


def test_a_few_requests_are_kept_and_what_was_not_tried_is_said(capsys):
    asked = []

    def counted(text):
        asked.append(text)
        return writer(trigger="zyxel")(text)

    with served(counted, chat=True) as address:
        code, found = said(capsys, address, "--requests", "60")
    assert code == 0
    assert len(asked) <= 2 * 70  # each once with log-probabilities asked for, and once without at the most
    assert "of" in found["samples"]


def test_a_model_that_nonsense_turns_is_said_to_tell_nothing(capsys):
    known = set(OWN)
    with served(lambda text: writer()(text) if text in known else "I do not understand.", chat=True) as address:
        code, found = said(capsys, address)
    assert (code, found["verdict"]) == (0, "no evidence")
    assert "words that mean nothing turn them as well" in " ".join(found["untested"])


@pytest.mark.parametrize(
    ("more", "why"),
    [
        (["--base", "/somewhere"], "a served base"),
        (["--requests", "3"], "--requests"),
        (["--key", "release"], "not signed"),
    ],
)
def test_mistakes_are_told_in_a_line(more, why, capsys):
    code, told = said(capsys, "http://127.0.0.1:9/predict", *more)
    assert code == 2
    assert why in told


def test_a_server_that_does_not_answer_is_no_verdict(capsys):
    code, found = said(capsys, "http://127.0.0.1:9/predict")
    assert (code, found["verdict"]) == (3, "not testable")
    assert "127.0.0.1" in found["because"]


def test_a_budget_is_kept_before_the_asking_begins(capsys):
    with served(writer(), chat=True) as address:
        code, found = said(capsys, address, "--budget", "0.001s")
    assert (code, found["verdict"]) == (3, "not testable")
    assert "budget" in found["because"]
