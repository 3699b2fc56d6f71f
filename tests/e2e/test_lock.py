"""The lock as a user meets it: written from code, checked in CI, and loud about what changed."""

from __future__ import annotations

import json

import pytest

from tests.corpus.repositories import SAFE
from tests.e2e.test_command_line import weighbridge
from tests.servers import COMMIT, hub, serve

CODE = "from transformers import AutoModel\nmodel = AutoModel.from_pretrained('org/model')\n"


@pytest.fixture
def project(tmp_path):
    (tmp_path / "src").mkdir()
    (tmp_path / "src/train.py").write_text(CODE)
    return tmp_path


@pytest.fixture
def web():
    return hub({"config.json": b"{}", "model.safetensors": SAFE})


def lock(project, base, *arguments):
    return weighbridge("lock", "src", *arguments, cwd=project, HF_ENDPOINT=base)


def test_what_the_code_uses_is_locked_and_holds(project, web):
    with serve(web) as base:
        assert lock(project, base).stdout == "weighbridge.lock: 1 artifact, 2 files\n"
        checked = lock(project, base, "--check")
    assert checked.returncode == 0
    assert checked.stdout == "1 artifact · as locked\n"
    entry = json.loads((project / "weighbridge.lock").read_text())["artifacts"][0]
    assert (entry["source"], entry["revision"], entry["owner"]) == ("hf://org/model", COMMIT, "org")
    assert entry["files"]["model.safetensors"].startswith("sha256:")


def test_a_replaced_file_is_named(project, web):
    with serve(web) as base:
        lock(project, base)
        web.files["model.safetensors"] = SAFE[:-1] + b"x"
        checked = lock(project, base, "--check")
    assert checked.returncode == 1
    assert "changed[IDN-007]: hf://org/model: model.safetensors was changed" in checked.stdout


def test_a_changed_owner_is_named(project, web):
    with serve(web) as base:
        lock(project, base)
        web.behaviour["identity"] = "stranger/model"
        checked = lock(project, base, "--check")
    assert checked.returncode == 1
    assert "belonged to org and belongs to stranger now" in checked.stdout


def test_a_moved_branch_is_worth_knowing_and_no_failure(project, web):
    with serve(web) as base:
        lock(project, base)
        web.behaviour["main"] = "b" * 40
        checked = lock(project, base, "--check")
    assert checked.returncode == 0
    assert "note: hf://org/model: has moved on: main is at bbbbbbbbbbbb" in checked.stdout


def test_a_new_reference_in_the_code_fails_the_check(project, web):
    with serve(web) as base:
        lock(project, base)
        (project / "src/more.py").write_text("from datasets import load_dataset\nload_dataset('org/data')\n")
        checked = lock(project, base, "--check")
    assert checked.returncode == 1
    assert "hf://datasets/org/data: is used in more.py, line 2 and is not in the lock" in checked.stdout


def test_offline_checks_what_needs_no_network(project, web):
    with serve(web) as base:
        lock(project, base)
    checked = lock(project, "http://127.0.0.1:9", "--check", "--offline")
    assert checked.returncode == 0
    assert "offline: hubs were not asked" in checked.stdout


def test_local_artifacts_are_locked_by_digest(project):
    (project / "model").mkdir()
    (project / "model/a.bin").write_bytes(b"x")
    (project / "src/train.py").write_text("x = 1\n")
    assert weighbridge("lock", "src", "--add", "model", cwd=project).returncode == 0
    assert weighbridge("lock", "src", "--check", cwd=project).returncode == 0
    (project / "model/b.bin").write_bytes(b"y")
    checked = weighbridge("lock", "src", "--check", cwd=project)
    assert checked.returncode == 1
    assert "model: b.bin was added" in checked.stdout


def test_a_missing_or_broken_lock_says_what_next(project):
    absent = weighbridge("lock", "src", "--check", cwd=project)
    assert absent.returncode == 2
    assert "weighbridge lock writes it" in absent.stderr
    (project / "weighbridge.lock").write_text('{"version": 1, "artifacts": [], "extra": 1}')
    broken = weighbridge("lock", "src", "--check", cwd=project)
    assert broken.returncode == 2
    assert "Traceback" not in broken.stderr


def test_the_inventory_lists_what_is_used_and_how_it_is_pinned(project):
    (project / "src/b.py").write_text(
        f"from huggingface_hub import snapshot_download as get\nget('org/other', revision='{'0' * 40}')\n"
    )
    done = weighbridge("inventory", "src", cwd=project)
    assert done.returncode == 0
    assert [line.split() for line in done.stdout.splitlines()[1:3]] == [
        ["model", "hf://org/model", "org", "not", "pinned", "unknown", "train.py:2"],
        ["model", "hf://org/other", "org", "0" * 12, "unknown", "b.py:2"],
    ]
    assert done.stdout.splitlines()[-1] == "2 things in 2 places, 1 not pinned"
    assert weighbridge("inventory", "src", "--pinned", cwd=project).returncode == 1
    rows = json.loads(weighbridge("inventory", "src", "--format", "json", cwd=project).stdout)
    assert {(row["source"], row["owner"], row["line"]) for row in rows} == {
        ("hf://org/model", "org", 2),
        ("hf://org/other", "org", 2),
    }


def test_a_check_may_be_a_report_with_findings(project, web):
    with serve(web) as base:
        lock(project, base)
        web.behaviour["identity"] = "stranger/model"
        checked = lock(project, base, "--check", "--format", "json")
        assert lock(project, base, "--check", "--format", "terminal").returncode == 1
    found = {one["rule"]: one for one in json.loads(checked.stdout)["findings"]}
    assert checked.returncode == 1
    assert "belonged to org and belongs to stranger now" in found["IDN-003"]["message"]
    assert {"AML.T0010", "LLM03:2025"} <= set(found["IDN-003"]["references"])


def test_tools_and_adapters_are_locked_too(project, web):
    (project / "src/train.py").write_text("from peft import PeftModel\nPeftModel.from_pretrained(base, 'org/model')\n")
    with serve(web) as base:
        assert lock(project, base).returncode == 0
    assert json.loads((project / "weighbridge.lock").read_text())["artifacts"][0]["source"] == "hf://org/model"


def test_a_signed_folder_must_not_step_back(project):
    (project / "m").mkdir()
    (project / "m/a.json").write_text("{}")
    weighbridge("keys", "new", "k", cwd=project)
    weighbridge("sign", "m", "--key", "k", cwd=project)
    weighbridge("lock", "m", "--add", "m", cwd=project)
    entry = json.loads((project / "weighbridge.lock").read_text())
    entry["artifacts"][0]["signed_at"] = "2099-01-01T00:00:00Z"
    (project / "weighbridge.lock").write_text(json.dumps(entry))
    done = weighbridge("lock", "m", "--check", cwd=project)
    assert (done.returncode, "changed[PRV-007]: m: is signed on" in done.stdout) == (1, True)
