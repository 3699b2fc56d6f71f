"""The verb `sign`: a signature over every file of an artifact, as OpenSSF Model Signing writes it."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from weighbridge.cli.keys import password, write_file
from weighbridge.cli.options import parser

if TYPE_CHECKING:
    from cryptography import x509


def run(arguments: list[str]) -> int:
    """Run the verb."""
    made = parser(
        "sign",
        "Sign every file of a folder, or one file, as an OpenSSF Model Signing v1.0 bundle.",
        "weighbridge sign model/ --key release",
    )
    made.add_argument("path", help="folder or file")
    made.add_argument("--key", required=True, metavar="FILE", help="private key (password in WEIGHBRIDGE_KEY_PASSWORD)")
    made.add_argument("--certificates", metavar="FILE", help="certificate chain in PEM, leaf first")
    made.add_argument("--output", metavar="FILE", help="the signature (default: PATH.sig)")
    made.add_argument("--no-cache", action="store_true", help="read every file, whatever is known of it")
    given = made.parse_args(arguments)
    from weighbridge.provenance import keys, signature  # noqa: PLC0415  # loading cryptography takes a while
    from weighbridge.provenance.digest import DigestCache  # noqa: PLC0415

    private = keys.load_private(given.key, password())
    chain: list[x509.Certificate] = []
    if given.certificates:
        from weighbridge.provenance import certificates  # noqa: PLC0415  # x509 costs more than all the rest

        chain = certificates.load_chain(given.certificates)
    output = given.output or f"{given.path.rstrip('/')}.sig"
    cache = None if given.no_cache else DigestCache()
    bundle = signature.sign(given.path, private, now=datetime.now(UTC), output=output, chain=chain, cache=cache)
    if cache:
        cache.save()
    write_file(output, bundle)
    print(f"{output}: signed by {keys.fingerprint(private.public_key())[:16]}…, {os.path.getsize(output)} bytes")
    return 0
