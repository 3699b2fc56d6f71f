"""Knows the flags that say who is trusted, and how they join what the configuration says."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from weighbridge.cli.options import flag
from weighbridge.schema import UsageError

if TYPE_CHECKING:
    import argparse

    from weighbridge.provenance.wanted import Wanted


def add_trust(made: argparse.ArgumentParser, *, artifact: bool = True) -> None:
    """The flags about keys, certificates, identities and lists; with `artifact` also those about one artifact."""
    trust = made.add_argument_group("trust")
    flag(trust, "key", "public key that is trusted; may be repeated", action="append", default=[], metavar="FILE")
    flag(trust, "ca", "root certificates that are trusted, in PEM", metavar="FILE", default="")
    flag(trust, "identity", "the name that certificate or keyless identity has to hold", metavar="NAME", default="")
    flag(trust, "issuer", "who vouches for a keyless identity", metavar="URL", default="")
    flag(trust, "sigstore", "trusted root or trust configuration of a private Sigstore", metavar="FILE", default="")
    flag(trust, "builder", "the builder that build provenance has to name", metavar="URI", default="")
    flag(trust, "max-key-age", "refuse keys that are older", metavar="DAYS", default="0")
    flag(trust, "revocations", "signed revocation list", metavar="FILE", default="")
    flag(trust, "revocations-key", "public key of the revocation list", metavar="FILE", default="")
    flag(trust, "feed", "signed feed of what is known to be bad (weighbridge feed)", metavar="FILE", default="")
    flag(trust, "feed-key", "public key of the feed", metavar="FILE", default="")
    if not artifact:
        return
    flag(trust, "signature", "may be repeated (default: PATH.sig)", action="append", default=[], metavar="FILE")
    flag(trust, "threshold", "how many different signers are needed (default: all)", metavar="N", default="0")
    flag(
        trust,
        "attestation",
        "bundle, JSON Lines of bundles, or PEP 740 provenance; may be repeated",
        action="append",
        default=[],
        metavar="FILE",
    )
    flag(trust, "bom", "bill of materials that has to fit (signed in FILE.att)", metavar="FILE", default="")
    flag(trust, "lock", "lock that has to fit", metavar="FILE", default="")
    flag(
        trust,
        "require",
        "signature, bom, lock, scan, test, approval, slsa or vsa; may be repeated",
        action="append",
        default=[],
        metavar="WHAT",
    )


def wanted(given: argparse.Namespace, base: Wanted | None = None) -> Wanted:
    """What is asked for: flags over configuration. Raises UsageError."""
    from weighbridge.provenance.wanted import Wanted as Asked  # noqa: PLC0415  # few runs ask for provenance

    found = {
        "keys": tuple(given.key),
        "ca": given.ca,
        "identity": given.identity,
        "issuer": given.issuer,
        "sigstore": given.sigstore,
        "builder": given.builder,
        "max_key_age": _whole(given.max_key_age, "max-key-age"),
        "revocations": given.revocations,
        "revocations_key": given.revocations_key,
        "feed": given.feed,
        "feed_key": given.feed_key,
        "signatures": tuple(given.signature),
        "threshold": _whole(given.threshold, "threshold"),
        "attestations": tuple(given.attestation),
        "bill": given.bom,
        "lock": given.lock,
        "require": tuple(given.require),
    }
    return msgspec.structs.replace(base or Asked(), **{name: value for name, value in found.items() if value})


def _whole(text: str, name: str) -> int:
    if not str(text).isdigit():
        raise UsageError(f"--{name} takes a whole number, not {text!r}")
    return int(text)
