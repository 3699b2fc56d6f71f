"""Knows keyless signatures: a short-lived certificate for an identity, and a transparency log that saw it in time.

Signing and verifying are those of the `sigstore` package (the extra `keyless`). Verification needs no network: bundles
carry the proof of the log, and the trusted root is a file. Source: Sigstore bundle 0.3, Fulcio certificate extensions.
"""

from __future__ import annotations

import json
import logging
import os
from typing import TYPE_CHECKING, Any

from weighbridge.provenance import keys
from weighbridge.schema import SourceError, Unavailable, UsageError, VerificationFailed

if TYPE_CHECKING:
    from weighbridge.provenance.bundle import Trust
    from weighbridge.provenance.dsse import Envelope
    from weighbridge.provenance.keys import PublicKey

_CONFIGURATION = "application/vnd.dev.sigstore.clienttrustconfig.v0.1+json"


def signer(whole: dict[str, Any], envelope: Envelope, trust: Trust) -> PublicKey:
    """Who made a keyless bundle, when log, certificate and identity hold.

    Raises VerificationFailed, and Unavailable where the extra is not installed.
    """
    from weighbridge.provenance.certificates import identities  # noqa: PLC0415  # x509 costs more than all the rest

    library = _library()
    from sigstore.errors import Error  # noqa: PLC0415  # an extra

    try:
        bundle = library.models.Bundle.from_json(json.dumps(whole))
        verifier = library.verify.Verifier(trusted_root=_root(library, trust.sigstore))
        policy = library.verify.policy
        # Certificates name their issuer in one of two fields, of which the first is on its way out.
        issuers = policy.AnyOf([policy.OIDCIssuerV2(trust.issuer), policy.OIDCIssuer(trust.issuer)])
        wanted = policy.AllOf([policy.Identity(identity=trust.identity), issuers])
        kind, payload = verifier.verify_dsse(bundle, wanted)
    except (Error, ValueError, KeyError, TypeError) as error:
        found = identities(whole)
        if found and trust.identity not in found:
            raise VerificationFailed(
                f"the signature is by {', '.join(found)}, and not by {trust.identity}",
                hint="check whose identity it is before you trust it",
                rule="PRV-003",
            ) from error
        reason = (str(error).splitlines() or [type(error).__name__])[0][:200]
        stranger = "policies" in reason
        raise VerificationFailed(
            f"the identity {trust.identity} is not vouched for by the issuer {trust.issuer}"
            if stranger
            else f"the keyless signature does not hold: {reason}",
            hint=f"it has to be by {trust.identity}, vouched for by {trust.issuer}, and in the log",
            rule="PRV-003" if stranger else "PRV-002",
        ) from error
    if (kind, payload) != (envelope.kind, envelope.payload):
        raise VerificationFailed(
            "the verified payload is not the one that was read", hint="the signature file is damaged", rule="PRV-009"
        )
    return keys.described(bundle.signing_certificate.public_key(), f"{trust.identity} ({trust.issuer})")


def _library() -> Any:
    try:
        import sigstore.models  # noqa: PLC0415  # an extra
        import sigstore.verify.policy  # noqa: PLC0415
    except ImportError as error:
        raise Unavailable(
            "keyless signatures need the extra keyless", hint="pip install 'weighbridge[keyless]'"
        ) from error
    # What it has to say about its own offline mode is no news to anybody here.
    logging.getLogger("sigstore").setLevel(logging.ERROR)
    return sigstore


def _root(library: Any, path: str) -> Any:
    """A trusted root from a file of either kind, or the one of the public instance as the library ships it."""
    if not path:
        return library.models.ClientTrustConfig.production(offline=True).trusted_root
    text = keys.read(path).decode("utf-8", "replace")
    try:
        if _CONFIGURATION in text:
            return library.models.ClientTrustConfig.from_json(text).trusted_root
        return library.models.TrustedRoot.from_file(path)
    except Exception as error:
        raise UsageError(
            f"{path}: not a trusted root or trust configuration", hint="a JSON file of Sigstore"
        ) from error


def seal(payload: bytes, *, trust_config: str = "", token: str = "") -> bytes:
    """A keyless bundle around an in-toto statement: asks the certificate authority and the log of the instance.

    `token` is an OpenID Connect token; empty takes that of the build environment. Raises SourceError, UsageError.
    """
    library = _library()
    from sigstore.dsse import Statement  # noqa: PLC0415  # an extra
    from sigstore.oidc import IdentityToken, detect_credential  # noqa: PLC0415
    from sigstore.sign import SigningContext  # noqa: PLC0415

    token = token or os.environ.get("SIGSTORE_ID_TOKEN", "") or detect_credential() or ""
    if not token:
        raise UsageError(
            "there is no identity token", hint="run in a build environment that has one, or set SIGSTORE_ID_TOKEN"
        )
    try:
        configuration = (
            library.models.ClientTrustConfig.from_json(keys.read(trust_config).decode())
            if trust_config
            else library.models.ClientTrustConfig.production()
        )
        context = SigningContext.from_trust_config(configuration)
        with context.signer(IdentityToken(token)) as made:
            return str(made.sign_dsse(Statement(payload)).to_json()).encode()
    except (UsageError, SourceError):
        raise
    except Exception as error:
        raise SourceError(
            f"no keyless signature: {type(error).__name__}: {str(error)[:200]}",
            hint="check token, network and trust file",
        ) from error
