"""Knows private keys that never leave their hardware: a PKCS#11 token, addressed as RFC 7512 says.

`pkcs11:token=NAME;object=LABEL?module-path=/usr/lib/…so` with the PIN as `pin-value` or from the environment, where it
belongs. Needs the extra `pkcs11`.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import unquote

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed, encode_dss_signature

from weighbridge.schema import SourceError, Unavailable, UsageError

if TYPE_CHECKING:
    from collections.abc import Callable

SCHEME: Final = "pkcs11:"


class TokenKey:
    """An elliptic-curve private key in a token, as far as signing needs one."""

    def __init__(self, session: Any, private: Any, public: ec.EllipticCurvePublicKey, mechanism: Any) -> None:
        self._session, self._private, self._public, self._mechanism = session, private, public, mechanism
        self.curve = public.curve

    def public_key(self) -> ec.EllipticCurvePublicKey:
        """The public half, which the token gives away."""
        return self._public

    def sign(self, data: bytes, signature_algorithm: ec.ECDSA) -> bytes:
        """A DER signature over `data`, which is a digest already."""
        assert isinstance(signature_algorithm.algorithm, Prehashed)
        raw = self._private.sign(data, mechanism=self._mechanism)
        half = len(raw) // 2
        return encode_dss_signature(int.from_bytes(raw[:half], "big"), int.from_bytes(raw[half:], "big"))


def load(address: str, pin: bytes) -> TokenKey:
    """The key at an address. Raises UsageError, SourceError, and Unavailable where the extra is not installed."""
    path, query = _parsed(address)
    module = query.get("module-path") or os.environ.get("PKCS11_MODULE_PATH", "")
    if not module or "token" not in path or not ({"object", "id"} & path.keys()):
        raise UsageError(
            "a key in a token is addressed by token, object and module-path",
            hint="pkcs11:token=NAME;object=LABEL?module-path=/usr/lib/softhsm/libsofthsm2.so",
        )
    pkcs11, encode = _library()
    try:
        token = pkcs11.lib(module).get_token(token_label=path["token"])
        session = token.open(user_pin=query.get("pin-value") or pin.decode() or None)
        wanted = {"label": path["object"]} if "object" in path else {"id": bytes.fromhex(path["id"])}
        private = session.get_key(object_class=pkcs11.ObjectClass.PRIVATE_KEY, **wanted)
        public = serialization.load_der_public_key(
            encode(session.get_key(object_class=pkcs11.ObjectClass.PUBLIC_KEY, **wanted))
        )
    except (pkcs11.PKCS11Error, RuntimeError, ValueError) as error:
        raise SourceError(
            f"the token does not give the key: {type(error).__name__} {error}".rstrip(),
            hint="check module-path, token and object; the PIN is WEIGHBRIDGE_KEY_PASSWORD",
        ) from error
    if not isinstance(public, ec.EllipticCurvePublicKey):
        raise UsageError("the key in the token is not on an elliptic curve", hint="make one on P-256")
    return TokenKey(session, private, public, pkcs11.Mechanism.ECDSA)


def _parsed(address: str) -> tuple[dict[str, str], dict[str, str]]:
    path, _, query = address.removeprefix(SCHEME).partition("?")
    return _attributes(path.split(";")), _attributes(query.split("&"))


def _attributes(parts: list[str]) -> dict[str, str]:
    pairs = (part.partition("=") for part in parts if part)
    return {name: unquote(value) for name, _, value in pairs}


def _library() -> tuple[Any, Callable[[Any], bytes]]:
    try:
        import pkcs11  # noqa: PLC0415  # an extra
        from pkcs11.util.ec import encode_ec_public_key  # noqa: PLC0415
    except ImportError as error:
        raise Unavailable(
            "a key in a token needs the extra pkcs11", hint="pip install 'weighbridge[pkcs11]'"
        ) from error
    return pkcs11, encode_ec_public_key
