"""The gate before an OCI registry: real clients take what was approved, by tag and digest, and read why the rest is refused."""

import hashlib
import http.client
import json
import os
import pickle
import shutil
import subprocess
from urllib.parse import urlsplit

import pytest

from tests.integration.test_registry_hub import EVIL
from tests.registry import NOWHERE, running
from tests.servers import Web, registry
from tests.servers import serve as serve_files

GOOD = {"config.json": b'{"model_type": "bert"}', "notes/readme.md": b"# a model\n"}


class Gate:
    """A registry before an OCI registry that can be exchanged while it runs."""

    def __init__(self, place, web):
        self.place, self.web = place, web

    def ask(self, path, method="GET", **headers):
        url = urlsplit(self.place.address)
        connection = http.client.HTTPConnection(url.hostname, url.port, timeout=30)
        connection.request(
            method, path, headers={"Authorization": f"Bearer {self.place.token('ruth', 'reader')}", **headers}
        )
        answer = connection.getresponse()
        body = answer.read()
        connection.close()
        return answer.status, answer.headers, body

    def why(self, path):
        status, _, body = self.ask(path)
        (error,) = json.loads(body)["errors"]
        return status, error["code"], error["message"]


@pytest.fixture
def gate(tmp_path):
    """`layers` of the upstream are those of `GOOD`; a test may put others behind it."""
    held = {"web": registry(GOOD)}
    outside = Web()
    outside.route = lambda handler: held["web"].route(handler)  # noqa: PLW0108  # what is held changes
    with (
        serve_files(outside) as address,
        running(tmp_path, upstreams={**NOWHERE, "oci": address}, patience=30.0, refresh_seconds=0.0) as place,
    ):
        made = Gate(place, outside)
        made.now = lambda web: held.update(web=web)
        made.digest = held["web"].digest
        yield made


def skopeo(gate, source, target):
    host = gate.place.address.removeprefix("http://")
    command = [
        "skopeo", "--insecure-policy", "copy", "--src-tls-verify=false", "--src-creds", f"x:{gate.place.token('ruth', 'reader')}",
        f"docker://{host}/{source}", f"dir:{target}",
    ]  # fmt: skip
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=60, check=False, env={**os.environ, "HOME": str(target.parent)}
    )
    return done.returncode, done.stdout + done.stderr


needs_skopeo = pytest.mark.skipif(not shutil.which("skopeo"), reason="skopeo is not installed")


@needs_skopeo
@pytest.mark.parametrize("by", ["tag", "digest"])
def test_a_client_takes_an_artifact_that_was_inspected(gate, tmp_path, by):
    code, said = skopeo(gate, "acme/net:1.0" if by == "tag" else f"acme/net@{gate.digest}", tmp_path / "taken")

    assert code == 0, said
    taken = {path.read_bytes() for path in (tmp_path / "taken").iterdir()}
    assert set(GOOD.values()) <= taken
    (case,) = gate.place.client().cases(kind="oci")
    assert (case.name, case.state) == ("acme/net", "approved")


@needs_skopeo
def test_a_client_is_refused_and_prints_why(gate, tmp_path):
    gate.now(registry({"model.pkl": EVIL}))

    code, said = skopeo(gate, "acme/net:1.0", tmp_path / "taken")

    assert code != 0
    assert "was rejected (case 1)" in said, said
    assert "PKL-001" in said
    assert not (tmp_path / "taken/manifest.json").exists()


def test_manifest_blobs_and_tags_are_those_of_the_upstream(gate):
    status, headers, body = gate.ask("/v2/acme/net/manifests/1.0")

    assert status == 200
    assert headers["Docker-Content-Digest"] == gate.digest == f"sha256:{hashlib.sha256(body).hexdigest()}"
    assert headers["Content-Type"] == "application/vnd.oci.image.manifest.v1+json"
    for layer in json.loads(body)["layers"]:
        status, _, data = gate.ask(f"/v2/acme/net/blobs/{layer['digest']}")
        assert (status, data) == (200, GOOD[layer["annotations"]["org.opencontainers.image.title"]])
        status, headers, part = gate.ask(f"/v2/acme/net/blobs/{layer['digest']}", Range="bytes=0-3")
        assert (status, part) == (206, data[:4])
    assert gate.ask("/v2/acme/net/manifests/1.0", "HEAD")[2] == b""
    assert json.loads(gate.ask("/v2/acme/net/tags/list")[2]) == {"name": "acme/net", "tags": ["1.0"]}
    assert gate.ask("/v2/")[0] == 200


def test_a_tag_serves_what_was_approved_until_the_next_is(gate):
    assert gate.ask("/v2/acme/net/manifests/latest")[0] == 200
    gate.now(registry({"model.pkl": EVIL}))

    gate.ask("/v2/acme/net/manifests/latest")
    assert gate.place.settled(2) == "rejected"

    assert gate.ask("/v2/acme/net/manifests/latest")[1]["Docker-Content-Digest"] == gate.digest


def test_an_upstream_that_is_away_takes_nothing_approved_away(gate):
    gate.ask("/v2/acme/net/manifests/latest")
    gate.now(Web(route=None))
    gate.web.route = lambda handler: handler.reply(500, b"") or True

    assert gate.ask("/v2/acme/net/manifests/latest")[1]["Docker-Content-Digest"] == gate.digest


def test_what_was_revoked_is_denied_by_tag_by_digest_and_by_its_blobs(gate):
    body = json.loads(gate.ask("/v2/acme/net/manifests/latest")[2])
    gate.place.client("rita", "reviewer").decide(1, "revoke", "the publisher was broken into")

    for reference in ("latest", gate.digest):
        status, code, message = gate.why(f"/v2/acme/net/manifests/{reference}")
        assert (status, code) == (403, "DENIED")
        assert "the publisher was broken into" in message
    assert gate.why(f"/v2/acme/net/blobs/{body['layers'][0]['digest']}")[:2] == (404, "BLOB_UNKNOWN")


def test_a_blob_that_belongs_to_nothing_approved_is_not_handed_out(gate):
    data = pickle.dumps(1)
    stored, _ = gate.place.house.blobs.put([data])

    assert gate.why(f"/v2/acme/net/blobs/sha256:{stored}")[:2] == (404, "BLOB_UNKNOWN")


@pytest.mark.parametrize(
    ("layers", "lie", "said"),
    [
        ({"../../etc/passwd": b"x"}, "", "odd title"),
        ({"manifest.json": b"x"}, "", "two layers are called manifest.json"),
    ],
)
def test_a_manifest_that_cannot_be_laid_out_lets_nothing_in(gate, layers, lie, said):
    gate.now(registry(layers, lie=lie))

    status, code, message = gate.why("/v2/acme/net/manifests/1.0")

    assert (status, code) == (403, "DENIED")
    assert said in message
    assert "could not be inspected" in message


def test_bytes_that_are_not_those_of_the_manifest_let_nothing_in(gate):
    known = registry(GOOD)

    def lying(handler):
        if "/blobs/" in handler.path:
            handler.reply(200, b"another layer")
            return True
        return known.route(handler)

    gate.web.route = lying

    assert gate.why("/v2/acme/net/manifests/1.0")[:2] == (403, "DENIED")
    assert gate.place.client().cases()[0].state == "failed"


def test_a_digest_that_the_upstream_answers_with_another_manifest_is_no_case(gate):
    gate.now(registry({"other": b"x"}))

    assert gate.why(f"/v2/acme/net/manifests/{gate.digest}")[0] == 503
    assert gate.place.client().cases() == []


def test_an_index_is_told_to_be_one(gate):
    web = Web()
    web.route = lambda handler: handler.reply(200, json.dumps({"schemaVersion": 2, "manifests": []}).encode()) or True
    gate.now(web)

    status, _, message = gate.why("/v2/acme/net/manifests/1.0")

    assert status == 400
    assert "index of several artifacts" in message


@pytest.mark.parametrize(
    "path", ["Acme/net/manifests/1", "acme/net/manifests/a%20b", "acme//net/manifests/1", "-a/manifests/1"]
)
def test_what_can_be_no_name_is_never_asked_for_outside(gate, path):
    status, code, _ = gate.why(f"/v2/{path}")

    assert (status, code) == (400, "NAME_INVALID")
    assert gate.web.log == []


def test_without_a_token_clients_are_asked_for_one(gate):
    status, headers, body = gate.ask("/v2/", Authorization="")

    assert status == 401
    assert headers["WWW-Authenticate"].startswith("Basic")
    assert json.loads(body)["errors"][0]["code"] == "UNAUTHORIZED"


def test_an_internal_name_and_a_registry_without_upstream_ask_nobody(tmp_path):
    web = registry(GOOD)
    with (
        serve_files(web) as address,
        running(tmp_path, upstreams={**NOWHERE, "oci": address}, internal=["acme/*"]) as place,
    ):
        assert Gate(place, web).why("/v2/acme/net/manifests/1.0")[:2] == (404, "NAME_UNKNOWN")
    assert web.log == []


def test_an_upstream_that_wants_a_sign_in_gives_what_it_gives_anybody(gate):
    gate.now(registry(GOOD, token="let-me-in"))

    status, headers, _ = gate.ask("/v2/acme/net/manifests/1.0")

    assert status == 200
    assert "let-me-in" not in str(headers)


def test_somebody_may_ask_by_name(gate):
    case = gate.place.client("ruth", "reader").request("oci", "acme/net", "1.0")

    assert gate.place.settled(case.id) == "approved"
