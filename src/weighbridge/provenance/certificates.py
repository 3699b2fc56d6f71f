"""Knows certificate chains for code signing: every link, every purpose, every date, and whose name is pinned.

Source: RFC 5280. The time of checking counts: without a trusted timestamp, nobody knows when a signature was made.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.x509.oid import ExtendedKeyUsageOID

from weighbridge.provenance import dsse, keys
from weighbridge.schema import UsageError, VerificationFailed

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from weighbridge.provenance.keys import PublicKey

_LONGEST: Final = 8


def load_chain(path: str) -> list[x509.Certificate]:
    """The certificates of a PEM file, in its order. Raises SourceError, UsageError."""
    try:
        return x509.load_pem_x509_certificates(keys.read(path))
    except ValueError as error:
        raise UsageError(f"{path}: not certificates in PEM", hint="leaf first, then those that signed it") from error


def decode(raw: Sequence[bytes]) -> list[x509.Certificate]:
    """Certificates of a bundle (DER). Raises VerificationFailed."""
    try:
        return [x509.load_der_x509_certificate(one) for one in raw[: _LONGEST + 1]]
    except ValueError as error:
        raise VerificationFailed(
            "a certificate of the signature cannot be read", hint="the signature file is damaged"
        ) from error


def check_chain(
    chain: Sequence[x509.Certificate], roots: Sequence[x509.Certificate], now: datetime, identity: str
) -> PublicKey:
    """The key of the leaf, when it leads to one of the roots and was made for signing code.

    Raises VerificationFailed with the certificate and the reason.
    """
    if not chain or len(chain) > _LONGEST:
        raise VerificationFailed("the signature has no certificate chain, or a very long one", hint="sign again")
    leaf = chain[0]
    _check_leaf(leaf, identity)
    trusted = {root.fingerprint(hashes.SHA256()) for root in roots}
    current, rest = leaf, [*chain[1:], *roots]
    for depth in range(_LONGEST):
        _check_dates(current, now)
        if current.fingerprint(hashes.SHA256()) in trusted:
            return keys.described(leaf.public_key(), _name(leaf))
        issuer = next((other for other in rest if _issued(current, other, depth)), None)
        if issuer is None:
            raise VerificationFailed(
                f"{_name(current)} was not issued by a certificate that is trusted",
                hint="give its root with --ca",
                rule="PRV-003",
            )
        current = issuer
    raise VerificationFailed("the certificate chain does not end", hint="sign again")


def _name(certificate: x509.Certificate) -> str:
    return f"the certificate of {certificate.subject.rfc4514_string() or 'nobody'}"


def _check_dates(certificate: x509.Certificate, now: datetime) -> None:
    if now < certificate.not_valid_before_utc:
        raise VerificationFailed(
            f"{_name(certificate)} is not valid before {certificate.not_valid_before_utc:%Y-%m-%d}",
            hint="check the clock",
            rule="PRV-006",
        )
    if now > certificate.not_valid_after_utc:
        raise VerificationFailed(
            f"{_name(certificate)} expired on {certificate.not_valid_after_utc:%Y-%m-%d}",
            hint="ask for a new signature",
            rule="PRV-006",
        )


def _check_leaf(leaf: x509.Certificate, identity: str) -> None:
    extensions = {extension.oid: extension.value for extension in leaf.extensions}
    usage = extensions.get(x509.KeyUsage.oid)
    purposes = extensions.get(x509.ExtendedKeyUsage.oid)
    if not isinstance(usage, x509.KeyUsage) or not usage.digital_signature:
        raise VerificationFailed(
            f"{_name(leaf)} is not for signatures",
            hint="ask for a certificate with digitalSignature",
            rule="PRV-003",
        )
    if not isinstance(purposes, x509.ExtendedKeyUsage) or ExtendedKeyUsageOID.CODE_SIGNING not in purposes:
        raise VerificationFailed(
            f"{_name(leaf)} is not for signing code",
            hint="ask for a certificate with the purpose codeSigning",
            rule="PRV-003",
        )
    names = extensions.get(x509.SubjectAlternativeName.oid)
    found = {str(n.value) for n in names} if isinstance(names, x509.SubjectAlternativeName) else set()
    found |= {str(a.value) for a in leaf.subject if a.oid == x509.NameOID.COMMON_NAME}
    if identity not in found:
        raise VerificationFailed(
            f"{_name(leaf)} does not name {identity}",
            hint=f"it names {', '.join(sorted(found)) or 'nobody'}",
            rule="PRV-003",
        )


def _issued(certificate: x509.Certificate, other: x509.Certificate, depth: int) -> bool:
    """Whether `other` is a certificate authority that signed this one, and may stand this far from the leaf."""
    extensions = {extension.oid: extension.value for extension in other.extensions}
    basic, usage = extensions.get(x509.BasicConstraints.oid), extensions.get(x509.KeyUsage.oid)
    if not isinstance(basic, x509.BasicConstraints) or not basic.ca:
        return False
    if basic.path_length is not None and basic.path_length < depth:
        return False
    if isinstance(usage, x509.KeyUsage) and not usage.key_cert_sign:
        return False
    try:
        certificate.verify_directly_issued_by(other)
    except (ValueError, TypeError, InvalidSignature):
        return False
    return True


def identities(bundle: dict[str, Any]) -> list[str]:
    """The names in the certificate of a keyless bundle, for people; empty where it cannot be read."""
    try:
        raw = dsse.decoded(bundle["verificationMaterial"]["certificate"]["rawBytes"])
        names = x509.load_der_x509_certificate(raw).extensions.get_extension_for_class(x509.SubjectAlternativeName)
    except (KeyError, TypeError, ValueError, VerificationFailed, x509.ExtensionNotFound):
        return []
    return [str(name.value) for name in names.value]
