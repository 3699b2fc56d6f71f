"""Knows how a message to a webhook is signed, so that its receiver knows whose it is.

Source: Standard Webhooks 1.0 (`webhook-signature: v1,…`, HMAC-SHA256 over id, time and body).
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac

from weighbridge.schema import UsageError


def headers(secret: str, number: str, at: int, body: bytes) -> dict[str, str]:
    """The headers of a message; without a secret (`whsec_…`, base64) it is not signed. Raises UsageError for a broken one."""
    made = {"webhook-id": number, "webhook-timestamp": str(at)}
    if secret:
        try:
            key = base64.b64decode(secret.removeprefix("whsec_"), validate=True)
        except (binascii.Error, ValueError) as error:
            raise UsageError(
                "the secret of the webhook is no base64", hint="whsec_… as its receiver gave it"
            ) from error
        mark = hmac.new(key, f"{number}.{at}.".encode() + body, hashlib.sha256)
        made["webhook-signature"] = f"v1,{base64.b64encode(mark.digest()).decode()}"
    return made
