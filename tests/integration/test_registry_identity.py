"""Identities: the whole login with a provider on loopback, what it refuses, and tokens for pipelines."""

import base64
import hashlib
import http.client
import json
import re
import time
from urllib.parse import parse_qs, urlencode, urlsplit

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa

from tests.registry import opened, running
from tests.servers import Web, serve
from weighbridge.registry.services.access import Role
from weighbridge.registry.services.refusal import Refusal
from weighbridge.schema import UsageError

KEY = rsa.generate_private_key(public_exponent=65537, key_size=2048)
OTHER = rsa.generate_private_key(public_exponent=65537, key_size=2048)


class Provider(Web):
    """An issuer that hands out codes and ID tokens, and can be told to misbehave. `change` alters the claims of the next token."""

    def __init__(self):
        super().__init__()
        self.codes, self.change, self.key, self.issued_by, self.posted = {}, {}, KEY, None, []
        self.route = self.answered

    def answered(self, handler):
        base = f"http://{handler.headers['Host']}"
        url = urlsplit(handler.path)
        if url.path == "/.well-known/openid-configuration":
            body = {
                "issuer": self.issued_by or base, "authorization_endpoint": f"{base}/authorize", "token_endpoint": f"{base}/token",
                "jwks_uri": f"{base}/keys",
            }  # fmt: skip
        elif url.path == "/keys":
            body = {
                "keys": [
                    {**json.loads(jwt.algorithms.RSAAlgorithm.to_jwk(KEY.public_key())), "kid": "one", "alg": "RS256"}
                ]
            }
        elif url.path == "/token":
            form = {
                k: v[0]
                for k, v in parse_qs(handler.rfile.read(int(handler.headers["Content-Length"])).decode()).items()
            }
            self.posted.append(form)
            wanted = self.codes.pop(form["code"], None)
            digest = (
                base64.urlsafe_b64encode(hashlib.sha256(form["code_verifier"].encode()).digest()).rstrip(b"=").decode()
            )
            if wanted is None or wanted["code_challenge"] != digest:
                handler.reply(400, b"{}")
                return True
            body = {"id_token": self.token(base, wanted["nonce"])}
        else:
            return False
        handler.reply(200, json.dumps(body).encode())
        return True

    def token(self, issuer, nonce="", **claims):
        now = int(time.time())
        said = {
            "iss": issuer, "aud": "weighbridge", "sub": "u-1", "iat": now, "exp": now + 300, "nonce": nonce, "preferred_username": "Ada L",
            "groups": ["ml-reviewers"], **claims, **self.change,
        }  # fmt: skip
        return jwt.encode(
            {k: v for k, v in said.items() if v is not None}, self.key, algorithm="RS256", headers={"kid": "one"}
        )


@pytest.fixture
def provider():
    return Provider()


@pytest.fixture
def place(tmp_path, provider):
    with (
        serve(provider) as issuer,
        running(
            tmp_path,
            identity={"issuer": issuer, "roles": {"ml-reviewers": "reviewer", "ml-platform": "admin"}},
            workload=[
                {
                    "name": "train",
                    "issuer": issuer,
                    "audience": "registry",
                    "claims": {"repository": "acme/*", "ref": "refs/heads/main"},
                    "namespace": "acme",
                }
            ],
        ) as registry,
    ):
        registry.issuer = issuer
        yield registry


def ask(place, path, cookies=None, method="GET", body=None):
    url = urlsplit(place.address)
    connection = http.client.HTTPConnection(url.hostname, url.port, timeout=30)
    headers = {"Cookie": "; ".join(f"{k}={v}" for k, v in (cookies or {}).items())} if cookies else {}
    connection.request(method, path, body=body, headers=headers)
    answer = connection.getresponse()
    data = answer.read()
    for value in answer.headers.get_all("Set-Cookie") or []:
        name, _, rest = value.partition("=")
        (cookies if cookies is not None else {})[name] = rest.partition(";")[0]
    connection.close()
    return answer.status, answer.headers, data


def begun(place, provider, code="code-1"):
    """(cookies of the browser, the address at which it comes back) after the provider has asked who it is."""
    cookies = {"x": "y"}
    status, headers, _ = ask(place, "/login/begin?next=/artifacts", cookies)
    assert status == 303
    query = {k: v[0] for k, v in parse_qs(urlsplit(headers["Location"]).query).items()}
    assert query["code_challenge_method"] == "S256"
    assert query["redirect_uri"] == f"{place.address}/login/back"
    provider.codes[code] = query
    return cookies, f"/login/back?{urlencode({'code': code, 'state': query['state']})}"


def test_a_person_logs_in_with_the_role_of_their_group(place, provider):
    cookies, back = begun(place, provider)

    status, headers, body = ask(place, back, cookies)

    assert status == 200, body
    assert b'content="0;url=/artifacts"' in body
    assert "SameSite=strict" in headers.get_all("Set-Cookie")[0]
    assert ask(place, "/artifacts", cookies)[0] == 200
    (user,) = [row for row in place.services.access.users() if row.name == "ada-l"]
    assert (user.role, user.identity) == ("reviewer", f"{place.issuer} u-1")


def test_a_role_follows_the_groups_of_today(place, provider):
    ask(place, begun(place, provider)[1], begun(place, provider)[0])
    for groups, role in ((["ml-platform"], "admin"), ([], "reader"), ("ml-reviewers", "reviewer")):
        provider.change = {"groups": groups}
        cookies, back = begun(place, provider)
        assert ask(place, back, cookies)[0] == 200
        assert {row.name: row.role for row in place.services.access.users()}["ada-l"] == role


def test_an_identity_never_takes_over_a_user_of_the_same_name(place, provider):
    provider.change = {"preferred_username": "admin"}
    cookies, back = begun(place, provider)

    assert ask(place, back, cookies)[0] == 200

    (made,) = [row for row in place.services.access.users() if row.identity]
    assert made.name.startswith("admin-")
    assert made.role == "reviewer"


@pytest.mark.parametrize(
    "change",
    [
        {"nonce": "another"}, {"aud": "another"}, {"iss": "https://evil.example"}, {"exp": 1}, {"sub": None}, {"iat": int(time.time()) + 9999},
    ],
)  # fmt: skip
def test_a_token_that_is_not_for_this_login_lets_nobody_in(place, provider, change):
    cookies, back = begun(place, provider)
    provider.change = change

    status, _, _ = ask(place, back, cookies)

    assert status == 403
    assert "weighbridge" not in cookies
    assert {row.name for row in place.services.access.users()} == {"admin"}


def test_a_token_by_another_key_or_none_lets_nobody_in(place, provider):
    cookies, back = begun(place, provider)
    provider.key = OTHER
    assert ask(place, back, cookies)[0] == 403

    cookies, back = begun(place, provider)
    provider.token = lambda issuer, nonce: jwt.encode(
        {"iss": issuer, "aud": "weighbridge", "sub": "u", "iat": 1, "exp": 9e9, "nonce": nonce}, "", algorithm="none"
    )
    assert ask(place, back, cookies)[0] == 403
    provider.token = lambda issuer, nonce: jwt.encode(
        {"iss": issuer, "aud": "weighbridge", "sub": "u", "iat": 1, "exp": 9e9, "nonce": nonce},
        "x" * 64,
        algorithm="HS256",
        headers={"kid": "one"},
    )
    assert ask(place, back, cookies)[0] == 403


def test_a_login_that_somebody_else_began_is_refused(place, provider):
    _, back = begun(place, provider)

    assert ask(place, back, {"x": "y"})[0] == 403
    other, _ = begun(place, provider, "code-2")
    assert ask(place, back, other)[0] == 403
    assert provider.posted == []


def test_a_code_serves_once(place, provider):
    cookies, back = begun(place, provider)
    kept = dict(cookies)
    assert ask(place, back, cookies)[0] == 200

    assert ask(place, back, kept)[0] == 403


def test_an_issuer_that_says_it_is_another_is_not_asked(place, provider):
    provider.issued_by = "https://evil.example"

    assert ask(place, "/login/begin")[0] == 503


def test_without_an_issuer_nothing_is_offered(tmp_path):
    with running(tmp_path) as place:
        assert b"your organisation" not in ask(place, "/login")[2]
        assert ask(place, "/login/begin")[0] == 404


# --- pipelines


def exchanged(place, provider, **claims):
    token = provider.token(
        place.issuer, **{"aud": "registry", "repository": "acme/models", "ref": "refs/heads/main", **claims}
    )
    return ask(place, "/api/weighbridge/v1/workload", method="POST", body=json.dumps({"token": token}))


def test_a_run_gets_a_token_for_its_namespace_and_an_hour(place, provider):
    status, _, body = exchanged(place, provider)

    assert status == 200, body
    caller = place.services.access.caller(json.loads(body)["token"])
    assert (caller.name, caller.role, caller.namespace, caller.kind) == ("train", Role.PUBLISHER, "acme", "service")
    (row,) = [one for one in place.services.access.tokens() if one.user == "train"]
    assert 3500 < row.expires - row.created < 3700
    # A second run is the same workload.
    assert exchanged(place, provider)[0] == 200


def test_a_second_workload_of_the_same_issuer_is_found_by_its_audience(tmp_path, provider):
    with serve(provider) as issuer:
        rows = [
            {"name": name, "issuer": issuer, "audience": name, "claims": {"repository": "acme/*"}}
            for name in ("train", "release")
        ]
        _, services, _ = opened(tmp_path, workload=rows)
        token = provider.token(issuer, aud="release", repository="acme/models")
        assert services.identity.exchange(token)[1] == "release"


@pytest.mark.parametrize(
    "claims",
    [{"repository": "evil/models"}, {"ref": "refs/heads/other"}, {"ref": None}, {"aud": "another"}, {"exp": 1}],
)
def test_a_run_that_does_not_fit_gets_nothing(place, provider, claims):
    assert exchanged(place, provider, **claims)[0] == 401


@pytest.mark.parametrize(
    "token", ["", "x", "a.b.c", jwt.encode({"iss": "https://evil.example"}, "x" * 40, algorithm="HS256")]
)
def test_what_is_no_token_of_a_run_gets_nothing(place, token):
    status, _, body = ask(place, "/api/weighbridge/v1/workload", method="POST", body=json.dumps({"token": token}))

    assert status == 401
    assert not re.search(rb"Traceback", body)


def test_a_workload_never_becomes_a_person(place, provider):
    place.services.access.add_user("train", "admin")

    with pytest.raises(Refusal, match="another user"):
        place.services.identity.exchange(
            provider.token(place.issuer, aud="registry", repository="acme/x", ref="refs/heads/main")
        )


def test_terms_that_would_let_anybody_in_are_refused(tmp_path):
    with pytest.raises(UsageError, match="names no claim"):
        opened(tmp_path, workload=[{"name": "x", "issuer": "https://i", "audience": "a", "claims": {}}])
    with pytest.raises(UsageError, match="no role"):
        opened(tmp_path, identity={"issuer": "https://i", "roles": {"x": "root"}})
