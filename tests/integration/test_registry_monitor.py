"""What monitors tell the registry: alerts are kept, counted and shown, and some call back what they are about."""

import hashlib
from urllib.parse import urlencode

import msgspec
import pytest

from tests.corpus.monitoring import monitor, shadow, traffic
from tests.integration.test_registry_review import NET, folder_of
from tests.integration.test_registry_routes import HOSTILE, Browser
from tests.registry import running
from weighbridge.monitor.alerts import alert
from weighbridge.schema import Finding, Location, Severity, SourceError
from weighbridge.schema.alert import Alert


@pytest.fixture
def place(tmp_path):
    with running(tmp_path, revoke_on=("MON-001", "MON-004")) as registry:
        yield registry


def said(model="", rule="MON-005", matter="m", at=1.0, message="“zq” goes with “sport”"):
    return alert(rule, "news", matter, message, at, evidence=["12 of 12 requests"], model=model, first="r1", last="r9")


@pytest.fixture
def served(place, tmp_path):
    """An approved model."""
    case = place.client().push("model", "acme/news", folder_of(tmp_path / "news", {"config.json": NET}), "x")
    assert place.settled(case) == "approved"
    return case


def state(place, case):
    return place.client().case(case).state


def test_an_alert_is_kept_once_and_counted(place):
    client = place.client("watcher", "publisher")
    client.tell(said())
    client.tell(said())
    client.tell(said(matter="other"))
    rows = place.services.alerts.all()
    assert sorted(row.times for row, _ in rows) == [1, 2]
    assert rows[0][1].finding.rule == "MON-005"


def test_what_is_closed_opens_again_when_it_comes_again(place):
    client = place.client("watcher", "publisher")
    client.tell(said())
    ((row, _),) = place.services.alerts.all()
    place.services.alerts.set_state(row.id, "closed")
    assert place.services.alerts.all() == []
    client.tell(said())
    assert place.services.alerts.all()[0][0].state == "open"


@pytest.mark.parametrize(
    "model",
    ["acme/news", "model/Acme/News", hashlib.sha256(NET).hexdigest(), f"sha256:{hashlib.sha256(NET).hexdigest()}"],
)
def test_a_confirmed_trigger_calls_back_what_it_is_about(place, served, model):
    place.client("watcher", "publisher").tell(said(model, "MON-004"))
    assert state(place, served) == "revoked"
    assert "MON-004 in news" in place.client().case(served).because


@pytest.mark.parametrize(
    ("model", "rule"), [("acme/news", "MON-005"), ("acme/other", "MON-004"), ("", "MON-004"), ("a" * 64, "MON-004")]
)
def test_other_alerts_call_nothing_back(place, served, model, rule):
    place.client("watcher", "publisher").tell(said(model, rule))
    assert state(place, served) == "approved"


def test_a_token_of_one_namespace_speaks_about_no_other(place, served):
    place.token("watcher", "publisher")
    narrow = place.services.access.new_token("watcher", "narrow", namespace="elsewhere")
    from weighbridge.registry.client import Pinned, Registry

    client = Registry(Pinned(address=place.address, token=narrow, decisions="", log=""))
    with pytest.raises(OSError, match="may not"):
        client.tell(said("acme/news", "MON-004"))
    client.tell(said(hashlib.sha256(NET).hexdigest(), "MON-004"))
    assert state(place, served) == "approved"


def test_readers_tell_nothing(place):
    with pytest.raises(OSError, match="may not"):
        place.client("ron", "reader").tell(said())


def test_nobody_covers_or_counts_up_what_another_has_told(place):
    place.client("one", "publisher").tell(said(message="the true one"))
    place.client("two", "publisher").tell(said(message="nothing is wrong"))
    assert {one.finding.message for _, one in place.services.alerts.all()} == {"the true one", "nothing is wrong"}


def test_what_is_no_alert_of_a_monitor_is_refused(place):
    client = place.client("watcher", "publisher")
    other = Finding(rule="PKL-001", severity=Severity.INFO, message="x", location=Location(path=("x",)))
    for wrong in (Alert(id="1", stream="s", at=1.0, finding=other), said(message="x" * 70_000)):
        with pytest.raises(OSError, match="no alert"):
            client.tell(wrong)
    with pytest.raises(SourceError):
        client._call("POST", "/api/weighbridge/v1/alerts", {"id": 3})
    assert place.services.alerts.all() == []


def test_a_monitor_tells_its_alerts_and_how_its_stream_stands(place):
    client = place.client("watcher", "publisher")
    running_ = monitor(shadow=shadow("zq"), sinks=[client.tell], pulses=client.pulse)
    running_.feed(traffic(4000, 3, sign="zq", rate=0.02, trigger="zq"))
    running_.save()
    browser = Browser(place, "admin")
    page = browser.get("/monitor")[2].decode()
    assert "“zq” decides the output: “sport”" in page
    assert "4,000 records" in page
    assert "<svg" in page
    assert msgspec.json.decode(client._call("GET", "/api/weighbridge/v1/alerts"), type=list[Alert])


def test_reviewers_close_alerts_on_the_page(place):
    place.client("watcher", "publisher").tell(said())
    ((row, _),) = place.services.alerts.all()
    browser = Browser(place, "rita", "reviewer")
    assert browser.post(f"/monitor/{row.id}", urlencode({"csrf": browser.mark(), "state": "closed"}))[0] == 303
    assert place.services.alerts.all() == []
    assert browser.post(f"/monitor/{row.id}", urlencode({"csrf": "wrong", "state": "open"}))[0] == 403
    assert "goes with" in browser.get("/monitor?closed=1")[2].decode()


def test_hostile_words_of_traffic_are_shown_and_do_not_act(place):
    client = place.client("watcher", "publisher")
    one = alert("MON-004", HOSTILE, HOSTILE, HOSTILE, 1.0, evidence=[HOSTILE], model=HOSTILE)
    client.tell(one)
    running_ = monitor(pulses=client.pulse)
    running_.baseline = msgspec.structs.replace(running_.baseline, stream=HOSTILE, model=HOSTILE)
    running_.save()
    body = Browser(place, "admin").get("/monitor")[2]
    assert b"<script>alert" not in body
    assert b"\xe2\x80\xae" not in body
    assert b"&lt;script&gt;" in body
