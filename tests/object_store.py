"""An object store of its own process that keeps what it acknowledged when it is killed: S3 as far as the registry asks it.

`python -m tests.object_store FOLDER PORT`. Objects become visible whole or not at all, as S3 promises; signatures are not looked at.
"""

from __future__ import annotations

import hashlib
import os
import re
import socket
import subprocess
import sys
import tempfile
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import quote


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    folder = ""

    def log_message(self, *_):
        pass

    def _path(self):
        return os.path.join(self.folder, quote(self.path.partition("?")[0], safe=""))

    def _say(self, status, body=b"", **headers):
        self.send_response(status)
        for name, value in {"Content-Length": len(body), **headers}.items():
            self.send_header(name.replace("_", "-"), str(value))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def do_PUT(self):
        data = self.rfile.read(int(self.headers["Content-Length"]))
        with tempfile.NamedTemporaryFile(dir=self.folder, prefix=".", delete=False) as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(file.name, self._path())
        self._say(200, ETag=_tag(data))

    def do_GET(self):
        try:
            with open(self._path(), "rb") as file:
                data = file.read()
        except FileNotFoundError:
            self._say(404)
            return
        about = {"ETag": _tag(data), "Last-Modified": "Mon, 01 Jan 2024 00:00:00 GMT"}
        asked = re.fullmatch(r"bytes=(\d+)-(\d+)", self.headers.get("Range", ""))
        if self.command == "HEAD" or not asked:
            self._say(200, data, **about) if self.command != "HEAD" else self._head(len(data), about)
            return
        start, stop = int(asked[1]), min(int(asked[2]) + 1, len(data))
        self._say(206, data[start:stop], Content_Range=f"bytes {start}-{stop - 1}/{len(data)}", **about)

    def _head(self, size, about):
        self.send_response(200)
        for name, value in {"Content-Length": size, **about}.items():
            self.send_header(name, str(value))
        self.end_headers()

    do_HEAD = do_GET

    def do_DELETE(self):
        try:
            os.unlink(self._path())
        except FileNotFoundError:
            pass
        self._say(204)


def _tag(data):
    return f'"{hashlib.md5(data, usedforsecurity=False).hexdigest()}"'


class ObjectStore:
    """Such a process, which can be killed and started again on the same folder and port."""

    def __init__(self, folder):
        folder.mkdir()
        self.folder = str(folder)
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.environment = {
            "AWS_ENDPOINT_URL": f"http://127.0.0.1:{self.port}", "AWS_ACCESS_KEY_ID": "x", "AWS_SECRET_ACCESS_KEY": "x",
            "AWS_REGION": "us-east-1", "AWS_ALLOW_HTTP": "true",
        }  # fmt: skip
        self.address = "s3://blobs/registry"
        self.start()

    def start(self):
        self.process = subprocess.Popen([sys.executable, "-m", "tests.object_store", self.folder, str(self.port)])
        for _ in range(200):
            with socket.socket() as tried:
                if not tried.connect_ex(("127.0.0.1", self.port)):
                    return
            time.sleep(0.05)
        raise AssertionError("the object store does not answer")

    def kill(self):
        self.process.kill()
        self.process.wait()


if __name__ == "__main__":
    _Handler.folder = sys.argv[1]
    ThreadingHTTPServer(("127.0.0.1", int(sys.argv[2])), _Handler).serve_forever()
