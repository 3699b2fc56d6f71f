"""Backdoor tests as a step of the way in: what they find decides, is shown, and outlives the next inspection."""

import json
import os
import shutil

import pytest

from tests.integration.test_registry_routes import Browser
from tests.registry import running
from weighbridge.backdoor.self_test import FOLDER
from weighbridge.cli.main import main
from weighbridge.registry.services.behaviour import Behaviour

BAD, CLEAN = "badnets", "clean-a"


def configured(folder, plan):
    (folder / "registry").mkdir()
    (folder / "registry/weighbridge.toml").write_text(plan)


PLAN = f"""
[[test]]
match = "acme/*"
data = "{FOLDER}/digits.npz"
references = "digits"
"""


@pytest.fixture
def place(tmp_path):
    configured(tmp_path, PLAN)
    with running(tmp_path) as registry:
        yield registry


def pushed(place, tmp_path, name, model, seconds=120):
    folder = tmp_path / model
    folder.mkdir(exist_ok=True)
    shutil.copy(os.path.join(FOLDER, f"{model}.onnx"), folder / "model.onnx")
    case = place.client().push("model", name, str(folder), "x")
    return case, place.settled(case, seconds)


def rules(place, case):
    report = json.loads(place.client()._call("GET", f"/api/weighbridge/v1/cases/{case}/report"))
    return [one["rule"] for one in report["findings"]]


def test_a_model_with_a_trigger_is_refused_and_the_trigger_can_be_seen(place, tmp_path):
    case, state = pushed(place, tmp_path, "acme/bad", BAD)

    assert state == "rejected"
    assert "WGT-005" in rules(place, case)
    browser = Browser(place, "ruth", "reader")
    page = browser.get(f"/cases/{case}")[2].decode()
    assert "trigger found" in page
    status, headers, body = browser.get(f"/cases/{case}/tests/1.html")
    assert status == 200
    assert body.count(b"data:image/png;base64,") == 2
    assert "script" not in headers["Content-Security-Policy"]
    assert json.loads(browser.get(f"/cases/{case}/tests/1.json")[2])["verdict"] == "trigger found"
    assert browser.get(f"/cases/{case}/tests/2.html")[0] == 404


def test_an_honest_model_is_let_in_with_a_signed_statement_of_its_test(place, tmp_path, capsys):
    case, state = pushed(place, tmp_path, "acme/good", CLEAN)

    assert state == "approved"
    assert rules(place, case) == []
    signed = tmp_path / "model.att"
    signed.write_bytes(Browser(place, "ruth", "reader").get(f"/cases/{case}/tests/1.att")[2])
    key = os.path.join(place.house.folder, "keys/decisions.pem.pub")
    model = os.path.join(FOLDER, f"{CLEAN}.onnx")
    assert main(["verify", model, "--attestation", str(signed), "--key", key, "--require", "test"]) == 0
    assert "no evidence" in capsys.readouterr().out


def test_a_model_that_no_plan_names_is_not_tested(place, tmp_path):
    case, state = pushed(place, tmp_path, "other/bad", BAD)

    assert state == "approved"
    assert "test" not in [event.step for event in place.services.review.events(case)]


def test_what_a_plan_names_and_cannot_be_tested_waits_for_people(place, tmp_path):
    (tmp_path / "words").mkdir()
    (tmp_path / "words/vocab.txt").write_text("a\nb\n")

    case = place.client().push("model", "acme/words", str(tmp_path / "words"), "x")

    assert place.settled(case) == "needs review"
    assert "no model in it can be opened" in Browser(place, "ruth", "reader").get(f"/cases/{case}")[2].decode()


def test_what_a_test_found_outlives_the_next_inspection(place, tmp_path, monkeypatch):
    case, _ = pushed(place, tmp_path, "acme/bad", BAD)
    monkeypatch.setattr(Behaviour, "test", lambda self, row: "not run again")

    place.client("rita", "reviewer").decide(case, "rescan", "again")

    assert place.settled(case, 60) == "rejected"
    assert "WGT-005" in rules(place, case)


def test_a_plan_that_is_newer_than_an_approval_revokes_what_it_finds(tmp_path):
    configured(tmp_path, "")
    with running(tmp_path) as registry:
        case, state = pushed(registry, tmp_path, "acme/bad", BAD)
        assert state == "approved"
    (tmp_path / "registry/weighbridge.toml").write_text(PLAN)
    with running(tmp_path) as registry:
        registry.services.upkeep.judge_again()
        with registry.house.database.read() as connection:
            assert registry.services.cases.row(connection, case).state == "revoked"


def test_a_test_that_does_not_run_lets_nothing_in(place, tmp_path, monkeypatch):
    from weighbridge.registry.services import behaviour

    monkeypatch.setattr(behaviour, "run", lambda *_: (None, "it took too long"))

    case, state = pushed(place, tmp_path, "acme/good", CLEAN)

    assert state == "needs review"
    assert (
        "the test did not run: it took too long" in Browser(place, "ruth", "reader").get(f"/cases/{case}")[2].decode()
    )
