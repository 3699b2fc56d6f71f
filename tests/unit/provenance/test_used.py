"""Everything that a code base uses: found where it is named, listed or lies, with owner, pin and licence."""

from __future__ import annotations

import json

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.e2e.test_command_line import weighbridge
from tests.servers import hub, serve
from weighbridge.formats.manifests import is_manifest, read_manifest
from weighbridge.provenance.used import KINDS, used
from weighbridge.schema import MalformedInput

COMMIT = "c" * 40
FILES = {
    "serve/app.py": f"""
from datasets import load_dataset
from langchain import hub
from peft import PeftModel
from transformers import AutoModel, load_tool
base = AutoModel.from_pretrained("org/base", revision="{COMMIT}")
model = PeftModel.from_pretrained(base, "org/adapter", revision="main")
data = load_dataset("org/data")
tool = load_tool("org/search", trust_remote_code=True)
prompt = hub.pull("org/answer:1a2b3c")
""",
    "serve/prompts/system.txt": "Answer briefly.",
    "serve/requirements.txt": "torch==2.13.0  # cpu\nnumpy>=2\n-r other.txt\n",
    "web/package.json": json.dumps({"dependencies": {"left": "1.0.0", "right": "^2"}}),
    "agent/.mcp.json": json.dumps({
        "mcpServers": {"files": {"command": "npx", "args": ["-y", "@org/files@1.2.3"]}, "far": {"url": "https://tools.example/mcp"}}
    }),
    "models/ranker/model.onnx": "x",
    "models/ranker/README.md": "---\nlicense: mit\n---\n",
    "models/tune/adapter_config.json": "{}",
    "models/tune/adapter_model.safetensors": "x",
    "data/train.jsonl": "{}",
}  # fmt: skip


@pytest.fixture
def project(lay):
    return lay({name: text.encode() for name, text in FILES.items()})


def test_every_kind_is_found_where_it_is(project):
    found = {(one.kind, one.source, one.pin, one.file) for one in used(str(project))}
    assert found == {
        ("model", "hf://org/base", COMMIT, "serve/app.py"),
        ("adapter", "hf://org/adapter", "", "serve/app.py"),
        ("dataset", "hf://datasets/org/data", "", "serve/app.py"),
        ("tool", "hf://spaces/org/search", "", "serve/app.py"),
        ("prompt", "prompt hub: org/answer", "1a2b3c", "serve/app.py"),
        ("prompt", "file:serve/prompts/system.txt", "", "serve/prompts/system.txt"),
        ("package", "pkg:pypi/torch@2.13.0", "2.13.0", "serve/requirements.txt"),
        ("package", "pkg:pypi/numpy", "", "serve/requirements.txt"),
        ("package", "pkg:npm/left@1.0.0", "1.0.0", "web/package.json"),
        ("package", "pkg:npm/right", "", "web/package.json"),
        ("tool", "npx -y @org/files@1.2.3", "1.2.3", "agent/.mcp.json"),
        ("tool", "https://tools.example/mcp", "", "agent/.mcp.json"),
        ("model", "file:models/ranker", "", "models/ranker"),
        ("adapter", "file:models/tune", "", "models/tune"),
        ("dataset", "file:data", "", "data"),
    }
    assert {kind for kind, *_ in found} == set(KINDS)


def test_owner_and_place_are_told(project):
    one = next(one for one in used(str(project)) if one.source == "hf://org/adapter")
    assert (one.name, one.owner, one.line) == ("org/adapter", "org", 7)


def test_the_licence_of_what_lies_here_is_that_of_its_card(project):
    assert next(one.licence for one in used(str(project)) if one.name == "models/ranker") == "mit"


def test_the_licence_of_a_package_is_that_of_the_installed_one(project, lay):
    lay(
        {
            "env/torch-2.13.0.dist-info/METADATA": b"Name: torch\nVersion: 2.13.0\nLicense-Expression: BSD-3-Clause\n\nText\n"
        }
    )
    licences = {one.name: one.licence for one in used(str(project), environment=str(project / "env"))}
    assert (licences["torch"], licences["numpy"]) == ("BSD-3-Clause", "")


def test_the_licence_of_another_version_says_nothing(project, lay):
    lay({"env/torch-1.0.dist-info/METADATA": b"Name: torch\nVersion: 1.0\nLicense: BSD\n\n"})
    found = used(str(project), environment=str(project / "env"))
    assert next(one.licence for one in found if one.name == "torch") == ""


def test_the_hub_is_asked_where_it_may_be(lay):
    folder = lay({"a.py": b"from transformers import AutoModel\nAutoModel.from_pretrained('org/model')\n"})
    with serve(hub({"config.json": b"{}"})) as base:
        silent = weighbridge("inventory", ".", "--online", cwd=folder, HF_ENDPOINT=base)
    assert (silent.returncode, "unknown" in silent.stdout) == (0, True)


def test_what_may_change_by_itself_fails_where_asked(project):
    assert weighbridge("inventory", ".", cwd=project).returncode == 0
    assert weighbridge("inventory", ".", "--pinned", cwd=project).returncode == 1
    assert weighbridge("inventory", "models", "--pinned", cwd=project).returncode == 0


@pytest.mark.parametrize("name", ["requirements.txt", "requirements-dev.in", "requirements/dev.txt", "a/pyproject.toml", "package.json"])  # fmt: skip
def test_manifests_are_known_by_name(name):
    assert is_manifest(name)


@settings(suppress_health_check=[HealthCheck.too_slow])
@given(st.sampled_from(["requirements.txt", "pyproject.toml", "package.json"]), st.text(max_size=200))
def test_any_text_is_a_manifest_or_refused(name, text):
    try:
        assert all(one.name for one in read_manifest(name, text).listed)
    except MalformedInput as refusal:
        assert str(refusal)
