"""Knows signed documents that come in editions: each has a number that grows and an end, so that none can hide a later one."""

from __future__ import annotations

import json
import os
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

import msgspec

from weighbridge.provenance import dsse, keys
from weighbridge.schema import VerificationFailed
from weighbridge.source.cache import default_folder, remember

if TYPE_CHECKING:
    from weighbridge.provenance.keys import PublicKey, SigningKey

_MEMORY: Final = 1 << 20
_RULE: Final = "PRV-017"
_DAY: Final = "%Y-%m-%d"


def sealed(table: dict[str, Any], kind: str, private: SigningKey) -> bytes:
    """The signed document."""
    payload = json.dumps(table).encode()
    signature = keys.sign(private, dsse.Envelope(payload=payload, kind=kind, signatures=()).head, payload)
    return json.dumps(dsse.wrap(payload, kind, signature)).encode()


def end(now: datetime, days: int) -> str:
    """The day on which an edition of now ends."""
    return f"{now + timedelta(days=days):{_DAY}}"


def opened(data: bytes, kind: str, key: PublicKey, now: datetime, what: str) -> dict[str, Any]:
    """What a document says, if `key` has signed it and it has not ended. `what` is its name in messages.

    Raises VerificationFailed.
    """
    envelope = dsse.unwrap(dsse.strict_json(data, what))
    if envelope.kind != kind or not keys.is_signed_by(envelope, key):
        raise VerificationFailed(
            f"{what} is not signed by the key that was given for it",
            hint="fetch it again from its publisher",
            rule=_RULE,
        )
    table = dsse.strict_json(envelope.payload, what)
    number, expires = table.get("number"), table.get("expires")
    if type(number) is not int or not isinstance(expires, str):
        raise VerificationFailed(f"{what} is not complete", hint="fetch it again", rule=_RULE)
    try:
        ends = datetime.strptime(expires, _DAY).replace(tzinfo=UTC)
    except ValueError as error:
        raise VerificationFailed(f"{what} has no proper end", hint="fetch it again", rule=_RULE) from error
    if now >= ends:
        raise VerificationFailed(
            f"{what} ended on {expires}",
            hint="fetch the current one: an old one may hide what became known since",
            rule=_RULE,
        )
    return table


def check_newest(number: int, key: PublicKey, memory: str, what: str, folder: str = "") -> None:
    """Note an edition of something by a key. A memory that cannot be kept is no fault.

    Raises VerificationFailed where a later one was seen on this machine.
    """
    path = os.path.join(folder or default_folder(), memory)
    try:
        with open(path, "rb") as file:
            seen = msgspec.json.decode(file.read(_MEMORY), type=dict[str, int])
    except (OSError, msgspec.DecodeError):
        seen = {}
    last = seen.get(key.fingerprint, 0)
    if number < last:
        raise VerificationFailed(
            f"{what} is edition {number}, and edition {last} was seen before",
            hint="fetch the current one: an old one may hide what became known since",
            rule=_RULE,
        )
    if number > last:
        remember(path, msgspec.json.encode({**seen, key.fingerprint: number}))
