"""Files that list packages: what real tools wrote is read whole, what is broken is said, and nothing is guessed."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from weighbridge.formats.manifests import Origin, is_install, is_manifest, read_manifest
from weighbridge.schema import LimitExceeded, MalformedInput

LOCKS = Path(__file__).parent.parent.parent / "fixtures/locks"
NPM = {("left-pad", "1.3.0"), ("chalk", "4.1.2"), ("esbuild", "0.21.5"), ("ansi-styles", "4.3.0")}
PYPI = {("einops", "0.8.0"), ("idna", "3.20")}
COMMIT = "a" * 40


def read(name, text=None):
    return read_manifest(name, (LOCKS / name).read_text() if text is None else text)


def pairs(manifest):
    return {(one.name, one.version) for one in manifest.listed}


@pytest.mark.parametrize("name", ["package-lock.json", "pnpm-lock.yaml", "yarn.lock", "berry/yarn.lock", "bun.lock"])
def test_locks_of_javascript_tools_list_the_same_packages(name):
    found = read(name)
    assert pairs(found) >= NPM
    assert found.locked
    assert not found.gaps
    assert len(found.listed) == 31
    assert all(one.origin is Origin.INDEX for one in found.listed)
    assert all(one.hashes for one in found.listed if one.name in {"left-pad", "chalk"})


@pytest.mark.parametrize("name", ["uv.lock", "pylock.toml"])
def test_locks_of_python_tools_list_versions_digests_and_times(name):
    found = read(name)
    assert pairs(found) >= PYPI
    assert all(one.hashes and one.index == "https://pypi.org/simple" for one in found.listed)
    assert {one.released[:10] for one in found.listed if one.name == "einops"} == {"2024-04-28"}
    assert "sample" not in {one.name for one in found.listed}


def test_uv_tells_what_was_asked_for_from_what_came_along():
    direct = {one.name for one in read("uv.lock").listed if one.direct}
    assert "einops" in direct
    assert "colorama" not in direct


def test_pipenv_lists_what_it_locked():
    found = read("Pipfile.lock")
    assert [(one.name, len(one.hashes), one.index) for one in found.listed] == [("tqdm", 2, "pypi")]
    assert found.indexes[0].address == "https://pypi.org/simple"


def test_package_lock_version_one_is_a_tree():
    tree = {
        "lockfileVersion": 1,
        "dependencies": {"a": {"version": "1.0.0", "dependencies": {"b": {"version": "2.0.0"}}}},
    }
    assert pairs(read("package-lock.json", json.dumps(tree))) == {("a", "1.0.0"), ("b", "2.0.0")}


POETRY = """[[package]]
name = "einops"
version = "0.8.0"
files = [{file = "einops.whl", hash = "sha256:1"}]

[[package]]
name = "private"
version = "1.0"
files = []

[package.source]
type = "git"
url = "https://git.example.org/private.git"
resolved_reference = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
"""
PDM = """[metadata]
content_hash = "sha256:1"

[[package]]
name = "einops"
version = "0.8.0"
files = [{file = "einops.whl", hash = "sha256:1"}]
"""
CONDA = """channels:
  - conda-forge
dependencies:
  - python=3.11
  - pytorch::torchvision=0.19.0
  - pip:
    - einops==0.8.0
    - -r more.txt
"""
CONDA_LOCK = """version: 1
metadata:
  channels: [{url: conda-forge}]
package:
  - {name: numpy, version: 2.0.1, manager: conda, url: "https://conda.anaconda.org/conda-forge/linux-64/numpy-2.0.1-py311h1_0.conda", hash: {sha256: abc}}
  - {name: einops, version: 0.8.0, manager: pip, url: "https://files.example/einops.whl", hash: {sha256: def}}
"""
PIXI_LOCK = """version: 6
environments:
  default:
    channels: [{url: "https://conda.anaconda.org/conda-forge/"}]
    indexes: ["https://pypi.org/simple"]
packages:
  - conda: https://conda.anaconda.org/conda-forge/linux-64/numpy-2.0.1-py311h1_0.conda
    sha256: abc
  - pypi: https://files.pythonhosted.org/einops.whl
    name: einops
    version: 0.8.0
    sha256: def
"""
EXPLICIT = f"@EXPLICIT\nhttps://conda.anaconda.org/conda-forge/linux-64/numpy-2.0.1-py311h1_0.conda#{'b' * 64}\n"
CYCLONEDX = {"bomFormat": "CycloneDX", "components": [{"name": "einops", "version": "0.8.0", "purl": "pkg:pypi/einops@0.8.0", "hashes": [{"alg": "SHA-256", "content": "1"}]}]}  # fmt: skip
SPDX = {"spdxVersion": "SPDX-2.3", "packages": [{"name": "einops", "versionInfo": "0.8.0", "externalRefs": [{"referenceLocator": "pkg:pypi/einops@0.8.0"}]}]}  # fmt: skip
SPDX3 = {"@context": "https://spdx.org/rdf/3.0.1/spdx-context.jsonld", "@graph": [{"software_packageUrl": "pkg:npm/%40scope/einops@0.8.0"}]}  # fmt: skip
KINDS = {
    "poetry.lock": (POETRY, {("einops", "0.8.0"), ("private", "1.0")}),
    "pdm.lock": (PDM, {("einops", "0.8.0")}),
    "environment.yml": (CONDA, {("python", "3.11"), ("torchvision", "0.19.0"), ("einops", "0.8.0")}),
    "conda-lock.yml": (CONDA_LOCK, {("numpy", "2.0.1"), ("einops", "0.8.0")}),
    "pixi.lock": (PIXI_LOCK, {("numpy", "2.0.1"), ("einops", "0.8.0")}),
    "requirements/conda.txt": (EXPLICIT, {("numpy", "2.0.1")}),
    "bom.json": (json.dumps(CYCLONEDX), {("einops", "0.8.0")}),
    "app.spdx.json": (json.dumps(SPDX), {("einops", "0.8.0")}),
    "sbom.json": (json.dumps(SPDX3), {("@scope/einops", "0.8.0")}),
    "pixi.toml": ('[workspace]\nchannels = ["conda-forge"]\n[dependencies]\nnumpy = "==2.0.1"\n[pypi-dependencies]\neinops = "==0.8.0"\n', {("numpy", "2.0.1"), ("einops", "0.8.0")}),
    "Pipfile": ('[packages]\neinops = "==0.8.0"\ntqdm = "*"\n', {("einops", "0.8.0"), ("tqdm", "")}),
}  # fmt: skip


@pytest.mark.parametrize("name", KINDS)
def test_every_kind_is_read(name):
    text, wanted = KINDS[name]
    assert pairs(read(name, text)) == wanted
    assert is_manifest(name)


def test_commits_and_digests_hold_a_package_in_its_place():
    held = {one.name: (one.origin, one.fixed or one.hashes) for one in read("poetry.lock", POETRY).listed}
    assert held == {"einops": (Origin.INDEX, ("sha256:1",)), "private": (Origin.VCS, COMMIT)}


REQUIREMENTS = f"""# comment
--index-url https://packages.example.org/simple
--extra-index-url=https://pypi.org/simple
-r more.txt
-c limits.txt
einops==0.8.0 \\
    --hash=sha256:{"1" * 64} \\
    --hash=sha256:{"2" * 64}
Torch[cuda] >=2.6,<3 ; python_version > "3.10"  # why
git+https://github.com/owner/repo@{COMMIT}#egg=repo
pkg @ https://x.example/pkg-1.0-py3-none-any.whl#sha256={"3" * 64}
-e ./local
!!! not a requirement
"""


def test_requirements_files_keep_options_lines_and_digests():
    found = read("requirements.txt", REQUIREMENTS)
    by_name = {one.name: one for one in found.listed}
    assert (by_name["einops"].version, by_name["einops"].line, len(by_name["einops"].hashes)) == ("0.8.0", 6, 2)
    assert (by_name["Torch"].version, by_name["Torch"].wanted, by_name["Torch"].key) == ("", ">=2.6,<3", "torch")
    assert (by_name["repo"].origin, by_name["repo"].fixed) == (Origin.VCS, COMMIT)
    assert (by_name["pkg"].origin, by_name["pkg"].fixed) == (Origin.URL, "3" * 64)
    assert by_name["local"].editable
    assert [(one.role, one.address) for one in found.indexes] == [
        ("index", "https://packages.example.org/simple"),
        ("extra", "https://pypi.org/simple"),
    ]
    assert [one.path for one in found.includes] == ["more.txt", "limits.txt"]
    assert [gap.line for gap in found.gaps] == [13]


PYPROJECT = """[project]
name = "sample"
dependencies = ["einops==0.8.0", "inner"]
[project.optional-dependencies]
more = ["tqdm>=4"]
[dependency-groups]
dev = ["pytest", {include-group = "more"}]
[build-system]
requires = ["setuptools>=77"]
[tool.uv.sources]
inner = { index = "inside" }
[[tool.uv.index]]
name = "inside"
url = "https://inside.example.org/simple"
explicit = true
[tool.poetry.dependencies]
python = "^3.11"
rich = "^13"
"""


def test_pyproject_is_read_for_every_tool():
    found = read("pyproject.toml", PYPROJECT)
    by_name = {one.name: one for one in found.listed}
    assert by_name.keys() == {"einops", "inner", "tqdm", "pytest", "setuptools", "rich"}
    assert by_name["einops"].line == 3
    assert by_name["inner"].index == "inside"
    assert [(one.role, one.name) for one in found.indexes] == [("explicit", "inside")]


INSTALLS = {
    "Dockerfile": "FROM python:3.12\nENV A=1\nRUN pip install --no-cache-dir einops==0.8.0 \\\n    torch --extra-index-url https://x.example/simple && npm ci\nRUN conda install -c somebody numpy=2.0.1\n",
    ".github/workflows/ci.yml": "jobs:\n  a:\n    steps:\n      - run: |\n          python -m pip install einops==0.8.0 torch\n          uv pip install --extra-index-url https://x.example/simple numpy==2.0.1\n",
    "setup.sh": "#!/bin/sh\nsudo pip3 install 'einops==0.8.0' torch; uv pip install numpy==2.0.1 --extra-index-url https://x.example/simple\n",
    "train.ipynb": json.dumps({"nbformat": 4, "cells": [{"cell_type": "code", "source": ["!pip install -q einops==0.8.0 torch\n", "%pip install numpy==2.0.1 --extra-index-url https://x.example/simple\n"]}]}),
}  # fmt: skip


@pytest.mark.parametrize("name", INSTALLS)
def test_commands_that_install_are_found(name):
    found = read(name, INSTALLS[name])
    assert pairs(found) == {("einops", "0.8.0"), ("torch", ""), ("numpy", "2.0.1")}
    assert "https://x.example/simple" in {one.address for one in found.indexes}
    assert is_install(name)


@pytest.mark.parametrize(
    ("command", "wanted"),
    [
        ("sudo -H pip3 install -U 'torch>=2'", {("torch", "")}),
        ("uvx ruff@0.5.0 check src", {("ruff", "0.5.0")}),
        ("uvx ruff", {("ruff", "")}),
        ("pipx run black src", {("black", "")}),
        ("pipx list", set()),
        ("npx -y create-app here", {("create-app", "")}),
        ("conda install -y -c pytorch pytorch=2.0", {("pytorch", "2.0")}),
        ("uv add httpx && poetry add numpy@2.0", {("httpx", ""), ("numpy", "2.0")}),
        ("pip install . && pip uninstall x && apt-get install curl && echo pip install y", set()),
        ("pip install foo bar==1.0 > log.txt", {("foo", ""), ("bar", "1.0")}),
    ],
)
def test_commands_are_read_as_their_tools_read_them(command, wanted):
    assert pairs(read("a.sh", f"{command}\n")) == wanted


def test_a_package_named_by_a_variable_is_a_gap():
    assert read("a.sh", 'pip install "$PACKAGE"\n').gaps[0].line == 1


@pytest.mark.parametrize(
    "name",
    [
        "uv.lock",
        "poetry.lock",
        "pnpm-lock.yaml",
        "yarn.lock",
        "package-lock.json",
        "bun.lock",
        "pixi.lock",
        "conda-lock.yml",
    ],
)
def test_an_empty_lock_is_an_error_and_not_a_project_without_packages(name):
    for text in ("", "{}" if name.endswith((".json", "bun.lock")) else "\n"):
        with pytest.raises(MalformedInput):
            read(name, text)


def test_a_binary_lock_says_what_to_do():
    with pytest.raises(MalformedInput, match="binary"):
        read("bun.lockb", "x")


NAMES = sorted(
    {
        *KINDS,
        *INSTALLS,
        "requirements.txt",
        "pyproject.toml",
        *(path.name for path in LOCKS.iterdir() if path.is_file()),
    }
)
TEXTS = [*(text for text, _ in KINDS.values()), *INSTALLS.values(), REQUIREMENTS, PYPROJECT]


@given(name=st.sampled_from(NAMES), text=st.text() | st.sampled_from(TEXTS), data=st.data())
def test_no_text_is_more_than_an_error_in_words(name, text, data):
    at = data.draw(st.integers(0, len(text)))
    broken = text[:at] + data.draw(st.text(max_size=5)) + text[data.draw(st.integers(at, len(text))) :]
    try:
        found = read_manifest(name, broken)
    except (MalformedInput, LimitExceeded):
        return
    assert all(isinstance(one.name, str) and isinstance(one.version, str) for one in found.listed)


@given(st.recursive(st.none() | st.booleans() | st.integers() | st.text(max_size=8), lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(["package", "packages", "dependencies", "name", "version", "source", "files", "wheels", "default", "hash", "hashes", "importers", "environments", "metadata", "components", "cells"]), inner, max_size=5), max_leaves=20), st.sampled_from(["package.json", "package-lock.json", "pnpm-lock.yaml", "bun.lock", "Pipfile.lock", "bom.json", "environment.yml", "pixi.lock", "conda-lock.yml", "a.ipynb"]))  # fmt: skip
def test_data_of_any_shape_is_read_or_refused(root, name):
    try:
        found = read_manifest(name, json.dumps(root))
    except (MalformedInput, LimitExceeded) as refusal:
        assert str(refusal)
    else:
        assert all(isinstance(one.name, str) and isinstance(one.version, str) for one in found.listed)
