"""Certificate chains for tests: a root, an authority below it, and leaves for every purpose."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

NOW = datetime(2026, 6, 1, tzinfo=UTC)


def usage(*, sign=False, certify=False):
    return x509.KeyUsage(
        digital_signature=sign, key_cert_sign=certify, crl_sign=certify, content_commitment=False, key_encipherment=False,
        data_encipherment=False, key_agreement=False, encipher_only=False, decipher_only=False,
    )  # fmt: skip


def certificate(
    name,
    issuer=None,
    *,
    ca=False,
    purpose=ExtendedKeyUsageOID.CODE_SIGNING,
    start=-10,
    days=365,
    san="release@example.org",
    sign=True,
):
    """(key, certificate) signed by `issuer`, a pair like the one returned, or by itself."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    issuer_key, issuer_name = (issuer[0], issuer[1].subject) if issuer else (key, subject)
    made = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer_name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(NOW + timedelta(days=start))
        .not_valid_after(NOW + timedelta(days=start + days))
        .add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
        .add_extension(usage(sign=sign and not ca, certify=ca), critical=True)
    )
    if not ca and purpose is not None:
        made = made.add_extension(x509.ExtendedKeyUsage([purpose]), critical=False)
        made = made.add_extension(x509.SubjectAlternativeName([x509.RFC822Name(san)]), critical=False)
    return key, made.sign(issuer_key, hashes.SHA256())


def pem(*pairs):
    return b"".join(one.public_bytes(Encoding.PEM) for _, one in pairs)


def key_pem(pair):
    return pair[0].private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
