"""Knows who may do what: users, service accounts, tokens, roles. What is not allowed here is refused."""

from __future__ import annotations

import hashlib
import re
import secrets
import time
from enum import StrEnum
from threading import Lock
from typing import TYPE_CHECKING, Final

from msgspec import Struct
from sqlalchemy import insert, select, update
from sqlalchemy.exc import IntegrityError

from weighbridge.registry.records import tables
from weighbridge.registry.services.refusal import No, Refusal

if TYPE_CHECKING:
    from weighbridge.registry.records.tables import Record
    from weighbridge.registry.services.house import House

_NAME: Final = re.compile(r"[a-z0-9][a-z0-9._-]{0,62}\Z")
_DAY: Final = 86400


class Role(StrEnum):
    """What somebody is here; each may do what those before it may."""

    READER = "reader"
    PUBLISHER = "publisher"
    REVIEWER = "reviewer"
    ADMIN = "admin"

    @property
    def rank(self) -> int:
        """0 for the one who may least."""
        return list(Role).index(self)


class Act(StrEnum):
    """What can be done."""

    READ = "read"
    REQUEST = "request"
    PUBLISH = "publish"
    REVIEW = "review"
    ADMINISTER = "administer"


_NEEDED: Final[dict[Act, Role]] = {
    Act.READ: Role.READER,
    Act.REQUEST: Role.READER,
    Act.PUBLISH: Role.PUBLISHER,
    Act.REVIEW: Role.REVIEWER,
    Act.ADMINISTER: Role.ADMIN,
}


class Caller(Struct, frozen=True, kw_only=True):
    """Who asks.

    `namespace` bounds what may be published, `scope` is the environment that is asked for; `token` is the number of the
    token, 0 for nobody.
    """

    name: str
    role: Role
    kind: str = "person"
    namespace: str = ""
    scope: str = ""
    token: int = 0

    def may(self, act: Act, namespace: str = "") -> bool:
        """Whether this is allowed."""
        inside = not self.namespace or not namespace or namespace == self.namespace
        return self.role.rank >= _NEEDED[act].rank and (inside or act in {Act.READ, Act.REQUEST})

    def must(self, act: Act, namespace: str = "") -> None:
        """Raises Refusal where it is not."""
        if not self.may(act, namespace):
            where = f" in {namespace}" if namespace else ""
            raise Refusal(No.FORBIDDEN, f"{self.name} may not {act}{where}", hint=f"the role {_NEEDED[act]} is needed")


ANYBODY: Final = Caller(name="anybody", role=Role.READER, kind="nobody")


def digest_of(token: str) -> str:
    """What is kept of a token. It has 256 random bits, so a plain hash is enough."""
    return hashlib.sha256(token.encode()).hexdigest()


class Access:
    """Users and tokens of one registry."""

    def __init__(self, house: House) -> None:
        self._house = house
        self._seen: dict[str, tuple[float, Caller]] = {}
        self._buckets: dict[str, tuple[float, float]] = {}
        self._lock = Lock()

    def caller(self, token: str) -> Caller:
        """Whose token this is. Raises Refusal for one that is unknown, ended, revoked, or of a disabled user.

        What was found is believed for one second, so that a busy client does not ask the database each time.
        """
        known = self.remembered(token)
        if known is not None:
            return known
        digest = digest_of(token)
        t, u = tables.tokens, tables.users
        query = (
            select(
                t.c.id,
                t.c.role,
                t.c.namespace,
                t.c.expires,
                t.c.revoked,
                u.c.name,
                u.c.kind,
                u.c.disabled,
                u.c.role,
                t.c.scope,
            )
            .join_from(t, u)
            .where(t.c.digest == digest)
        )
        with self._house.database.read() as connection:
            row = connection.execute(query).one_or_none()
        if row is None or row[4] or row[7] or row[3] <= self._house.clock():
            raise Refusal(
                No.WHO, "Invalid credentials in Authorization header", hint="the token is unknown, ended or revoked"
            )
        role = min(Role(row[1]), Role(row[8]), key=lambda one: one.rank)
        caller = Caller(name=row[5], role=role, kind=row[6], namespace=row[2], scope=row[9], token=row[0])
        if len(self._seen) > 10_000:
            self._seen.clear()
        self._seen[digest] = (time.monotonic() + 1.0, caller)
        return caller

    def remembered(self, token: str) -> Caller | None:
        """Whose token this was within the last second."""
        seen = self._seen.get(digest_of(token))
        return seen[1] if seen and seen[0] > time.monotonic() else None

    def allow(self, who: str, now: float | None = None) -> float:
        """0 where a request may go on, else for how many seconds to wait. Each caller has a bucket of a minute's requests."""
        rate = self._house.terms.requests_a_minute / 60
        now = time.monotonic() if now is None else now
        with self._lock:
            if len(self._buckets) > 50_000:
                self._buckets.clear()
            left, at = self._buckets.get(who, (rate * 60, now))
            left = min(rate * 60, left + (now - at) * rate)
            granted = left >= 1
            self._buckets[who] = (left - 1 if granted else left, now)
        return 0.0 if granted else (1 - left) / rate

    def add_user(self, name: str, role: str, *, kind: str = "person", identity: str = "") -> None:
        """A new user. Raises Refusal for a name that is taken or odd."""
        if not _NAME.match(name):
            raise Refusal(No.INVALID, f"{name!r} cannot be a user", hint="small letters, digits, dot, dash, underscore")
        try:
            with self._house.database.write() as connection:
                connection.execute(
                    insert(tables.users).values(
                        name=name, role=_role(role), kind=kind, identity=identity, created=self._house.clock()
                    )
                )
        except IntegrityError:
            raise Refusal(No.CONFLICT, f"there is a user {name}", hint="choose another name") from None

    def change_user(self, name: str, *, role: str = "", disabled: bool | None = None) -> None:
        """Give a user another role, or shut them out. Raises Refusal where there is none, or none would administer."""
        values: dict[str, object] = {}
        if role:
            values["role"] = _role(role)
        if disabled is not None:
            values["disabled"] = disabled
        if not values:
            raise Refusal(No.INVALID, "nothing is to be changed", hint="give a role, or disabled")
        u = tables.users
        with self._house.database.write() as connection:
            if not connection.execute(update(u).where(u.c.name == name).values(**values)).rowcount:
                raise Refusal(No.ENTRY, f"there is no user {name}", hint="weighbridge registry users")
            left = select(u.c.id).where(u.c.role == Role.ADMIN, u.c.disabled.is_(False)).limit(1)
            if connection.scalar(left) is None:
                raise Refusal(No.CONFLICT, "nobody would be left to administer", hint="make another admin first")
        self._seen.clear()

    def new_token(
        self,
        user: str,
        name: str,
        *,
        role: str = "",
        days: float = 90,
        namespace: str = "",
        scope: str = "",
        kind: str = "token",
    ) -> str:
        """A token, shown once. Raises Refusal where there is no such user."""
        token = f"wb_{secrets.token_urlsafe(32)}"
        now = self._house.clock()
        with self._house.database.write() as connection:
            row = connection.execute(select(tables.users).where(tables.users.c.name == user)).one_or_none()
            if row is None or row.disabled:
                raise Refusal(No.ENTRY, f"there is no user {user}", hint="weighbridge registry users")
            most = Role(row.role)
            wanted = Role(_role(role)) if role else most
            connection.execute(
                insert(tables.tokens).values(
                    user_id=row.id,
                    digest=digest_of(token),
                    name=name[:64],
                    kind=kind,
                    role=min(most, wanted, key=lambda one: one.rank),
                    namespace=namespace,
                    scope=scope,
                    created=now,
                    expires=now + days * _DAY,
                )
            )
        return token

    def revoke_token(self, number: int, *, owner: str = "") -> None:
        """End a token; only one of `owner`'s where one is named. Raises Refusal where there is none."""
        t = tables.tokens
        query = update(t).where(t.c.id == number)
        if owner:
            query = query.where(t.c.user_id.in_(select(tables.users.c.id).where(tables.users.c.name == owner)))
        with self._house.database.write() as connection:
            if not connection.execute(query.values(revoked=True)).rowcount:
                raise Refusal(No.ENTRY, f"there is no token {number}", hint="weighbridge registry tokens")
        self._seen.clear()

    def users(self) -> list[Record]:
        """Everybody, in order of their names."""
        with self._house.database.read() as connection:
            return list(connection.execute(select(tables.users).order_by(tables.users.c.name)).all())

    def tokens(self) -> list[Record]:
        """Tokens that have not ended, with their users; the tokens themselves are not kept."""
        t, u = tables.tokens, tables.users
        query = (
            select(
                t.c.id, u.c.name.label("user"), t.c.name, t.c.kind, t.c.role, t.c.namespace, t.c.created, t.c.expires
            )
            .join_from(t, u)
            .where(t.c.revoked.is_(False), t.c.expires > self._house.clock())
            .order_by(t.c.id)
        )
        with self._house.database.read() as connection:
            return list(connection.execute(query).all())


def _role(text: str) -> str:
    try:
        return Role(text).value
    except ValueError:
        raise Refusal(No.INVALID, f"{text!r} is no role", hint=f"one of {', '.join(Role)}") from None
