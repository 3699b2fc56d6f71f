"""The Hub API with the real client: what it downloads, is refused, uploads, and finds in its cache afterwards."""

import hashlib
import json
import os
import pickle
import subprocess
import sys
import urllib.request
from pathlib import Path

import numpy
import pytest
from safetensors.numpy import save

from tests.registry import running
from tests.servers import Web, hub
from tests.servers import serve as serve_files
from weighbridge.registry.services.access import Caller, Role

BOB = Caller(name="bob", role=Role.REVIEWER)
WEIGHTS = save({"w": numpy.arange(50_000, dtype=numpy.float32)})
CONFIG = json.dumps(
    {
        "model_type": "bert",
        "hidden_size": 8,
        "num_attention_heads": 2,
        "num_hidden_layers": 1,
        "intermediate_size": 8,
        "vocab_size": 30,
    }
).encode()
CARD = b"---\nlicense: mit\n---\n# A small model\n"
EVIL = pickle.dumps(type("Evil", (), {"__reduce__": lambda _: (os.system, ("touch fired",))})())


# `make clients` runs this file with other versions of huggingface_hub, each in an environment of its own.
PYTHON = os.environ.get("WEIGHBRIDGE_HUB_PYTHON", sys.executable)
only_own = pytest.mark.skipif(sys.executable != PYTHON, reason="needs libraries beside huggingface_hub")


class Client:
    """huggingface_hub in a process of its own: it reads its settings once, when it is imported."""

    def __init__(self, address, token, home):
        self.environment = {
            "PATH": os.environ["PATH"], "HOME": str(home), "HF_HOME": str(home), "HF_ENDPOINT": address, "HF_TOKEN": token,
            "HF_HUB_DISABLE_XET": "1", "HF_HUB_DISABLE_TELEMETRY": "1", "HF_HUB_DISABLE_PROGRESS_BARS": "1",
        }  # fmt: skip

    def run(self, code):
        """(what the code printed last, what went wrong)."""
        lines = [
            "import json, sys", "from huggingface_hub import CommitOperationAdd, HfApi, hf_hub_download, snapshot_download", "api = HfApi()", "out = None", "try:",
            *(f"    {line}" for line in code.strip().splitlines()),
            "except Exception as error:", "    print(json.dumps([None, type(error).__name__ + ': ' + str(error)]))", "else:",
            "    print(json.dumps([out, '']))",
        ]  # fmt: skip
        done = subprocess.run(
            [PYTHON, "-c", "\n".join(lines)],
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout.splitlines()[-1])

    def gives(self, code):
        out, wrong = self.run(code)
        assert not wrong, wrong
        return out

    def refused(self, code):
        out, wrong = self.run(code)
        assert wrong, out
        return wrong


@pytest.fixture
def place(tmp_path):
    with running(tmp_path) as registry:
        registry.home = tmp_path / "home"
        registry.home.mkdir()
        registry.hub = Client(registry.address, registry.token("admin"), registry.home)
        yield registry


def folder_of(tmp_path, files, name="net"):
    folder = tmp_path / name
    for path, data in files.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(data)
    return folder


def pushed(place, tmp_path, files, name="acme/net"):
    """The case of files that the real client uploaded."""
    folder = folder_of(tmp_path, files, name.replace("/", "-"))
    place.hub.gives(
        f"api.create_repo({name!r}, exist_ok=True)\nout = str(api.upload_folder(repo_id={name!r}, folder_path={str(folder)!r}))"
    )
    return max(case.id for case in place.client().cases(text=name))


def test_what_was_uploaded_and_approved_comes_back_bit_by_bit(place, tmp_path):
    case = pushed(
        place, tmp_path, {"model.safetensors": WEIGHTS, "config.json": CONFIG, "README.md": CARD, "deep/er/x.txt": b"x"}
    )
    assert place.settled(case) == "approved"

    found = place.hub.gives(
        """
from pathlib import Path
folder = Path(snapshot_download("acme/net"))
out = {str(p.relative_to(folder)): __import__("hashlib").sha256(p.read_bytes()).hexdigest() for p in folder.rglob("*") if p.is_file()}
"""
    )

    assert found["model.safetensors"] == hashlib.sha256(WEIGHTS).hexdigest()
    assert found["deep/er/x.txt"] == hashlib.sha256(b"x").hexdigest()
    assert set(found) == {"model.safetensors", "config.json", "README.md", "deep/er/x.txt"}


def test_listings_refs_commits_and_security_are_what_the_client_expects(place, tmp_path):
    case = pushed(place, tmp_path, {"model.safetensors": WEIGHTS, "config.json": CONFIG})
    place.settled(case)

    out = place.hub.gives(
        """
info = api.model_info("acme/net", files_metadata=True, securityStatus=True)
api.create_tag("acme/net", tag="v1")
api.create_branch("acme/net", branch="side")
refs = api.list_repo_refs("acme/net")
out = {
  "files": sorted(api.list_repo_files("acme/net")), "sizes": {s.rfilename: s.size for s in info.siblings},
  "status": info.security_repo_status, "branches": sorted(b.name for b in refs.branches), "tags": [t.name for t in refs.tags],
  "commits": [c.title for c in api.list_repo_commits("acme/net")], "who": api.whoami()["name"],
  "models": [m.id for m in api.list_models(search="NET")], "exists": [api.repo_exists("acme/net"), api.repo_exists("acme/other"), api.file_exists("acme/net", "config.json")],
  "tree": [(type(e).__name__, e.path) for e in api.list_repo_tree("acme/net", expand=True)],
  "paths": [e.path for e in api.get_paths_info("acme/net", ["config.json", "nothing"])],
  "at_tag": hf_hub_download("acme/net", "config.json", revision="v1").split("/")[-2],
  "case": hf_hub_download("ACME/net", "config.json").split("/")[-1], "sha": info.sha,
}
"""
    )

    assert out["files"] == ["config.json", "model.safetensors"]
    assert out["sizes"] == {"config.json": len(CONFIG), "model.safetensors": len(WEIGHTS)}
    assert out["status"] == {"scansDone": True, "filesWithIssues": []}
    assert (out["branches"], out["tags"]) == (["main", "side"], ["v1"])
    assert (out["who"], out["models"], out["exists"]) == ("admin", ["acme/net"], [True, False, True])
    assert out["tree"] == [["RepoFile", "config.json"], ["RepoFile", "model.safetensors"]]
    assert out["paths"] == ["config.json"]
    assert out["at_tag"] == out["sha"]
    assert out["case"] == "config.json"


def test_a_malicious_model_is_refused_with_the_words_of_the_policy(place, tmp_path):
    case = pushed(place, tmp_path, {"pytorch_model.bin": EVIL}, "acme/evil")
    assert place.settled(case) == "rejected"

    for call in ('hf_hub_download("acme/evil", "pytorch_model.bin")', 'snapshot_download("acme/evil")'):
        wrong = place.hub.refused(call)
        assert wrong.startswith("RevisionNotFoundError"), wrong
        assert "no code in weights" in wrong
        assert "PKL-001" in wrong
        assert f"/cases/{case}" in wrong


@pytest.mark.parametrize("call", ['hf_hub_download("acme/net", "config.json")', 'snapshot_download("acme/net")'])
def test_a_warm_cache_does_not_bring_back_what_was_revoked(place, tmp_path, call):
    case = pushed(place, tmp_path, {"model.safetensors": WEIGHTS, "config.json": CONFIG})
    place.settled(case)
    place.hub.gives(call)

    place.client().decide(case, "revoke", "the publisher was broken into")

    wrong = place.hub.refused(call)
    assert "RevisionNotFoundError" in wrong
    assert "broken into" in wrong


def test_ranges_and_what_is_absent_are_answered_as_the_hub_does(place, tmp_path):
    case = pushed(place, tmp_path, {"model.safetensors": WEIGHTS, "config.json": CONFIG})
    place.settled(case)

    def asked(path, **headers):
        request = urllib.request.Request(
            f"{place.address}{path}", headers={"Authorization": f"Bearer {place.token('admin')}", **headers}
        )
        try:
            with urllib.request.urlopen(request) as answer:
                return answer.status, answer.headers, answer.read()
        except urllib.error.HTTPError as error:
            return error.code, error.headers, error.read()

    where = "/acme/net/resolve/main/model.safetensors"
    status, headers, body = asked(where, Range="bytes=10-19")
    assert (status, body, headers["Content-Range"]) == (206, WEIGHTS[10:20], f"bytes 10-19/{len(WEIGHTS)}")
    assert asked(where, Range="bytes=-5")[2] == WEIGHTS[-5:]
    assert asked(where, Range=f"bytes={len(WEIGHTS) - 3}-")[2] == WEIGHTS[-3:]
    status, headers, _ = asked(where, Range=f"bytes={len(WEIGHTS)}-")
    assert (status, headers["Content-Range"]) == (416, f"bytes */{len(WEIGHTS)}")
    status, headers, body = asked(where)
    assert (status, body) == (200, WEIGHTS)
    assert headers["X-Linked-Etag"] == headers["ETag"] == f'"{hashlib.sha256(WEIGHTS).hexdigest()}"'
    status, headers, _ = asked("/acme/net/resolve/main/added_tokens.json")
    assert (status, headers["X-Error-Code"]) == (404, "EntryNotFound")
    assert len(headers["X-Repo-Commit"]) == 40
    assert not [name for name in headers if name.lower().startswith("x-xet")]


def test_large_files_come_in_parts(place, tmp_path):
    place.services.uploads._whole = 1 << 20
    place.services.uploads._part = 700_000
    data = save({"w": numpy.random.default_rng(1).normal(size=400_000).astype(numpy.float32)})
    case = pushed(place, tmp_path, {"model.safetensors": data})

    assert place.settled(case) == "approved"
    path = place.hub.gives('out = hf_hub_download("acme/net", "model.safetensors")')
    assert Path(path).read_bytes() == data
    # The parts are gone, and only the whole is kept.
    kept = [name for _, _, names in os.walk(place.house.blobs.folder) for name in names]
    assert hashlib.sha256(data).hexdigest() in kept
    assert not [
        name for name in kept if os.path.getsize(place.house.blobs.path(name)) in {700_000, len(data) - 1_400_000}
    ]


@only_own
def test_a_dataset_is_loaded_by_the_library(place, tmp_path):
    folder = folder_of(tmp_path, {"data/train.csv": b"text,label\ngood,1\nbad,0\n", "README.md": CARD}, "data")
    place.hub.gives(
        f'api.create_repo("acme/data", repo_type="dataset")\napi.upload_folder(repo_id="acme/data", repo_type="dataset", folder_path={str(folder)!r})'
    )
    assert place.settled(place.client().cases(text="acme/data")[0].id) == "approved"

    out = place.hub.gives(
        'from datasets import load_dataset\nout = load_dataset("acme/data", split="train")["label"][:]'
    )

    assert out == [1, 0]


@only_own
def test_transformers_reads_a_configuration(place, tmp_path):
    place.settled(pushed(place, tmp_path, {"config.json": CONFIG, "model.safetensors": WEIGHTS}))

    assert (
        place.hub.gives('from transformers import AutoConfig\nout = AutoConfig.from_pretrained("acme/net").hidden_size')
        == 8
    )


def test_a_pull_request_waits_beside_main(place, tmp_path):
    first = pushed(place, tmp_path, {"config.json": CONFIG})
    place.settled(first)
    folder = folder_of(tmp_path, {"notes.txt": b"a proposal"}, "more")

    out = place.hub.gives(
        f'c = api.create_commit("acme/net", [CommitOperationAdd("notes.txt", {str(folder / "notes.txt")!r})], commit_message="add", create_pr=True)\nout = c.oid'
    )

    case = next(case for case in place.client().cases() if case.revision == out)
    assert case.branch == "refs/pr/1"
    place.settled(case.id)
    assert place.hub.gives('out = sorted(api.list_repo_files("acme/net"))') == ["config.json"]
    assert place.hub.gives('out = sorted(api.list_repo_files("acme/net", revision="refs/pr/1"))') == [
        "config.json",
        "notes.txt",
    ]


def test_files_are_taken_away_and_copied(place, tmp_path):
    place.settled(pushed(place, tmp_path, {"a/one.txt": b"1", "a/two.txt": b"2", "keep.txt": b"3"}))
    place.hub.gives('api.delete_folder("a", repo_id="acme/net")')
    place.settled(place.client().cases()[0].id)

    assert place.hub.gives('out = api.list_repo_files("acme/net")') == ["keep.txt"]


def test_what_is_deprecated_is_served_with_a_warning(place, tmp_path):
    case = pushed(place, tmp_path, {"config.json": CONFIG})
    place.settled(case)
    place.client().decide(case, "deprecate", "take acme/net2")
    request = urllib.request.Request(
        f"{place.address}/acme/net/resolve/main/config.json",
        headers={"Authorization": f"Bearer {place.token('admin')}"},
    )

    with urllib.request.urlopen(request) as answer:
        assert answer.headers["X-HF-Warning"] == "weighbridge; deprecated: take acme/net2"


def test_a_reader_cannot_push_and_nobody_reads_without_a_token(place, tmp_path):
    case = pushed(place, tmp_path, {"config.json": CONFIG})
    place.settled(case)
    reader = Client(place.address, place.token("ruth", "reader"), place.home)
    assert reader.gives('out = hf_hub_download("acme/net", "config.json").split("/")[-1]') == "config.json"
    assert "may not publish" in reader.refused('api.create_repo("acme/mine")')
    stranger = Client(place.address, "wb_nonsense", tmp_path)
    assert "Invalid" in stranger.refused("api.whoami()")
    assert "RevisionNotFound" not in stranger.refused('hf_hub_download("acme/net", "config.json")')


@only_own
def test_pickled_weights_are_offered_as_safetensors_beside_them(place, tmp_path):
    import torch
    from safetensors.numpy import load

    weights = tmp_path / "w.bin"
    torch.save({"w": torch.arange(100.0)}, weights)
    case = pushed(place, tmp_path, {"pytorch_model.bin": weights.read_bytes(), "config.json": CONFIG})
    assert place.settled(case) == "needs review", "a pickle alone is nothing that the policy admits unseen"
    place.client("vera", "reviewer").decide(case, "approve", "plain tensors")
    (made,) = [one for one in place.client().cases() if one.branch == "safetensors"]
    assert place.settled(made.id) == "approved"

    path = place.hub.gives('out = hf_hub_download("acme/net", "model.safetensors", revision="safetensors")')

    assert (load(Path(path).read_bytes())["w"] == numpy.arange(100.0)).all()
    assert place.hub.gives('out = sorted(api.list_repo_files("acme/net"))') == ["config.json", "pytorch_model.bin"]
    attested = place.client()._call("GET", f"/cases/{made.id}/conversion.att")
    assert b"dsseEnvelope" in attested


# --- pulled through from another hub


@pytest.fixture
def upstream():
    return hub({"model.safetensors": WEIGHTS, "config.json": CONFIG, "README.md": CARD})


@pytest.fixture
def mirror(tmp_path, upstream):
    with (
        serve_files(upstream) as address,
        running(tmp_path, upstreams={"hub": address, "pypi": "", "npm": ""}) as registry,
    ):
        registry.home = tmp_path / "home"
        registry.home.mkdir()
        registry.upstream = upstream
        registry.hub = Client(registry.address, registry.token("ruth", "reader"), registry.home)
        yield registry


def test_the_first_download_waits_for_the_inspection_and_gets_the_file(mirror):
    path = mirror.hub.gives('out = hf_hub_download("org/model", "model.safetensors")')

    assert Path(path).read_bytes() == WEIGHTS
    asked = len(mirror.upstream.log)
    assert mirror.hub.gives('out = hf_hub_download("org/model", "config.json")')
    # What is here is not fetched again.
    assert not [one for one in mirror.upstream.log[asked:] if "/resolve/" in one[1]]


def test_neither_token_nor_cookie_goes_upstream_and_nothing_leads_there(mirror):
    mirror.upstream.behaviour["headers"] = {
        "X-Xet-Hash": "a" * 64,
        "Set-Cookie": "secret=1",
        "Link": '<http://elsewhere>; rel="xet-auth"',
    }
    mirror.hub.gives('snapshot_download("org/model")')

    for _, _, headers in mirror.upstream.log:
        assert "Authorization" not in headers
        assert "Cookie" not in headers
    for path in (
        "/org/model/resolve/main/model.safetensors",
        "/api/models/org/model",
        "/api/models/org/model/tree/main",
    ):
        request = urllib.request.Request(
            f"{mirror.address}{path}", headers={"Authorization": f"Bearer {mirror.token('ruth')}"}
        )
        with urllib.request.urlopen(request) as answer:
            names = {name.lower() for name in answer.headers}
            assert not names & {"x-xet-hash", "x-xet-refresh-route", "set-cookie", "location", "link"}
            assert b"xetHash" not in answer.read()


def test_bytes_that_are_not_those_that_the_hub_lists_never_get_in(mirror):
    shown = dict(mirror.upstream.files)
    real = mirror.upstream.route

    def lying(handler):
        mirror.upstream.files["model.safetensors"] = WEIGHTS[:-1] + b"x" if "/resolve/" in handler.path else WEIGHTS
        return real(handler)

    mirror.upstream.route = lying
    wrong = mirror.hub.refused('hf_hub_download("org/model", "config.json")')

    assert "could not be inspected" in wrong
    assert mirror.client().cases()[0].state == "failed"
    assert shown["model.safetensors"] == WEIGHTS


def test_a_hub_that_leads_into_the_own_network_is_not_followed(mirror):
    inside = Web()
    inside.route = lambda handler: handler.reply(200, WEIGHTS) or True
    real = mirror.upstream.route
    with serve_files(inside) as address:

        def leading(handler):
            if "/resolve/" in handler.path:
                handler.reply(302, b"", Location=f"{address}/latest/meta-data")
                return True
            return real(handler)

        mirror.upstream.route = leading
        assert "could not be inspected" in mirror.hub.refused('hf_hub_download("org/model", "config.json")')
    assert inside.log == []
    assert "private address" in mirror.client().cases()[0].because


def test_what_upstream_takes_away_or_changes_is_served_as_it_was_approved(mirror):
    mirror.hub.gives('snapshot_download("org/model")')
    mirror.upstream.files.clear()
    mirror.home = mirror.home / "second"
    mirror.home.mkdir()
    fresh = Client(mirror.address, mirror.token("ruth"), mirror.home)

    assert Path(fresh.gives('out = hf_hub_download("org/model", "model.safetensors")')).read_bytes() == WEIGHTS


def test_a_branch_that_moves_upstream_is_inspected_and_served_only_then(mirror, upstream):
    mirror.hub.gives('hf_hub_download("org/model", "config.json")')
    first = mirror.client().cases()[0]
    upstream.behaviour["main"] = "b" * 40
    with mirror.house.database.write() as connection:
        connection.exec_driver_sql("UPDATE repositories SET checked = 0")

    mirror.hub.gives('out = api.model_info("org/model").sha')

    assert mirror.hub.gives('out = api.model_info("org/model").sha') == first.revision
    second = mirror.client().cases()[0]
    assert second.revision == "b" * 40
    # That commit cannot be fetched: it is not served, and the old one still is.
    assert mirror.settled(second.id) == "failed"
    assert mirror.hub.gives('out = api.model_info("org/model").sha') == first.revision


def test_internal_names_are_never_asked_for_upstream(tmp_path, upstream):
    with (
        serve_files(upstream) as address,
        running(tmp_path, upstreams={"hub": address, "pypi": "", "npm": ""}, internal=["org/*"]) as registry,
    ):
        client = Client(registry.address, registry.token("ruth", "reader"), tmp_path)
        assert "RepositoryNotFound" in client.refused('hf_hub_download("org/model", "config.json")')
    assert upstream.log == []


def test_what_nobody_has_is_said_so(mirror):
    assert "RepositoryNotFound" in mirror.hub.refused('hf_hub_download("org/other", "config.json")')
    mirror.hub.gives('hf_hub_download("org/model", "config.json")')
    assert "RevisionNotFound" in mirror.hub.refused('hf_hub_download("org/model", "config.json", revision="nothing")')
