"""The registry as people start it: the verbs, killed processes, workers apart, and the client that verifies."""

import base64
import json
import os
import pickle
import random
import re
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from contextlib import contextmanager

import pytest

from tests.object_store import ObjectStore
from tests.registry import Postgres, postgres_tools
from weighbridge.cli.main import main
from weighbridge.registry.client import Registry
from weighbridge.schema import SourceError, VerificationFailed

EVIL = pickle.dumps(type("Evil", (), {"__reduce__": lambda _: (os.system, ("touch fired",))})())


def start(place, *arguments):
    """A verb that goes on, and the file that it complains into."""
    said = place / f"said-{time.monotonic_ns()}"
    with said.open("w") as file:
        process = subprocess.Popen(
            [sys.executable, "-m", "weighbridge", *arguments], stderr=file, stdout=file, start_new_session=True
        )
    process.said = said
    return process


def told(process, pattern, seconds=60):
    """What the process says, once it says it."""
    end = time.monotonic() + seconds
    while time.monotonic() < end and process.poll() is None:
        match = re.search(pattern, process.said.read_text())
        if match:
            return match
        time.sleep(0.05)
    raise AssertionError(f"it never said {pattern}: {process.said.read_text()} {process.poll()}")


def decisions(house, *cases):
    """How often each case was decided. Conversions of what was pushed are cases of their own, and may come later."""
    payloads = [entry["statement"]["dsseEnvelope"]["payload"] for entry in house.client().log()]
    found = [json.loads(base64.b64decode(payload))["predicate"]["case"] for payload in payloads]
    return [found.count(case) for case in cases]


def kill(process):
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except ProcessLookupError:
        pass
    process.wait()


class House:
    """A registry's folder, with processes that come and go."""

    def __init__(self, folder):
        self.place, self.data, self.token, self.address = folder, str(folder / "data"), "", ""
        self.running = []

    def serve(self, *more):
        process = start(self.place, "serve", "--data", self.data, "--port", "0", "--no-upstream", *more)
        self.running.append(process)
        found = told(process, r"(?s)(?:(wb_\S+).*)?registry at (http://\S+)")
        self.token = found[1] or self.token
        self.address = found[2]
        return process

    def worker(self, *more):
        process = start(self.place, "worker", "--data", self.data, *more)
        self.running.append(process)
        told(process, "working")
        return process

    def client(self):
        return Registry.at(self.address, self.token)

    def settled(self, case, seconds=60):
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            try:
                found = self.client().case(case)
            except SourceError:
                time.sleep(0.2)
                continue
            if found.state not in {"requested", "fetching", "quarantined"}:
                return found.state
            time.sleep(0.1)
        raise AssertionError(f"case {case} is still {found.state}")


@pytest.fixture
def house(tmp_path):
    made = House(tmp_path)
    yield made
    for process in made.running:
        kill(process)


def folder_of(tmp_path, name, files):
    folder = tmp_path / name
    folder.mkdir()
    for path, data in files.items():
        (folder / path).write_bytes(data)
    return str(folder)


@contextmanager
def known(house, tmp_path, monkeypatch):
    monkeypatch.setenv("WEIGHBRIDGE_REGISTRY_FILE", str(tmp_path / "registry.json"))
    monkeypatch.setenv("WEIGHBRIDGE_TOKEN", house.token)
    assert main(["registry", "login", house.address]) == 0
    yield


def test_a_new_administrator_gets_everything_from_the_verbs(house, tmp_path, monkeypatch, capsys):
    house.serve()
    good = folder_of(tmp_path, "good", {"config.json": b'{"model_type": "x"}', "weights.npy": npy()})
    bad = folder_of(tmp_path, "bad", {"pytorch_model.bin": EVIL})
    with known(house, tmp_path, monkeypatch):
        assert oct(os.stat(tmp_path / "registry.json").st_mode & 0o777) == "0o600"
        assert main(["registry", "push", "model", "acme/good", good]) == 0
        assert main(["registry", "push", "model", "acme/bad", bad]) == 0
        assert (house.settled(1), house.settled(2)) == ("approved", "rejected")
        capsys.readouterr()

        assert main(["registry", "status", "1"]) == 0
        assert main(["registry", "status", "2"]) == 1
        assert "PKL-001" in capsys.readouterr().out
        assert main(["registry", "pull", "model", "acme/good", str(tmp_path / "got")]) == 0
        assert (tmp_path / "got/weights.npy").read_bytes() == npy()
        assert main(["registry", "pull", "model", "acme/bad", str(tmp_path / "evil")]) == 2
        assert not (tmp_path / "evil").exists()

        # What was rejected comes before a reviewer, who is not the one who asked.
        assert main(["registry", "reopen", "2", "--reason", "look at it"]) == 0
        assert main(["registry", "approve", "2", "--reason", "mine"]) == 2
        assert "four eyes" in capsys.readouterr().err
        assert main(["registry", "users", "rita", "--role", "reviewer"]) == 0
        capsys.readouterr()
        assert main(["registry", "token", "rita"]) == 0
        monkeypatch.setenv("WEIGHBRIDGE_TOKEN", capsys.readouterr().out.strip())
        monkeypatch.setenv("WEIGHBRIDGE_REGISTRY_FILE", str(tmp_path / "rita.json"))
        assert main(["registry", "login", house.address]) == 0
        assert main(["registry", "reject", "2", "--reason", "no"]) == 0
        assert main(["registry", "revoke", "1", "--reason", "the publisher was broken into"]) == 0

        cache = tmp_path / "hub/models--acme--good"
        (cache / "blobs").mkdir(parents=True)
        (cache / "blobs/aaaa").write_bytes(npy())
        capsys.readouterr()
        assert main(["cache", "audit", str(tmp_path / "hub")]) == 1
        assert "model acme/good: no snapshot was revoked" in capsys.readouterr().out
        assert main(["registry", "log"]) == 0
        lines = capsys.readouterr().out.splitlines()
        assert [line.split()[2] for line in lines] == ["approved", "rejected", "rejected", "revoked"]
        assert main(["registry", "audit"]) == 0
        assert main(["registry", "audit", "--data", house.data]) == 0
        assert main(["registry", "backup", "--data", house.data, str(tmp_path / "backup")]) == 0
        assert main(["registry", "restore", "--data", str(tmp_path / "second"), str(tmp_path / "backup")]) == 0
        assert main(["registry", "audit", "--data", str(tmp_path / "second")]) == 0


def npy():
    import io

    import numpy

    out = io.BytesIO()
    numpy.save(out, numpy.arange(1000))
    return out.getvalue()


def test_a_client_that_verifies_notices_a_store_and_a_database_that_were_altered(house, tmp_path, monkeypatch):
    house.serve()
    client = house.client()
    case = client.push(
        "model", "acme/net", folder_of(tmp_path, "net", {"weights.npy": npy(), "config.json": b"{}"}), "first"
    )
    assert house.settled(case) == "approved"
    blobs = [os.path.join(above, name) for above, _, names in os.walk(f"{house.data}/blobs") for name in names]
    target = next(path for path in blobs if open(path, "rb").read() == npy())  # noqa: SIM115

    os.chmod(target, 0o644)
    with open(target, "r+b") as file:
        file.seek(200)
        file.write(b"tampered")
    with pytest.raises(VerificationFailed, match="not what was approved"):
        client.pull("model", "acme/net", str(tmp_path / "got"))
    assert not (tmp_path / "got/weights.npy").exists()

    import sqlite3

    with sqlite3.connect(f"{house.data}/registry.sqlite") as database:
        database.execute("UPDATE files SET path = 'other.npy' WHERE path = 'weights.npy'")
    with pytest.raises(VerificationFailed, match="handed out or approved, but not both"):
        client.pull("model", "acme/net", str(tmp_path / "got"))


def test_a_worker_that_is_killed_is_replaced_by_another(house, tmp_path):
    house.serve("--no-workers")
    first = house.worker()
    case = house.client().push("model", "acme/net", folder_of(tmp_path, "net", {"weights.npy": npy()}), "first")
    time.sleep(0.3)
    kill(first)
    house.worker()

    assert house.settled(case) == "approved"
    assert decisions(house, case) == [1]


@pytest.mark.skipif(not postgres_tools(), reason="PostgreSQL is not installed")
def test_web_and_two_workers_apart_on_postgresql_with_one_of_them_killed(house, tmp_path):
    server = Postgres(tmp_path / "pg")
    try:
        where = ("--database", server.fresh())
        house.serve("--no-workers", *where)
        first, _ = house.worker(*where), house.worker(*where)
        folder = folder_of(tmp_path, "net", {"weights.npy": npy()})
        cases = []
        for number in range(4):
            (tmp_path / "net/config.json").write_text(json.dumps({"number": number}))
            cases.append(house.client().push("model", f"acme/net{number}", folder, "x"))
        time.sleep(0.5)
        kill(first)
        house.worker(*where)

        ends = [house.settled(case, 90) for case in cases]
        assert ends == ["approved"] * 4, [house.client().case(case) for case in cases]
        assert decisions(house, *cases) == [1] * 4
        assert main(["registry", "audit", "--data", house.data, *where]) == 0
    finally:
        for process in house.running:
            kill(process)
        server.kill()


def kills(house, tmp_path, count, seed):
    """Kill everything at random moments, again and again; what was decided then."""
    chance = random.Random(seed)
    folder = folder_of(tmp_path, "net", {"weights.npy": npy(), "config.json": b"{}"})
    bad = folder_of(tmp_path, "bad", {"pytorch_model.bin": EVIL})
    process = house.serve()
    cases = {}
    for number in range(count):
        (tmp_path / "net/config.json").write_text(json.dumps({"number": number}))
        (tmp_path / "bad/config.json").write_text(json.dumps({"number": number}))
        try:
            for where, name in ((folder, "net"), (bad, "bad")):
                cases[house.client().push("model", f"acme/{name}{number}", where, "x")] = name
        except (SourceError, ValueError):
            pass
        time.sleep(chance.random() * 1.2)
        kill(process)
        process = house.serve()
    return cases


class Apart:
    """Web, worker, database and store, each a process of its own that can be killed and started again."""

    def __init__(self, house, store, postgres):
        self.house, self.store, self.postgres = house, store, postgres
        self.where = ("--database", self.postgres.fresh(), "--blobs", self.store.address)
        self.processes = {"web": self.web(), "worker": self.worker()}

    def web(self):
        return self.house.serve("--no-workers", *self.where)

    def worker(self):
        return self.house.worker(*self.where)

    def kill_and_start(self, victim, away):
        """Kill one of them, and start it again after some seconds."""
        if victim in self.processes:
            kill(self.processes[victim])
            time.sleep(away)
            self.processes[victim] = getattr(self, victim)()
        else:
            server = getattr(self, victim)
            server.kill()
            time.sleep(away)
            server.start()

    def close(self):
        for process in self.house.running:
            kill(process)
        self.store.kill()
        self.postgres.kill()


@pytest.fixture
def apart(house, tmp_path, monkeypatch):
    store = ObjectStore(tmp_path / "objects")
    for name, value in store.environment.items():
        monkeypatch.setenv(name, value)
    made = Apart(house, store, Postgres(tmp_path / "pg"))
    yield made
    made.close()


def kills_apart(apart, tmp_path, count, seed):
    """As `kills`, but of web, worker, PostgreSQL and object store in turn, as chance has it; what was decided then."""
    chance, house, cases = random.Random(seed), apart.house, {}
    folder = folder_of(tmp_path, "net", {"weights.npy": npy(), "config.json": b"{}"})
    bad = folder_of(tmp_path, "bad", {"pytorch_model.bin": EVIL})
    for number in range(count):
        for where, name in ((folder, "net"), (bad, "bad")):
            (tmp_path / name / "config.json").write_text(json.dumps({"number": number}))
            try:
                cases[house.client().push("model", f"acme/{name}{number}", where, "x")] = name
            except (SourceError, ValueError):
                pass
        time.sleep(chance.random() * 1.5)
        apart.kill_and_start(chance.choice(["web", "worker", "postgres", "store"]), chance.random() * 0.5)
    return cases


def proved(house, cases, *where):
    for case, name in cases.items():
        assert house.settled(case, 120) == ("approved" if name == "net" else "rejected"), case
    # Each case was decided once, and the log, the database and the bytes agree.
    assert decisions(house, *cases) == [1] * len(cases)
    entries = list(house.client().log())
    subjects = [json.dumps(entry["statement"]["dsseEnvelope"]["payload"]) for entry in entries]
    assert len(set(subjects)) == len(subjects)
    assert main(["registry", "audit", "--data", house.data, *where]) == 0


def test_killed_at_any_moment_nothing_is_lost_and_nothing_is_decided_twice(house, tmp_path):
    cases = kills(house, tmp_path, 4, 7)

    assert cases
    proved(house, cases)


@pytest.mark.skipif(not postgres_tools(), reason="PostgreSQL is not installed")
def test_whichever_part_is_killed_nothing_is_lost_and_nothing_is_decided_twice(apart, tmp_path):
    cases = kills_apart(apart, tmp_path, 4, 3)

    assert cases
    proved(apart.house, cases, *apart.where)


@pytest.mark.slow
@pytest.mark.skipif(not postgres_tools(), reason="PostgreSQL is not installed")
@pytest.mark.skipif(not os.environ.get("WEIGHBRIDGE_KILLS"), reason="a long suite: WEIGHBRIDGE_KILLS=200 make kills")
def test_parts_killed_very_often(apart, tmp_path):
    cases = kills_apart(apart, tmp_path, int(os.environ["WEIGHBRIDGE_KILLS"]), int(os.environ.get("SEED", "1")))

    proved(apart.house, cases, *apart.where)


@pytest.mark.slow
@pytest.mark.skipif(not os.environ.get("WEIGHBRIDGE_KILLS"), reason="a long suite: WEIGHBRIDGE_KILLS=200 make kills")
def test_killed_very_often(house, tmp_path):
    cases = kills(house, tmp_path, int(os.environ["WEIGHBRIDGE_KILLS"]), int(os.environ.get("SEED", "1")))

    proved(house, cases)


def test_a_port_that_is_taken_is_said(house):
    house.serve()
    port = house.address.rpartition(":")[2]
    done = subprocess.run(
        [sys.executable, "-m", "weighbridge", "serve", "--data", f"{house.data}-2", "--port", port],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert done.returncode == 2
    assert "cannot be taken" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("flags", [("--port", "abc"), ("--workers", "0")])
def test_a_number_that_is_none_is_said_before_anything_is_made(tmp_path, flags, capsys):
    assert main(["serve", "--data", str(tmp_path / "data"), *flags]) == 2
    assert "takes a whole number" in capsys.readouterr().err
    assert not (tmp_path / "data").exists()


def test_a_file_that_cannot_be_read_is_said(house, tmp_path, monkeypatch, capsys):
    house.serve()
    with known(house, tmp_path, monkeypatch):
        for command in (
            ["registry", "audit", "--against", str(tmp_path)],
            ["feed", "update", str(tmp_path), "--key", "x", "--output", "y"],
        ):
            assert main(command) == 2
            said = capsys.readouterr().err
            assert "internal error" not in said
            assert str(tmp_path) in said
        assert main(["registry", "push", "model", "acme/none", str(tmp_path / "nowhere")]) == 2
        with pytest.raises(SourceError, match="404"):
            house.client()._call("GET", "/api/models/acme/none")


def test_a_folder_that_cannot_be_written_is_said(tmp_path):
    (tmp_path / "file").write_text("x")
    done = subprocess.run(
        [sys.executable, "-m", "weighbridge", "serve", "--data", str(tmp_path / "file/data")],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert done.returncode == 2
    assert "not a directory" in done.stderr


def test_without_a_token_nothing_is_told(house):
    house.serve()

    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(f"{house.address}/api/weighbridge/v1/cases")
    assert refused.value.code == 401
