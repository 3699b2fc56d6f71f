"""Two versions side by side as a user meets them: what changed, what was done, what is new, and the picture of it."""

from __future__ import annotations

import json

import numpy as np
import pytest
from safetensors.numpy import save_file

from tests.corpus.derivatives import KINDS, base, derived
from tests.e2e.test_command_line import weighbridge

STOPPED = {
    "rank-one edit": 1,
    "embedding edit": 1,
    "unrelated weights": 3,
    "head only and more": 1,
    "low-rank merge and more": 1,
}


@pytest.fixture
def versions(tmp_path):
    """Two folders of one model, of which the second was made from the first."""

    def make(kind, old_files=(), new_files=()):
        rng = np.random.default_rng(6)
        old = base(rng)
        for name, tensors, files in (("old", old, old_files), ("new", derived(kind, old, rng), new_files)):
            (tmp_path / name).mkdir(exist_ok=True)
            save_file(tensors, tmp_path / name / "model.safetensors")
            for member, text in dict(files).items():
                (tmp_path / name / member).write_text(text)
        return tmp_path

    return make


@pytest.mark.parametrize("kind", KINDS)
def test_it_says_what_was_done_and_stops_what_nobody_orders(versions, kind):
    done = weighbridge("diff", "old", "new", "--no-contents", cwd=versions(kind))
    assert any(line.endswith(f": {kind}") for line in done.stdout.splitlines())
    assert done.returncode == STOPPED.get(kind, 0)


def test_a_service_that_touched_a_frozen_layer_is_caught(versions):
    folder = versions("head only and more")
    done = weighbridge("diff", "old", "new", "--frozen", r"\.layers\.", "--expect", "head only", cwd=folder)
    assert done.returncode == 1
    assert "1 tensor is not as before, and had to be" in done.stdout
    assert "head only was ordered, and this is head only and more" in done.stdout


def test_structure_and_new_findings_are_told(versions):
    folder = versions(
        "full fine-tune",
        {"config.json": '{"eos_token_id": 1}', "modeling.py": "import torch\n", "chat_template.jinja": "{{ a }}\n"},
        {
            "config.json": '{"eos_token_id": 2}',
            "modeling.py": "import torch\nimport os\nos.system('id')\n",
            "chat_template.jinja": "{{ a }}\n{{ b }}\n",
        },
    )
    done = weighbridge("diff", "old", "new", cwd=folder)
    for line in (
        "changed  config.json: eos_token_id  1 → 2",
        "added    chat_template.jinja: text, line 2  {{ b }}",
        "added    modeling.py: calls on import  os.system",
        "high[HFR-007]",
    ):
        assert line in done.stdout
    assert done.returncode == 1


def test_what_was_there_before_is_not_new(versions):
    code = {"modeling.py": "import os\nos.system('id')\n"}
    done = weighbridge("diff", "old", "new", cwd=versions("full fine-tune", code, code))
    assert (done.returncode, "HFR-007" in done.stdout) == (0, False)


def test_nothing_changed(versions):
    folder = versions("full fine-tune")
    done = weighbridge("diff", "old", "old", "--expect", "nothing", cwd=folder)
    assert done.returncode == 0
    assert "0 tensors changed, 26 the same: nothing" in done.stdout


def test_files_without_tensors_are_compared_all_the_same(lay):
    folder = lay({"old/a.json": b'{"x": [1, {"y": 2}]}', "new/a.json": b'{"x": [1, {"y": 3}]}'})
    done = weighbridge("diff", "old", "new", cwd=folder)
    assert done.returncode == 0
    assert "changed  a.json: x[1].y  2 → 3" in done.stdout


def test_an_expectation_without_tensors_is_an_error(lay):
    done = weighbridge("diff", "old", "new", "--expect", "nothing", cwd=lay({"old/a.json": b"1", "new/a.json": b"2"}))
    assert done.returncode == 2
    assert "there are no tensors" in done.stderr


@pytest.mark.parametrize("bad", [("--frozen", "("), ("--expect", "magic")])
def test_what_could_never_hold_is_refused(versions, bad):
    done = weighbridge("diff", "old", "new", *bad, cwd=versions("head only"))
    assert done.returncode == 2
    assert bad[0] in done.stderr
    assert "Traceback" not in done.stderr


def test_the_page_has_the_picture_and_no_script(versions):
    folder = versions("low-rank merge")
    weighbridge("diff", "old", "new", "--format", "html", "--output", "r.html", cwd=folder)
    page = (folder / "r.html").read_text()
    assert page.count("<rect") == 26 + 6
    assert "layer 2, self_attn.q_proj.weight: " in page
    assert "<script" not in page


def test_the_json_report_holds_the_comparison(versions):
    done = weighbridge("diff", "old", "new", "--format", "json", cwd=versions("embedding edit"))
    found = json.loads(done.stdout)["comparison"]
    assert found["kind"] == "embedding edit"
    assert found["changed"][0]["name"] == "model.embed_tokens.weight"
    assert 0 < found["changed"][0]["rows"] < 6


def test_a_broken_file_is_an_error_and_no_traceback(versions):
    folder = versions("head only")
    (folder / "new/model.safetensors").write_bytes(b"\xff" * 40)
    done = weighbridge("diff", "old", "new", cwd=folder)
    assert done.returncode == 2
    assert "model.safetensors" in done.stderr
    assert "Traceback" not in done.stderr
