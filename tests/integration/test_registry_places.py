"""The registry on PostgreSQL and on an object store: the same answers, also after a server was killed."""

import hashlib
import json

import pytest

from tests.registry import Postgres, opened, postgres_tools, running, store
from tests.unit.registry.test_cases import BOB, Scene
from weighbridge.registry.records import tables
from weighbridge.registry.services.proof import objections
from weighbridge.registry.services.states import State
from weighbridge.schema import SourceError, VerificationFailed

needs_postgres = pytest.mark.skipif(not postgres_tools(), reason="PostgreSQL is not installed")


@pytest.fixture(scope="module")
def postgres(tmp_path_factory):
    server = Postgres(tmp_path_factory.mktemp("pg") / "data")
    yield server
    server.kill()


@pytest.fixture
def scened():
    made = []

    def make(folder, server):
        made.append(Scene(folder, database=server.fresh()))
        return made[-1]

    yield make
    for scene in made:
        scene.house.database.close()


@pytest.fixture
def bucket():
    with store() as address:
        yield address


def files_of(folder, **files):
    folder.mkdir()
    for name, data in files.items():
        (folder / name).write_bytes(data)
    return str(folder)


@needs_postgres
def test_the_whole_way_on_postgresql_and_an_object_store(tmp_path, postgres, bucket):
    with running(tmp_path, database=postgres.fresh(), blobs=bucket) as place:
        client = place.client()
        data = json.dumps({"model_type": "x"}).encode() * 100
        case = client.push("model", "acme/net", files_of(tmp_path / "net", config=b"x" * 10, notes=data), "first")
        assert place.settled(case) == "approved"

        client.pull("model", "acme/net", str(tmp_path / "got"))
        assert (tmp_path / "got/notes").read_bytes() == data
        client.decide(case, "revoke", "poisoned")
        with pytest.raises(SourceError, match="was revoked"):
            client.pull("model", "acme/net", str(tmp_path / "again"))
        assert len(list(client.log())) == 2
        assert list(objections(place.house, altered=place.house.altered)) == []
        # What people look at answers on this database too.
        for path in ("cases?q=net", "audit", "users", "tokens"):
            client._call("GET", f"/api/weighbridge/v1/{path}")
        for page in ("/", "/artifacts", f"/cases/{case}", "/findings", "/gateway", "/monitor", "/admin"):
            assert client._call("GET", page)


@needs_postgres
def test_two_workers_on_postgresql_decide_once(tmp_path, postgres, scened):
    scene = scened(tmp_path, postgres)
    _, case = scene.pushed(b"only once")
    before = len(scene.house.ledger.leaves())

    assert scene.decided_by_many(case, 6) == [State.APPROVED] * 6
    assert len(scene.house.ledger.leaves()) == before + 1


@needs_postgres
def test_what_is_decided_on_postgresql_during_an_audit_is_no_contradiction(tmp_path, postgres, scened, monkeypatch):
    scene = scened(tmp_path, postgres)
    scene.cases.approve(scene.waiting(b"first")[1], BOB, "fine")
    _, case = scene.waiting(b"second")
    scene.deciding_meanwhile(monkeypatch, case)

    assert list(objections(scene.house)) == []
    assert scene.state(case) == State.APPROVED
    assert list(objections(scene.house)) == []


def test_a_client_sees_the_log_go_on_while_decisions_are_made(tmp_path, monkeypatch):
    with running(tmp_path) as place:
        client = place.client()
        case = client.push("model", "acme/net", files_of(tmp_path / "net", notes=b"x"), "first")
        assert place.settled(case) == "approved"
        client.checkpoint()
        client.decide(case, "revoke", "poisoned")
        call = client._call

        def meanwhile(verb, path, *args, **kw):
            if "consistency" in path:
                monkeypatch.setattr(client, "_call", call)
                client.push("model", "acme/other", files_of(tmp_path / "other", notes=b"y"), "second")
                assert place.settled(case + 1) == "approved"
            return call(verb, path, *args, **kw)

        monkeypatch.setattr(client, "_call", meanwhile)

        assert client.checkpoint().size == 2
        assert client.checkpoint().size == 3


@needs_postgres
def test_a_killed_postgresql_is_said_and_nothing_is_lost(tmp_path, postgres, scened):
    scene = scened(tmp_path, postgres)
    _, case = scene.waiting(b"before the crash")
    scene.cases.approve(case, BOB, "fine")
    kept = scene.house.ledger.checkpoint()

    postgres.kill()
    with pytest.raises(SourceError, match="the database says"):
        scene.cases.close(case, BOB, State.REVOKED, "while it is away")
    postgres.start()

    assert scene.house.ledger.checkpoint() == kept
    assert scene.state(case) == State.APPROVED
    assert scene.cases.close(case, BOB, State.REVOKED, "now") is State.REVOKED


def test_an_object_store_keeps_what_was_announced_and_nothing_else(tmp_path, bucket):
    house, _, _ = opened(tmp_path, blobs=bucket)
    data = bytes(range(256)) * 5000
    sha256 = hashlib.sha256(data).hexdigest()

    with pytest.raises(VerificationFailed):
        house.blobs.put([data], sha256="0" * 64)
    assert house.blobs.size("0" * 64) == -1
    assert house.blobs.put([data[:1000], data[1000:]], sha256=sha256) == (sha256, len(data))
    assert b"".join(house.blobs.read(sha256)) == data
    assert b"".join(house.blobs.read(sha256, 100, 900)) == data[100:900]
    house.blobs.check()
    house.blobs.delete(sha256)
    assert house.blobs.size(sha256) == -1
    with house.database.read() as connection:
        assert connection.execute(tables.files.select()).all() == []


def test_an_object_store_that_is_away_is_said(tmp_path):
    with store() as address:
        house, _, _ = opened(tmp_path, blobs=address)

    with pytest.raises(SourceError, match="no answer"):
        house.blobs.put([b"x"])
