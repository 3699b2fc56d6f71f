"""Knows signed bundles: who signed one, and whether that is somebody who is trusted. Nothing else is believed before.

One shape for model signatures and attestations: a Sigstore bundle 0.3 around a signed envelope, by key, by certificate, or
keyless. PEP 740 attestations are the same in other words.
"""

from __future__ import annotations

import base64
import io
import json
from typing import TYPE_CHECKING, Any, Final

from msgspec import Struct

from weighbridge.provenance import dsse, keys
from weighbridge.schema import VerificationFailed

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from cryptography import x509

    from weighbridge.provenance.keys import PublicKey, SigningKey
    from weighbridge.provenance.revocation import Revocations

KIND: Final = "application/vnd.dev.sigstore.bundle.v0.3+json"
_KINDS: Final = frozenset({KIND, "application/vnd.dev.sigstore.bundle+json;version=0.3"})
IN_TOTO: Final = "application/vnd.in-toto+json"
_PIECE: Final = 3 << 16


class Trust(Struct, frozen=True, kw_only=True):
    """Who may sign: keys, roots of certificates with the name in the leaf, or a keyless identity and who vouches for it.

    `sigstore` is a trusted root or client trust configuration; empty means the public instance as the library ships it.
    """

    keys: tuple[PublicKey, ...] = ()
    roots: tuple[x509.Certificate, ...] = ()
    identity: str = ""
    issuer: str = ""
    sigstore: str = ""
    most_days: int = 0
    revoked: Revocations | None = None


def seal(payload: bytes, kind: str, private: SigningKey, chain: Sequence[x509.Certificate] = ()) -> bytes:
    """A bundle around a payload, signed by a key, with its certificates where there are any."""
    envelope = dsse.Envelope(payload=payload, kind=kind, signatures=())
    signature = keys.sign(private, envelope.head, payload)
    material: dict[str, Any] = {"tlogEntries": []}
    if chain:
        from cryptography.hazmat.primitives.serialization import Encoding  # noqa: PLC0415  # only with certificates

        encoded = [{"rawBytes": base64.b64encode(one.public_bytes(Encoding.DER)).decode()} for one in chain]
        material["x509CertificateChain"] = {"certificates": encoded}
    else:
        material["publicKey"] = {"hint": keys.fingerprint(private.public_key())}
    whole = {
        "mediaType": KIND,
        "verificationMaterial": material,
        "dsseEnvelope": dsse.wrap(b"", kind, signature),
    }
    # The payload of a large tree is megabytes: it is put in by pieces instead of being copied through three strings.
    before, empty, after = json.dumps(whole).encode().partition(b'"payload": "')
    made = io.BytesIO()
    made.write(before + empty)
    for start in range(0, len(payload), _PIECE):
        made.write(base64.b64encode(payload[start : start + _PIECE]))
    made.write(after)
    return made.getvalue()


def authentic(data: bytes, trust: Trust, now: datetime) -> tuple[bytes, PublicKey]:
    """The in-toto statement of a bundle and who signed it.

    Raises VerificationFailed, and Unavailable for keyless ones where the extra is not installed.
    """
    table, envelope = _opened(data)
    material = table.get("verificationMaterial")
    key = _signer(material if isinstance(material, dict) else {}, envelope, trust, now, table)
    if trust.revoked:
        trust.revoked.check_key(key)
    return envelope.payload, key


def statement_of(data: bytes) -> bytes:
    """The in-toto statement of a bundle, whoever signed it. Raises VerificationFailed where it is none."""
    return _opened(data)[1].payload


def _opened(data: bytes) -> tuple[dict[str, Any], dsse.Envelope]:
    table = _common(dsse.strict_json(data, "the signature file"))
    if table.get("mediaType") not in _KINDS:
        raise VerificationFailed(
            f"the signature file is of the kind {str(table.get('mediaType'))[:60]!r}",
            hint="a Sigstore bundle v0.3 is needed",
            rule="PRV-009",
        )
    envelope = dsse.unwrap(table.get("dsseEnvelope"))
    if envelope.kind != IN_TOTO:
        raise VerificationFailed(
            f"the signed payload is of the kind {envelope.kind[:60]!r}",
            hint="an in-toto statement is needed",
            rule="PRV-009",
        )
    return table, envelope


def _common(table: dict[str, Any]) -> dict[str, Any]:
    """A PEP 740 attestation as the bundle that it is; bundles as they are. Source: PEP 740, attestation objects."""
    envelope, material = table.get("envelope"), table.get("verification_material")
    if table.get("version") != 1 or not isinstance(envelope, dict) or not isinstance(material, dict):
        return table
    return {
        "mediaType": KIND,
        "verificationMaterial": {
            "certificate": {"rawBytes": material.get("certificate")},
            "tlogEntries": material.get("transparency_entries"),
        },
        "dsseEnvelope": {
            "payload": envelope.get("statement"),
            "payloadType": IN_TOTO,
            "signatures": [{"sig": envelope.get("signature"), "keyid": ""}],
        },
    }


def _signer(
    material: dict[str, Any], envelope: dsse.Envelope, trust: Trust, now: datetime, whole: dict[str, Any]
) -> PublicKey:
    chain = material.get("x509CertificateChain")
    if isinstance(chain, dict):
        return _by_certificate(chain, envelope, trust, now)
    if isinstance(material.get("certificate"), dict):
        if not trust.issuer or not trust.identity:
            raise VerificationFailed(
                "the signature is keyless", hint="say whose it has to be with --identity and --issuer", rule="PRV-003"
            )
        from weighbridge.provenance import keyless  # noqa: PLC0415  # an extra

        return keyless.signer(whole, envelope, trust)
    public = material.get("publicKey")
    if not isinstance(public, dict):
        raise VerificationFailed("the signature does not say who made it", hint="sign again", rule="PRV-003")
    if not trust.keys:
        raise VerificationFailed("the signature is by key", hint="give the public key with --key", rule="PRV-003")
    return _by_key(public.get("hint"), envelope, trust, now)


def _by_key(hint: object, envelope: dsse.Envelope, trust: Trust, now: datetime) -> PublicKey:
    key = next((key for key in trust.keys if key.fingerprint == hint), None)
    if key is None:
        raise VerificationFailed(
            f"the signature is by the key {str(hint)[:16]}…, which is not among those given",
            hint="check whose key it is before you trust it",
            rule="PRV-003",
        )
    if not keys.is_signed_by(envelope, key):
        raise VerificationFailed(
            f"the signature is not valid for the key {key.name}", hint="the signature file was changed or damaged"
        )
    keys.check_age(key, now, trust.most_days)
    return key


def _by_certificate(chain: dict[str, Any], envelope: dsse.Envelope, trust: Trust, now: datetime) -> PublicKey:
    if not trust.roots:
        raise VerificationFailed(
            "the signature is by certificate",
            hint="give the root with --ca and the name with --identity",
            rule="PRV-003",
        )
    from weighbridge.provenance import certificates  # noqa: PLC0415  # x509 costs more than all the rest

    given = chain.get("certificates")
    raw = [
        dsse.decoded(one.get("rawBytes") if isinstance(one, dict) else None)
        for one in (given if isinstance(given, list) else [])
    ]
    key = certificates.check_chain(certificates.decode(raw), trust.roots, now, trust.identity)
    if not keys.is_signed_by(envelope, key):
        raise VerificationFailed(
            "the signature is not by the key of its certificate", hint="the signature file is damaged"
        )
    return key
