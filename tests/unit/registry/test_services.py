"""The smaller services: states, the organisation's rules, messages, upkeep, copies, users, packages."""

import base64
import hashlib
import hmac
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.registry import opened
from tests.servers import Web, serve
from tests.unit.registry.test_cases import BOB, Clock, Scene, refused
from weighbridge.provenance import keys, revocation
from weighbridge.registry.copies import copies
from weighbridge.registry.records import tables
from weighbridge.registry.services.access import Act, Caller, Role
from weighbridge.registry.services.child import folder_name
from weighbridge.registry.services.controls import CONTROLS, Seen
from weighbridge.registry.services.evidence import evidence
from weighbridge.registry.services.packages import normal
from weighbridge.registry.services.refusal import No, Refusal
from weighbridge.registry.services.revoked import revocation_list
from weighbridge.registry.services.site_rules import SiteRules
from weighbridge.registry.services.states import MOVING, SERVED, State, follows, told
from weighbridge.registry.services.terms import SiteRule, read_terms
from weighbridge.rules import all_rules
from weighbridge.schema import UsageError, VerificationFailed

# --- states


def test_nothing_is_served_that_was_not_approved_on_its_way():
    before = {state for state in State for new in SERVED if state not in SERVED and allowed(state, new)}

    assert before == {State.QUARANTINED, State.REVIEW}


def allowed(old, new):
    try:
        follows(old, new)
    except Refusal:
        return False
    return True


def test_every_state_can_be_left_and_says_what_it_is():
    for state in State:
        assert any(allowed(state, new) for new in State)
        if state not in SERVED:
            assert "case 7" in told(state, 7, "because")
    assert "because" not in told(State.FETCHING, 7, "because")
    assert not SERVED & MOVING


# --- rules of the organisation

FACTS = {
    "artifact": {"namespace": "acme", "files": [{"path": "a.bin", "size": 5, "extension": "bin"}]},
    "scan": {"complete": True},
}


@pytest.mark.parametrize(
    ("rule", "speaks"),
    [
        (SiteRule(name="small", require="facts.artifact.files.all(f, f.size < 10)"), False),
        (SiteRule(name="small", require="facts.artifact.files.all(f, f.size < 2)"), True),
        (SiteRule(name="others", match="facts.artifact.namespace == 'other'", require="false"), False),
        (SiteRule(name="unknown", require="facts.nothing.here"), True),
        (SiteRule(name="no yes or no", require="1"), True),
    ],
)
def test_a_rule_that_does_not_hold_speaks_against_it_and_so_does_one_that_fails(rule, speaks):
    assert bool(SiteRules([rule]).objections(FACTS)) is speaks


def test_a_rule_that_cannot_be_read_is_refused_at_once():
    with pytest.raises(UsageError, match="cannot be read"):
        SiteRules([SiteRule(name="broken", require="facts.(")])


@pytest.mark.parametrize(
    ("document", "told_"),
    [
        ({"patiance": 1}, "patiance"),
        ({"approvals": 0}, "at least one"),
        ({"rule": [{"name": "x", "require": "true", "otherwise": "allow"}]}, "allow"),
    ],
)
def test_terms_that_are_wrong_name_what_is_wrong(document, told_):
    with pytest.raises(UsageError) as error:
        read_terms(document, "weighbridge.toml")
    assert told_ in f"{error.value.message} {error.value.hint}"


# --- messages


def receiver(status=200):
    web = Web()

    def route(handler):
        body = handler.rfile.read(int(handler.headers["Content-Length"]))
        web.got.append((dict(handler.headers), body))
        handler.reply(web.status, b"")
        return True

    web.route, web.got, web.status = route, [], status
    return web


def test_a_decision_is_told_with_a_signature_that_the_receiver_can_check(tmp_path):
    scene, web = Scene(tmp_path), receiver()
    with serve(web) as address:
        _, secret = scene.services.messages.add(f"{address}/hook")
        _, case = scene.waiting()
        scene.cases.approve(case, BOB, "fine")
        assert scene.services.messages.deliver() == 2
        assert scene.services.messages.deliver() == 0

    headers, body = web.got[-1]
    signed = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + body
    mark = hmac.new(base64.b64decode(secret.removeprefix("whsec_")), signed, hashlib.sha256).digest()
    assert headers["webhook-signature"] == f"v1,{base64.b64encode(mark).decode()}"
    assert json.loads(body)["event"] == "approved"
    assert json.loads(body)["case"] == case


def test_a_receiver_that_is_away_is_tried_again_and_given_up_at_last(tmp_path):
    scene, web = Scene(tmp_path), receiver(status=400)
    with serve(web) as address:
        scene.services.messages.add(f"{address}/hook")
        scene.waiting()
        for _ in range(12):
            scene.services.messages.deliver()
            scene.clock.now += 2 * 86400
        tried = len(web.got)
    assert tried == 7
    (dead,) = scene.services.messages.dead()
    assert dead.answer.endswith("answers 400 Bad Request") or "400" in dead.answer


def test_a_message_of_a_decision_that_was_undone_is_not_sent(tmp_path):
    scene = Scene(tmp_path)
    scene.services.messages.add("http://127.0.0.1:1/hook")
    _, case = scene.waiting()
    with scene.house.database.read() as connection:
        before = len(connection.execute(tables.deliveries.select()).all())
    refused(scene.cases.close, case, BOB, State.REVOKED, "never approved")
    with scene.house.database.read() as connection:
        assert len(connection.execute(tables.deliveries.select()).all()) == before


def test_a_webhook_is_an_address(tmp_path):
    _, services, _ = opened(tmp_path)
    for url in ("file:///etc/passwd", "ftp://x", "x", "http://"):
        assert refused(services.messages.add, url).why is No.INVALID


# --- called back


def test_the_list_holds_what_no_approved_revision_has_and_grows_only_when_it_changes(tmp_path):
    scene = Scene(tmp_path)
    _, one = scene.waiting(b"weights that are long enough")
    scene.cases.approve(one, BOB, "fine")
    first = revocation_list(scene.house)
    assert revocation_list(scene.house) == first

    scene.cases.close(one, BOB, State.REVOKED, "poisoned")
    second = revocation_list(scene.house)

    path = tmp_path / "list.json"
    path.write_bytes(second)
    found = revocation.load(
        str(path), keys.load_public(f"{scene.house.folder}/keys/decisions.pem.pub"), scene.house.now()
    )
    assert found.number == 2
    assert found.revoked == (hashlib.sha256(b"weights that are long enough").hexdigest(),)

    _, again = scene.waiting(b"weights that are long enough", branch="other")
    scene.cases.approve(again, BOB, "looked at again")
    path.write_bytes(revocation_list(scene.house))
    assert (
        revocation.load(
            str(path), keys.load_public(f"{scene.house.folder}/keys/decisions.pem.pub"), scene.house.now()
        ).revoked
        == ()
    )


def test_copies_in_a_cache_are_found_by_their_bytes_whatever_they_are_called(tmp_path):
    evil, good = b"evil weights", b"good weights"
    blobs = tmp_path / "models--acme--net/blobs"
    blobs.mkdir(parents=True)
    snapshots = tmp_path / "models--acme--net/snapshots/abc/deep"
    snapshots.mkdir(parents=True)
    (blobs / "renamed").write_bytes(evil)
    (snapshots / "model.bin").symlink_to(blobs / "renamed")
    (blobs / hashlib.sha256(good).hexdigest()).write_bytes(good)
    (blobs / hashlib.sha256(b"x").hexdigest()).write_bytes(b"altered")
    (tmp_path / "unrelated").mkdir()

    found = {copy.sha256: copy for copy in copies(str(tmp_path), {hashlib.sha256(evil).hexdigest()})}

    assert found[hashlib.sha256(evil).hexdigest()].wrong == "was revoked"
    assert found[hashlib.sha256(evil).hexdigest()].names == ("deep/model.bin",)
    assert found[hashlib.sha256(good).hexdigest()].wrong == ""
    assert "altered" in found[hashlib.sha256(b"altered").hexdigest()].wrong


# --- upkeep


def inspected_yesterday(connection, digest):
    connection.execute(
        tables.inspections.insert().values(
            digest=digest,
            rules="of yesterday",
            outcome="admit",
            decided_by="",
            because="",
            policy="strict",
            complete=True,
            report="0" * 64,
            at=1.0,
        )
    )


def test_new_rules_are_asked_about_what_is_served_and_revoke_what_they_block(tmp_path, monkeypatch):
    scene = Scene(tmp_path)
    _, case = scene.waiting()
    scene.cases.approve(case, BOB, "fine")
    with scene.house.database.read() as connection:
        digest = scene.cases.row(connection, case).digest
    with scene.house.database.write() as connection:
        inspected_yesterday(connection, digest)
    monkeypatch.setattr(scene.services.workflow, "judged_anew", lambda *_: "")
    assert scene.services.upkeep.judge_again() == []
    assert scene.state(case) == State.APPROVED

    monkeypatch.setattr(scene.services.workflow, "judged_anew", lambda *_: "no code in weights: PKL-001")
    assert scene.services.upkeep.judge_again() == [case]
    assert scene.state(case) == State.REVOKED


def test_what_cannot_be_inspected_again_does_not_keep_others_from_it(tmp_path, monkeypatch):
    scene = Scene(tmp_path)
    cases = []
    for number in range(3):
        _, case = scene.waiting(str(number).encode())
        scene.cases.approve(case, BOB, "fine")
        cases.append(case)
        with scene.house.database.write() as connection:
            digest = scene.cases.row(connection, case).digest
            inspected_yesterday(connection, digest)
    asked = []

    def anew(number, _):
        asked.append(number)
        if number == cases[0]:
            raise VerificationFailed("the inspection took too long")
        return ""

    monkeypatch.setattr(scene.services.workflow, "judged_anew", anew)
    for _ in range(5):
        scene.services.upkeep.judge_again(limit=1)

    assert asked == [*cases, cases[0]]
    assert scene.state(cases[0]) == State.APPROVED


def test_what_is_inspected_anew_is_really_inspected(tmp_path):
    scene = Scene(tmp_path)
    _, case = scene.pushed(b"\x80\x04\x8c\x05posix\x8c\x06system\x93\x8c\x04true\x85R.")
    assert scene.services.workflow.judged_anew(case, 1).startswith("no code in weights: PKL-001")
    assert scene.services.workflow.judged_anew(case, 2) == ""


@pytest.mark.parametrize(
    ("name", "folder"),
    [("acme/net", "net"), ("-rf", "rf"), ("@scope/--output", "output"), ("..", "artifact"), ("gpt2", "gpt2")],
)
def test_a_name_is_no_option_of_the_programs_that_inspect_it(name, folder):
    assert folder_name(name) == folder


# --- users and packages


@pytest.mark.parametrize("name", ["", "Ada", "-x", "a b", "a" * 64, "x\n", "../x"])
def test_odd_names_are_no_users(tmp_path, name):
    _, services, _ = opened(tmp_path)

    assert refused(services.access.add_user, name, "reader").why is No.INVALID
    assert refused(services.access.add_user, "ada", "root").why is No.INVALID


def test_a_namespace_bounds_what_is_published_and_not_what_is_read():
    caller = Caller(name="ci", role=Role.PUBLISHER, namespace="acme")

    assert caller.may(Act.READ, "other")
    assert caller.may(Act.PUBLISH, "acme")
    assert not caller.may(Act.PUBLISH, "other")
    assert not caller.may(Act.REVIEW, "acme")


def test_haste_is_bounded_and_patience_is_rewarded(tmp_path):
    _, services, _ = opened(tmp_path, requests_a_minute=60)
    waits = [services.access.allow("ada", now=0.0) for _ in range(61)]

    assert waits[:60] == [0.0] * 60
    assert waits[60] > 0
    assert services.access.allow("ada", now=5.0) == 0.0


@given(st.text(max_size=40))
def test_a_package_name_is_normal_or_refused(name):
    for kind in ("pypi", "npm"):
        try:
            found = normal(kind, name)
        except Refusal as refusal:
            assert refusal.why is No.INVALID
        else:
            assert normal(kind, found) == found
            assert "/" not in found or kind == "npm"
            assert ".." not in found.split("/")


def test_the_token_of_the_first_administrator_is_shown_once(tmp_path):
    _, _, first = opened(tmp_path, clock=Clock())
    _, _, second = opened(tmp_path, clock=Clock())

    assert first.startswith("wb_")
    assert second == ""


# --- the auditor's report


def test_every_control_says_where_it_is_shown_and_what_is_not_covered(tmp_path):
    scene = Scene(tmp_path)
    _, case = scene.waiting()
    scene.cases.approve(case, BOB, "fine")
    scene.cases.close(case, BOB, State.REVOKED, "poisoned")

    found = evidence(scene.house)

    assert [row.id for row in found.rows] == [f"C-{number:02d}" for number in range(1, 53)]
    assert found.decisions == {"approved": 1, "revoked": 1}
    rows = {row.id: row for row in found.rows}
    assert rows["C-40"].entries == (1,)
    assert "cooldown_days = 0" in rows["C-18"].words
    assert rows["C-23"].seen == Seen.NOWHERE
    assert found.checkpoint == scene.house.ledger.checkpoint()


def test_every_rule_that_a_control_names_exists():
    for control in CONTROLS:
        for pattern in control.by if control.seen is Seen.RULES else ():
            family = pattern.removesuffix("*")
            assert any(rule.id.startswith(family) for rule in all_rules()), pattern
