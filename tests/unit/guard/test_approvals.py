"""Approvals: what was called back is refused whatever speaks for it, also when the list comes later."""

import hashlib
import os
from datetime import UTC, datetime

import pytest

from weighbridge.guard.approvals import Approvals
from weighbridge.provenance import keys, revocation
from weighbridge.schema import UsageError, VerificationFailed

NOW = datetime.now(UTC)
DIGEST = hashlib.sha256(b"weights").hexdigest()
OTHER = hashlib.sha256(b"other").hexdigest()


@pytest.fixture
def key(tmp_path):
    keys.new(str(tmp_path / "registry"), now=NOW)
    return keys.load_private(str(tmp_path / "registry"))


def listed(tmp_path, key, number, *digests, days=30):
    path = tmp_path / "list.json"
    old = revocation.Revocations(number=number - 1, expires="", revoked=())
    path.write_bytes(revocation.make(old, digests, key, now=NOW, days=days))
    os.utime(path, ns=(number * 10**9, number * 10**9))
    return str(path)


def approvals(tmp_path, path):
    made = Approvals(scan=False, revocations=path, revocations_key=str(tmp_path / "registry.pub"))
    made.known = {f"sha256:{DIGEST}": "locked", f"sha256:{OTHER}": "locked"}
    return made


def test_what_is_locked_and_called_back_is_refused(tmp_path, key):
    found = approvals(tmp_path, listed(tmp_path, key, 1, DIGEST))

    assert "called back" in found.decide("x", "x", DIGEST).reason
    assert not found.decide("x", "x", DIGEST).allowed
    assert found.decide("x", "x", OTHER).allowed


def test_a_list_that_comes_while_the_program_runs_counts_at_once(tmp_path, key):
    path = listed(tmp_path, key, 1)
    found = approvals(tmp_path, path)
    assert found.decide("x", "x", DIGEST).allowed

    listed(tmp_path, key, 2, DIGEST)

    assert not found.decide("x", "x", DIGEST).allowed


def test_a_list_that_is_damaged_or_older_takes_nothing_back(tmp_path, key):
    path = listed(tmp_path, key, 2, DIGEST)
    found = approvals(tmp_path, path)

    listed(tmp_path, key, 1)
    assert not found.decide("x", "x", DIGEST).allowed
    (tmp_path / "list.json").write_text("{}")
    assert not found.decide("x", "x", DIGEST).allowed
    (tmp_path / "list.json").unlink()
    assert not found.decide("x", "x", DIGEST).allowed


def test_a_list_by_somebody_else_or_at_its_end_is_refused_at_the_start(tmp_path, key):
    keys.new(str(tmp_path / "other"), now=NOW)
    with pytest.raises(VerificationFailed, match="not signed"):
        approvals(tmp_path, listed(tmp_path, keys.load_private(str(tmp_path / "other")), 1, DIGEST))
    with pytest.raises(VerificationFailed, match="ended"):
        approvals(tmp_path, listed(tmp_path, key, 1, DIGEST, days=-2))


def test_a_list_without_the_key_of_its_signer_is_a_mistake(tmp_path, key):
    with pytest.raises(UsageError, match="belong together"):
        Approvals(revocations=listed(tmp_path, key, 1))
