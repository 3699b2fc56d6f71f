"""Knows signing keys: P-256, P-384 and P-521, their files, fingerprints and ages.

The fingerprint is the one of OpenSSF Model Signing: SHA-256 of the PEM text of the public key. A public key file may
carry `Created` and `Expires` lines in front of the PEM; they belong to whoever keeps the file.
"""

from __future__ import annotations

import hashlib
import os
import re
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final, Protocol

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed
from msgspec import Struct

from weighbridge.schema import SourceError, UsageError, VerificationFailed
from weighbridge.source.blob import unreadable

if TYPE_CHECKING:
    from weighbridge.provenance.dsse import Envelope

CURVES: Final[dict[str, ec.EllipticCurve]] = {"p256": ec.SECP256R1(), "p384": ec.SECP384R1(), "p521": ec.SECP521R1()}
_HASHES: Final[dict[str, type[hashes.HashAlgorithm]]] = {
    "secp256r1": hashes.SHA256, "secp384r1": hashes.SHA384, "secp521r1": hashes.SHA512,
}  # fmt: skip
_DATE: Final = re.compile(r"^(Created|Expires): (\d{4}-\d\d-\d\d)\s*$", re.MULTILINE)
_MOST: Final = 1 << 20
_BUNDLE: Final = 512 << 20


class SigningKey(Protocol):
    """A private key as far as signing needs one; it may lie in a file or in a token."""

    @property
    def curve(self) -> ec.EllipticCurve:
        """The curve, which decides the hash."""

    def public_key(self) -> ec.EllipticCurvePublicKey:
        """The public half."""

    def sign(self, data: bytes, signature_algorithm: ec.ECDSA) -> bytes:
        """A signature in DER."""


class PublicKey(Struct, frozen=True, kw_only=True):
    """A public key with its fingerprint and dates. `name` is for people."""

    key: ec.EllipticCurvePublicKey
    fingerprint: str
    name: str = ""
    created: datetime | None = None
    expires: datetime | None = None


def new(path: str, *, curve: str = "p256", days: int = 365, password: bytes = b"", now: datetime) -> PublicKey:
    """Write `path` (private, PKCS#8, encrypted where a password is given) and `path.pub`. Nothing is overwritten."""
    if curve not in CURVES:
        raise UsageError(f"there is no curve {curve}", hint=f"one of {', '.join(CURVES)}")
    private = ec.generate_private_key(CURVES[curve])
    how = serialization.BestAvailableEncryption(password) if password else serialization.NoEncryption()
    pem = private.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, how)
    dates = f"Created: {now:%Y-%m-%d}\nExpires: {now + timedelta(days=days):%Y-%m-%d}\n"
    write_new(path, pem, 0o600)
    try:
        write_new(f"{path}.pub", dates.encode() + pem_of(private.public_key()), 0o644)
    except UsageError:
        os.unlink(path)
        raise
    return load_public(f"{path}.pub")


def write_new(path: str, data: bytes, mode: int) -> None:
    """Write the file of a key. Raises UsageError where there is one, and SourceError where it cannot be written."""
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    except FileExistsError:
        raise UsageError(f"{path} exists", hint="keys are never overwritten; choose another name") from None
    except OSError as error:
        raise unreadable(path, error) from error
    with os.fdopen(descriptor, "wb") as file:
        file.write(data)


def pem_of(key: ec.EllipticCurvePublicKey) -> bytes:
    """The public key as PEM text."""
    return key.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)


def fingerprint(key: ec.EllipticCurvePublicKey) -> str:
    """SHA-256 of the PEM text, in hexadecimal."""
    return hashlib.sha256(pem_of(key)).hexdigest()


def described(key: object, name: str, text: str = "") -> PublicKey:
    """A public key of a kind that can sign models. Raises UsageError for others."""
    if not isinstance(key, ec.EllipticCurvePublicKey) or key.curve.name not in _HASHES:
        raise UsageError(f"{name}: not a P-256, P-384 or P-521 key", hint="weighbridge keys new NAME")
    dates = {label: datetime.strptime(day, "%Y-%m-%d").replace(tzinfo=UTC) for label, day in _DATE.findall(text)}
    return PublicKey(
        key=key, fingerprint=fingerprint(key), name=name, created=dates.get("Created"), expires=dates.get("Expires")
    )


def load_public(path: str) -> PublicKey:
    """A public key from its file. Raises SourceError, UsageError."""
    data = read(path)
    try:
        key = serialization.load_pem_public_key(data)
    except (ValueError, UnsupportedAlgorithm) as error:
        raise UsageError(f"{path}: not a public key in PEM", hint="give the .pub file") from error
    return described(key, path, data.partition(b"-----BEGIN")[0].decode("utf-8", "replace"))


def load_private(path: str, password: bytes = b"") -> SigningKey:
    """A private key from its file, or in a token (`pkcs11:…`, the password is its PIN). Raises SourceError, UsageError."""
    if path.startswith("pkcs11:"):
        from weighbridge.provenance import token  # noqa: PLC0415  # few keys lie in tokens

        return token.load(path, password)
    try:
        key = serialization.load_pem_private_key(read(path), password or None)
    except TypeError as error:
        hint = (
            "set WEIGHBRIDGE_KEY_PASSWORD"
            if not password
            else "the key is not encrypted; unset WEIGHBRIDGE_KEY_PASSWORD"
        )
        raise UsageError(
            f"{path}: {'the key is encrypted' if not password else 'no password is needed'}", hint=hint
        ) from error
    except (ValueError, UnsupportedAlgorithm) as error:
        raise UsageError(
            f"{path}: the key cannot be read", hint="wrong password, or not a private key in PEM"
        ) from error
    if not isinstance(key, ec.EllipticCurvePrivateKey) or key.curve.name not in _HASHES:
        raise UsageError(f"{path}: not a P-256, P-384 or P-521 key", hint="weighbridge keys new NAME")
    return key


def read(path: str) -> bytes:
    """A small file. Raises SourceError."""
    try:
        with open(path, "rb") as file:
            data = file.read(_MOST + 1)
    except OSError as error:
        raise unreadable(path, error) from error
    if len(data) > _MOST:
        raise SourceError(f"{path}: too long for a key or certificate", hint="check the path")
    return data


def read_bundle(path: str) -> bytes:
    """A signature file or signed list of at most 512 MiB. Raises SourceError."""
    try:
        if os.path.getsize(path) > _BUNDLE:
            raise SourceError(f"{path}: too long for a signature", hint="check the path")
        with open(path, "rb") as file:
            return file.read()
    except OSError as error:
        raise unreadable(path, error) from error


def existing(path: str) -> str:
    """A path that can be read. Raises SourceError."""
    try:
        os.stat(path)
    except OSError as error:
        raise unreadable(path, error) from error
    return path


def sign(key: SigningKey, *pieces: bytes) -> bytes:
    """An ECDSA signature (DER) over the pieces as one, with the hash that belongs to the curve."""
    return key.sign(_digest(key.curve, pieces), ec.ECDSA(Prehashed(_HASHES[key.curve.name]())))


def _digest(curve: ec.EllipticCurve, pieces: tuple[bytes, ...]) -> bytes:
    made = hashes.Hash(_HASHES[curve.name]())
    for piece in pieces:
        made.update(piece)
    return made.finalize()


def is_signed_by(envelope: Envelope, key: PublicKey) -> bool:
    """Whether one of the signatures of an envelope is by this key."""
    digest = _digest(key.key.curve, (envelope.head, envelope.payload))
    for signature in envelope.signatures:
        try:
            key.key.verify(signature, digest, ec.ECDSA(Prehashed(_HASHES[key.key.curve.name]())))
        except (InvalidSignature, ValueError):
            continue
        return True
    return False


def check_age(key: PublicKey, now: datetime, most_days: int = 0) -> None:
    """Raises VerificationFailed for a key that has expired, or is older than `most_days`."""
    if key.expires and now >= key.expires:
        raise VerificationFailed(
            f"the key {key.name} expired on {key.expires:%Y-%m-%d}",
            hint="ask for a signature by the new key",
            rule="PRV-006",
        )
    if most_days and key.created is None:
        raise VerificationFailed(
            f"the key {key.name} does not say how old it is",
            hint="add a Created line to the .pub file",
            rule="PRV-006",
        )
    if most_days and key.created and now - key.created > timedelta(days=most_days):
        raise VerificationFailed(
            f"the key {key.name} is older than {most_days} days",
            hint="ask for a signature by a newer key",
            rule="PRV-006",
        )
