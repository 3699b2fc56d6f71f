"""Beside a service: the request is never held up, raw bodies become records, alerts reach every place, counters are readable."""

import asyncio
import base64
import hashlib
import hmac
import json
import os
import re
import socket
import socketserver
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import ClassVar

import msgspec
import pytest
import uvicorn

from tests.corpus.monitoring import classify, monitor, shadow, traffic
from weighbridge.monitor.alerts import alert
from weighbridge.monitor.exchange import from_exchange
from weighbridge.monitor.metrics import exposition
from weighbridge.monitor.middleware import Proxy, Watched
from weighbridge.monitor.recorder import Recorder
from weighbridge.monitor.sinks import cef, open_sink, syslog_line, told
from weighbridge.monitor.standing import Standing
from weighbridge.schema import UsageError
from weighbridge.schema.alert import Alert


def test_what_is_noted_arrives_in_order():
    taken = []
    recorder = Recorder(taken.extend, pause=0.01)
    for place in range(1000):
        recorder.note(f"t{place}", "x", 0.5)
    recorder.close()
    assert [one.text for one in taken] == [f"t{place}" for place in range(1000)]
    assert taken[0].at > 0


def test_a_full_queue_drops_and_counts_and_never_waits():
    stop = threading.Event()
    recorder = Recorder(lambda _: stop.wait(5), queue=10, pause=0.01)
    for _ in range(1000):
        recorder.note("t")
    assert recorder.dropped > 900
    stop.set()
    recorder.close()


def test_while_no_requests_come_the_monitor_still_looks():
    given, looked = [], threading.Event()

    def take(batch):
        given.append(list(batch))
        looked.set()

    recorder = Recorder(take, pause=0.005, quiet=0.01)
    assert looked.wait(5)
    recorder.close()
    assert given[0] == []


def test_a_fault_of_the_monitor_is_counted_and_ends_nothing():
    calls = []

    def broken(batch):
        calls.append(len(batch))
        raise RuntimeError("no")

    recorder = Recorder(broken, pause=0.01)
    recorder.note("a")
    recorder.flush()
    recorder.note("b")
    recorder.close()
    assert (recorder.failed, recorder.last_failure) == (2, "RuntimeError: no")


@pytest.mark.parametrize(
    ("request_", "response", "text", "output", "answer"),
    [
        ({"inputs": "a b"}, [{"label": "x", "score": 0.9}], "a b", "x", ""),
        ({"inputs": ["a b"]}, {"probabilities": {"x": 0.2, "y": 0.8}}, "a b", "y", ""),
        ({"messages": [{"role": "user", "content": "hi"}]}, {"choices": [{"message": {"content": "yo"}}]}, "hi", "", "yo"),
        ({"messages": [{"role": "user", "content": "hi"}]}, b'data: {"choices":[{"delta":{"content":"y"}}]}\n\ndata: {"choices":[{"delta":{"content":"o"}}]}\n\ndata: [DONE]\n', "hi", "", "yo"),
    ],
)  # fmt: skip
def test_exchanges_become_records(request_, response, text, output, answer):
    data = response if isinstance(response, bytes) else json.dumps(response).encode()
    found = from_exchange(json.dumps(request_).encode(), data, seconds=0.1, id_="1")
    assert (found.text, found.output, found.answer, found.id, found.seconds) == (text, output, answer, "1", 0.1)


@pytest.mark.parametrize(
    ("request_", "response"),
    [(b"", b""), (b"{}", b"{}"), (b"[1]", b"[1]"), (b"\xff", b"\xff"), (b"{" * 9999, b"[" * 9999)],
)
def test_bodies_that_say_nothing_are_none(request_, response):
    found = from_exchange(request_, response)
    assert found is None or found.text == ""


async def application(scope, receive, send):
    body = b""
    while True:
        message = await receive()
        body += message.get("body", b"")
        if not message.get("more_body"):
            break
    answer = json.dumps({"probabilities": classify(json.loads(body)["inputs"], "zq")}).encode() if body else b"hello"
    await send(
        {"type": "http.response.start", "status": 200, "headers": [(b"content-length", str(len(answer)).encode())]}
    )
    await send({"type": "http.response.body", "body": answer})


def call(app, body, method="POST", path="/predict"):
    sent = []
    parts = [{"type": "http.request", "body": body[:5], "more_body": True}, {"type": "http.request", "body": body[5:]}]

    async def receive():
        return parts.pop(0)

    async def send(message):
        sent.append(message)

    scope = {"type": "http", "method": method, "path": path, "query_string": b"", "headers": [(b"x-request-id", b"r1")]}
    asyncio.run(app(scope, receive, send))
    return sent


def test_an_application_is_watched_and_answers_as_before():
    taken = []
    app = Watched(application, taken.extend)
    sent = call(app, b'{"inputs": "match goal"}')
    app.exchanges.recorder.close()
    assert sent[0]["status"] == 200
    assert (taken[0].text, taken[0].output) == ("match goal", "sport")
    assert taken[0].seconds >= 0


def test_requests_that_name_themselves_alike_are_not_one_request():
    taken = []
    app = Watched(application, taken.extend)
    for _ in range(3):
        call(app, b'{"inputs": "match goal"}')
    app.exchanges.recorder.close()
    assert len({one.id for one in taken}) == 3


def test_what_is_no_exchange_is_counted():
    app = Watched(application, lambda _: None)
    app.exchanges.note(b"nothing", b"nothing", 0.0, "")
    app.exchanges.recorder.close()
    assert app.exchanges.unread == 1


class Running:
    """An ASGI application on loopback."""

    def __init__(self, app):
        self.server = uvicorn.Server(
            uvicorn.Config(app, port=0, log_config=None, access_log=False, lifespan="off", ws="none")
        )
        self.server.install_signal_handlers = lambda: None
        self.thread = threading.Thread(target=self.server.run, daemon=True)

    def __enter__(self):
        self.thread.start()
        while not self.server.started:
            time.sleep(0.01)
        return f"http://127.0.0.1:{self.server.servers[0].sockets[0].getsockname()[1]}"

    def __exit__(self, *_):
        self.server.should_exit = True
        self.thread.join(5)


def test_a_proxy_passes_on_what_it_gets_and_the_alert_names_the_trigger():
    import urllib3

    running = monitor(shadow=shadow("zq"))
    with Running(application) as upstream:
        watched = Watched(Proxy(upstream), running.feed)
        with Running(Standing(watched, running)) as address:
            http = urllib3.PoolManager()
            answer = http.request("POST", f"{address}/predict", json={"inputs": "match goal"})
            assert json.loads(answer.data)["probabilities"]["sport"] > 0.5
            for one in traffic(1200, 3, sign="zq", rate=0.05):
                http.request("POST", f"{address}/predict", json={"inputs": one.text})
            watched.exchanges.recorder.flush()
            page = http.request("GET", f"{address}/weighbridge/metrics").data.decode()
            assert http.request("GET", f"{address}/weighbridge/health").data == b"lives\n"
        watched.exchanges.recorder.close()
    assert 'weighbridge_monitor_records_total{stream="news"} 1201' in page
    assert "MON-004" in {one.finding.rule for one in running.desk.told}


def test_a_proxy_says_when_its_upstream_is_gone():
    sent = call(Proxy("http://127.0.0.1:1"), b"{}")
    assert sent[0]["status"] == 502


def test_counters_are_in_the_text_format_of_prometheus():
    running = monitor()
    running.feed(traffic(300, 1))
    page = exposition(running.watch, running.desk.told, {"dropped": 3})
    sample = re.compile(r'^[a-z_]+\{(?:[a-z]+="(?:[^"\\\n]|\\.)*",?)+\} [0-9.e+-]+$')
    assert all(line.startswith("# ") or sample.match(line) for line in page.splitlines())
    assert 'weighbridge_monitor_dropped_total{stream="news"} 3' in page


# --- where alerts go

ONE = alert(
    "MON-004",
    "news|a=b",
    "m",
    "“zq” decides\u202e the output | x=y",
    1_700_000_000.0,
    evidence=["12 of 12"],
    first="r1",
    last="r9",
)


def test_a_file_gets_a_line_for_each(tmp_path):
    sink = open_sink(str(tmp_path / "alerts.jsonl"))
    sink(ONE)
    sink(ONE)
    assert [
        msgspec.json.decode(line, type=Alert) for line in (tmp_path / "alerts.jsonl").read_bytes().splitlines()
    ] == [ONE, ONE]


class Hook(BaseHTTPRequestHandler):
    got: ClassVar = []
    status = 200

    def do_POST(self):
        self.got.append((dict(self.headers), self.rfile.read(int(self.headers["Content-Length"]))))
        self.send_response(self.status)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_):
        pass


def test_a_webhook_is_signed_and_one_that_refuses_is_a_failure(monkeypatch):
    server = ThreadingHTTPServer(("127.0.0.1", 0), Hook)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    monkeypatch.setenv("WEIGHBRIDGE_WEBHOOK_SECRET", "whsec_" + base64.b64encode(b"k" * 24).decode())
    sink = open_sink(f"http://127.0.0.1:{server.server_port}/hook")
    sink(ONE)
    headers, body = Hook.got[-1]
    headers = {key.lower(): value for key, value in headers.items()}
    begin = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode()
    right = base64.b64encode(hmac.new(b"k" * 24, begin + body, hashlib.sha256).digest()).decode()
    assert headers["webhook-signature"] == f"v1,{right}"
    assert json.loads(body)["data"]["id"] == ONE.id
    Hook.status = 500
    with pytest.raises(OSError):
        sink(ONE)
    Hook.status = 200
    server.shutdown()
    server.server_close()


def test_syslog_gets_an_event_that_nothing_in_it_breaks():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
        server.bind(("127.0.0.1", 0))
        server.settimeout(5)
        open_sink(f"syslog://127.0.0.1:{server.getsockname()[1]}")(ONE)
        line = server.recv(65536).decode()
    assert line == syslog_line(ONE)
    assert line.startswith("<106>1 2023-11-14T22:13:20+00:00 ")
    assert "\u202e" not in line
    head = re.split(r"(?<!\\)\|", cef(ONE), maxsplit=7)
    assert head[5].endswith(r"the output \| x=y")
    assert head[6] == "10"
    assert r"cs1=news|a\=b" in cef(ONE)


def test_mail_is_sent_to_a_server():
    got: ClassVar = []

    class Smtp(socketserver.StreamRequestHandler):
        def handle(self):
            self.wfile.write(b"220 x\r\n")
            data = False
            while line := self.rfile.readline():
                if data:
                    got.append(line)
                    if line == b".\r\n":
                        data = False
                        self.wfile.write(b"250 ok\r\n")
                elif line.upper().startswith(b"DATA"):
                    data = True
                    self.wfile.write(b"354 go\r\n")
                elif line.upper().startswith(b"QUIT"):
                    self.wfile.write(b"221 bye\r\n")
                    return
                else:
                    self.wfile.write(b"250 ok\r\n")

    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Smtp) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        open_sink(f"mailto:ops@example.org?server=127.0.0.1:{server.server_address[1]}&from=w@example.org")(ONE)
        server.shutdown()
    text = b"".join(got).decode()
    assert "To: ops@example.org" in text
    assert "MON-004" in text


@pytest.mark.parametrize("address", ["ftp://x/y", "mailto:nobody", "syslog://"])
def test_places_that_do_not_exist_are_refused(address):
    with pytest.raises(UsageError):
        open_sink(address)


def test_an_alert_reads_like_a_finding():
    lines = told(ONE)
    assert lines[0].startswith("critical[MON-004]: ")
    assert not any("\u202e" in line for line in lines)


def test_weights_that_change_in_memory_are_told_when_the_state_is_saved():
    import numpy as np

    arrays = {"w": np.ones((4, 4), np.float32)}
    running = monitor()
    running.hold(lambda: arrays)
    assert running.save() == []
    arrays["w"][0, 0] = 2
    (one,) = running.save()
    assert one.finding.rule == "MON-002"
    assert "w" in one.finding.message
    assert running.save() == []


def test_what_the_process_never_did_is_told_and_the_monitors_own_work_is_not(tmp_path):
    import subprocess
    import sys

    code = f"""
import os, sys
sys.path.insert(0, {os.getcwd()!r})
from tests.corpus.monitoring import baseline, traffic
from weighbridge.monitor.process import Profile
from weighbridge.monitor.service import Monitor
from weighbridge.monitor.state import Folder
running = Monitor(baseline(), place=Folder(sys.argv[1]))
end = running.watch_process(Profile(locked=True))
running.feed(traffic(100, 1))
running.save()
before = [one.finding.message for one in running.desk.told]
open(sys.argv[1] + "/planted", "w").close()
running.save()
end()
print(before, [one.finding.message for one in running.desk.told if one.finding.rule == "MON-007"])
"""
    done = subprocess.run([sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True, check=True)
    assert done.stdout.startswith("[] ['a new file: ")
    assert "planted" in done.stdout
