"""Two releases fetched from an index: compared, held against their digests, never installed."""

from __future__ import annotations

import base64
import hashlib
import http.server
import json
import threading

import pytest

from tests.corpus.dependencies import LOUD, OTHER, QUIET
from tests.corpus.packages import npm
from tests.e2e.test_command_line import weighbridge

NPM = {
    "1.0.0": next(iter(npm({"index.js": "1\n"}).values())),
    "1.0.1": next(iter(npm({"index.js": "1\n", "setup.js": "1\n"}, {"preinstall": "node setup.js"}).values())),
}


def simple(files, **more):
    rows = []
    for name, data in files.items():
        digest = hashlib.sha256(data).hexdigest()
        rows.append(
            {
                "filename": name,
                "url": f"/files/{name}",
                "hashes": {"sha256": digest},
                "upload-time": "2026-01-01T00:00:00Z",
                **more.get(name, {}),
            }
        )
    return {"meta": {"api-version": "1.1"}, "name": "ranker", "files": rows}


@pytest.fixture
def index():
    """An index on this machine: its address, and what it answers."""
    answers = {}

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            body = answers.get(self.path)
            status, body = (body, b"") if isinstance(body, int) else (200 if body is not None else 404, body)
            self.send_response(status)
            self.send_header("Content-Length", str(len(body or b"")))
            self.end_headers()
            self.wfile.write(body or b"")

        def log_message(self, *_):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}", answers
    server.shutdown()


def serve(answers, files, **more):
    answers["/ranker/"] = json.dumps(simple(files, **more)).encode()
    answers.update({f"/files/{name}": data for name, data in files.items()})


def compare(index, **environment):
    return weighbridge("diff", "pypi:ranker==1.0", "pypi:ranker==1.1", "--index", index[0], **environment)


@pytest.mark.parametrize(("after", "code"), [(OTHER, 0), (LOUD, 1)], ids=["quiet", "loud"])
def test_releases_are_fetched_and_compared(index, after, code):
    serve(index[1], {**QUIET, **after})
    done = compare(index)
    assert done.returncode == code, done.stdout + done.stderr
    if code:
        assert (
            "this release begins to do what the one before never did: it reaches the network on import" in done.stdout
        )
        assert "--> ranker-1.1-py3-none-any.whl » ranker/__init__.py" in done.stdout


def test_what_the_index_says_is_told(index):
    new = next(iter(OTHER))
    serve(
        index[1],
        {**QUIET, **OTHER},
        **{
            next(iter(QUIET)): {"provenance": "https://x"},
            new: {"yanked": "broken", "upload-time": "2099-01-01T00:00:00Z"},
        },
    )
    done = compare(index)
    assert "high[PKG-017]: ranker 1.0 has provenance, and 1.1 has none" in done.stdout
    assert "[PKG-021]: ranker 1.1 was withdrawn: broken" in done.stdout
    assert "[PKG-016]: ranker 1.1 was released on 2099-01-01" in done.stdout


def test_a_file_that_is_not_what_the_index_says_is_refused(index):
    serve(index[1], {**QUIET, **OTHER})
    index[1][f"/files/{next(iter(OTHER))}"] += b"x"
    done = compare(index)
    assert done.returncode == 2
    assert "not what the index says it is" in done.stderr


@pytest.mark.parametrize(
    "answer", [b"<html></html>", b"[]", b'{"files": "x"}', b'{"files": [{"filename": "ranker-1.0.zip"}]}']
)
def test_an_index_that_answers_otherwise_is_said_to(index, answer):
    index[1]["/ranker/"] = answer
    done = compare(index)
    assert done.returncode == 2
    assert "Traceback" not in done.stderr


def test_npm_packages_are_compared_with_their_publishers(index):
    address, answers = index
    versions = {}
    for version, data in NPM.items():
        answers[f"/{version}.tgz"] = data
        integrity = f"sha512-{base64.b64encode(hashlib.sha512(data).digest()).decode()}"
        versions[version] = {
            "dist": {"tarball": f"{address}/{version}.tgz", "integrity": integrity},
            "_npmUser": {"name": "ann" if version == "1.0.0" else "bob"},
        }
    answers["/ranker"] = json.dumps({"versions": versions, "time": {"1.0.1": "2026-01-01T00:00:00Z"}}).encode()
    done = weighbridge("diff", "npm:ranker@1.0.0", "npm:ranker@1.0.1", "--index", address)
    assert done.returncode == 1
    assert "this release brings a script that npm runs" in done.stdout
    assert "published by bob" in done.stdout
    assert weighbridge("diff", "npm:ranker@1.0.0", "npm:ranker@9.9.9", "--index", address).returncode == 2
    assert weighbridge("diff", "npm:ranker", "npm:ranker@1.0.1", "--index", address).returncode == 2
