"""Asks a sample of a list of addresses what they hold now: the same bytes, others, or nothing any more.

A list is a promise by whoever owns the names; a sample says with a bound how much of it is kept (Clopper and Pearson 1934). Fetching
from a list that nobody trusts goes to public addresses alone, bounded in bytes and time.
"""

from __future__ import annotations

import hashlib
import random
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Final

from msgspec import Struct

from weighbridge.datasets.binomial import at_least
from weighbridge.datasets.columns import URLS, find_roles
from weighbridge.datasets.groups import Group, Outcome
from weighbridge.datasets.perceptual import NEAR, Unreadable, distance, is_hash, kind_of
from weighbridge.schema import Severity, SourceError, UsageError
from weighbridge.source.http import Refused, Session

if TYPE_CHECKING:
    from weighbridge.datasets.columns import Wish
    from weighbridge.datasets.table import Table

_KINDS: Final = {32: "md5", 40: "sha1", 64: "sha256", 96: "sha384", 128: "sha512"}
_LARGEST: Final = 32 << 20
_AT_ONCE: Final = 8
_PATIENCE: Final = 10.0
_RISK: Final = 0.05
_NOWHERE: Final = "https://nowhere.invalid"  # no address of a list is trusted to be one of our own network
_HEX: Final = frozenset("0123456789abcdef")


class Address(Struct, frozen=True):
    """One address of a list: its row, the digest that it should have, and how its picture should look (kind and hash); empty where none can be checked."""

    row: int
    url: str
    digest: str
    look: str = ""
    hash: str = ""


def guarded() -> Session:
    """A session that goes to public addresses alone."""
    return Session(trusted=_NOWHERE, patience=_PATIENCE, backoff=0.1)


def recheck(table: Table, wish: Wish, count: int, session: Session, *, seed: int = 0) -> Outcome:
    """Ask `count` addresses, drawn by chance. Raises UsageError where the table is no list of addresses."""
    chosen = _drawn(table, wish, count, seed)
    with ThreadPoolExecutor(_AT_ONCE) as several:
        answers = list(several.map(lambda one: _asked(one, session), chosen))
    counted = Counter(answers)
    changed = [one for one, answer in zip(chosen, answers, strict=True) if answer == "changed"]
    checked = counted["exact"] + counted["alike"] + counted["changed"]
    alike = f"{counted['alike']} the same picture in other bytes, " if counted["alike"] else ""
    about = (
        f"of {len(chosen)} addresses {counted['exact']} hold what their digest says, {alike}{counted['changed']} something else, "
        f"{counted['there']} answer and have no digest, {counted['gone']} are gone, {counted['refused']} lead to no public address"
    )
    groups = [_changed(changed, checked)] if changed else []
    same = tuple(one.row for one, answer in zip(chosen, answers, strict=True) if answer == "alike" and one.digest)
    if same:
        groups.append(
            Group(
                rule="DST-015", rows=same, shown=same[:3], severity=Severity.LOW,
                message=f"{len(same)} of {checked} addresses hold the same picture in other bytes: it looks as its hash says, and has another digest",
                why="scaling and saving anew change bytes; whoever can do that can also add what nobody sees",
            )
        )  # fmt: skip
    if counted["refused"]:
        rows = tuple(one.row for one, answer in zip(chosen, answers, strict=True) if answer == "refused")
        groups.append(
            Group(
                rule="DST-014", message=f"{counted['refused']} of {len(chosen)} addresses lead into a network that is not public",
                rows=rows, shown=rows[:3], severity=Severity.HIGH,
            )
        )  # fmt: skip
    bound = f"; of all at most {_upper(0, checked):.1%} were changed, at 95%" if checked and not changed else ""
    return Outcome(test="addresses asked", groups=tuple(groups), about=about + bound)


def _changed(changed: list[Address], checked: int) -> Group:
    rows = tuple(sorted(one.row for one in changed))
    share = len(changed) / checked
    return Group(
        rule="DST-015", rows=rows, shown=rows[:3],
        message=f"{len(changed)} of {checked} addresses hold other content than their digest says ({share:.1%}; of all at most {_upper(len(changed), checked):.1%} at 95%)",
        why="who trains on this list now trains on something else than whoever made it",
    )  # fmt: skip


def _upper(count: int, of: int) -> float:
    """The upper end of a one-sided interval of 95 % for a share."""
    low, high = count / of, 1.0
    for _ in range(50):
        middle = (low + high) / 2
        # P(X <= count) falls as the share grows.
        low, high = (middle, high) if 1 - at_least(count + 1, of, middle) > _RISK else (low, middle)
    return high


def _drawn(table: Table, wish: Wish, count: int, seed: int) -> list[Address]:
    """A sample of the addresses, each as likely as any other, in one pass."""
    dice, found, seen, roles = random.Random(seed), list[Address](), 0, None  # noqa: S311  # the same sample on every run
    for _, first, batch in table.batches():
        roles = roles or find_roles(batch.columns, wish)
        if roles.kind != URLS and not roles.url:
            raise UsageError("this is no list of addresses", hint="--recheck takes a table with a column of them")
        urls = batch.columns.get(roles.url, [])
        nothing = [None] * len(urls)
        marks = batch.columns.get(roles.digest, nothing) if roles.digest else nothing
        look = next((name for name in batch.columns if kind_of(name)), "")
        hashes = batch.columns.get(look, nothing)
        for at, (url, mark, known) in enumerate(zip(urls, marks, hashes, strict=True)):
            if not isinstance(url, str) or not url:
                continue
            seen += 1
            place = len(found) if len(found) < count else dice.randrange(seen)
            if place < count:
                how = (kind_of(look), str(known)) if is_hash(known) else ("", "")
                found[place : place + 1] = [Address(first + at, url, _digest(mark), *how)]
    return sorted(found, key=lambda one: one.row)


def _digest(value: object) -> str:
    text = str(value or "").strip().lower()
    return text if len(text) in _KINDS and set(text) <= _HEX else ""


def _asked(one: Address, session: Session) -> str:
    """exact, alike (to the eye), changed, there (nothing to check it by), gone, or refused."""
    made = hashlib.new(_KINDS[len(one.digest)], usedforsecurity=False) if one.digest else None
    held = bytearray()
    try:
        for piece in session.stream(one.url, _LARGEST):
            if made is None and not one.look:
                return "there"
            if made is not None:
                made.update(piece)
            if one.look:
                held += piece
    except Refused:
        return "refused"
    except (SourceError, UsageError, ValueError):
        return "gone"
    if made is not None and made.hexdigest() == one.digest:
        return "exact"
    if one.look:
        return _looked(one, bytes(held))
    return "changed" if made is not None else "there"


def _looked(one: Address, data: bytes) -> str:
    try:
        return "alike" if distance(data, one.look, one.hash) <= NEAR else "changed"
    except Unreadable:
        return "changed"
