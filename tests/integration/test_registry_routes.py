"""What every route does for every role, and what nobody can make the registry do."""

import hashlib
import http.client
import json
import re
import socket
from urllib.parse import urlencode, urlsplit

import pytest

from tests.registry import running
from weighbridge.registry.api.own import OwnApi, openapi
from weighbridge.registry.server import application
from weighbridge.registry.services.access import Act, Role
from weighbridge.registry.services.refusal import Refusal

LEAST = {
    None: "",
    Act.READ: "reader",
    Act.REQUEST: "reader",
    Act.PUBLISH: "publisher",
    Act.REVIEW: "reviewer",
    Act.ADMINISTER: "admin",
}
OPEN = {
    r"/health", r"/ready", r"/api/weighbridge/v1/openapi.json", r"/api/weighbridge/v1/keys", r"/api/weighbridge/v1/workload", r"/login/begin", r"/login/back", r"/static/(?P<name>[\w.-]+)", r"/login",
    r"/api/(?:telemetry|agent-harnesses)(?:/.*)?", r"/upload/(?P<nonce>[\w-]{43})/(?P<oid>[0-9a-f]{64})",
    r"/upload/(?P<nonce>[\w-]{43})/(?P<oid>[0-9a-f]{64})/(?P<number>\d{1,5})",
}  # fmt: skip


@pytest.fixture
def place(tmp_path):
    with running(tmp_path) as registry:
        yield registry


def example(pattern):
    """A path that a pattern takes."""
    named = {
        "kind": "models",
        "name": "acme/net",
        "rev": "main",
        "path": "x.txt",
        "case": "1",
        "number": "1",
        "user": "nobody-here",
        "nonce": "n" * 43,
        "oid": "a" * 64,
        "version": "1.0",
        "file": "f.whl",
        "what": "approve",
        "alert": "a" * 32,
        "page": "artifacts",
        "form": "json",
        "reference": "latest",
        "digest": "sha256:" + "a" * 64,
    }
    path = pattern
    while match := re.search(r"\(\?P<(\w+)>", path):
        depth, end = 1, match.end()
        while depth:
            depth += {"(": 1, ")": -1}.get(path[end], 0)
            end += 1
        value = (
            "pages.css"
            if path.startswith("/static")
            else "ranker"
            if match[1] == "name" and path.startswith(("/pypi", "/npm"))
            else named[match[1]]
        )
        path = path[: match.start()] + value + path[end:]
    path = path.replace(r"\.", ".")
    path = re.sub(r"\(\?:telemetry\|agent-harnesses\)\(\?:/\.\*\)\?", "telemetry", path)
    path = path.replace(f"(?:{named['kind']}/)?", "").replace("(?:/x.txt)?", "").replace("/?", "/")
    return path.replace("\\", "")


def ask(place, method, path, token="", body=None, **headers):
    url = urlsplit(place.address)
    connection = http.client.HTTPConnection(url.hostname, url.port, timeout=30)
    if token:
        headers["Authorization"] = f"Bearer {token}"
    connection.request(method, path, body=body, headers=headers)
    answer = connection.getresponse()
    data = answer.read()
    connection.close()
    return answer.status, answer.headers, data


def routes_of(place):
    return [(table, route) for table in application(place.services)._tables for route in table.routes]


def test_every_route_is_closed_to_those_who_may_less_and_open_to_those_who_may(place):
    people = {role.value: f"{role.value}-person" for role in Role}
    for role, person in people.items():
        place.services.access.add_user(person, role)
    place.token("nobody-here", "reader")
    checked = 0
    for table, route in routes_of(place):
        path = example(route.pattern)
        assert table.match(route.method, path)[0] is route, (route.pattern, path)
        needed = LEAST[route.act]
        if route.act is None:
            assert route.pattern in OPEN, f"{route.pattern} is open to anybody"
            continue
        status, headers, _ = ask(place, route.method, path, body=b"" if route.method != "GET" else None)
        login = status == 303 and headers["Location"].startswith("/login")
        assert status == 401 or login, (route.method, path, status)
        for role, person in people.items():
            # A token of its own each time: some routes end the one they are asked with.
            token = place.services.access.new_token(person, "test")
            status, _, body = ask(place, route.method, path, token, body=b"{}" if route.method != "GET" else None)
            below = Role(role).rank < Role(needed).rank
            denied = status == 403 and b"may not" in body
            assert denied if below else not denied, (route.method, path, role, status, body[:200])
            assert status < 500 or status == 503, (route.method, path, role, status, body[:200])
            checked += 1
    assert checked > 250


def test_a_token_may_no_more_than_it_was_made_for(place):
    access = place.services.access
    place.token("vera", "reviewer")
    less = access.new_token("vera", "less", role="reader")
    assert ask(place, "POST", "/api/weighbridge/v1/cases/1/approve", less, b'{"reason": "x"}')[0] == 403
    status, _, body = ask(place, "POST", "/api/weighbridge/v1/tokens", less, b'{"name": "more", "role": "reviewer"}')
    assert status == 200
    made = json.loads(body)["token"]
    assert access.caller(made).role is Role.READER
    assert ask(place, "POST", "/api/weighbridge/v1/tokens", less, b'{"name": "more", "user": "admin"}')[0] == 403


def test_tokens_end_and_are_revoked_and_users_are_shut_out(place):
    access = place.services.access
    token = place.token("vera", "reader")
    number = access.caller(token).token
    access.revoke_token(number, owner="vera")
    assert ask(place, "GET", "/api/whoami-v2", token)[0] == 401
    other = access.new_token("vera", "second")
    access.change_user("vera", disabled=True)
    assert ask(place, "GET", "/api/whoami-v2", other)[0] == 401
    with pytest.raises(Refusal, match="nobody would be left"):
        access.change_user("admin", disabled=True)
    ended = access.new_token("admin", "short", days=-1)
    assert ask(place, "GET", "/api/whoami-v2", ended)[0] == 401


def test_tokens_are_kept_as_digests_and_stand_in_no_log(place, capfd):
    token = place.token("vera", "reader")
    ask(place, "GET", "/api/whoami-v2", token)
    ask(place, "GET", "/acme/net/resolve/main/x", token)
    place.house.flush()
    with open(place.house.folder + "/registry.sqlite", "rb") as file:
        kept = file.read()
    with open(place.house.folder + "/registry.sqlite-wal", "rb") as file:
        kept += file.read()
    assert token.encode() not in kept
    assert hashlib.sha256(token.encode()).hexdigest().encode() in kept
    out = capfd.readouterr()
    assert token not in out.out + out.err


def test_who_asks_too_often_is_told_to_wait(tmp_path):
    with running(tmp_path, requests_a_minute=60) as place:
        token = place.token("vera", "reader")
        found = [ask(place, "GET", "/api/whoami-v2", token) for _ in range(70)]
        assert {status for status, _, _ in found} == {200, 429}
        assert next(headers for status, headers, _ in found if status == 429)["Retry-After"] == "1"
        # One caller's haste is not another's.
        assert ask(place, "GET", "/api/whoami-v2", place.token("admin"))[0] == 200


@pytest.mark.parametrize(
    "path",
    [
        "/acme/net/resolve/main/..%2f..%2f..%2fetc%2fpasswd", "/acme/net/resolve/main/../../../../etc/passwd", "/static/..%2fpages.py",
        "/static/../pages.py", "/static/%2e%2e%2fshown.py", "/acme/net/resolve/..%2f..%2fkeys%2fdecisions.pem/x",
        "/pypi/files/ranker/1.0/..%2f..%2fx", "/cases/1%00", "/api/models/acme/net/tree/main/../../../x",
    ],
)  # fmt: skip
def test_no_path_leads_to_a_file_of_the_machine(place, path):
    status, _, body = ask(place, "GET", path, place.token("admin"))

    assert status in {400, 403, 404, 405}, (path, status)
    assert b"root:" not in body
    assert b"PRIVATE KEY" not in body


@pytest.mark.parametrize(
    "head",
    [
        b"GET /health HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"POST /login HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nabcdef",
        b"POST /login HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n",
        b"GET /health HTTP/1.1\r\nHost: x\r\nX: a\nInjected: b\r\n\r\n",
        b"GET /health HTTP/1.1\r\nHost : x\r\n\r\n",
    ],
)  # fmt: skip
def test_a_request_that_two_servers_could_read_differently_is_refused(place, head):
    url = urlsplit(place.address)
    with socket.create_connection((url.hostname, url.port), timeout=10) as wire:
        wire.sendall(head + b"GET /smuggled HTTP/1.1\r\nHost: x\r\n\r\n")
        wire.settimeout(3)
        answer = b""
        try:
            while piece := wire.recv(65536):
                answer += piece
        except TimeoutError:
            pass
    assert answer.startswith(b"HTTP/1.1 400"), answer[:100]
    assert answer.count(b"HTTP/1.1 ") == 1


class Upload:
    """An upload that was announced and has not come yet."""

    def __init__(self, place, data=b"weights" * 1000):
        self.place, self.data, self.oid = place, data, hashlib.sha256(data).hexdigest()
        token = place.token("pat", "publisher")
        ask(place, "POST", "/api/repos/create", token, b'{"name": "net", "organization": "acme"}')
        body = json.dumps({"operation": "upload", "objects": [{"oid": self.oid, "size": len(data)}]}).encode()
        self.announced = ask(place, "POST", "/acme/net.git/info/lfs/objects/batch", token, body)
        self.href = json.loads(self.announced[2])["objects"][0]["actions"]["upload"]["href"].removeprefix(place.address)

    def put(self, href="", data=None):
        return ask(self.place, "PUT", href or self.href, body=self.data if data is None else data)


def test_an_upload_address_takes_its_bytes_once_and_no_others(place):
    one = Upload(place)
    nonce, oid = one.href.split("/")[2:4]

    assert one.put(f"/upload/{'x' * 43}/{oid}")[0] == 403
    assert one.put(f"/upload/{nonce}/{'a' * 64}")[0] == 403
    assert one.put(data=b"other bytes")[0] == 400
    assert one.put(data=one.data + b"more")[0] == 400
    assert place.house.blobs.size(oid) == -1
    assert one.put()[0] == 200
    assert place.house.blobs.size(oid) == len(one.data)
    assert one.put()[0] == 403


def test_an_upload_address_ends(place):
    one = Upload(place)
    place.house.clock = lambda: 4_000_000_000.0

    assert one.put()[0] == 403


def test_a_full_quota_is_said_before_bytes_move(tmp_path):
    with running(tmp_path, quota=100) as place:
        token = place.token("pat", "publisher")
        ask(place, "POST", "/api/repos/create", token, b'{"name": "net", "organization": "acme"}')
        body = json.dumps({"operation": "upload", "objects": [{"oid": "a" * 64, "size": 101}]}).encode()
        status, _, said = ask(place, "POST", "/acme/net.git/info/lfs/objects/batch", token, body)
    assert status == 413
    assert b"of 100 bytes" in said


def test_large_uploads_by_xet_are_told_the_way(place):
    status, _, body = ask(place, "GET", "/api/models/acme/net/xet-write-token/main", place.token("admin"))

    assert status == 400
    assert b"HF_HUB_DISABLE_XET=1" in body


def test_the_description_names_every_route_and_its_role(place):
    found = openapi(OwnApi(place.services)._routes, "http://x")

    assert found["paths"]["/api/weighbridge/v1/cases/{case}/approve"]["post"]["x-role"] == "review"
    assert all("(" not in path for path in found["paths"])
    assert len(found["paths"]) > 20


def test_health_and_readiness_say_what_is_wrong(place, monkeypatch):
    from weighbridge.schema import SourceError

    def full():
        raise SourceError("no space left on device")

    assert ask(place, "GET", "/health")[0] == 200
    assert ask(place, "GET", "/ready")[0] == 200
    monkeypatch.setattr(place.house.blobs, "check", full)
    status, _, body = ask(place, "GET", "/ready")
    assert (status, body) == (503, b"no space left on device\n")


def test_counters_are_for_administrators(place):
    status, _, body = ask(place, "GET", "/metrics", place.token("admin"))

    assert status == 200
    assert b"weighbridge_requests_total" in body


# --- forms and pages


class Browser:
    """Keeps a cookie, and reads the mark of a form from a page."""

    def __init__(self, place, user, role=""):
        self.place = place
        body = urlencode({"token": place.token(user, role), "next": "/"})
        status, headers, _ = self.post("/login", body)
        assert status == 303
        self.cookie = headers["Set-Cookie"]

    def post(self, path, body, **headers):
        if hasattr(self, "cookie"):
            headers["Cookie"] = self.cookie.partition(";")[0]
        return ask(self.place, "POST", path, body=body, **headers)

    def get(self, path):
        return ask(self.place, "GET", path, Cookie=self.cookie.partition(";")[0])

    def mark(self):
        return re.search(rb'name="csrf" value="([0-9a-f]{64})"', self.get("/")[2])[1].decode()


def test_the_cookie_of_a_session_is_for_this_site_and_no_script(place):
    browser = Browser(place, "admin")

    assert "HttpOnly" in browser.cookie
    assert "SameSite=strict" in browser.cookie


@pytest.mark.parametrize("mark", ["", "0" * 64])
def test_a_form_without_our_mark_changes_nothing(place, mark):
    browser = Browser(place, "admin")

    status, _, _ = browser.post(
        "/admin/users", urlencode({"name": "mallory", "role": "admin", "kind": "person", "csrf": mark})
    )

    assert status == 403
    assert "mallory" not in {row.name for row in place.services.access.users()}


def test_a_form_from_another_place_changes_nothing_even_with_the_mark(place):
    browser = Browser(place, "admin")
    body = urlencode({"name": "mallory", "role": "admin", "kind": "person", "csrf": browser.mark()})

    assert browser.post("/admin/users", body, Origin="https://evil.example")[0] == 403
    assert browser.post("/admin/users", body, Origin=place.address)[0] == 303
    assert "mallory" in {row.name for row in place.services.access.users()}


def test_the_cookie_does_not_open_the_apis(place):
    browser = Browser(place, "admin")

    assert browser.get("/api/weighbridge/v1/users")[0] == 401
    assert browser.get("/api/whoami-v2")[0] == 401


@pytest.mark.parametrize("next_", ["//evil.example", "https://evil.example", "/\\evil.example", "javascript:alert(1)"])
def test_logging_in_leads_nowhere_else(place, next_):
    status, headers, _ = ask(place, "POST", "/login", body=urlencode({"token": place.token("admin"), "next": next_}))

    assert (status, headers["Location"]) == (303, "/")


def test_logging_out_ends_the_session(place):
    browser = Browser(place, "admin")
    assert browser.post("/logout", urlencode({"csrf": browser.mark()}))[0] == 303

    assert browser.get("/")[0] == 303


def test_every_page_forbids_inline_script_and_framing(place):
    browser = Browser(place, "admin")
    for path in ("/", "/artifacts", "/findings", "/policy", "/gateway", "/monitor", "/evidence", "/admin"):
        status, headers, body = browser.get(path)
        assert status == 200, path
        assert "default-src 'none'" in headers["Content-Security-Policy"]
        assert "unsafe" not in headers["Content-Security-Policy"]
        assert headers["X-Frame-Options"] == "DENY"
        assert not re.search(rb"<script(?![^>]*src=)|\son\w+=|style=", body), path


HOSTILE = '"><script>alert(1)</script>\u202e\u0000{{7*7}}'


def test_what_comes_from_artifacts_is_shown_and_does_not_act(place):
    from tests.unit.registry.test_cases import ADA
    from weighbridge.registry.services.cases import Kept
    from weighbridge.registry.services.repositories import Change

    place.services.repositories.create("model", "acme/net", ADA)
    sha256, size = place.house.blobs.put([b"x"])
    name = '"><script>alert(1)<'
    kept = Kept(path=name, size=size, sha256=sha256, oid="0" * 40, lfs=True)
    _, case = place.services.repositories.commit(
        "model", "acme/net", "main", [Change(path=name, file=kept)], ADA, title=HOSTILE, message=HOSTILE
    )
    place.settled(case)
    with place.house.database.write() as connection:
        connection.exec_driver_sql("UPDATE revisions SET because = ?, requester = ?", (HOSTILE, HOSTILE))
        connection.exec_driver_sql("UPDATE repositories SET upstream = ?", (HOSTILE,))
        connection.exec_driver_sql("UPDATE events SET detail = ?", (HOSTILE,))
    place.house.note(HOSTILE, HOSTILE, f"/x/resolve/{HOSTILE}", status=404, agent=HOSTILE)
    place.house.flush()
    browser = Browser(place, "admin")
    for path in (
        "/",
        "/artifacts",
        f"/cases/{case}",
        "/findings",
        "/gateway",
        "/monitor",
        "/admin",
        f"/artifacts?q={urlencode({'': HOSTILE})[1:]}",
        "/?said=" + urlencode({"": HOSTILE})[1:],
    ):
        status, _, body = browser.get(path)
        assert status == 200, path
        assert b"<script>alert" not in body, path
        assert b"\xe2\x80\xae" not in body, path
        assert b"49" not in re.findall(rb"alert\(1\)[^<]{0,40}", body), path
    assert b"&lt;script&gt;" in browser.get(f"/cases/{case}")[2]
    assert b"\\u202e" in browser.get(f"/cases/{case}")[2]


def test_cells_of_a_table_are_no_formulas(place):
    from tests.unit.registry.test_cases import ADA
    from weighbridge.registry.services.cases import Kept
    from weighbridge.registry.services.repositories import Change

    place.services.repositories.create("model", "acme/net", ADA)
    sha256, size = place.house.blobs.put([b"x"])
    kept = Kept(path="x", size=size, sha256=sha256, oid="0" * 40, lfs=True)
    _, case = place.services.repositories.commit(
        "model", "acme/net", "main", [Change(path="x", file=kept)], ADA, title="t"
    )
    place.settled(case)
    with place.house.database.write() as connection:
        connection.exec_driver_sql("UPDATE revisions SET because = '=cmd|calc'")

    assert b"'=cmd|calc" in Browser(place, "admin").get("/artifacts?format=csv")[2]
