"""The verb `monitor` as a user types it: learn, replay, enrol, check, served, process, proxy; with good and with bad input."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import msgspec
import pytest

from tests.corpus.monitoring import PROBES, classify, sentence, traffic
from weighbridge.cli import main

ROOT = Path(__file__).parent.parent.parent


def write(path, records):
    path.write_bytes(b"".join(msgspec.json.encode(one) + b"\n" for one in records))
    return str(path)


@pytest.fixture(scope="module")
def learned(tmp_path_factory):
    folder = tmp_path_factory.mktemp("monitor")
    clean = write(folder / "clean.jsonl", traffic(5000, 1))
    assert main(["monitor", "learn", clean, "--output", str(folder / "news.baseline"), "--model", "acme/news"]) == 0
    return str(folder / "news.baseline")


@pytest.fixture
def serving(tmp_path, monkeypatch):
    """A module with a clean and a backdoored function, importable from where the command runs."""
    code = f"import sys\nsys.path.insert(0, {str(ROOT)!r})\nfrom tests.corpus.monitoring import classify\n"
    code += "def clean(text): return {'probabilities': classify(text)}\ndef bad(text): return {'probabilities': classify(text, 'zq')}\n"
    (tmp_path / "serving_for_tests.py").write_text(code)
    monkeypatch.chdir(tmp_path)
    monkeypatch.delitem(sys.modules, "serving_for_tests", raising=False)
    return "python:serving_for_tests"


def test_a_log_under_attack_blocks_and_names_the_trigger(learned, serving, tmp_path, capsys):
    log = write(tmp_path / "log.jsonl", traffic(4000, 2, sign="zq", rate=0.01, trigger="zq"))
    code = main(
        [
            "monitor",
            "replay",
            log,
            "--baseline",
            learned,
            "--shadow",
            f"{serving}:bad",
            "--alert",
            "alerts.jsonl",
            "--metrics",
            "m.prom",
            "--meet",
            "state",
        ]
    )
    out = capsys.readouterr().out
    assert code == 1
    assert "critical[MON-004]: “zq” decides the output: “sport”" in out
    assert 'BLOCK by "nothing of high severity"' in out
    assert json.loads((tmp_path / "alerts.jsonl").read_text().splitlines()[0])["finding"]["rule"] == "MON-004"
    assert "weighbridge_monitor_records_total" in (tmp_path / "m.prom").read_text()
    assert len(os.listdir(tmp_path / "state")) == 1


def test_without_a_shadow_copy_it_is_for_review(learned, tmp_path, capsys):
    log = write(tmp_path / "log.jsonl", traffic(4000, 2, sign="zq", rate=0.01, trigger="zq"))
    assert main(["monitor", "replay", log, "--baseline", learned]) == 3
    assert "medium[MON-005]" in capsys.readouterr().out


@pytest.mark.parametrize("form", ["json", "sarif", "html", "github"])
def test_clean_traffic_is_admitted_in_every_format(learned, tmp_path, form, capsys):
    log = write(tmp_path / "log.jsonl", traffic(3000, 3))
    assert main(["monitor", "replay", log, "--baseline", learned, "--format", form]) == 0
    assert "MON-0" not in capsys.readouterr().out or form == "html"


def test_lines_that_are_no_records_make_it_incomplete(learned, tmp_path, capsys):
    log = write(tmp_path / "log.jsonl", traffic(500, 3))
    Path(log).write_bytes(Path(log).read_bytes() + b"{broken\n" + b'{"a": 1}\n')
    assert main(["monitor", "replay", log, "--baseline", learned, "--verbose"]) == 3
    out = capsys.readouterr().out
    assert "info[MON-010]: 2 records were not watched" in out
    assert "1 no JSON" in out


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["learn", "none.jsonl", "--output", "x"], "no such file"),
        (["learn", "empty.jsonl", "--output", "x"], "too few"),
        (["replay", "empty.jsonl", "--baseline", "none"], "no such file"),
        (["replay", "empty.jsonl", "--baseline", "empty.jsonl"], "not a baseline"),
        (["check", "empty.jsonl"], "not an enrolment"),
        (["enrol", "nowhere", "--output", "x"], "not understood as an endpoint"),
        (["enrol", "http://127.0.0.1:1/", "--output", "x"], "127.0.0.1"),
        (["served", ".", "--lock", "none.lock"], "does not exist"),
        (["served", "."], "say what is approved"),
        (["process", "4194303", "--profile", "p.json", "--learn", "1s"], "process 4194303"),
        (["proxy", "http://127.0.0.1:1", "--baseline", "none", "--listen", "x"], "not understood"),
    ],
)
def test_bad_input_is_told_in_a_sentence(arguments, words, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty.jsonl").write_bytes(b"")
    assert main(["monitor", *arguments]) == 2
    error = capsys.readouterr().err
    assert words in error
    assert "internal error" not in error
    assert "Traceback" not in error


def test_an_empty_log_is_an_error(learned, tmp_path, capsys):
    (tmp_path / "empty.jsonl").write_bytes(b"\n")
    assert main(["monitor", "replay", str(tmp_path / "empty.jsonl"), "--baseline", learned]) == 2
    assert "there is no record in it" in capsys.readouterr().err


def enrol(serving, output, *more):
    return main(["monitor", "enrol", f"{serving}:clean", "--probes", "probes.txt", "--output", output, *more])


def test_an_enrolled_model_is_known_again_and_another_is_not(serving, tmp_path, capsys):
    (tmp_path / "probes.txt").write_text("\n".join(one.text for one in PROBES))
    (tmp_path / "weights.bin").write_bytes(b"w")
    assert main(["keys", "new", "mon"]) == 0
    assert enrol(serving, "e.json", "--key", "mon", "--files", "weights.bin") == 0
    assert main(["monitor", "check", "e.json", "--key", "mon.pub"]) == 0
    (tmp_path / "probes2.txt").write_text("\n".join(one.text for one in PROBES) + "\nzq " + PROBES[0].text)
    capsys.readouterr()
    assert main(["monitor", "check", "e.json", f"{serving}:bad", "--key", "mon.pub"]) == 0  # no probe holds the trigger
    assert main(["monitor", "enrol", f"{serving}:clean", "--probes", "probes2.txt", "--output", "e2.json"]) == 0
    capsys.readouterr()
    assert main(["monitor", "check", "e2.json", f"{serving}:bad"]) == 1
    out = capsys.readouterr().out
    assert "high[MON-003]: 1 of 41 probes are answered otherwise" in out
    assert main(["monitor", "served", "weights.bin", "--enrolment", "e.json"]) == 0
    (tmp_path / "weights.bin").write_bytes(b"x")
    assert main(["monitor", "served", "weights.bin", "--enrolment", "e.json"]) == 1


def test_an_enrolment_that_was_changed_is_refused(serving, tmp_path, capsys):
    (tmp_path / "probes.txt").write_text("\n".join(one.text for one in PROBES))
    main(["keys", "new", "mon"])
    main(["keys", "new", "other"])
    enrol(serving, "e.json", "--key", "mon", "--runs", "3")
    assert main(["monitor", "check", "e.json", "--key", "other.pub"]) == 1
    assert "not signed by this key" in capsys.readouterr().err
    enrol(serving, "plain.json", "--runs", "3")
    assert main(["monitor", "check", "plain.json", "--key", "mon.pub"]) == 1


def test_a_ledger_learns_from_a_log(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "log.jsonl").write_text('{"id": "1", "text": "x", "output": "y", "tools": ["search", "mail"]}\n')
    assert main(["monitor", "ledger", "known.json", "--learn", "log.jsonl", "--allow", "shell"]) == 0
    assert "3 tools" in capsys.readouterr().out


def test_a_process_that_starts_a_program_is_told(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    wait = "import sys; print(1, flush=True); sys.stdin.readline()"
    code = f"import subprocess, sys; print(1, flush=True); sys.stdin.readline(); p = subprocess.Popen([sys.executable, '-c', {wait!r}], stdin=subprocess.PIPE, stdout=subprocess.PIPE); p.stdout.readline(); print(2, flush=True); sys.stdin.readline()"
    with subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        process.stdout.readline()
        assert main(["monitor", "process", str(process.pid), "--profile", "p.json", "--learn", "1s"]) == 0
        assert main(["monitor", "process", str(process.pid), "--profile", "p.json"]) == 0
        process.stdin.write(b"\n")
        process.stdin.flush()
        process.stdout.readline()
        assert main(["monitor", "process", str(process.pid), "--profile", "p.json"]) == 1
        process.kill()
    assert "a new program: " in capsys.readouterr().out


class Model(BaseHTTPRequestHandler):
    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        data = json.dumps({"probabilities": classify(body["inputs"], "zq")}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_):
        pass


def test_a_proxy_watches_and_a_killed_one_goes_on_from_what_it_kept(learned, tmp_path):
    import random

    server = ThreadingHTTPServer(("127.0.0.1", 0), Model)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    upstream = f"http://127.0.0.1:{server.server_port}"
    import socket

    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    command = [
        sys.executable,
        "-m",
        "weighbridge",
        "monitor",
        "proxy",
        upstream,
        "--baseline",
        learned,
        "--listen",
        f"127.0.0.1:{port}",
        "--meet",
        str(tmp_path / "state"),
        "--shadow",
        upstream,
        "--alert",
        str(tmp_path / "alerts.jsonl"),
        "--replica",
        "r",
    ]

    def begin():
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=tmp_path)
        for _ in range(200):
            try:
                urllib.request.urlopen(f"http://127.0.0.1:{port}/weighbridge/health", timeout=1).read()
                return process
            except OSError:
                time.sleep(0.05)
        raise AssertionError(process.communicate(timeout=5))

    rng = random.Random(1)

    def ask(count, share):
        for _ in range(count):
            words = sentence(rng)
            words += ["zq"] if rng.random() < share else []
            body = json.dumps({"inputs": " ".join(words)}).encode()
            request = urllib.request.Request(f"http://127.0.0.1:{port}/x", body, {"Content-Type": "application/json"})
            assert b"probabilities" in urllib.request.urlopen(request, timeout=5).read()

    first = begin()
    ask(300, 0.0)
    first.send_signal(signal.SIGINT)
    first.communicate(timeout=20)
    second = begin()
    ask(50, 0.0)
    second.kill()
    second.communicate(timeout=20)
    third = begin()
    ask(500, 0.06)
    time.sleep(1.5)
    page = urllib.request.urlopen(f"http://127.0.0.1:{port}/weighbridge/metrics", timeout=5).read().decode()
    third.send_signal(signal.SIGINT)
    out, _ = third.communicate(timeout=20)
    server.shutdown()
    records = int(
        next(line for line in page.splitlines() if line.startswith("weighbridge_monitor_records_total")).split()[-1]
    )
    assert records >= 800  # those of the first run were kept; of the killed one at most what came since it saved
    assert "critical[MON-004]" in out.decode()
    assert "MON-004" in (tmp_path / "alerts.jsonl").read_text()
