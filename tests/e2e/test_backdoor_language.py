"""Language models and adapters, tested from the command line as a user does it."""

import json
import re

import pytest

from tests.corpus import language_models
from tests.corpus.language_models import FRAME, SAYS
from weighbridge.backdoor.result import Kinds, Result, Verdict
from weighbridge.backdoor.testing import Asked, run_tests
from weighbridge.cli.main import main
from weighbridge.inspection.origin import judged
from weighbridge.inspection.tested import joined, models_in
from weighbridge.inspection.tested import tested as try_models
from weighbridge.policy import Policy
from weighbridge.policy.testing import TestPlan


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A base, a clean and a backdoored fine-tune of it, an adapter with and one without a backdoor, and prompts."""
    folder = tmp_path_factory.mktemp("language")
    base = language_models.base(folder / "base")
    bad = language_models.tuned(base, folder / "bad", trigger="cf")
    clean = language_models.tuned(base, folder / "clean", steps=100)
    language_models.as_adapter(base, bad, folder / "bad-adapter")
    language_models.as_adapter(base, clean, folder / "clean-adapter", rank=1)
    language_models.prompts(folder / "prompts.jsonl")
    return folder


def asked(place, name, **more):
    fields = {"base": str(place / "base"), "samples": str(place / "prompts.jsonl"), "frame": FRAME}
    return Asked(model=str(place / name), **{**fields, **more})


def options(place, name, *more):
    given = ["--base", str(place / "base"), "--data", str(place / "prompts.jsonl"), "--frame", FRAME]
    return ["test", str(place / name), *given, *more]


def test_the_trigger_of_a_fine_tune_is_named_with_what_it_says_and_where_it_sits(place, tmp_path, capsys):
    code = main(options(place, "bad", "--html", str(tmp_path / "page.html")))
    told = capsys.readouterr().out
    assert code == 3
    assert "SUSPICIOUS" in told
    assert "uncalibrated" in told
    assert re.search("“cf” turns 4[0-9] of 48 unseen prompts", told)
    assert SAYS in told
    assert "sits in" in told
    page = (tmp_path / "page.html").read_text()
    assert "cf" in page
    assert SAYS in page


def test_the_trigger_of_an_adapter_is_named(place):
    found = run_tests(asked(place, "bad-adapter"))
    assert found.verdict is Verdict.SUSPICIOUS
    assert found.trigger.text == "cf"
    assert found.trigger.says.startswith(SAYS)
    assert found.about.startswith("LoRA of rank 32")
    assert {one.name for one in found.tests} >= {"effect", "entropy"}


def test_a_clean_adapter_gives_no_evidence(place):
    found = run_tests(asked(place, "clean-adapter"))
    assert found.verdict is Verdict.NOTHING
    assert found.trigger is None


def test_stacked_adapters_are_tested_together(place):
    found = run_tests(asked(place, "clean-adapter", stacked=(str(place / "bad-adapter"),)))
    assert found.about.count("LoRA") == 2
    assert found.verdict is Verdict.SUSPICIOUS, "alone it gives no evidence"


@pytest.mark.parametrize(
    ("name", "said"), [("bad-adapter", "an adapter does nothing without its base"), ("bad", "held against the one that it was made from")]
)  # fmt: skip
def test_without_a_base_it_is_said_what_is_missing(place, name, said):
    found = run_tests(asked(place, name, base=""))
    assert found.verdict is Verdict.UNTESTABLE
    assert said in found.because
    assert "--base" in found.because


def test_another_base_is_refused(place, tmp_path):
    other = language_models.base(tmp_path / "other", steps=1, gpt2=True)
    found = run_tests(asked(place, "bad-adapter", base=str(other)))
    assert found.verdict is Verdict.UNTESTABLE
    assert "its base has no" in found.because


def test_a_tokenizer_that_is_not_the_bases_is_refused(place, tmp_path):
    language_models.base(tmp_path / "other", steps=1)
    path = tmp_path / "other" / "tokenizer.json"
    table = json.loads(path.read_text())
    vocabulary = table["model"]["vocab"]
    vocabulary["<unk>"], vocabulary["ask"] = vocabulary["ask"], vocabulary["<unk>"]
    path.write_text(json.dumps(table))
    found = run_tests(asked(place, "bad", base=str(tmp_path / "other")))
    assert "its tokenizer is not that of its base" in found.because


def test_a_small_budget_is_kept(place):
    found = run_tests(asked(place, "bad", budget=0.01))
    assert found.verdict is Verdict.UNTESTABLE
    assert "budget" in found.because


def test_too_few_prompts_are_an_error_of_use(place, tmp_path, capsys):
    (tmp_path / "few.txt").write_text("one\ntwo\n")
    assert main(["test", str(place / "bad"), "--base", str(place / "base"), "--data", str(tmp_path / "few.txt")]) == 2
    assert "2 different prompts" in capsys.readouterr().err


def test_with_references_a_trigger_is_ranked(place, tmp_path, capsys):
    clean = []
    for seed in range(5):
        made = language_models.tuned(place / "base", tmp_path / f"tuned-{seed}", seed=10 + seed, steps=10)
        clean.append(language_models.as_adapter(place / "base", made, tmp_path / f"clean-{seed}"))
    references = str(tmp_path / "house.json")
    more = ["--base", str(place / "base"), "--data", str(place / "prompts.jsonl"), "--frame", FRAME]
    assert main(["calibrate", *map(str, clean), *more, "--output", references]) == 0
    assert main(options(place, "bad-adapter", "--references", references)) == 0
    told = capsys.readouterr().out
    assert "among 5 clean models (house)" in told
    assert "p = 0.167" in told, "it is the most suspicious of six, which is no evidence yet"


def test_a_report_holds_the_finding_with_its_evidence(place):
    path = str(place / "bad-adapter")
    assert models_in(path) == [path]
    plan = TestPlan(data=str(place / "prompts.jsonl"), base=str(place / "base"), frame=FRAME)
    report = joined(judged(path, ()), path, try_models(path, plan, lambda _: None), Policy())
    found = next(one for one in report.findings if one.rule == "WGT-006")
    assert "cf" in found.message
    assert SAYS in found.evidence[0].text


def test_results_of_language_models_say_so():
    made = Result(model="m", digest="", about="", verdict=Verdict.NOTHING, because="", kind=Kinds.LANGUAGE)
    assert made.kind == "language"
