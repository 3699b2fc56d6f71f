"""Knows model signatures: OpenSSF Model Signing v1.0 bundles, written so that its own tool accepts them, read strictly.

Names are bound to digests, nothing is ignored, and every file has to be signed. Source: sigstore/model-transparency
1.1.1; Sigstore bundle 0.3; in-toto Statement v1.
"""

from __future__ import annotations

import base64
import hashlib
import json
import os
from typing import TYPE_CHECKING, Any, Final

from msgspec import Struct

from weighbridge.provenance import dsse, keys
from weighbridge.provenance.digest import FileDigest, Members, digests, members
from weighbridge.schema import VerificationFailed

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from cryptography import x509
    from cryptography.hazmat.primitives.asymmetric import ec

    from weighbridge.provenance.digest import DigestCache
    from weighbridge.provenance.keys import PublicKey
    from weighbridge.provenance.revocation import Revocations

BUNDLE: Final = "application/vnd.dev.sigstore.bundle.v0.3+json"
STATEMENT: Final = "https://in-toto.io/Statement/v1"
PREDICATE: Final = "https://model_signing/signature/v1.0"
IN_TOTO: Final = "application/vnd.in-toto+json"
_OURS: Final = "weighbridge"


class Resource(Struct, frozen=True):
    """One signed piece: a file, or from `start` to `stop` of one where the signer cut files into shards."""

    name: str
    digest: str
    start: int = 0
    stop: int = -1


class Statement(Struct, frozen=True, kw_only=True):
    """What a signature says, after it was found to be authentic."""

    subject: str
    root: str
    resources: tuple[Resource, ...]
    algorithm: str
    powers: dict[str, int]
    signed_at: str


class Trust(Struct, frozen=True, kw_only=True):
    """Who may sign: keys, or roots of certificates with the name that has to be in the leaf."""

    keys: tuple[PublicKey, ...] = ()
    roots: tuple[x509.Certificate, ...] = ()
    identity: str = ""
    most_days: int = 0
    revoked: Revocations | None = None


class Verified(Struct, frozen=True, kw_only=True):
    """A signature that holds: whose, over how much, made when by the signer's own word."""

    signer: str
    fingerprint: str
    files: int
    size: int
    signed_at: str


def sign(
    path: str,
    private: ec.EllipticCurvePrivateKey,
    *,
    now: datetime,
    output: str,
    chain: Sequence[x509.Certificate] = (),
    cache: DigestCache | None = None,
) -> bytes:
    """A bundle over every file of a tree. `output` is where it will be written, and is left out where it lies inside."""
    inside = _inside(path, output)
    found = digests(members(path, without=(os.path.realpath(output),) if inside else ()), cache=cache)
    payload = json.dumps(_statement(path, found, now, inside), separators=(",", ":")).encode()
    envelope = dsse.Envelope(payload=payload, kind=IN_TOTO, signatures=())
    signature = keys.sign(private, envelope.signed)
    material: dict[str, Any] = {"tlogEntries": []}
    if chain:
        from cryptography.hazmat.primitives.serialization import Encoding  # noqa: PLC0415  # only with certificates

        encoded = [{"rawBytes": base64.b64encode(one.public_bytes(Encoding.DER)).decode()} for one in chain]
        material["x509CertificateChain"] = {"certificates": encoded}
    else:
        material["publicKey"] = {"hint": keys.fingerprint(private.public_key())}
    bundle = {
        "mediaType": BUNDLE,
        "verificationMaterial": material,
        "dsseEnvelope": dsse.wrap(payload, IN_TOTO, signature),
    }
    return json.dumps(bundle).encode()


def _inside(path: str, output: str) -> str:
    """The name of the signature file inside the tree; empty where it lies outside."""
    root, target = os.path.realpath(path), os.path.realpath(output)
    return os.path.relpath(target, root).replace(os.sep, "/") if target.startswith(root + os.sep) else ""


def _statement(path: str, found: Sequence[FileDigest], now: datetime, inside: str) -> dict[str, Any]:
    root = hashlib.sha256(b"".join(bytes.fromhex(one.sha256) for one in found)).hexdigest()
    return {
        "_type": STATEMENT,
        "subject": [{"name": os.path.basename(os.path.realpath(path)), "digest": {"sha256": root}}],
        "predicateType": PREDICATE,
        "predicate": {
            "serialization": {
                "method": "files",
                "hash_type": "sha256",
                "allow_symlinks": False,
                "ignore_paths": [inside] if inside else [],
            },
            "resources": [{"name": one.name, "algorithm": "sha256", "digest": one.sha256} for one in found],
            # Verifiers of v1.0 pass over fields they do not know.
            _OURS: {
                "signed_at": f"{now:%Y-%m-%dT%H:%M:%SZ}",
                "powers": {one.name: one.powers for one in found if one.powers},
            },
        },
    }


def verify(
    path: str,
    signature: str,
    trust: Trust,
    *,
    now: datetime,
    cache: DigestCache | None = None,
    only: str = "",
    beside: Sequence[str] = (),
) -> Verified:
    """Hold a tree, or one file of it (`only`), against its signature; `beside` are signatures of others in the tree.

    Raises VerificationFailed with file and reason.
    """
    statement, key = authentic(keys.read_bundle(signature), trust, now)
    if only:
        return _verify_one(path, only, statement, key)
    tree = members(path, without=[os.path.realpath(s) for s in (signature, *beside) if _inside(path, s)])
    found = (
        digests(tree, cache=cache)
        if statement.algorithm == "sha256" and all(r.stop < 0 for r in statement.resources)
        else ()
    )
    problems = _differences(tree, found, statement)
    if problems:
        more = f", and {len(problems) - 1} more" if len(problems) > 1 else ""
        raise VerificationFailed(
            f"{problems[0]}{more}",
            hint="\n        ".join(problems[1:6]) or "fetch the artifact again from its publisher",
        )
    size = sum(one.size for one in found)
    return Verified(
        signer=key.name, fingerprint=key.fingerprint, files=len(tree.files), size=size, signed_at=statement.signed_at
    )


def authentic(data: bytes, trust: Trust, now: datetime) -> tuple[Statement, PublicKey]:
    """The statement of a bundle and who signed it. Raises VerificationFailed before anything unsigned is believed."""
    bundle = dsse.strict_json(data, "the signature file")
    if bundle.get("mediaType") != BUNDLE:
        raise VerificationFailed(
            f"the signature file is of the kind {str(bundle.get('mediaType'))[:60]!r}",
            hint="a Sigstore bundle v0.3 is needed",
        )
    envelope = dsse.unwrap(bundle.get("dsseEnvelope"))
    if envelope.kind != IN_TOTO:
        raise VerificationFailed(
            f"the signed payload is of the kind {envelope.kind[:60]!r}", hint="an in-toto statement is needed"
        )
    material = bundle.get("verificationMaterial")
    key = _signer(material if isinstance(material, dict) else {}, envelope, trust, now)
    if trust.revoked:
        trust.revoked.check_key(key)
    return _parsed(envelope.payload), key


def _signer(material: dict[str, Any], envelope: dsse.Envelope, trust: Trust, now: datetime) -> PublicKey:
    chain = material.get("x509CertificateChain")
    if isinstance(chain, dict):
        if not trust.roots:
            raise VerificationFailed(
                "the signature is by certificate", hint="give the root with --ca and the name with --identity"
            )
        from weighbridge.provenance import certificates  # noqa: PLC0415  # x509 costs more than all the rest

        raw = [
            dsse.decoded(c.get("rawBytes") if isinstance(c, dict) else None) for c in _list(chain.get("certificates"))
        ]
        key = certificates.check_chain(certificates.decode(raw), trust.roots, now, trust.identity)
        if not keys.is_signed_by(envelope, key):
            raise VerificationFailed(
                "the signature is not by the key of its certificate", hint="the signature file is damaged"
            )
        return key
    public = material.get("publicKey")
    if not isinstance(public, dict):
        raise VerificationFailed("the signature is keyless", hint="keyless signatures are not verified here")
    if not trust.keys:
        raise VerificationFailed("the signature is by key", hint="give the public key with --key")
    hint = public.get("hint")
    key_or_none = next((key for key in trust.keys if key.fingerprint == hint), None)
    if key_or_none is None:
        raise VerificationFailed(
            f"the signature is by the key {str(hint)[:16]}…, which is not among those given",
            hint="check whose key it is before you trust it",
        )
    if not keys.is_signed_by(envelope, key_or_none):
        raise VerificationFailed(
            f"the signature is not valid for the key {key_or_none.name}",
            hint="the signature file was changed or damaged",
        )
    keys.check_age(key_or_none, now, trust.most_days)
    return key_or_none


def _parsed(payload: bytes) -> Statement:
    """The statement, strictly. Raises VerificationFailed."""
    table = dsse.strict_json(payload, "the signed statement")
    subject, predicate = table.get("subject"), table.get("predicate")
    if table.get("_type") != STATEMENT or table.get("predicateType") != PREDICATE:
        raise VerificationFailed(
            "the signed statement is no model signature of version 1.0", hint="sign again with a current tool"
        )
    if not (
        isinstance(subject, list) and len(subject) == 1 and isinstance(subject[0], dict) and isinstance(predicate, dict)
    ):
        raise VerificationFailed("the signed statement has no single subject", hint="sign again")
    how = _table(predicate.get("serialization"))
    if how.get("method") not in {"files", "shards"} or how.get("hash_type") not in {"sha256", "blake2b", "blake2"}:
        raise VerificationFailed(
            f"digests of the kind {how.get('method')}/{how.get('hash_type')} are not verified here",
            hint="sign with sha256 over files",
        )
    ours = _table(predicate.get(_OURS))
    powers = ours.get("powers")
    statement = Statement(
        subject=str(subject[0].get("name", "")),
        root=str(_table(subject[0].get("digest")).get("sha256", "")),
        resources=tuple(
            _resource(item, shards=how["method"] == "shards") for item in _list(predicate.get("resources"))
        ),
        algorithm="sha256" if how["hash_type"] == "sha256" else "blake2b",
        powers={str(k): v for k, v in powers.items() if type(v) is int} if isinstance(powers, dict) else {},
        signed_at=str(ours.get("signed_at", "")),
    )
    root = hashlib.sha256(b"".join(bytes.fromhex(r.digest) for r in statement.resources)).hexdigest()
    if statement.algorithm == "sha256" and root != statement.root:
        raise VerificationFailed(
            "the signed root digest does not fit the signed list", hint="the signer's tool is broken"
        )
    return statement


def _table(value: object) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _list(value: object) -> list[Any]:
    return value if isinstance(value, list) else []


def _resource(item: object, *, shards: bool) -> Resource:
    table = item if isinstance(item, dict) else {}
    name, digest = str(table.get("name", "")), str(table.get("digest", ""))
    start, stop = 0, -1
    if shards:
        name, first, last = [*name.rsplit(":", 2), "", ""][:3]
        if not (first.isdigit() and last.isdigit() and len(last) < 20 and int(first) <= int(last)):
            raise VerificationFailed(f"the signed list holds the odd shard {name[:80]!r}", hint="sign again")
        start, stop = int(first), int(last)
    parts = name.split("/")
    if not name or name.startswith("/") or ".." in parts or "\\" in name or "\0" in name:
        raise VerificationFailed(f"the signed list holds the odd name {name[:80]!r}", hint="sign again")
    if not all(character in "0123456789abcdef" for character in digest) or len(digest) not in {64, 128}:
        raise VerificationFailed(f"the signed list holds an odd digest for {name[:80]}", hint="sign again")
    return Resource(name, digest, start, stop)


def _differences(tree: Members, found: Sequence[FileDigest], statement: Statement) -> list[str]:
    """Every way in which a tree is not what was signed, as sentences."""
    signed: dict[str, Resource] = {}
    for resource in statement.resources:
        if resource.stop < 0 and resource.name in signed:
            return [f"{resource.name} is signed twice"]
        signed[resource.name] = resource
    present = dict(tree.files)
    missing = [name for name in signed if name not in present]
    added = [name for name in present if name not in signed]
    actual = {one.name: one for one in found} if found else {}
    if not found:
        return _by_pieces(present, missing, added, statement)
    by_digest = {signed[name].digest: name for name in missing}
    problems = []
    for name in added:
        before = by_digest.pop(actual[name].sha256, "")
        if before:
            missing.remove(before)
            problems.append(f"{before} was renamed to {name}")
        else:
            problems.append(f"{name} is not signed")
    problems += [f"{name} is missing" for name in missing]
    changed = [name for name in signed if name in actual and actual[name].sha256 != signed[name].digest]
    for name in changed:
        other = next((o for o in changed if o != name and actual[o].sha256 == signed[name].digest), "")
        problems.append(f"{name} holds what was signed as {other}" if other else f"{name} was changed")
    powers = statement.powers
    problems += [
        f"the mode of {name} was changed: {_mode(powers.get(name, 0))} was signed, {_mode(one.powers)} is there"
        for name, one in actual.items()
        if statement.signed_at and name in signed and one.powers != powers.get(name, 0)
    ]
    return sorted(problems)


def _mode(powers: int) -> str:
    return "executable" if powers & 0o111 and not powers & 0o7000 else "plain" if not powers else f"{powers:04o}"


def _by_pieces(present: dict[str, str], missing: list[str], added: list[str], statement: Statement) -> list[str]:
    """The same for signatures over shards or with another digest, piece by piece."""
    problems = [f"{name} is not signed" for name in added] + [f"{name} is missing" for name in missing]
    ends: dict[str, int] = {}
    for resource in statement.resources:
        if resource.name not in present:
            continue
        if piece_digest(present[resource.name], resource, statement.algorithm) != resource.digest:
            problems.append(f"{resource.name} was changed")
        if resource.start != ends.get(resource.name, 0) and resource.stop >= 0:
            problems.append(f"{resource.name} is not signed from byte {ends.get(resource.name, 0)}")
        ends[resource.name] = resource.stop
    problems += [
        f"{name} is longer than what was signed"
        for name, end in ends.items()
        if 0 <= end < os.path.getsize(present[name])
    ]
    return sorted(dict.fromkeys(problems))


def piece_digest(path: str, resource: Resource, algorithm: str) -> str:
    """The digest of a file, or of the part that a resource names."""
    made = hashlib.new(algorithm)
    left = resource.stop - resource.start if resource.stop >= 0 else -1
    with open(path, "rb") as file:
        file.seek(resource.start)
        while left:
            piece = file.read(1 << 20 if left < 0 else min(1 << 20, left))
            if not piece:
                break
            made.update(piece)
            left -= len(piece) if left > 0 else 0
    return made.hexdigest()


def _verify_one(path: str, only: str, statement: Statement, key: PublicKey) -> Verified:
    """One file of a large tree: its own digest against the signed list."""
    full = os.path.join(path, only) if os.path.isdir(path) else path
    wanted = [resource for resource in statement.resources if resource.name == only.replace(os.sep, "/")]
    if not wanted:
        raise VerificationFailed(f"{only} is not signed", hint="names are relative to the signed folder")
    real_root, real = os.path.realpath(path), os.path.realpath(full)
    if os.path.islink(full) and not real.startswith(real_root):
        raise VerificationFailed(f"{only} is a link out of the tree", hint="replace the link by the file")
    for resource in wanted:
        if piece_digest(keys.existing(full), resource, statement.algorithm) != resource.digest:
            raise VerificationFailed(f"{only} was changed", hint="fetch the file again")
    return Verified(
        signer=key.name, fingerprint=key.fingerprint, files=1, size=os.path.getsize(full), signed_at=statement.signed_at
    )
