"""What the registry keeps: bytes, rows and the log; and that tampering with each of them shows."""

import hashlib
import json
import os
import subprocess
import sys

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from hypothesis import given
from hypothesis import strategies as st

from tests.registry import opened
from tests.unit.registry.test_cases import BOB, Scene
from weighbridge.registry.records import Database, FolderBlobs
from weighbridge.registry.records.ledger import prove
from weighbridge.registry.records.tables import METADATA
from weighbridge.registry.services import backup
from weighbridge.registry.services.backup import back_up, restore
from weighbridge.registry.services.proof import objections
from weighbridge.registry.services.states import State
from weighbridge.schema import SourceError, UsageError, VerificationFailed


@pytest.fixture
def blobs(tmp_path):
    return FolderBlobs(str(tmp_path / "blobs"))


def everything(folder):
    return sorted(os.path.join(above, name) for above, _, names in os.walk(folder) for name in names)


@given(st.binary(max_size=3000), st.data())
def test_any_window_of_what_was_put_comes_back(tmp_path_factory, data, choice):
    blobs = FolderBlobs(str(tmp_path_factory.mktemp("blobs")))
    sha256, size = blobs.put([data[:100], data[100:]])
    start = choice.draw(st.integers(0, size))
    stop = choice.draw(st.integers(start, size))

    assert (sha256, size) == (hashlib.sha256(data).hexdigest(), len(data))
    assert b"".join(blobs.read(sha256)) == data
    assert b"".join(blobs.read(sha256, start, stop)) == data[start:stop]


@pytest.mark.parametrize("expected", [{"sha256": "0" * 64}, {"size": 2}])
def test_bytes_that_are_not_those_announced_leave_nothing(blobs, expected):
    with pytest.raises(VerificationFailed):
        blobs.put([b"abc"], **expected)

    assert everything(blobs.folder) == []


def test_a_sender_that_breaks_off_leaves_nothing(blobs):
    def broken():
        yield b"half"
        raise SourceError("the connection was cut")

    with pytest.raises(SourceError):
        blobs.put(broken())
    assert everything(blobs.folder) == []


def test_a_process_that_is_killed_while_writing_leaves_nothing(blobs):
    code = f"""
import os
from weighbridge.registry.records import FolderBlobs
def pieces():
    yield b"x" * 1000
    os.kill(os.getpid(), 9)
FolderBlobs({blobs.folder!r}).put(pieces())
"""
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == -9
    assert everything(blobs.folder) == []


def test_a_full_disk_is_a_clear_refusal_and_leaves_nothing(blobs, monkeypatch):
    from weighbridge.source.whole import Unfinished

    def full(self, data):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Unfinished, "append", full)
    with pytest.raises(SourceError, match="no space left"):
        blobs.put([b"abc"])
    assert everything(blobs.folder) == []


def test_blobs_cannot_be_written_by_accident(blobs):
    sha256, _ = blobs.put([b"abc"])

    assert os.stat(blobs.path(sha256)).st_mode & 0o222 == 0


def test_a_blob_that_was_cut_is_not_read_as_whole(blobs):
    sha256, size = blobs.put([b"abcdef"])
    os.chmod(blobs.path(sha256), 0o644)
    os.truncate(blobs.path(sha256), 3)

    with pytest.raises(SourceError, match="cut"):
        list(blobs.read(sha256, 0, size))


def test_the_tables_are_those_of_the_migrations(tmp_path):
    database = Database(f"sqlite:///{tmp_path}/x.sqlite")
    database.upgrade()
    database.upgrade()
    with database.read() as connection:
        assert compare_metadata(MigrationContext.configure(connection), METADATA) == []


def test_an_unknown_database_is_refused_in_words():
    with pytest.raises(UsageError, match="not a database"):
        Database("mysql://x")


def test_a_database_that_is_away_is_told_in_one_line(tmp_path):
    with (
        pytest.raises(SourceError, match="the database says"),
        Database(f"sqlite:///{tmp_path}/no/folder.sqlite").read(),
    ):
        pass


# --- a compromised database, store or log


@pytest.fixture
def scene(tmp_path):
    made = Scene(tmp_path)
    _, made.first = made.waiting(b"one")
    made.cases.approve(made.first, BOB, "fine")
    _, made.second = made.waiting(b"two")
    made.cases.close(made.second, BOB, State.REJECTED, "not fine")
    _, made.third = made.waiting(b"three")
    made.cases.approve(made.third, BOB, "fine too")
    return made


def run(scene, *lines):
    with scene.house.database.write() as connection:
        for line in lines:
            connection.exec_driver_sql(line)


def complaints(scene, **kw):
    return list(objections(scene.house, altered=scene.house.altered, **kw))


def test_an_untouched_registry_is_proved(scene):
    assert complaints(scene) == []


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("UPDATE revisions SET state = 'approved' WHERE id = 2", "the log says rejected"),
        (
            "UPDATE files SET sha256 = (SELECT sha256 FROM files WHERE revision_id = 2) WHERE revision_id = 1",
            "not the file that was approved",
        ),
        ("DELETE FROM files WHERE revision_id = 1", "not the file that was approved"),
        ("UPDATE files SET path = 'other.bin' WHERE revision_id = 1", "not the file that was approved"),
        (
            "INSERT INTO files SELECT 1, 'more.bin', size, sha256, oid, lfs FROM files WHERE revision_id = 2",
            "not the file that was approved",
        ),
    ],
)
def test_a_database_that_says_something_else_than_the_log_is_found(scene, line, told):
    run(scene, line)

    assert any(told in one for one in complaints(scene)), complaints(scene)


def test_a_case_that_was_removed_is_found(scene):
    run(scene, "PRAGMA foreign_keys=OFF")
    with scene.house.database.engine.connect() as connection:
        connection.exec_driver_sql("PRAGMA foreign_keys=OFF")
        for table in ("events", "files", "votes"):
            connection.exec_driver_sql(f"DELETE FROM {table} WHERE revision_id = 2")
        connection.exec_driver_sql("DELETE FROM revisions WHERE id = 2")

    assert any("case 2 was rejected and is not in the database" in one for one in complaints(scene))


@pytest.mark.parametrize(
    "line",
    [
        'UPDATE ledger SET body = replace(body, \'"kind":"rejected"\', \'"kind":"approved"\') WHERE "index" = 1',
        'DELETE FROM ledger WHERE "index" = 1',
        'DELETE FROM ledger WHERE "index" = 2',
        'UPDATE ledger SET "index" = 7 WHERE "index" = 2',
        "UPDATE ledger_head SET size = 2",
        "UPDATE ledger_head SET checkpoint = ''",
        "UPDATE ledger_head SET checkpoint = replace(checkpoint, char(10) || '3' || char(10), char(10) || '2' || char(10))",
    ],
)
def test_a_log_that_was_altered_is_not_believed(scene, line):
    run(scene, line)

    with pytest.raises(VerificationFailed):
        complaints(scene)


def test_a_log_that_was_written_anew_does_not_continue_what_was_kept_elsewhere(scene, tmp_path):
    kept = scene.house.ledger.checkpoint()
    run(
        scene,
        "DELETE FROM ledger",
        "DELETE FROM ledger_head",
        "UPDATE revisions SET state = 'needs review', closed = 0",
        "DELETE FROM votes",
    )
    # Whoever holds the keys can sign another history; only a checkpoint elsewhere shows that it is another.
    scene.cases.approve(scene.first, BOB, "another story")
    assert complaints(scene) == []

    with pytest.raises(VerificationFailed, match="older checkpoint"):
        complaints(scene, older=kept)


def test_a_log_that_only_grew_continues_what_was_kept(scene):
    kept = scene.house.ledger.checkpoint()
    scene.cases.close(scene.first, BOB, State.REVOKED, "later")

    assert complaints(scene, older=kept) == []
    with scene.house.database.snapshot() as connection:
        assert prove(scene.house.ledger, connection, scene.house.log_key.verifier)[0].size == 4


def test_what_is_decided_during_an_audit_is_no_contradiction(scene, monkeypatch):
    _, fourth = scene.waiting(b"four")
    scene.deciding_meanwhile(monkeypatch, fourth)

    assert complaints(scene) == []
    assert scene.state(fourth) == State.APPROVED
    assert complaints(scene) == []


def test_a_backup_goes_on_from_the_checkpoint_that_it_names(scene, tmp_path, monkeypatch):
    def copied(*args):
        if scene.state(scene.first) != State.REVOKED:
            scene.cases.close(scene.first, BOB, State.REVOKED, "during the backup")
        copy(*args)

    copy = backup._copy
    monkeypatch.setattr(backup, "_copy", copied)
    back_up(scene.house, str(tmp_path / "backup"))
    named = json.loads((tmp_path / "backup/backup.json").read_text())["checkpoint"]
    restore(str(tmp_path / "backup"), str(tmp_path / "again/registry"))

    assert list(objections(opened(tmp_path / "again")[0], older=named)) == []


def test_a_blob_that_was_altered_is_found_and_revoked(scene):
    with scene.house.database.read() as connection:
        sha256 = connection.exec_driver_sql("SELECT sha256 FROM files WHERE revision_id = 1").scalar()
    path = scene.house.blobs.path(sha256)
    os.chmod(path, 0o644)
    with open(path, "r+b") as file:
        file.write(b"X")

    assert any("altered" in one for one in complaints(scene))
    assert scene.services.upkeep.rehash() == [scene.first]
    assert scene.state(scene.first) == State.REVOKED
    assert complaints(scene) == []


# --- backups


def test_a_backup_becomes_the_same_registry(scene, tmp_path):
    count = back_up(scene.house, str(tmp_path / "backup"))
    scene.cases.close(scene.first, BOB, State.REVOKED, "after the backup")

    assert restore(str(tmp_path / "backup"), str(tmp_path / "again/registry")) == count

    house, services, token = opened(tmp_path / "again")
    assert token == ""
    assert list(objections(house, altered=house.altered)) == []
    served = services.repositories.served("model", "acme/net", "main")
    assert b"".join(house.blobs.read(services.repositories.files(served.revision)[0].sha256)) == b"three"


@pytest.mark.parametrize("what", ["altered", "removed", "added"])
def test_a_backup_that_is_not_as_it_was_made_is_not_restored(scene, tmp_path, what):
    back_up(scene.house, str(tmp_path / "backup"))
    target = tmp_path / "backup/registry.sqlite"
    if what == "altered":
        target.write_bytes(target.read_bytes() + b"x")
    elif what == "removed":
        target.unlink()
    else:
        (tmp_path / "backup/weighbridge.toml").write_text("[policy]\n")

    with pytest.raises(VerificationFailed, match="not as it was backed up"):
        restore(str(tmp_path / "backup"), str(tmp_path / "again"))
    assert not (tmp_path / "again").exists()


def test_a_backup_overwrites_nothing(scene, tmp_path):
    (tmp_path / "backup").mkdir()

    with pytest.raises(UsageError, match="exists"):
        back_up(scene.house, str(tmp_path / "backup"))
