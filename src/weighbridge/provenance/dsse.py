"""Knows signed envelopes (DSSE): what exactly is signed, and that nothing else is believed.

Source: DSSE protocol 1.0.2 (secure-systems-lab/dsse).
"""

from __future__ import annotations

import base64
import binascii
import json
from typing import TYPE_CHECKING, Any

from msgspec import Struct

from weighbridge.schema import VerificationFailed

if TYPE_CHECKING:
    from collections.abc import Callable


class Envelope(Struct, frozen=True, kw_only=True):
    """A payload with its type and signatures, decoded. Nothing in it is to be believed before `keys.verify`."""

    payload: bytes
    kind: str
    signatures: tuple[bytes, ...]

    @property
    def head(self) -> bytes:
        """The bytes that a signature covers before the payload: the type, and the length of both."""
        kind = self.kind.encode()
        return b"DSSEv1 %d %b %d " % (len(kind), kind, len(self.payload))


def wrap(payload: bytes, kind: str, signature: bytes) -> dict[str, Any]:
    """The envelope as plain data for JSON."""
    return {
        "payload": base64.b64encode(payload).decode(),
        "payloadType": kind,
        "signatures": [{"sig": base64.b64encode(signature).decode(), "keyid": ""}],
    }


def unwrap(table: object) -> Envelope:
    """An envelope from plain data. Raises VerificationFailed where it is none."""
    if not isinstance(table, dict):
        raise VerificationFailed("there is no signed envelope", hint="give a signature file")
    payload, kind, signatures = table.get("payload"), table.get("payloadType"), table.get("signatures")
    if not (isinstance(payload, str) and isinstance(kind, str) and isinstance(signatures, list) and signatures):
        raise VerificationFailed("the envelope is not complete", hint="the signature file is damaged")
    found = tuple(decoded(item.get("sig") if isinstance(item, dict) else None) for item in signatures[:16])
    return Envelope(payload=decoded(payload), kind=kind, signatures=found)


def decoded(text: object) -> bytes:
    """Base64, strictly. Raises VerificationFailed."""
    try:
        return base64.b64decode(text if isinstance(text, str) else "!", validate=True)
    except (binascii.Error, ValueError) as error:
        raise VerificationFailed("the signature file holds broken base64", hint="it is damaged") from error


def strict_json(
    data: bytes, what: str, compact: Callable[[dict[str, Any]], Any] = lambda table: table
) -> dict[str, Any]:
    """A JSON object in which no key occurs twice. Raises VerificationFailed for anything else.

    `compact` may keep something smaller in place of each object, as long lists of alike objects want.
    """

    def once(pairs: list[tuple[str, Any]]) -> Any:
        table = dict(pairs)
        if len(table) != len(pairs):
            raise ValueError("a key occurs twice")
        return compact(table)

    try:
        found = json.loads(data, object_pairs_hook=once)
    except (ValueError, RecursionError) as error:
        raise VerificationFailed(f"{what} is not valid JSON: {error}", hint="it is damaged or was cut") from error
    if not isinstance(found, dict):
        raise VerificationFailed(f"{what} is no JSON object", hint="it is damaged")
    return found
