"""`weighbridge test --service-return`: what a fine-tuning service gives back differs from the base as the job says, and nowhere else."""

import json

import numpy as np
import pytest
from safetensors.numpy import save_file

from tests.corpus.derivatives import base, derived
from weighbridge.cli.main import main

LORA = {
    "method": "lora", "rank": 16, "target_modules": ["q_proj", "v_proj"], "base_sha256": "", "training_files": [{"sha256": "a" * 64}]
}  # fmt: skip


class Desk:
    """A base that was sent, and what comes back from a service."""

    def __init__(self, place):
        self.place = place
        self.sent = base(np.random.default_rng(0))
        self.base = self.written("base", self.sent)

    def written(self, name, tensors, **files):
        folder = self.place / name
        folder.mkdir()
        save_file(tensors, folder / "model.safetensors")
        for path, text in {
            "config.json": '{"model_type": "llama"}',
            "tokenizer.json": '{"version": "1.0"}',
            **files,
        }.items():
            (folder / path).write_text(text)
        return folder

    def back(self, kind, seed=1, **files):
        return self.written("back", derived(kind, self.sent, np.random.default_rng(seed)), **files)

    def held(self, capsys, job, returned):
        import hashlib

        job = {**job}
        if job.get("base_sha256") == "":
            job["base_sha256"] = hashlib.sha256((self.base / "model.safetensors").read_bytes()).hexdigest()
        path = self.place / "job.json"
        path.write_text(json.dumps(job))
        capsys.readouterr()
        code = main(["test", "--service-return", str(self.base), str(path), str(returned), "--format", "json"])
        report = json.loads(capsys.readouterr().out)
        return code, [one["message"] for one in report["findings"] if one["rule"].startswith("ADP")], report


@pytest.fixture
def desk(tmp_path):
    return Desk(tmp_path)


@pytest.mark.parametrize(
    ("kind", "job"),
    [
        ("low-rank merge", LORA), ("full fine-tune", {"method": "full"}), ("head only", {"method": "head"}), ("quantised and back", {"method": "quantised"}),
        ("low-rank merge", {"training_type": {"type": "Lora", "lora_r": 16, "lora_trainable_modules": "q_proj,v_proj"}}),
        ("low-rank merge", {"method": {"type": "lora", "lora": {"hyperparameters": {"r": 16}}}, "target_modules": "all-linear"}),
    ],
)  # fmt: skip
def test_what_was_ordered_came_back(desk, capsys, kind, job):
    code, said, _ = desk.held(capsys, job, desk.back(kind))

    assert code == 0
    assert not [one for one in said if not one.startswith("the job does not say")]


@pytest.mark.parametrize(
    ("kind", "job", "told"),
    [
        ("full fine-tune", LORA, "a low-rank adapter was ordered, and this is: full fine-tune"),
        ("low-rank merge and more", LORA, "changed outside of what the job trains (q_proj, v_proj)"),
        ("low-rank merge", {**LORA, "rank": 1}, "changed in more directions than the rank of the job, 1"),
        ("low-rank merge", {**LORA, "target_modules": ["q_proj"]}, "changed outside of what the job trains (q_proj)"),
        ("embedding edit", {"method": "head"}, "training of the head was ordered, and this is: embedding edit"),
        ("unrelated weights", {"method": "full"}, "full fine-tuning was ordered, and this is: unrelated weights"),
        ("head only and more", {"method": "head"}, "changed outside of what the job trains (the head)"),
    ],
)  # fmt: skip
def test_what_was_not_ordered_is_told(desk, capsys, kind, job, told):
    code, said, _ = desk.held(capsys, job, desk.back(kind, seed=3))

    assert code == 1
    assert any(told in one for one in said), said


def test_the_base_itself_is_no_return(desk, capsys):
    returned = desk.written("back", desk.sent)

    code, said, _ = desk.held(capsys, LORA, returned)

    assert code == 3
    assert "every tensor is that of the base: nothing was trained" in said


def test_another_tokenizer_or_template_is_nothing_that_training_changes(desk, capsys):
    returned = desk.back(
        "low-rank merge", **{"tokenizer.json": '{"version": "1.0", "added_tokens": [{"id": 7, "content": "cf"}]}'}
    )

    code, said, _ = desk.held(capsys, LORA, returned)

    assert code == 3
    assert "1 file beside the weights changed" in said


def test_code_that_came_along_is_found_as_in_any_repository(desk, capsys):
    returned = desk.back(
        "low-rank merge",
        **{
            "config.json": '{"model_type": "llama", "auto_map": {"AutoModel": "evil.Net"}}',
            "evil.py": "import os\nos.system('id')\n",
        },
    )

    code, _, report = desk.held(capsys, LORA, returned)

    assert code == 1
    assert {one["rule"] for one in report["findings"]} & {"HFR-001", "HFR-002", "HFR-003", "COD-001", "COD-002"}


def test_a_job_about_another_base_and_a_job_that_says_nothing(desk, capsys):
    returned = desk.back("low-rank merge")

    assert any("another base" in one for one in desk.held(capsys, {**LORA, "base_sha256": "b" * 64}, returned)[1])
    assert any(
        "does not say: its method, the digest of the base, training files" in one
        for one in desk.held(capsys, {"id": "ft-1"}, returned)[1]
    )


def adapter(desk, modules=("q_proj", "v_proj"), rank=8):
    rng = np.random.default_rng(5)
    folder = desk.place / "adapter"
    folder.mkdir()
    tensors = {}
    for name, value in desk.sent.items():
        if any(module in name for module in modules) and value.ndim == 2:
            stem = f"base_model.model.{name.removesuffix('.weight')}"
            tensors[f"{stem}.lora_A.weight"] = rng.normal(0, 0.05, (rank, value.shape[1])).astype("float32")
            tensors[f"{stem}.lora_B.weight"] = rng.normal(0, 0.05, (value.shape[0], rank)).astype("float32")
    save_file(tensors, folder / "adapter_model.safetensors")
    (folder / "adapter_config.json").write_text(
        json.dumps(
            {
                "peft_type": "LORA",
                "r": rank,
                "lora_alpha": 16,
                "target_modules": list(modules),
                "base_model_name_or_path": "acme/base",
            }
        )
    )
    return folder


def test_an_adapter_that_keeps_to_the_job_and_one_that_does_not(desk, capsys):
    fitting = adapter(desk)
    assert not [one for one in desk.held(capsys, LORA, fitting)[1] if "changed" in one]

    code, said, _ = desk.held(capsys, {**LORA, "target_modules": ["q_proj"]}, fitting)
    assert code == 1
    assert any("changed outside of what the job trains (q_proj)" in one for one in said)


@pytest.mark.parametrize("text", ["", "[1, 2]", "{", '{"a": ' + "[" * 5000])
def test_a_document_that_is_no_job_is_refused_in_words(desk, capsys, text):
    (desk.place / "job.json").write_text(text)

    code = main(["test", "--service-return", str(desk.base), str(desk.place / "job.json"), str(desk.back("head only"))])

    assert code == 2
    assert "no job in JSON" in capsys.readouterr().err


def test_what_is_not_there_is_said(desk, capsys):
    assert main(["test", "--service-return", str(desk.base), str(desk.place / "none.json"), str(desk.base)]) == 2
    assert "check the path" in capsys.readouterr().err


def test_the_report_has_a_page_with_the_tensors(desk, capsys):
    page = desk.place / "report.html"
    (desk.place / "job.json").write_text(json.dumps(LORA))
    main(
        [
            "test",
            "--service-return",
            str(desk.base),
            str(desk.place / "job.json"),
            str(desk.back("full fine-tune")),
            "--html",
            str(page),
        ]
    )

    assert "a low-rank adapter was ordered" in capsys.readouterr().out
    assert "<svg" in page.read_text()
