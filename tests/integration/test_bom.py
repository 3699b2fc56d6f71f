"""Bills of materials of real repositories: valid, complete, and loud where card and files disagree."""

from __future__ import annotations

import io
import json
from collections import Counter
from datetime import UTC, date, datetime

import pytest
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.corpus.repositories import SAFE, config
from tests.corpus.rules import TORCH
from tests.corpus.saved import make
from tests.e2e.test_command_line import weighbridge
from weighbridge.inspection.inventory import describe
from weighbridge.policy import Policy, Waiver
from weighbridge.provenance import bills
from weighbridge.provenance.cyclonedx import cyclonedx
from weighbridge.provenance.description import contradictions
from weighbridge.provenance.spdx import spdx
from weighbridge.schema import UsageError

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


# Versions and formats


def test_the_newer_version_is_valid_too(tmp_path):
    made = cyclonedx(describe(str(make("peft_lora", tmp_path))), NOW, "1.7")
    problem = JsonStrictValidator(SchemaVersion.V1_7).validate_str(json.dumps(made))
    assert problem is None, str(problem)[:2000]


@pytest.mark.parametrize("name", ["transformers_llama", "peft_lora", "gguf_models"])
def test_spdx_is_read_by_its_own_model(name, tmp_path):
    from spdx_python_model import v3_0_1

    path = make(name, tmp_path)
    (path / "README.md").write_text(CARD)
    (path / "requirements.txt").write_text("torch==2.13.0\n")
    description = describe(str(path))
    objects = v3_0_1.SHACLObjectSet()
    text = io.BytesIO(json.dumps(spdx(description, NOW)).encode())
    v3_0_1.JSONLDDeserializer().read(text, objects)
    assert not objects.link()
    kinds = Counter(type(one).__name__ for one in objects.foreach())
    assert kinds["software_File"] == len(description.files)
    assert kinds["dataset_DatasetPackage"] == 1
    document = next(iter(objects.foreach_type(v3_0_1.SpdxDocument)))
    assert {"core", "software", "ai", "dataset"} <= {one.rpartition("/")[2] for one in document.profileConformance}


def test_every_property_says_how_it_is_known(tmp_path):
    path = make("transformers_llama", tmp_path)
    (path / "README.md").write_text(CARD)
    known = [one["name"].split(":")[1] for one in bill(path)["metadata"]["component"]["properties"]]
    assert {"observed", "declared"} <= set(known) <= {"observed", "declared", "attested", "incomplete"}


def test_packages_of_the_artifact_are_components(lay):
    folder = lay({**config(), "model.safetensors": SAFE, "requirements.txt": b"torch==2.13.0\nnumpy\n"})
    libraries = {part["purl"]: part.get("version") for part in bill(folder)["components"] if part["type"] == "library"}
    assert libraries == {"pkg:pypi/torch@2.13.0": "2.13.0", "pkg:pypi/numpy": None}


def test_a_waiver_becomes_a_state(lay):
    folder = lay({**config(_attn_implementation_internal="evil/kernels"), "model.safetensors": SAFE})
    waiver = Waiver(rule="HFR-003", path="*", reason="ours", owner="ann", expires=date(2099, 1, 1))
    made = cyclonedx(describe(str(folder), policy=Policy(waivers=(waiver,), today=date(2026, 6, 1))), NOW)
    assert [one["analysis"]["state"] for one in made["vulnerabilities"]] == ["not_affected"]
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(json.dumps(made)) is None


# Systems


@pytest.fixture
def system(lay, tmp_path):
    """A base and an adapter of it, each with its bill."""
    base = lay({"base/config.json": config()["config.json"], "base/model.safetensors": SAFE}) / "base"
    tuned = {"peft_type": "LORA", "base_model_name_or_path": "org/base", "revision": "0" * 40}
    lay({"tuned/adapter_config.json": json.dumps(tuned).encode(), "tuned/adapter_model.safetensors": SAFE})
    for name in ("base", "tuned"):
        weighbridge("bom", name, "--output", f"{name}.cdx.json", cwd=base.parent)
    return base.parent


def test_a_system_is_one_valid_bill(system):
    done = weighbridge("bom", "base.cdx.json", "tuned.cdx.json", "--merge", "--name", "assistant", cwd=system)
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(done.stdout) is None
    made = json.loads(done.stdout)
    assert [part["name"] for part in made["components"]] == ["base", "tuned"]
    assert (done.returncode, done.stderr) == (0, "")


def test_a_parent_that_no_bill_describes_is_a_gap(system):
    done = weighbridge("bom", "tuned.cdx.json", "--merge", cwd=system)
    assert done.returncode == 1
    assert "PRV-012: tuned.cdx.json: comes from org/base, which no bill describes" in done.stderr


def test_two_bills_are_compared(system):
    (system / "base/config.json").write_bytes(config(hidden_size=3)["config.json"])
    (system / "base/run.py").write_bytes(b"x = 1\n")
    weighbridge("bom", "base", "--output", "later.cdx.json", cwd=system)
    done = weighbridge("bom", "diff", "base.cdx.json", "later.cdx.json", cwd=system)
    assert done.returncode == 1
    assert "changed  config.json: digest" in done.stdout
    assert "added    run.py: part" in done.stdout
    assert weighbridge("bom", "diff", "base.cdx.json", "base.cdx.json", cwd=system).stdout == "0 differences\n"


# Signed bills


@pytest.fixture
def signed(system):
    weighbridge("keys", "new", "release", cwd=system)
    weighbridge("bom", "base", "--output", "base.cdx.json", "--sign", "release", cwd=system)
    return system


def verified(folder, *more):
    return weighbridge(
        "verify", "base", "--bom", "base.cdx.json", "--require", "bom", "--key", "release.pub", *more, cwd=folder
    )


def test_a_signed_bill_verifies(signed):
    done = verified(signed)
    assert (done.returncode, "as in the bill of materials" in done.stdout) == (0, True)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda f: (f / "base/config.json").write_bytes(b"{}"), "config.json is not what the bill of materials lists"),
        (lambda f: (f / "base/run.py").write_bytes(b"x"), "run.py is not in the bill of materials"),
        (lambda f: (f / "base/config.json").unlink(), "config.json is in the bill of materials and not here"),
        (lambda f: (f / "base.cdx.json.att").unlink(), "is not signed"),
        (lambda f: (f / "base.cdx.json").write_text((f / "tuned.cdx.json").read_text()), "another bill"),
    ],
)
def test_what_does_not_fit_the_bill_is_refused(signed, change, message):
    change(signed)
    done = verified(signed)
    assert done.returncode == 1
    assert message in done.stderr


def test_a_bill_that_is_required_and_missing_is_for_review(signed):
    done = weighbridge("scan", "base", "--require", "bom", cwd=signed)
    assert done.returncode == 1
    assert "PRV-011" in done.stdout
    assert "a bill of materials is required, and none is there" in done.stdout


def test_an_incomplete_bill_is_no_proof(lay, tmp_path):
    folder = lay({"m/model.safetensors": SAFE, "m/odd.xyz": bytes(range(256)) * 40})
    weighbridge("bom", "m", "--output", "m.cdx.json", cwd=folder)
    done = weighbridge("scan", "m", "--bom", "m.cdx.json", cwd=folder)
    assert "the bill of materials is incomplete" in done.stdout


def test_a_base_is_held_against_the_derivative(lay):
    from tests.corpus.repositories import safetensors

    folder = lay({
        "tuned/config.json": config(base_model="org/base")["config.json"], "tuned/model.safetensors": safetensors(a=(2, 3), b=(4,)),
        "tuned/README.md": CARD.encode(), "base/model.safetensors": safetensors(a=(9, 3), c=(4,)),
    })  # fmt: skip
    done = weighbridge("bom", "tuned", "--base", "base", cwd=folder)
    assert done.returncode == 1
    assert "ADP-002" in done.stderr
    assert "the tensors do not fit the declared base" in done.stderr


@settings(max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_any_bill_is_read_or_refused(tmp_path, data):
    """Values of a good bill are replaced by anything that JSON can say."""
    table = {
        "bomFormat": "CycloneDX", "specVersion": "1.6",
        "metadata": {"component": {"type": "file", "name": "a", "bom-ref": "artifact"}},
        "components": [{"type": "file", "name": "a", "hashes": [{"alg": "SHA-256", "content": "0" * 64}], "properties": [{"name": "a", "value": "b"}]}],
        "vulnerabilities": [{"id": "PKL-001", "affects": [{"ref": "a"}]}], "dependencies": [{"ref": "a", "dependsOn": ["b"]}],
    }  # fmt: skip
    spot, key = table, None
    while isinstance(spot, (dict, list)) and spot:
        parent, key = spot, data.draw(st.sampled_from(sorted(spot) if isinstance(spot, dict) else range(len(spot))))
        spot = spot[key]
        if data.draw(st.booleans()):
            break
    parent[key] = data.draw(
        st.none() | st.integers() | st.text(max_size=3) | st.just([]) | st.just({}) | st.just([None, 1])
    )
    path = tmp_path / "b.json"
    path.write_text(json.dumps(table))
    try:
        bill_read = bills.load(str(path))
        list(bills.differences(bill_read, bill_read))
        bills.merge([(str(path), bill_read)], "s", NOW)
        list(bills.lineage([(str(path), bill_read)]))
    except UsageError as refusal:
        assert refusal.message
