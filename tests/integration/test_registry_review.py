"""What reviewers do beside deciding: accept a finding for a while, roll back, read the bill of materials; and who imports."""

import json
import logging
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, unquote, urlencode, urlsplit

import pytest

from tests.integration.test_registry_hub import EVIL
from tests.integration.test_registry_routes import Browser
from tests.registry import running
from weighbridge.registry import logs
from weighbridge.registry.mlflow_source import MlflowSource, bring_in
from weighbridge.registry.records import tables
from weighbridge.schema import SourceError, UsageError

NET = b'{"model_type": "bert"}'


@pytest.fixture
def place(tmp_path):
    with running(tmp_path) as registry:
        yield registry


def folder_of(folder, files):
    for name, data in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    return str(folder)


def settled(place, number, was):
    """The state after a case went through again."""
    place.client("rita", "reviewer").decide(number, "rescan", was)
    return place.settled(number)


# --- waivers


@pytest.fixture
def bad(place, tmp_path):
    """A case that was rejected for one finding."""
    case = place.client().push("model", "acme/bad", folder_of(tmp_path / "bad", {"model.pkl": EVIL}), "x")
    assert place.settled(case) == "rejected"
    return case


def findings(place, case):
    return [
        (one["rule"], one["location"]["path"])
        for one in json.loads(place.client()._call("GET", f"/api/weighbridge/v1/cases/{case}/report"))["findings"]
    ]


def waive_all(place, case, days=30):
    with place.house.database.read() as connection:
        rows = connection.execute(tables.findings.select()).all()
    for row in rows:
        place.client("rita", "reviewer").waive(case, row.rule, row.member, "known, and looked at", days=days)
    return rows


def test_an_accepted_finding_no_longer_decides_and_stays_in_the_report(place, bad):
    before = findings(place, bad)
    assert before
    waive_all(place, bad)

    # One reviewer's waiver lets nothing in by itself: the case comes before the reviewers.
    assert settled(place, bad, "with what was accepted") == "needs review"
    assert "people accepted what would hold it" in place.client().case(bad).because
    assert findings(place, bad) == before
    assert place.client("rita", "reviewer").decide(bad, "approve", "accepted until it is mended") == "approved"
    page = place.client()._call("GET", f"/cases/{bad}").decode()
    assert "Accepted by rita until" in page


def test_who_asked_cannot_accept_what_is_wrong_with_it(place, bad):
    with pytest.raises(SourceError, match="four eyes"):
        place.client("admin").waive(bad, "PKL-001", "model.pkl", "mine", days=1)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"rule": "PKL-999"}, "no finding PKL-999"),
        ({"reason": " "}, "needs a reason"),
        ({"days": 0}, "1 to 365 days"),
        ({"days": 4000}, "1 to 365 days"),
        ({"member": "*"}, "no finding"),
    ],
)
def test_a_waiver_names_a_finding_a_reason_and_an_end(place, bad, change, said):
    wish = {"rule": "PKL-001", "member": "bad/model.pkl", "reason": "x", "days": 9, **change}
    with pytest.raises(SourceError, match=said):
        place.client("rita", "reviewer").waive(bad, **wish)
    assert place.services.waivers.of("x") == ()


def test_a_waiver_that_has_ended_decides_nothing(place, bad):
    waive_all(place, bad, days=2)
    then = place.house.clock() + 5 * 86400
    place.house.clock = lambda: then

    assert settled(place, bad, "years later") == "rejected"


def test_a_row_that_this_registry_has_not_signed_waives_nothing(place, bad, tmp_path):
    waive_all(place, bad)
    w = tables.waivers
    with place.house.database.read() as connection:
        digest, text = connection.execute(w.select()).one()[1:3]
    assert len(place.services.waivers.of(digest)) == 1
    assert place.services.waivers.of("0" * 64) == ()
    forged = json.loads(text)
    forged["dsseEnvelope"]["payload"] = "e30="
    with place.house.database.write() as connection:
        connection.execute(w.delete())
        # One with other words, and a true one under the files of something else.
        connection.execute(w.insert().values(digest=digest, statement=json.dumps(forged), at=0.0))
        connection.execute(w.insert().values(digest="1" * 64, statement=text, at=0.0))

    assert place.services.waivers.of(digest) == place.services.waivers.of("1" * 64) == ()
    assert settled(place, bad, "after the break-in") == "rejected"


# --- rolling back


# --- triage


def first_finding(place):
    with place.house.database.read() as connection:
        return connection.execute(tables.findings.select().order_by(tables.findings.c.id)).first()


def say(browser, number, word, reason="", query="", shown=None):
    row = shown or first_finding(browser.place)
    finding = f"{row.digest} {row.rule} {row.member}"
    body = {"csrf": browser.mark(), "triage": word, "reason": reason, "query": query, "finding": finding}
    return browser.post(f"/findings/{number}", urlencode(body))


def test_what_was_said_of_a_finding_stays_with_who_said_it_and_why(place, bad):
    rita, otto = Browser(place, "rita", "reviewer"), Browser(place, "otto", "reviewer")
    number = first_finding(place).id

    say(rita, number, "confirmed", "it opens a <b>shell</b>")
    say(otto, number, "false alarm", "only in its test")
    page = rita.get("/findings")[2].decode()

    assert "<strong>confirmed</strong> by rita" in page
    assert "it opens a &lt;b&gt;shell&lt;/b&gt;" in page
    assert page.index("by rita") < page.index("by otto")
    assert first_finding(place).triage == "false alarm"


def test_what_was_said_outlives_the_next_inspection(place, bad):
    rita = Browser(place, "rita", "reviewer")
    before = first_finding(place)
    say(rita, before.id, "accepted", "known")

    settled(place, bad, "again")
    after = first_finding(place)

    assert after.inspection_id != before.inspection_id
    assert after.triage == "accepted"
    assert "<strong>accepted</strong> by rita" in rita.get("/findings")[2].decode()


def test_setting_a_word_leads_back_to_the_filter_it_was_set_in(place, bad):
    rita = Browser(place, "rita", "reviewer")

    status, headers, _ = say(rita, first_finding(place).id, "confirmed", query="severity=critical&next=//evil.example")

    assert (status, headers["Location"]) == (303, "/findings?severity=critical")


def test_a_page_that_was_loaded_before_the_next_inspection_says_nothing_of_another_finding(place, bad):
    rita = Browser(place, "rita", "reviewer")
    row = first_finding(place)
    with place.house.database.write() as connection:
        connection.execute(tables.findings.update().values(rule="PKL-002"))

    assert say(rita, row.id, "accepted", shown=row)[0] == 404
    assert first_finding(place).triage == "open"


@pytest.mark.parametrize(("number", "word", "status"), [("1", "nonsense", 400), ("999", "confirmed", 404)])
def test_another_word_or_another_finding_changes_nothing(place, bad, number, word, status):
    rita = Browser(place, "rita", "reviewer")

    assert say(rita, number, word)[0] == status
    assert first_finding(place).triage == "open"
    assert place.services.triage.said([first_finding(place)]) == {}


# --- filters that somebody keeps


def kept(browser, page, name, query, do="filters"):
    return browser.post(f"/{page}/{do}", urlencode({"csrf": browser.mark(), "name": name, "query": query}))


def test_a_filter_is_kept_shown_used_and_forgotten_by_the_one_who_keeps_it(place, bad):
    rita, ruth = Browser(place, "rita", "reviewer"), Browser(place, "ruth", "reader")

    status, headers, _ = kept(rita, "artifacts", "what <we> refused", "state=rejected&kind=model&after=3&said=x")

    assert (status, headers["Location"]) == (303, "/artifacts?kind=model&state=rejected")
    page = rita.get("/artifacts")[2].decode()
    assert '<a href="/artifacts?kind=model&amp;state=rejected">what &lt;we&gt; refused</a>' in page
    assert "refused</a>" not in ruth.get("/artifacts")[2].decode()
    assert "refused</a>" not in rita.get("/findings")[2].decode()
    assert 'aria-current="true"' in rita.get("/artifacts?kind=model&state=rejected")[2].decode()

    assert kept(ruth, "artifacts", "what <we> refused", "", "filters/forget")[0] == 404
    assert kept(rita, "artifacts", "what <we> refused", "", "filters/forget")[0] == 303
    assert "refused</a>" not in rita.get("/artifacts")[2].decode()


def test_a_filter_of_the_same_name_takes_the_place_of_the_one_before(place):
    ruth = Browser(place, "ruth", "reader")

    kept(ruth, "findings", "mine", "severity=high")
    kept(ruth, "findings", "mine", "severity=critical")

    caller = place.services.access.caller(place.token("ruth"))
    assert [tuple(row) for row in place.services.filters.of("findings", caller)] == [("mine", "severity=critical")]


@pytest.mark.parametrize(
    ("name", "query"), [("", "state=failed"), ("x" * 65, "state=failed"), ("a\nb", "state=failed"), ("all", "")]
)
def test_a_filter_needs_a_name_and_something_to_filter_by(place, name, query):
    ruth = Browser(place, "ruth", "reader")

    assert kept(ruth, "artifacts", name, query)[0] == 400
    assert place.services.filters.of("artifacts", place.services.access.caller(place.token("ruth"))) == []


def test_nobody_keeps_filters_without_end(place):
    ruth = Browser(place, "ruth", "reader")
    for number in range(50):
        assert kept(ruth, "artifacts", f"f{number}", "state=failed")[0] == 303

    assert kept(ruth, "artifacts", "one more", "state=failed")[0] == 400
    assert kept(ruth, "artifacts", "f7", "state=approved")[0] == 303


# --- rolling back


def test_a_roll_back_serves_the_last_good_revision_again(place, tmp_path):
    client = place.client()
    first = client.push("model", "acme/net", folder_of(tmp_path / "a", {"config.json": NET}), "one")
    assert place.settled(first) == "approved"
    second = client.push("model", "acme/net", folder_of(tmp_path / "b", {"config.json": NET + b" "}), "two")
    assert place.settled(second) == "approved"
    page = client._call("GET", f"/cases/{second}").decode()
    assert f'rolls <span class="mono">main</span> back to <a href="/cases/{first}">case {first}</a>' in page

    revoked, served = client.roll_back("model", "acme/net", "it drifts")
    assert (revoked.id, served.id) == (second, first)
    assert client.roll_back("model", "acme/net", "this one too")[1] is None
    with pytest.raises(UsageError, match="serves nothing"):
        client.roll_back("model", "acme/net", "again")


# --- the bill of materials


def test_the_bill_of_materials_of_a_case_is_shown_and_handed_out(place, tmp_path):
    case = place.client().push("model", "acme/net", folder_of(tmp_path / "net", {"config.json": NET}), "x")
    assert place.settled(case) == "approved"

    bill = json.loads(place.client()._call("GET", f"/cases/{case}/bill.cdx.json"))
    assert bill["bomFormat"] == "CycloneDX"
    assert bill == json.loads(place.client()._call("GET", f"/api/weighbridge/v1/cases/{case}/bill"))


# --- what inspections go by


def test_new_advisories_and_a_new_feed_ask_about_what_is_served_again(place, tmp_path, monkeypatch):
    case = place.client().push("model", "acme/net", folder_of(tmp_path / "net", {"config.json": NET}), "x")
    assert place.settled(case) == "approved"
    asked = []
    monkeypatch.setattr(place.services.workflow, "judged_anew", lambda *given: asked.append(given) or "")
    assert place.services.upkeep.judge_again() == []
    assert asked == []

    advisories = tmp_path / "advisories.sqlite"
    monkeypatch.setattr("weighbridge.dependencies.advisories.default_path", lambda: str(advisories))
    place.services.upkeep.judge_again()
    before, asked[:] = place.services.inspector.edition(), []
    advisories.write_bytes(b"news")

    assert place.services.inspector.edition() != before
    place.services.upkeep.judge_again()
    assert asked == [(case, 1)]


# --- another registry's models


class Tracking(BaseHTTPRequestHandler):
    """The answers of an MLflow 3 server with one model of two versions, and one that lies elsewhere."""

    FILES = {  # noqa: RUF012
        "0/models/m-1/artifacts": {"MLmodel": b"flavors: {}\n", "data/config.json": NET},
        "0/models/m-2/artifacts": {"MLmodel": b"flavors: {}\n", "data/model.pkl": EVIL},
        "0/models/m-3/artifacts": {"../../escape": b"x"},
    }
    WHERE = {  # noqa: RUF012
        ("net", "1"): "mlflow-artifacts:/0/models/m-1/artifacts",
        ("net", "3"): "mlflow-artifacts:/0/models/m-2/artifacts",
        ("far", "1"): "s3://bucket/model",
        ("odd", "1"): "mlflow-artifacts:/0/models/m-3/artifacts",
    }

    def log_message(self, *_):
        pass

    def do_GET(self):
        where = urlsplit(self.path)
        query = {key: value[0] for key, value in parse_qs(where.query).items()}
        found = self.answer(where.path.removeprefix("/api/2.0/"), query)
        body = found if isinstance(found, bytes) else json.dumps(found).encode()
        self.send_response(200 if found is not None else 404)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def answer(self, path, query):
        if path == "mlflow/registered-models/search":
            # Two pages.
            if "page_token" not in query:
                return {"registered_models": [{"name": "net"}], "next_page_token": "more"}
            return {"registered_models": [{"name": "far"}, {"name": "odd"}]}
        if path == "mlflow/registered-models/get":
            return {
                "registered_model": {
                    "aliases": [{"alias": "champion", "version": "1"}, {"alias": "old", "version": "7"}]
                }
            }
        if path == "mlflow/model-versions/search":
            name = query["filter"].partition("'")[2][:-1]
            return {"model_versions": [{"version": v} for n, v in reversed(self.WHERE) if n == name]}
        if path == "mlflow/model-versions/get-download-uri":
            return {"artifact_uri": self.WHERE[query["name"], query["version"]]}
        root = "mlflow-artifacts/artifacts"
        if path == root:
            return {"files": self.listed(query["path"])}
        path = unquote(path.removeprefix(f"{root}/"))
        return next(
            (data for top, files in self.FILES.items() for name, data in files.items() if path == f"{top}/{name}"), None
        )

    def listed(self, path):
        top = next(one for one in self.FILES if path.startswith(one))
        below = path[len(top) :].strip("/")
        start = f"{below}/" if below else ""
        if ".." in "".join(self.FILES[top]):
            return [{"path": name, "is_dir": False} for name in self.FILES[top]]
        names = {name[len(start) :].partition("/")[0::2] for name in self.FILES[top] if name.startswith(start)}
        return [{"path": first, "is_dir": bool(rest)} for first, rest in sorted(names)]


@pytest.fixture
def tracking():
    server = ThreadingHTTPServer(("127.0.0.1", 0), Tracking)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()


def test_versions_of_an_mlflow_registry_come_in_under_their_numbers_and_are_inspected(place, tracking):
    came = list(bring_in(MlflowSource(tracking), place.client()))

    assert [(one.name, one.version, bool(one.case)) for one in came] == [
        ("net", "1", True), ("net", "3", True), ("far", "1", False), ("odd", "1", False),
    ]  # fmt: skip
    assert "s3:" in came[2].why
    assert "leads out of the folder" in came[3].why
    assert [place.settled(one.case) for one in came[:2]] == ["approved", "rejected"]
    served = place.client().served("model", "mlflow/net", "champion")
    assert served.id == came[0].case
    row = place.client()._call("GET", "/mlflow/api/2.0/mlflow/model-versions/get?name=net&version=3")
    assert "PKL-001" in json.loads(row)["model_version"]["status_message"]


def test_what_is_no_mlflow_server_is_said(place):
    with pytest.raises(SourceError, match="answers 404"):
        list(bring_in(MlflowSource(f"{place.address}/nothing"), place.client()))


# --- logs


def test_every_answer_is_a_line_of_json_with_the_trace_of_the_client_and_no_secret(place, capfd):
    handlers = list(logging.getLogger().handlers)
    logs.begin("json")
    try:
        trace = {"traceparent": "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"}
        token = place.token("admin")
        place.client()._raw(
            "GET",
            f"{place.address}/api/weighbridge/v1/cases?q=secret",
            None,
            {**trace, "Authorization": f"Bearer {token}"},
        ).read()
    finally:
        logging.getLogger().handlers[:] = handlers
        logs.ACCESS.setLevel(logging.NOTSET)
    said = capfd.readouterr().err
    assert token not in said
    assert "q=secret" not in said
    line = next(
        one
        for one in map(json.loads, filter(None, said.splitlines()))
        if one.get("route", "").endswith("/cases") and "trace_id" in one
    )
    assert (line["status"], line["method"], line["trace_id"]) == (200, "GET", "4bf92f3577b34da6a3ce929d0e0e4736")


@pytest.mark.parametrize("header", ["", "nonsense", "00-" + "0" * 32 + "-00f067aa0ba902b7-01", "00-é-1-1"])
def test_a_trace_that_is_none_is_left_out(header):
    assert logs.trace_of(header) == {}
