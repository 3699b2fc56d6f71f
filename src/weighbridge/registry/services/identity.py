"""Knows identities that somebody else vouches for: people by OpenID Connect, pipelines by the token of their run.

Sources: OpenID Connect Core 1.0 (code flow, ID token validation), RFC 7636 (PKCE, S256), RFC 9700 (state, nonce). Keys and endpoints come
from the issuer's discovery document alone.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
import secrets
from threading import Lock
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlencode

import jwt
from msgspec import Struct
from sqlalchemy import select

from weighbridge.policy.language import matches
from weighbridge.registry.records import tables
from weighbridge.registry.services.access import Access, Role
from weighbridge.registry.services.refusal import No, Refusal
from weighbridge.schema import SourceError
from weighbridge.source.http import Session

if TYPE_CHECKING:
    from weighbridge.registry.services.house import House
    from weighbridge.registry.services.terms import Workload

_SIGNED: Final = ("RS256", "RS384", "RS512", "PS256", "ES256", "ES384", "EdDSA")
_LEEWAY: Final = 30
_KNOWN: Final = 600.0
_HOURS: Final = 12
_MINUTES: Final = 60
_LETTERS: Final = re.compile(r"[^a-z0-9._-]+")


class Begun(Struct, frozen=True, kw_only=True):
    """A login on its way: what the browser keeps until it comes back."""

    state: str
    nonce: str
    verifier: str
    next: str


class Identity:
    """Logins by the issuer that the terms name, and tokens for pipelines."""

    def __init__(self, house: House, access: Access) -> None:
        self._house, self._access = house, access
        self._documents: dict[str, tuple[float, dict[str, Any]]] = {}
        self._lock = Lock()

    @property
    def offered(self) -> bool:
        """Whether people can log in by an issuer."""
        return bool(self._house.terms.identity.issuer)

    # --- people

    def begin(self, back: str, next_: str) -> tuple[str, Begun]:
        """(where the browser goes, what it keeps). Raises Refusal where no issuer is settled."""
        terms = self._house.terms.identity
        if not terms.issuer:
            raise Refusal(No.ENTRY, "no identity provider is settled", hint="[registry.identity]")
        begun = Begun(
            state=secrets.token_urlsafe(24),
            nonce=secrets.token_urlsafe(24),
            verifier=secrets.token_urlsafe(48),
            next=next_,
        )
        digest = hashlib.sha256(begun.verifier.encode()).digest()
        query = {
            "response_type": "code", "client_id": terms.client, "redirect_uri": back, "scope": "openid profile email",
            "state": begun.state, "nonce": begun.nonce, "code_challenge_method": "S256",
            "code_challenge": base64.urlsafe_b64encode(digest).rstrip(b"=").decode(),
        }  # fmt: skip
        return f"{self._discovered(terms.issuer)['authorization_endpoint']}?{urlencode(query)}", begun

    def finish(self, begun: Begun, state: str, code: str, back: str, secret: str) -> str:
        """A session token for whoever the issuer vouches for. Raises Refusal where something does not fit."""
        terms = self._house.terms.identity
        if not code or not secrets.compare_digest(state.encode(), begun.state.encode()):
            raise Refusal(No.WHO, "this login was not begun here", hint="log in again")
        form = {
            "grant_type": "authorization_code", "code": code, "redirect_uri": back, "client_id": terms.client,
            "code_verifier": begun.verifier,
        }  # fmt: skip
        if secret:
            form["client_secret"] = secret
        answer = self._asked(str(self._discovered(terms.issuer)["token_endpoint"]), urlencode(form).encode())
        claims = self._claims(str(answer.get("id_token", "")), terms.issuer, terms.client)
        if claims.get("nonce") != begun.nonce:
            raise Refusal(No.WHO, "the login answers another question", hint="log in again")
        user = self._user(claims, terms.issuer)
        return self._access.new_token(user, "browser", days=_HOURS / 24, kind="session")

    def _user(self, claims: dict[str, Any], issuer: str) -> str:
        """The user of an identity, with the role that its claims give today."""
        identity = f"{issuer} {claims['sub']}"
        role = self._role(claims)
        with self._house.database.read() as connection:
            u = tables.users
            known = connection.execute(select(u).where(u.c.identity == identity)).one_or_none()
        if known is not None:
            if known.role != role:
                self._access.change_user(known.name, role=role)
            return str(known.name)
        wished = str(claims.get("preferred_username") or claims.get("email") or claims["sub"]).lower()
        name = _LETTERS.sub("-", wished).strip("-._")[:40] or "somebody"
        try:
            self._access.add_user(name, role, identity=identity)
        except Refusal as refusal:
            if refusal.why is not No.CONFLICT:
                raise
            # The name is somebody else's; an identity never takes over a user that it was not made for.
            name = f"{name}-{hashlib.sha256(identity.encode()).hexdigest()[:8]}"
            self._access.add_user(name, role, identity=identity)
        return name

    def _role(self, claims: dict[str, Any]) -> str:
        terms = self._house.terms.identity
        said = claims.get(terms.claim, [])
        groups = [said] if isinstance(said, str) else [str(one) for one in said] if isinstance(said, list) else []
        roles = [Role(terms.roles[group]) for group in groups if group in terms.roles]
        return max(roles, key=lambda one: one.rank).value if roles else terms.otherwise

    # --- pipelines

    def exchange(self, token: str) -> tuple[str, str]:
        """(token for an hour, whose it is) in exchange for the token of a run. Raises Refusal where no workload fits."""
        try:
            issuer = str(jwt.decode(token, options={"verify_signature": False}).get("iss", ""))
        except jwt.PyJWTError as error:
            raise Refusal(No.WHO, "this is no token of a run", hint="give the OIDC token of the pipeline") from error
        for workload in self._house.terms.workload:
            if workload.issuer != issuer:
                continue
            try:
                claims = self._claims(token, workload.issuer, workload.audience)
            except Refusal as refusal:
                # The same issuer may speak for another workload, with another audience.
                if refusal.why is not No.WHO:
                    raise
                continue
            if all(matches(str(claims.get(name, "")), pattern) for name, pattern in workload.claims.items()):
                return self._granted(workload), workload.name
        raise Refusal(No.WHO, "no workload fits this token", hint="[[registry.workload]] says which do")

    def _granted(self, workload: Workload) -> str:
        try:
            self._access.add_user(workload.name, workload.role, kind="service", identity=f"workload {workload.name}")
        except Refusal as refusal:
            if refusal.why is not No.CONFLICT:
                raise
            with self._house.database.read() as connection:
                u = tables.users
                known = connection.scalar(select(u.c.identity).where(u.c.name == workload.name))
            if known != f"workload {workload.name}":
                raise Refusal(
                    No.CONFLICT, f"{workload.name} is another user", hint="name the workload otherwise"
                ) from None
        return self._access.new_token(
            workload.name, "workload", role=workload.role, namespace=workload.namespace, days=_MINUTES / 1440
        )

    # --- the issuer

    def _claims(self, token: str, issuer: str, audience: str) -> dict[str, Any]:
        """What a token claims, if its issuer has signed it, for us, and in time. Raises Refusal."""
        try:
            keys = jwt.PyJWKSet.from_dict(self._document(str(self._discovered(issuer)["jwks_uri"])))
            wanted = jwt.get_unverified_header(token).get("kid")
            key = next((one for one in keys.keys if wanted is None or one.key_id == wanted), None)
            if key is None:
                raise Refusal(No.WHO, "the token is signed by a key that its issuer does not have", hint="log in again")
            claims: dict[str, Any] = jwt.decode(
                token, key, algorithms=list(_SIGNED), issuer=issuer, audience=audience, leeway=_LEEWAY,
                options={"require": ["exp", "iat", "iss", "aud", "sub"]},
            )  # fmt: skip
        except jwt.PyJWTError as error:
            raise Refusal(No.WHO, f"the token does not hold: {error}", hint="log in again") from error
        return claims

    def _discovered(self, issuer: str) -> dict[str, Any]:
        found = self._document(f"{issuer.rstrip('/')}/.well-known/openid-configuration")
        if found.get("issuer") != issuer:
            raise Refusal(No.LATER, f"{issuer} says that it is {found.get('issuer')}", hint="check the issuer")
        return found

    def _document(self, url: str) -> dict[str, Any]:
        now = self._house.clock()
        with self._lock:
            known = self._documents.get(url)
        if known and known[0] > now:
            return known[1]
        try:
            found = json.loads(Session(trusted=url, backoff=0.1).document(url)[0])
        except (SourceError, ValueError) as error:
            raise Refusal(
                No.LATER, f"the identity provider does not answer: {error}", hint="try again later"
            ) from error
        if not isinstance(found, dict):
            raise Refusal(No.LATER, "the identity provider does not answer in JSON", hint="check the issuer")
        with self._lock:
            self._documents[url] = (now + _KNOWN, found)
        return found

    def _asked(self, url: str, form: bytes) -> dict[str, Any]:
        headers = {"Content-Type": "application/x-www-form-urlencoded", "Accept": "application/json"}
        try:
            response, _ = Session(trusted=url, backoff=0.1).open(url, headers, method="POST", body=form)
            found = json.loads(response.read(1 << 20))
            response.release_conn()
        except (SourceError, ValueError) as error:
            raise Refusal(No.WHO, "the identity provider does not take this login", hint="log in again") from error
        return found if isinstance(found, dict) else {}
