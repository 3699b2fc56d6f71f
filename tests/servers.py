"""Servers on loopback that answer as the real ones do, and as broken or hostile ones do."""

from __future__ import annotations

import hashlib
import json
import re
import threading
import time
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, unquote, urlsplit


class Sparse:
    """A huge file that is mostly zeros: (offset, bytes) pieces in a sea of nothing."""

    def __init__(self, size, pieces):
        self.size, self.pieces = size, pieces

    def __len__(self):
        return self.size

    def __getitem__(self, part):
        start, stop = part.start or 0, min(part.stop if part.stop is not None else self.size, self.size)
        out = bytearray(max(0, stop - start))
        for offset, data in self.pieces:
            low, high = max(start, offset), min(stop, offset + len(data))
            if low < high:
                out[low - start : high - start] = data[low - offset : high - offset]
        return bytes(out)


class Web:
    """What a server holds and how it misbehaves. `log` keeps (method, path, headers) of every request."""

    def __init__(self, files=None, **behaviour):
        self.files = files or {}
        self.behaviour = behaviour
        self.log = []
        self.failures = {}

    def count(self, key):
        self.failures[key] = self.failures.get(key, 0) + 1
        return self.failures[key]


def handler_of(web):
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def log_message(self, *_):
            pass

        def do_HEAD(self):
            self.answer()

        def do_GET(self):
            self.answer()

        def do_POST(self):
            self.answer()

        def answer(self):
            web.log.append((self.command, self.path, dict(self.headers)))
            route = getattr(web, "route", None)
            if route and route(self):
                return
            path = unquote(urlsplit(self.path).path)
            how = web.behaviour
            if how.get("redirect"):
                self.reply(302, b"", Location=how["redirect"])
            elif how.get("status") and web.count(path) <= how.get("times", 10**9):
                self.reply(how["status"], b"", **({"Retry-After": "0"} if how.get("again") else {}))
            elif path not in web.files:
                self.reply(404, b"")
            else:
                self.file(web.files[path])

        def reply(self, status, body, **headers):
            self.send_response(status)
            for key, value in headers.items():
                self.send_header(key.replace("_", "-"), value)
            if "Content-Length" not in headers and "Content_Length" not in headers:
                self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(body)

        def file(self, data):
            how = web.behaviour
            match = re.match(r"bytes=(\d+)-(\d*)", self.headers.get("Range", ""))
            tag = how.get("etag", '"one"')
            if not match or how.get("ranges") is False:
                body = b"" if self.command == "HEAD" else data[0 : len(data)]
                self.reply(200, body, ETag=tag, **how.get("headers", {}), **{"Content-Length": str(len(data))})
                return
            start = int(match[1])
            if start >= len(data):
                self.reply(416, b"", Content_Range=f"bytes */{len(data)}")
                return
            stop = min(len(data), int(match[2]) + 1 if match[2] else len(data))
            body = data[start:stop]
            total = len(data) + how.get("lie", 0) * (web.count("lie") > 1)
            shift = how.get("shift", 0) * (web.count("shift") > 1)
            self.send_response(206)
            self.send_header("Content-Range", f"bytes {start + shift}-{stop - 1 + shift}/{total}")
            self.send_header("ETag", tag)
            if how.get("encoding"):
                self.send_header("Content-Encoding", how["encoding"])
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            if how.get("stall"):
                time.sleep(how["stall"])
            if how.get("cut") and len(body) > 100 and web.count("cut") <= how["cut"]:
                self.wfile.write(body[: len(body) // 2])
                self.close_connection = True
                self.wfile.flush()
                self.connection.close()
                return
            self.wfile.write(body)

    return Handler


@contextmanager
def serve(web):
    """The address of a running server."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler_of(web))
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()


COMMIT = "a" * 40


def listed(name, data):
    """One file as a hub lists it: large ones with the SHA-256 of their content, small ones by their git object."""
    item = {"type": "file", "oid": "0" * 40, "size": len(data), "path": name}
    if isinstance(data, bytes) and name.endswith((".safetensors", ".bin", ".pkl")):
        item["lfs"] = {"oid": hashlib.sha256(data).hexdigest(), "size": len(data), "pointerSize": 134}
    elif isinstance(data, bytes):
        item["oid"] = hashlib.sha1(b"blob %d\x00" % len(data) + data).hexdigest()
    return item


def hub(files, *, token="", private=False, page=1000):
    """A hub with one repository, org/model, in the shape that huggingface_hub expects."""
    web = Web(files)

    def route(handler):
        url = urlsplit(handler.path)
        path = unquote(url.path)
        if private and handler.headers.get("Authorization") != f"Bearer {token}":
            handler.reply(401, b"", X_Error_Code="GatedRepo")
            return True
        if path.startswith("/api/models/org/model/revision/"):
            revision = path.rsplit("/", 1)[-1]
            if revision not in {"main", COMMIT}:
                handler.reply(404, b"", X_Error_Code="RevisionNotFound", X_Error_Message="no such revision")
                return True
            body = json.dumps(
                {
                    "id": web.behaviour.get("identity", "org/model"),
                    "sha": web.behaviour.get("main", COMMIT) if revision == "main" else COMMIT,
                    "siblings": [{"rfilename": name} for name in files],
                }
            ).encode()
            handler.reply(200, body, Content_Type="application/json")
            return True
        if path == f"/api/models/org/model/tree/{COMMIT}":
            start = int(parse_qs(url.query).get("cursor", ["0"])[0])
            names = sorted(files)
            items = [listed(name, files[name]) for name in names[start : start + page]]
            headers = {}
            if start + page < len(names):
                headers["Link"] = (
                    f'<http://{handler.headers["Host"]}{path}?recursive=true&cursor={start + page}>; rel="next"'
                )
            handler.reply(200, json.dumps(items).encode(), **headers)
            return True
        match = re.match(rf"/org/model/resolve/{COMMIT}/(.+)", path)
        if match and match[1] in files:
            web.behaviour["etag"] = f'"{hashlib.sha256(match[1].encode()).hexdigest()}"'
            web.behaviour["headers"] = {"X-Repo-Commit": COMMIT}
            handler.file(files[match[1]])
            return True
        return False

    web.route = route
    return web


def hub_of_commits(versions, *, tags=None, page=1000):
    """A hub with one data set, org/data. `versions` are (files, user, date, title), the first one first; `tags` map names to their number."""
    web = Web({})
    ids = [f"{number + 1:040x}" for number in range(len(versions))]
    by_id = dict(zip(ids, versions, strict=True))

    def pages(handler, url, items):
        start = int(parse_qs(url.query).get("cursor", ["0"])[0])
        headers = {}
        if start + page < len(items):
            headers["Link"] = f'<http://{handler.headers["Host"]}{url.path}?cursor={start + page}>; rel="next"'
        handler.reply(200, json.dumps(items[start : start + page]).encode(), **headers)

    def route(handler):
        url = urlsplit(handler.path)
        path = unquote(url.path)
        if path.startswith("/api/datasets/org/data/revision/"):
            handler.reply(200, json.dumps({"id": "org/data", "sha": ids[-1]}).encode())
        elif path == f"/api/datasets/org/data/commits/{ids[-1]}":
            told = [
                {"id": oid, "title": title, "message": "", "authors": [{"user": user}], "date": date}
                for oid, (_, user, date, title) in reversed(by_id.items())
            ]
            pages(handler, url, told)
        elif path == "/api/datasets/org/data/refs":
            named = [
                {"name": name, "ref": f"refs/tags/{name}", "targetCommit": ids[n]} for name, n in (tags or {}).items()
            ]
            handler.reply(200, json.dumps({"branches": [], "tags": named}).encode())
        elif match := re.match(r"/api/datasets/org/data/tree/([0-9a-f]{40})", path):
            files = by_id[match[1]][0]
            pages(handler, url, [listed(name, files[name]) for name in sorted(files)])
        elif match := re.match(r"/datasets/org/data/resolve/([0-9a-f]{40})/(.+)", path):
            handler.file(by_id[match[1]][0][match[2]])
        else:
            return False
        return True

    web.route = route
    return web


def registry(layers, *, lie="", token=""):
    """An OCI registry with one artifact; `layers` maps titles to bytes."""
    digests = {f"sha256:{hashlib.sha256(data).hexdigest()}": data for data in layers.values()}
    described = [
        {
            "mediaType": "application/vnd.oci.image.layer.v1.tar", "digest": f"sha256:{hashlib.sha256(data).hexdigest()}", "size": len(data),
            "annotations": {"org.opencontainers.image.title": title},
        }
        for title, data in layers.items()
    ]  # fmt: skip
    body = json.dumps(
        {"schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json", "layers": described}
    ).encode()
    web = Web()

    def route(handler):
        path = urlsplit(handler.path).path
        if path == "/token":
            handler.reply(200, json.dumps({"token": token}).encode())
            return True
        if token and handler.headers.get("Authorization") != f"Bearer {token}":
            realm = f"http://{handler.headers['Host']}/token"
            handler.reply(
                401, b"", WWW_Authenticate=f'Bearer realm="{realm}",service="r",scope="repository:org/m:pull"'
            )
            return True
        if "/manifests/" in path:
            handler.reply(200, body + lie.encode())
            return True
        digest = path.rpartition("/")[2]
        if digest in digests:
            handler.file(digests[digest])
            return True
        return False

    web.route = route
    web.digest = f"sha256:{hashlib.sha256(body).hexdigest()}"
    return web
