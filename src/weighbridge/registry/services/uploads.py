"""Knows how large files arrive: at addresses that hold their own permission, once, with the bytes that were announced.

An address is 256 random bits; the database keeps their digest with object, size, repository, user and end. Whoever has the
address may put exactly those bytes there, and nobody can make one up.
"""

from __future__ import annotations

import itertools
import secrets
from typing import TYPE_CHECKING, Final

from msgspec import Struct
from sqlalchemy import func, insert, select, update
from sqlalchemy.exc import IntegrityError

from weighbridge.registry.records import tables
from weighbridge.registry.services.access import digest_of
from weighbridge.registry.services.refusal import No, Refusal
from weighbridge.schema import VerificationFailed

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from weighbridge.registry.records.tables import Record
    from weighbridge.registry.services.access import Caller
    from weighbridge.registry.services.house import House

_HOURS: Final = 6
_WHOLE: Final = 1 << 30
_PART: Final = 64 << 20
_PARTS: Final = 10_000


class Ticket(Struct, frozen=True, kw_only=True):
    """The permission to bring one object. `parts` counts its pieces; 0 means that it comes in one."""

    nonce: str
    parts: int = 0
    part_size: int = 0


class Uploads:
    """What is on its way in. `whole` is up to how many bytes an object comes in one piece."""

    def __init__(self, house: House, *, whole: int = _WHOLE, part: int = _PART) -> None:
        self._house, self._whole, self._part = house, whole, part

    def announce(self, repository: Record, sha256: str, size: int, caller: Caller) -> Ticket | None:
        """A permission, or nothing where the object is here already. Raises Refusal: too large, or over the quota."""
        if self._house.blobs.size(sha256) == size:
            return None
        if size > self._house.terms.largest_file:
            raise Refusal(No.TOO_MUCH, f"{size} bytes are more than is taken in", hint="split the file")
        self._check_quota(repository, size)
        nonce = secrets.token_urlsafe(32)
        step = 0 if size <= self._whole else max(self._part, -(-size // _PARTS))
        with self._house.database.write() as connection:
            connection.execute(
                insert(tables.uploads).values(
                    nonce=digest_of(nonce),
                    sha256=sha256,
                    size=size,
                    repository_id=repository.id,
                    user=caller.name,
                    until=self._house.clock() + _HOURS * 3600,
                    part_size=step,
                )
            )
        return Ticket(nonce=nonce, parts=-(-size // step) if step else 0, part_size=step)

    def _check_quota(self, repository: Record, size: int) -> None:
        quota = self._house.terms.quota
        if not quota:
            return
        o, r, f = tables.repositories, tables.revisions, tables.files
        namespace = repository.folded.partition("/")[0]
        sizes = (
            select(f.c.sha256, f.c.size)
            .join_from(f, r)
            .join(o)
            .where(o.c.folded.startswith(f"{namespace}/", autoescape=True))
            .distinct()
            .subquery()
        )
        with self._house.database.read() as connection:
            used = connection.scalar(select(func.coalesce(func.sum(sizes.c.size), 0))) or 0
        if used + size > quota:
            raise Refusal(
                No.TOO_MUCH, f"{namespace} has {used} of {quota} bytes", hint="delete something, or ask an admin"
            )

    def _ticket(self, nonce: str, sha256: str) -> Record:
        u = tables.uploads
        with self._house.database.read() as connection:
            row = connection.execute(select(u).where(u.c.nonce == digest_of(nonce))).one_or_none()
        if row is None or row.sha256 != sha256 or row.until <= self._house.clock():
            raise Refusal(No.FORBIDDEN, "this upload address is not valid, or has ended", hint="begin the upload again")
        if row.done:
            raise Refusal(No.FORBIDDEN, "this upload address was used", hint="the object is here already")
        return row

    def put(self, nonce: str, sha256: str, pieces: Iterable[bytes]) -> None:
        """Take an object in. Raises Refusal where the address is none, or the bytes are others; then nothing is kept."""
        row = self._ticket(nonce, sha256)
        if row.part_size:
            raise Refusal(No.INVALID, "this object comes in parts", hint="begin the upload again")
        self._keep(_bounded(pieces, row.size), row.sha256, row.size)
        self._done(row)

    def part(self, nonce: str, sha256: str, number: int, pieces: Iterable[bytes]) -> str:
        """Take a part in (numbers from 1); its digest. Raises Refusal."""
        row = self._ticket(nonce, sha256)
        count = -(-row.size // row.part_size) if row.part_size else 0
        if not 1 <= number <= count:
            raise Refusal(No.INVALID, f"there is no part {number}", hint="begin the upload again")
        wanted = row.part_size if number < count else row.size - row.part_size * (count - 1)
        found = self._keep(_bounded(pieces, wanted), "", wanted)
        p = tables.upload_parts
        values = {"sha256": found, "size": wanted}
        try:
            with self._house.database.write() as connection:
                connection.execute(insert(p).values(nonce=row.nonce, number=number, **values))
        except IntegrityError:
            with self._house.database.write() as connection:
                connection.execute(update(p).where(p.c.nonce == row.nonce, p.c.number == number).values(**values))
        return found

    def complete(self, nonce: str, sha256: str, tags: Sequence[tuple[int, str]]) -> None:
        """Put the parts together. Raises Refusal where one is missing or another, or the whole is not what was announced."""
        row = self._ticket(nonce, sha256)
        p = tables.upload_parts
        with self._house.database.read() as connection:
            parts = connection.execute(select(p).where(p.c.nonce == row.nonce).order_by(p.c.number)).all()
        if [(one.number, one.sha256) for one in parts] != sorted(tags):
            raise Refusal(No.INVALID, "parts are missing, or are not those that came", hint="begin the upload again")
        joined = itertools.chain.from_iterable(self._house.blobs.read(one.sha256) for one in parts)
        self._keep(joined, row.sha256, row.size)
        self._done(row)
        self._drop(parts)

    def _keep(self, pieces: Iterable[bytes], sha256: str, size: int) -> str:
        try:
            return self._house.blobs.put(pieces, sha256=sha256, size=size)[0]
        except VerificationFailed as error:
            raise Refusal(No.INVALID, error.message, hint=error.hint) from error

    def _done(self, row: Record) -> None:
        u = tables.uploads
        with self._house.database.write() as connection:
            connection.execute(update(u).where(u.c.nonce == row.nonce).values(done=True))

    def _drop(self, parts: Sequence[Record]) -> None:
        f, p = tables.files, tables.upload_parts
        with self._house.database.write() as connection:
            for one in parts:
                connection.execute(p.delete().where(p.c.nonce == one.nonce, p.c.number == one.number))
                still = connection.scalar(select(f.c.path).where(f.c.sha256 == one.sha256).limit(1))
                other = connection.scalar(select(p.c.nonce).where(p.c.sha256 == one.sha256).limit(1))
                if still is None and other is None and one.sha256 != one.nonce:
                    self._house.blobs.delete(one.sha256)

    def forget(self) -> None:
        """Drop what was begun and never came to its end."""
        u, p = tables.uploads, tables.upload_parts
        ended = select(u.c.nonce).where(u.c.until <= self._house.clock())
        with self._house.database.read() as connection:
            parts = connection.execute(select(p).where(p.c.nonce.in_(ended))).all()
        self._drop(parts)
        with self._house.database.write() as connection:
            connection.execute(u.delete().where(u.c.until <= self._house.clock()))


def _bounded(pieces: Iterable[bytes], size: int) -> Iterator[bytes]:
    """Stops at the first byte too many, so that nobody fills the disk with what is refused at the end."""
    left = size
    for piece in pieces:
        left -= len(piece)
        if left < 0:
            raise VerificationFailed(f"more than the {size} bytes came that were announced", hint="send them again")
        yield piece
