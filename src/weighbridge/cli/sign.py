"""The verb `sign`: a signature over every file of an artifact, as OpenSSF Model Signing writes it."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from weighbridge.cli.keys import password
from weighbridge.cli.options import parser
from weighbridge.cli.written import write_file
from weighbridge.schema import UsageError

if TYPE_CHECKING:
    import argparse

    from cryptography import x509

    from weighbridge.provenance.keys import SigningKey


def run(arguments: list[str]) -> int:
    """Run the verb."""
    made = parser(
        "sign",
        "Sign every file of a folder, or one file, as an OpenSSF Model Signing v1.0 bundle.",
        "weighbridge sign model/ --key release",
    )
    made.add_argument("path", help="folder or file")
    add_signer(made)
    made.add_argument("--output", metavar="FILE", help="the signature (default: PATH.sig)")
    made.add_argument("--no-cache", action="store_true", help="read every file, whatever is known of it")
    given = made.parse_args(arguments)
    from weighbridge.provenance import signature  # noqa: PLC0415  # loading cryptography takes a while
    from weighbridge.provenance.digest import DigestCache  # noqa: PLC0415

    output = given.output or f"{given.path.rstrip('/')}.sig"
    cache = None if given.no_cache else DigestCache()
    payload = signature.payload(given.path, now=datetime.now(UTC), output=output, cache=cache)
    if cache:
        cache.save()
    sealed, by = seal(given, payload)
    write_file(output, sealed)
    print(f"{output}: signed by {by}, {os.path.getsize(output)} bytes")
    return 0


def add_signer(made: argparse.ArgumentParser) -> None:
    """The flags about who signs."""
    made.add_argument(
        "--key", metavar="FILE", help="private key, or pkcs11: address of one (password in WEIGHBRIDGE_KEY_PASSWORD)"
    )
    made.add_argument("--certificates", metavar="FILE", help="certificate chain in PEM, leaf first")
    made.add_argument("--keyless", action="store_true", help="sign as an identity, through Sigstore (extra: keyless)")
    made.add_argument("--sigstore", default="", metavar="FILE", help="trust configuration of a private Sigstore")


def seal(given: argparse.Namespace, payload: bytes) -> tuple[bytes, str]:
    """A bundle around an in-toto statement, and who signed it. Raises UsageError where nobody was named."""
    if bool(given.key) == given.keyless:
        raise UsageError("say who signs", hint="either --key or --keyless")
    if given.keyless:
        from weighbridge.provenance import keyless  # noqa: PLC0415  # an extra

        return keyless.seal(payload, trust_config=given.sigstore), "the identity of the token"
    from weighbridge.provenance import bundle, keys  # noqa: PLC0415  # loading cryptography takes a while

    private: SigningKey = keys.load_private(given.key, password())
    chain: list[x509.Certificate] = []
    if given.certificates:
        from weighbridge.provenance import certificates  # noqa: PLC0415  # x509 costs more than all the rest

        chain = certificates.load_chain(given.certificates)
    return bundle.seal(payload, bundle.IN_TOTO, private, chain), f"{keys.fingerprint(private.public_key())[:16]}…"
