"""Knows the filters that somebody keeps for the long lists: a name, and what the address of the page then holds."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final
from urllib.parse import parse_qsl, urlencode

from sqlalchemy import delete, func, insert, select

from weighbridge.registry.records import tables
from weighbridge.registry.services.refusal import No, Refusal

if TYPE_CHECKING:
    from weighbridge.registry.records.tables import Record
    from weighbridge.registry.services.access import Caller
    from weighbridge.registry.services.house import House

# What a filter of each page may hold: everything else of an address is dropped.
PAGES: Final = {"artifacts": ("q", "kind", "state"), "findings": ("rule", "severity", "triage")}
_MOST: Final = 50
_NAME: Final = 64
_VALUE: Final = 200


class Filters:
    """The filters of everybody, each of them their keeper's own."""

    def __init__(self, house: House) -> None:
        self._house = house

    def of(self, page: str, caller: Caller) -> list[Record]:
        """(name, query) of what a caller keeps for a page, by name."""
        f = tables.filters
        query = select(f.c.name, f.c.query).where(f.c.user == caller.name, f.c.page == page).order_by(f.c.name)
        with self._house.database.read() as connection:
            return list(connection.execute(query).all())

    def keep(self, page: str, name: str, query: str, caller: Caller) -> str:
        """Keep a filter under a name, in place of one that had it; the query as it was kept.

        Raises Refusal for a name or a query that is empty, and beyond fifty.
        """
        name, query = name.strip(), cleaned(page, query)
        if not name or len(name) > _NAME or not name.isprintable():
            raise Refusal(No.INVALID, "a filter needs a name", hint=f"up to {_NAME} characters")
        if not query:
            raise Refusal(No.INVALID, "this filter lets everything through", hint="choose something first")
        f = tables.filters
        mine = (f.c.user == caller.name) & (f.c.page == page)
        with self._house.database.write() as connection:
            connection.execute(delete(f).where(mine & (f.c.name == name)))
            if (connection.scalar(select(func.count()).select_from(f).where(mine)) or 0) >= _MOST:
                raise Refusal(No.INVALID, f"there are {_MOST} filters already", hint="forget one first")
            connection.execute(insert(f).values(user=caller.name, page=page, name=name, query=query))
        return query

    def forget(self, page: str, name: str, caller: Caller) -> None:
        """Forget a filter. Raises Refusal where the caller keeps none of this name."""
        f = tables.filters
        mine = (f.c.user == caller.name) & (f.c.page == page) & (f.c.name == name)
        with self._house.database.write() as connection:
            if not connection.execute(delete(f).where(mine)).rowcount:
                raise Refusal(No.ENTRY, "you keep no filter of this name")


def cleaned(page: str, query: str) -> str:
    """What of a query a filter of this page may hold. Raises Refusal for another page."""
    if page not in PAGES:
        raise Refusal(No.ENTRY, "this page has no filters")
    said = dict(parse_qsl(query[:4000], max_num_fields=20))
    return urlencode({key: said[key][:_VALUE] for key in PAGES[page] if said.get(key)})
