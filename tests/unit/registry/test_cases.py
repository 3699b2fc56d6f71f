"""Cases: who may decide, what a decision leaves, and that it is made once."""

import threading

import pytest

from tests.registry import opened
from weighbridge.registry.records import tables
from weighbridge.registry.services.access import Caller, Role
from weighbridge.registry.services.cases import Kept, digest_of
from weighbridge.registry.services.proof import objections
from weighbridge.registry.services.refusal import No, Refusal
from weighbridge.registry.services.repositories import Change
from weighbridge.registry.services.states import State

ADA = Caller(name="ada", role=Role.PUBLISHER)
BOB = Caller(name="bob", role=Role.REVIEWER)
EVE = Caller(name="eve", role=Role.REVIEWER)
DAY = 86400.0


class Clock:
    def __init__(self):
        self.now = 1_800_000_000.0

    def __call__(self):
        return self.now


class Scene:
    """A registry with one revision that waits for a reviewer."""

    def __init__(self, folder, **terms):
        self.clock = Clock()
        self.house, self.services, _ = opened(folder, clock=self.clock, **terms)
        self.cases, self.repositories = self.services.cases, self.services.repositories
        self.repositories.create("model", "acme/net", ADA)

    def pushed(self, data=b"weights", branch="main", by=ADA):
        sha256, size = self.house.blobs.put([data])
        kept = Kept(path="model.bin", size=size, sha256=sha256, oid="0" * 40, lfs=True)
        commit, case = self.repositories.commit(
            "model", "acme/net", branch, [Change(path="model.bin", file=kept)], by, title=repr(data)
        )
        with self.house.database.write() as connection:
            self.cases.move(connection, case, State.FETCHING)
            self.cases.move(connection, case, State.QUARANTINED)
        return commit, case

    def waiting(self, *args, **kw):
        commit, case = self.pushed(*args, **kw)
        self.cases.decide(case, 1, "review", "somebody should look", policy="strict", report="")
        return commit, case

    def decided_by_many(self, case, count=8):
        """What so many workers are told that decide at once."""
        found = []

        def work():
            found.append(self.cases.decide(case, 1, "admit", "fine", policy="strict", report=""))

        threads = [threading.Thread(target=work) for _ in range(count)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return found

    def deciding_meanwhile(self, monkeypatch, case):
        """Approve a case at the moment at which the head of the log is read."""
        ledger, head = self.house.ledger, self.house.ledger.head

        def meanwhile(*args):
            monkeypatch.setattr(ledger, "head", head)
            self.cases.approve(case, BOB, "meanwhile")
            return head(*args)

        monkeypatch.setattr(ledger, "head", meanwhile)

    def state(self, case):
        with self.house.database.read() as connection:
            return self.cases.row(connection, case).state

    def served(self, revision="main"):
        return self.repositories.served("model", "acme/net", revision).label

    def complaints(self):
        return list(objections(self.house))


@pytest.fixture
def scene(tmp_path):
    return Scene(tmp_path)


def refused(call, *args, **kw):
    with pytest.raises(Refusal) as told:
        call(*args, **kw)
    return told.value


def test_what_was_approved_is_served_and_nothing_before(scene):
    commit, case = scene.waiting()
    assert refused(scene.served).case == case

    assert scene.cases.approve(case, BOB, "looked at it") is State.APPROVED

    assert scene.served() == scene.served(commit) == commit
    assert scene.complaints() == []


def test_the_one_who_asked_cannot_approve(scene):
    _, case = scene.waiting(by=Caller(name="bob", role=Role.ADMIN))

    assert "four eyes" in refused(scene.cases.approve, case, BOB, "mine").hint
    assert scene.state(case) == State.REVIEW


def test_as_many_reviewers_as_settled_have_to_agree(tmp_path):
    scene = Scene(tmp_path, approvals=2)
    _, case = scene.waiting()

    assert scene.cases.approve(case, BOB, "fine") is State.REVIEW
    assert refused(scene.cases.approve, case, BOB, "fine again").why is No.CONFLICT
    assert scene.cases.approve(case, EVE, "fine too") is State.APPROVED
    assert b'"approved"' in scene.house.ledger.entries().__next__()[1]


@pytest.mark.parametrize("role", [Role.READER, Role.PUBLISHER])
def test_only_reviewers_decide(scene, role):
    _, case = scene.waiting()
    who = Caller(name="mallory", role=role)

    for call in (
        lambda: scene.cases.approve(case, who, "x"),
        lambda: scene.cases.close(case, who, State.REJECTED, "x"),
    ):
        assert refused(call).why is No.FORBIDDEN
    assert scene.state(case) == State.REVIEW


def test_a_reviewer_of_another_namespace_does_not_decide(scene):
    _, case = scene.waiting()
    other = Caller(name="bob", role=Role.REVIEWER, namespace="other")

    assert refused(scene.cases.approve, case, other, "x").why is No.FORBIDDEN


def test_what_is_still_inspected_cannot_be_approved(scene):
    _, case = scene.pushed()

    assert "still being inspected" in refused(scene.cases.approve, case, BOB, "in a hurry").message
    assert scene.state(case) == State.QUARANTINED
    assert scene.house.ledger.checkpoint() == ""


@pytest.mark.parametrize("who", [ADA, Caller(name="bob", role=Role.REVIEWER, namespace="other")])
def test_only_a_reviewer_of_the_namespace_has_something_inspected_again(scene, who):
    _, case = scene.waiting()
    scene.cases.approve(case, BOB, "fine")

    assert refused(scene.cases.again, case, who, "x").why is No.FORBIDDEN
    assert "reason" in refused(scene.cases.again, case, BOB, " ").message
    assert scene.state(case) == State.APPROVED


def test_a_decision_without_a_reason_is_none(scene):
    _, case = scene.waiting()

    assert "reason" in refused(scene.cases.approve, case, BOB, "  ").message


def test_the_policy_lets_in_and_keeps_out_by_itself(scene):
    _, first = scene.pushed(b"one")
    _, second = scene.pushed(b"two")

    assert scene.cases.decide(first, 1, "admit", "nothing against it", policy="strict", report="") is State.APPROVED
    assert scene.cases.decide(second, 1, "block", "PKL-001", policy="strict", report="") is State.REJECTED
    assert [entry.kind for entry, _ in scene.house.ledger.entries()] == ["approved", "rejected"]


def test_where_nothing_is_automatic_a_reviewer_is_asked(tmp_path):
    scene = Scene(tmp_path, automatic=False)
    _, case = scene.pushed()

    assert scene.cases.decide(case, 1, "admit", "nothing against it", policy="strict", report="") is State.REVIEW


def test_two_workers_decide_once(scene):
    _, case = scene.pushed()

    assert scene.decided_by_many(case) == [State.APPROVED] * 8
    assert len(list(scene.house.ledger.entries())) == 1


def test_a_late_answer_of_an_earlier_round_decides_nothing(scene):
    _, case = scene.waiting()
    round_ = scene.cases.again(case, BOB, "rules changed")

    scene.cases.decide(case, round_ - 1, "admit", "late", policy="strict", report="")

    assert scene.state(case) == State.QUARANTINED


def test_main_serves_the_latest_approved_commit_whatever_was_pushed_or_revoked(scene):
    first, one = scene.waiting(b"one")
    second, two = scene.waiting(b"two")
    scene.waiting(b"three")

    scene.cases.approve(two, BOB, "fine")
    assert scene.served() == second
    scene.cases.approve(one, BOB, "fine, and older")
    assert scene.served() == second
    scene.cases.close(two, BOB, State.REVOKED, "poisoned")
    assert scene.served() == first
    assert "revoked (case" in refused(scene.served, second).message


def test_a_tag_on_a_revoked_commit_serves_nothing(scene):
    commit, case = scene.waiting()
    scene.cases.approve(case, BOB, "fine")
    scene.repositories.add_ref("model", "acme/net", ADA, ref="v1", at=commit, tag=True)
    assert scene.served("v1") == commit

    scene.cases.close(case, BOB, State.REVOKED, "poisoned")

    assert refused(scene.served, "v1").why is No.REVISION


def test_a_branch_on_a_waiting_commit_serves_nothing_before_its_approval(scene):
    commit, case = scene.waiting()
    scene.repositories.add_ref("model", "acme/net", ADA, ref="next", at=commit, tag=False)

    assert refused(scene.served, "next").why is No.REVISION
    scene.cases.approve(case, BOB, "fine")
    assert scene.served("next") == commit
    scene.cases.close(case, BOB, State.REVOKED, "poisoned")
    assert scene.repositories.refs("model", "acme/net") == []


def test_an_approval_ends_on_its_day(tmp_path):
    scene = Scene(tmp_path, approval_days=2)
    commit, case = scene.waiting()
    scene.cases.approve(case, BOB, "for now")
    assert scene.served() == commit

    scene.clock.now += 4 * DAY

    # Before anything swept, it is not served any more.
    assert "ended" in refused(scene.served).message
    assert scene.cases.expire() == 1
    assert scene.state(case) == State.EXPIRED
    assert scene.cases.expire() == 0


def test_environments_are_those_that_were_settled(tmp_path):
    scene = Scene(tmp_path, scopes=["staging", "production"])
    _, case = scene.waiting()

    assert "no environment" in refused(scene.cases.approve, case, BOB, "fine", scopes=["prod"]).message
    scene.cases.approve(case, BOB, "fine", scopes=["staging"])
    with scene.house.database.read() as connection:
        assert scene.cases.row(connection, case).scopes == ["staging"]


def test_an_approval_for_an_environment_is_one_there_alone(tmp_path):
    scene = Scene(tmp_path, scopes=["staging", "production"])
    commit, case = scene.waiting()
    scene.cases.approve(case, BOB, "fine", scopes=["staging"])

    assert scene.repositories.served("model", "acme/net", "main", "staging").label == commit
    for scope in ("", "production"):
        assert "staging alone" in refused(scene.repositories.served, "model", "acme/net", "main", scope).message
    token = scene.services.access.new_token("admin", "ci", scope="staging")
    assert scene.services.access.caller(token).scope == "staging"


def test_what_is_judged_again_is_not_served_until_then(scene):
    commit, case = scene.waiting()
    scene.cases.approve(case, BOB, "fine")

    scene.cases.again(case, BOB, "an advisory came out")

    assert refused(scene.served, commit).case == case
    assert scene.complaints() == []


def test_a_refused_decision_leaves_nothing(scene):
    _, case = scene.waiting()
    before = (scene.house.ledger.checkpoint(), scene.state(case))

    refused(scene.cases.close, case, BOB, State.REVOKED, "it was never approved")

    assert (scene.house.ledger.checkpoint(), scene.state(case)) == before
    with scene.house.database.read() as connection:
        assert not connection.execute(tables.votes.select()).all()


def test_the_same_commit_said_twice_is_one_case(scene):
    sha256, size = scene.house.blobs.put([b"x"])
    change = Change(path="x", file=Kept(path="x", size=size, sha256=sha256, oid="0" * 40, lfs=True))
    first, _ = scene.waiting(b"one")
    said = [
        scene.repositories.commit("model", "acme/net", "main", [change], ADA, title="again", parent=first)
        for _ in range(2)
    ]

    assert said[0] == said[1]


def test_a_commit_on_a_branch_that_moved_is_refused(scene):
    first, _ = scene.waiting(b"one")
    scene.waiting(b"two")

    said = refused(
        scene.repositories.commit, "model", "acme/net", "main", [Change(path="x/")], ADA, title="late", parent=first
    )
    assert said.why is No.CONFLICT


@pytest.mark.parametrize(
    "path", ["../x", "/x", "a/../b", "a//b", ".git/config", "a\\b", "a\x00b", "a\u202eb", "x" * 300, ""]
)
def test_paths_that_lead_elsewhere_are_refused(scene, path):
    sha256, size = scene.house.blobs.put([b"x"])
    change = Change(path=path, file=Kept(path=path, size=size, sha256=sha256, oid="0" * 40, lfs=True))

    assert refused(scene.repositories.commit, "model", "acme/net", "main", [change], ADA, title="t").why is No.INVALID


def test_a_commit_without_its_bytes_is_refused(scene):
    kept = Kept(path="model.bin", size=3, sha256="a" * 64, oid="0" * 40, lfs=True)

    said = refused(
        scene.repositories.commit, "model", "acme/net", "main", [Change(path="model.bin", file=kept)], ADA, title="t"
    )
    assert "did not arrive" in said.message


def test_names_are_found_whatever_their_case(scene):
    _, case = scene.waiting()
    scene.cases.approve(case, BOB, "fine")

    assert scene.repositories.served("model", "ACME/Net", "main").name == "acme/net"
    assert scene.repositories.create("model", "Acme/NET", ADA) == ("acme/net", False)


def test_the_digest_of_files_does_not_depend_on_their_order():
    files = [Kept(path=name, size=1, sha256="a" * 64, oid="", lfs=True) for name in "abc"]

    assert digest_of(files) == digest_of(files[::-1]) != digest_of(files[:2])
