"""Bills of materials of real repositories: valid, complete, and loud where card and files disagree."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator

from tests.corpus.repositories import SAFE, config
from tests.corpus.rules import TORCH
from tests.corpus.saved import make
from tests.e2e.test_command_line import weighbridge
from weighbridge.inspection.inventory import describe
from weighbridge.provenance.cyclonedx import cyclonedx
from weighbridge.provenance.description import contradictions

NOW = datetime(2026, 6, 1, tzinfo=UTC)
CARD = "---\nlicense: apache-2.0\npipeline_tag: text-generation\nbase_model: org/base\ndatasets: [org/data]\ntags: [safetensors]\n---\n# Model\n"


def bill(path):
    made = cyclonedx(describe(str(path)), NOW)
    problem = JsonStrictValidator(SchemaVersion.V1_6).validate_str(json.dumps(made))
    assert problem is None, str(problem)[:2000]
    return made


@pytest.mark.parametrize(
    "name", ["transformers_llama", "peft_lora", "sentence_transformers", "gguf_models", "diffusers_pipeline"]
)
def test_real_repositories_give_valid_bills(name, tmp_path):
    path = make(name, tmp_path)
    made = bill(path)
    files = {part["name"]: part["hashes"][0]["content"] for part in made["components"] if part["type"] == "file"}
    assert len(files) == sum(1 for one in path.rglob("*") if one.is_file())
    assert not list(contradictions(describe(str(path))))


def test_parameters_are_counted_from_headers(tmp_path):
    import safetensors.torch

    path = make("transformers_llama", tmp_path)
    counted = sum(
        tensor.numel() for shard in path.glob("*.safetensors") for tensor in safetensors.torch.load_file(shard).values()
    )
    assert describe(str(path)).first("parameters", "observed") == str(counted)


def test_the_card_is_declared_and_the_lineage_is_pedigree(lay):
    folder = lay({**config(), "model.safetensors": SAFE, "README.md": CARD.encode()})
    component = bill(folder)["metadata"]["component"]
    assert component["licenses"] == [{"license": {"id": "Apache-2.0"}}]
    assert component["pedigree"]["ancestors"][0]["purl"] == "pkg:huggingface/org/base"
    assert {"name": "weighbridge:declared:task", "value": "text-generation (README.md)"} in component["properties"]


def test_findings_are_vulnerabilities(lay):
    folder = lay({**config(_attn_implementation_internal="evil/kernels"), "model.safetensors": SAFE})
    found = bill(folder)["vulnerabilities"]
    assert [(one["id"], one["affects"][0]["ref"]) for one in found] == [("HFR-003", "file:config.json")]


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({**config(), "pytorch_model.bin": TORCH, "README.md": CARD.encode()}, "the card says one format"),
        ({**config(dtype="bfloat16"), "model.safetensors": SAFE}, "the dtype in the configuration"),
        (
            {
                "adapter_config.json": b'{"peft_type": "LORA", "base_model_name_or_path": "other/base"}',
                "README.md": CARD.encode(),
            },
            "different base models",
        ),
    ],
)
def test_what_contradicts_itself_is_named(lay, files, message):
    folder = lay(files)
    assert any(message in one.what for one in contradictions(describe(str(folder))))
    bill(folder)


def test_the_same_artifact_gives_the_same_bill(lay):
    folder = lay({**config(), "model.safetensors": SAFE})
    assert bill(folder) == bill(folder)


def test_the_command_writes_the_bill_and_names_contradictions(lay, tmp_path):
    folder = lay({"m/config.json": config(dtype="bfloat16")["config.json"], "m/model.safetensors": SAFE})
    done = weighbridge("bom", folder / "m", "--output", tmp_path / "m.cdx.json")
    assert done.returncode == 1
    assert (
        "the dtype in the configuration is not that of the weights: BF16 (config.json), F32 (model.safetensors)"
        in done.stderr
    )
    assert json.loads((tmp_path / "m.cdx.json").read_text())["bomFormat"] == "CycloneDX"
