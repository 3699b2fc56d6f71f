"""Knows model signatures: OpenSSF Model Signing v1.0 bundles, written so that its own tool accepts them, held strictly.

Names are bound to digests, nothing is ignored, and every file has to be signed.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
from typing import TYPE_CHECKING, Any

from weighbridge.provenance import bundle, keys
from weighbridge.provenance.bundle import IN_TOTO
from weighbridge.provenance.digest import FileDigest, Members, digests, members
from weighbridge.provenance.statement import OURS, PREDICATE, STATEMENT, Resource, Statement, parsed, piece_digest
from weighbridge.rules import find_rule
from weighbridge.schema import Complaint, Proof, VerificationFailed

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from cryptography import x509

    from weighbridge.provenance.bundle import Trust
    from weighbridge.provenance.digest import DigestCache
    from weighbridge.provenance.keys import PublicKey, SigningKey

_SHOWN = 6


def sign(
    path: str,
    private: SigningKey,
    *,
    now: datetime,
    output: str,
    chain: Sequence[x509.Certificate] = (),
    cache: DigestCache | None = None,
) -> bytes:
    """A bundle over every file of a tree. `output` is where it will be written, and is left out where it lies inside."""
    return bundle.seal(payload(path, now=now, output=output, cache=cache), IN_TOTO, private, chain)


def payload(path: str, *, now: datetime, output: str, cache: DigestCache | None = None) -> bytes:
    """The statement that a signature over a tree is about."""
    inside = _inside(path, output)
    found = digests(members(path, without=(os.path.realpath(output),) if inside else ()), cache=cache)
    before, listed, after = (
        json.dumps(_statement(path, found, now, inside), separators=(",", ":")).encode().partition(b'"resources":[')
    )
    made = io.BytesIO()
    made.write(before + listed)
    for number, one in enumerate(found):
        made.write(b"," * (number > 0))
        made.write(f'{{"name":{json.dumps(one.name)},"algorithm":"sha256","digest":"{one.sha256}"}}'.encode())
    made.write(after)
    return made.getvalue()


def _inside(path: str, output: str) -> str:
    """The name of the signature file inside the tree; empty where it lies outside."""
    root, target = os.path.realpath(path), os.path.realpath(output)
    return os.path.relpath(target, root).replace(os.sep, "/") if target.startswith(root + os.sep) else ""


def _statement(path: str, found: Sequence[FileDigest], now: datetime, inside: str) -> dict[str, Any]:
    root = hashlib.sha256()
    for one in found:
        root.update(bytes.fromhex(one.sha256))
    return {
        "_type": STATEMENT,
        "subject": [{"name": os.path.basename(os.path.realpath(path)), "digest": {"sha256": root.hexdigest()}}],
        "predicateType": PREDICATE,
        "predicate": {
            "serialization": {
                "method": "files",
                "hash_type": "sha256",
                "allow_symlinks": False,
                "ignore_paths": [inside] if inside else [],
            },
            # Filled in one by one: a tree may have very many files.
            "resources": [],
            # Verifiers of v1.0 pass over fields they do not know.
            OURS: {
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
) -> Proof:
    """Hold a tree, or one file of it (`only`), against its signature; `beside` are other files that belong to the proof.

    Raises VerificationFailed with file and reason.
    """
    signed, key = bundle.authentic(keys.read_bundle(signature), trust, now)
    statement = parsed(signed)
    del signed  # megabytes for a large tree
    if only:
        return _verify_one(path, only, statement, key)
    tree = members(path, without=[os.path.realpath(s) for s in (signature, *beside) if _inside(path, s)])
    whole = statement.algorithm == "sha256" and all(r.stop < 0 for r in statement.resources)
    found = digests(tree, cache=cache) if whole else ()
    refuse(_differences(found, statement) if found else _by_pieces(tree, statement))
    if trust.revoked:
        refuse([Complaint("PRV-016", one.name, "was revoked") for one in found if one.sha256 in trust.revoked.revoked])
    size = sum(one.size for one in found)
    return Proof(
        kind="signature", by=key.name, key=key.fingerprint, files=len(tree.files), size=size, made=statement.signed_at
    )


def refuse(complaints: Sequence[Complaint]) -> None:
    """Raise VerificationFailed for complaints, if there are any, with all of them in it."""
    if not complaints:
        return
    first, *others = [f"{c.member} {c.message}".strip() for c in complaints]
    more = f", and {len(others)} more" if others else ""
    hint = "\n        ".join(others[: _SHOWN - 1]) or find_rule(complaints[0].rule).fix
    raise VerificationFailed(f"{first}{more}", hint=hint, complaints=tuple(complaints))


def authentic(data: bytes, trust: Trust, now: datetime) -> tuple[Statement, PublicKey]:
    """The statement of a bundle and who signed it. Raises VerificationFailed before anything unsigned is believed."""
    signed, key = bundle.authentic(data, trust, now)
    return parsed(signed), key


def _differences(found: Sequence[FileDigest], statement: Statement) -> list[Complaint]:
    """Every way in which a tree is not what was signed."""
    if _same(found, statement):
        return []
    signed: dict[str, Resource] = {}
    for resource in statement.resources:
        if resource.name in signed:
            return [Complaint("PRV-009", resource.name, "is signed twice")]
        signed[resource.name] = resource
    actual = {one.name: one for one in found}
    missing = [name for name in signed if name not in actual]
    by_digest = {signed[name].digest: name for name in missing}
    complaints = []
    for name in (name for name in actual if name not in signed):
        before = by_digest.pop(actual[name].sha256, "")
        if before:
            missing.remove(before)
            complaints.append(Complaint("PRV-002", before, f"was renamed to {name}"))
        else:
            complaints.append(Complaint("PRV-004", name, "is not signed"))
    complaints += [Complaint("PRV-002", name, "is missing") for name in missing]
    changed = [name for name in signed if name in actual and actual[name].sha256 != signed[name].digest]
    for name in changed:
        other = next((o for o in changed if o != name and actual[o].sha256 == signed[name].digest), "")
        complaints.append(Complaint("PRV-002", name, f"holds what was signed as {other}" if other else "was changed"))
    return sorted([*complaints, *_modes(actual, statement)], key=lambda c: (c.member, c.message))


def _same(found: Sequence[FileDigest], statement: Statement) -> bool:
    """Whether both lists are alike, entry by entry: the usual case, for which nothing else has to be built."""
    powers = statement.powers if statement.signed_at else None
    return len(found) == len(statement.resources) and all(
        one.name == signed.name
        and one.sha256 == signed.digest
        and (powers is None or one.powers == powers.get(one.name, 0))
        for one, signed in zip(found, statement.resources, strict=True)
    )


def _modes(actual: dict[str, FileDigest], statement: Statement) -> list[Complaint]:
    """Files that can do more or less than when they were signed."""
    powers, names = statement.powers, {resource.name for resource in statement.resources}
    return [
        Complaint(
            "PRV-002",
            name,
            f"has another mode: {_mode(powers.get(name, 0))} was signed, {_mode(one.powers)} is there",
        )
        for name, one in actual.items()
        if statement.signed_at and name in names and one.powers != powers.get(name, 0)
    ]


def _mode(powers: int) -> str:
    return "executable" if powers & 0o111 and not powers & 0o7000 else "plain" if not powers else f"{powers:04o}"


def _by_pieces(tree: Members, statement: Statement) -> list[Complaint]:
    """The same for signatures over shards or with another digest, piece by piece."""
    present, signed = dict(tree.files), {resource.name for resource in statement.resources}
    complaints = [Complaint("PRV-004", name, "is not signed") for name in present if name not in signed]
    complaints += [Complaint("PRV-002", name, "is missing") for name in sorted(signed) if name not in present]
    ends: dict[str, int] = {}
    for resource in statement.resources:
        if resource.name not in present:
            continue
        if piece_digest(present[resource.name], resource, statement.algorithm) != resource.digest:
            complaints.append(Complaint("PRV-002", resource.name, "was changed"))
        if resource.start != ends.get(resource.name, 0) and resource.stop >= 0:
            gap = f"is not signed from byte {ends.get(resource.name, 0)}"
            complaints.append(Complaint("PRV-004", resource.name, gap))
        ends[resource.name] = resource.stop
    complaints += [
        Complaint("PRV-004", name, "is longer than what was signed")
        for name, end in ends.items()
        if 0 <= end < os.path.getsize(present[name])
    ]
    return sorted(dict.fromkeys(complaints), key=lambda c: (c.member, c.message))


def _verify_one(path: str, only: str, statement: Statement, key: PublicKey) -> Proof:
    """One file of a large tree: its own digest against the signed list."""
    full = os.path.join(path, only) if os.path.isdir(path) else path
    wanted = [resource for resource in statement.resources if resource.name == only.replace(os.sep, "/")]
    if not wanted:
        raise VerificationFailed(
            f"{only} is not signed", hint="names are relative to the signed folder", rule="PRV-004"
        )
    real_root, real = os.path.realpath(path), os.path.realpath(full)
    if os.path.islink(full) and not real.startswith(real_root + os.sep):
        raise VerificationFailed(
            f"{only} is a link out of the tree", hint="replace the link by the file", rule="PRV-004"
        )
    for resource in wanted:
        if piece_digest(keys.existing(full), resource, statement.algorithm) != resource.digest:
            raise VerificationFailed(f"{only} was changed", hint="fetch the file again")
    return Proof(
        kind="signature",
        by=key.name,
        key=key.fingerprint,
        files=1,
        size=os.path.getsize(full),
        made=statement.signed_at,
    )
