"""Files, memory and processes: what changed is told, and what cannot be looked at is an error."""

import contextlib
import os
import random
import shutil
import socket
import subprocess
import sys
import threading

import numpy as np
import pytest

from weighbridge.monitor.ledger import Ledger
from weighbridge.monitor.ledger import load as load_ledger
from weighbridge.monitor.process import Act, Profile, acts_of, folded, watch
from weighbridge.monitor.process import load as load_profile
from weighbridge.monitor.served import Served, Weights, approved_by_lock, digests_of
from weighbridge.provenance import lock
from weighbridge.schema import SourceError, UsageError


@pytest.fixture
def model(tmp_path):
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "weights.bin").write_bytes(b"w" * 100)
    (folder / "config.json").write_bytes(b"{}")
    return folder


def told(served):
    return {(one.name, one.what) for one in served.look()}


def test_files_as_approved_say_nothing(model):
    served = Served(str(model), digests_of(str(model)))
    assert told(served) == set()
    assert served.whole() == []


def test_replaced_missing_and_added_files_are_told(model):
    served = Served(str(model), digests_of(str(model)))
    served.look()
    (model / "weights.bin").write_bytes(b"x" * 100)
    (model / "config.json").unlink()
    (model / "extra.py").write_bytes(b"import os")
    assert told(served) == {
        ("weights.bin", "is not what was approved"), ("config.json", "is approved and not there"), ("extra.py", "is in no approval"),
    }  # fmt: skip


def test_a_file_that_is_put_in_the_place_of_another_with_its_times_is_seen(model, tmp_path):
    served = Served(str(model), digests_of(str(model)))
    served.look()
    path, other = model / "weights.bin", tmp_path / "other"
    other.write_bytes(b"y" * 100)
    about = path.stat()
    os.utime(other, ns=(about.st_atime_ns, about.st_mtime_ns))
    shutil.move(other, path)
    assert told(served) == {("weights.bin", "is not what was approved")}


def test_a_file_written_in_place_with_its_time_set_back_is_seen(model):
    served = Served(str(model), digests_of(str(model)))
    served.look()
    path = model / "weights.bin"
    about = path.stat()
    with open(path, "r+b") as file:
        file.seek(50)
        file.write(b"!")
    os.utime(path, ns=(about.st_atime_ns, about.st_mtime_ns))
    # The time of the entry itself cannot be set by a program.
    assert told(served) == {("weights.bin", "is not what was approved")}


def test_the_lock_says_what_is_approved(model, tmp_path):
    entry = lock.lock_folder("model", str(model))
    (tmp_path / "weighbridge.lock").write_bytes(lock.dump([entry]))
    assert approved_by_lock(str(tmp_path / "weighbridge.lock"), str(model)) == digests_of(str(model))


def test_nothing_approved_and_nothing_there_are_errors(tmp_path):
    with pytest.raises(UsageError):
        Served(str(tmp_path), {})
    with pytest.raises(SourceError):
        Served(str(tmp_path / "none"), {"a": "b"}).look()


def test_weights_that_stay_are_quiet_and_changed_ones_are_named():
    arrays = {"a": np.ones((10, 10), np.float32), "b": np.zeros(1000, np.int64), "c": np.zeros(0)}
    watched = Weights(arrays)
    assert watched.changed(arrays) == []
    arrays["b"][999] = 1
    assert watched.changed(arrays) == ["b"]
    assert watched.changed({"a": arrays["a"], "b": arrays["b"], "new": arrays["a"]}) == ["b", "c", "new"]


def test_a_large_tensor_is_sampled_at_places_that_nobody_knows():
    array = np.zeros(4 << 20, np.uint8)
    watched = Weights({"w": array}, rng=random.Random(1))
    array[:] = 1
    assert watched.changed({"w": array}) == ["w"]
    found = 0
    for seed in range(40):
        array[:] = 0
        watched = Weights({"w": array}, rng=random.Random(seed))
        array[: len(array) // 4] = 1
        found += bool(watched.changed({"w": array}))
    assert found >= 36  # 1 - 0.75^16 is 99 %


# --- the process


@contextlib.contextmanager
def child(code):
    with subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout.readline() == b"ready\n"
        yield process
        process.kill()


READY = "print('ready', flush=True); sys.stdin.readline(); "


def test_a_new_connection_of_a_process_is_an_address():
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        code = f"import sys, socket; {READY} s = socket.create_connection(('127.0.0.1', {port})); print('ready', flush=True); sys.stdin.readline()"
        with child(code) as process:
            profile = Profile(acts_of(process.pid), locked=True)
            process.stdin.write(b"go\n")
            process.stdin.flush()
            process.stdout.readline()
            assert Act("address", f"127.0.0.1:{port}") in profile.new(acts_of(process.pid))


def test_requests_that_come_in_are_no_destinations():
    code = f"import sys, socket; s = socket.create_server(('127.0.0.1', 0)); print('ready', flush=True); print(s.getsockname()[1], flush=True); c, _ = s.accept(); {READY}"
    with child(code) as process:
        port = int(process.stdout.readline())
        with socket.create_connection(("127.0.0.1", port)):
            process.stdout.readline()
            assert [one for one in acts_of(process.pid) if one.kind == "address"] == []


def test_a_file_that_is_written_and_a_child_are_seen(tmp_path):
    path = tmp_path / "out.log"
    inner = "print(1, flush=True); import sys; sys.stdin.readline()"
    code = f"import sys, subprocess; f = open({str(path)!r}, 'w'); p = subprocess.Popen([sys.executable, '-c', {inner!r}], stdin=subprocess.PIPE, stdout=subprocess.PIPE); p.stdout.readline(); {READY}"
    with child(code) as process:
        found = acts_of(process.pid)
    assert Act("file", folded(str(path))) in found
    assert any(one.kind == "program" and "python" in one.what for one in found)


def test_a_process_that_is_not_there_is_an_error():
    with pytest.raises(SourceError):
        acts_of(2**22 - 1)


def test_a_profile_outlives_its_process(tmp_path):
    profile = Profile([Act("program", "/bin/sh")], locked=True)
    again = load_profile(profile.dump(), "p")
    assert again.new([Act("program", "/bin/sh"), Act("address", "198.51.100.7:443")]) == [
        Act("address", "198.51.100.7:443")
    ]
    assert again.new([Act("address", "198.51.100.7:443")]) == []
    with pytest.raises(UsageError):
        load_profile(b'{"known": 3}', "p")


def test_from_inside_an_audit_hook_sees_what_python_does(tmp_path):
    code = """
import socket, subprocess, sys
from weighbridge.monitor.process import Act, Profile, watch
told = []
end = watch(Profile(locked=True), told.append)
subprocess.run([sys.executable, "-c", "pass"])
open(sys.argv[1], "w").close()
open(sys.argv[1]).close()
try:
    socket.create_connection(("127.0.0.1", 1))
except OSError:
    pass
end()
open(sys.argv[1] + ".later", "w").close()
print(sorted({one.kind for one in told}), sum(one.kind == "file" for one in told), any("later" in one.what for one in told))
"""
    found = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "x")], capture_output=True, text=True, check=True
    ).stdout
    assert found.startswith("['address', 'file', 'program'] ")
    assert found.endswith("False\n")
    assert watch


def test_a_ledger_knows_what_was_allowed_and_stays_bounded():
    known = Ledger(["search"])
    assert [known.meet(name) for name in ("search", "shell", "shell")] == [False, True, False]
    known.allow("mail")
    again = load_ledger(known.dump(), "l")
    assert not again.meet("mail")
    for place in range(10_050):
        again.meet(f"t{place}")
    assert len(again.count) <= 10_000
    assert again.meet("one too many")
    with pytest.raises(UsageError):
        load_ledger(b"[]", "l")


def test_paths_are_told_without_what_differs_from_run_to_run():
    assert folded("/tmp/tmpab12cd34/pid-4711/x.log") == "/tmp/tmp*/pid-*/x.log"
    assert threading
