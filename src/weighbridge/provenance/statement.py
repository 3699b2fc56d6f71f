"""Knows what a model signature states: which files with which digests, read strictly.

Source: OpenSSF Model Signing v1.0 (sigstore/model-transparency 1.1.1); in-toto Statement v1.
"""

from __future__ import annotations

import hashlib
from typing import Any, Final

from msgspec import Struct

from weighbridge.provenance import dsse
from weighbridge.schema import VerificationFailed

STATEMENT: Final = "https://in-toto.io/Statement/v1"
PREDICATE: Final = "https://model_signing/signature/v1.0"
OURS: Final = "weighbridge"


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


def parsed(payload: bytes) -> Statement:
    """The statement, strictly. Raises VerificationFailed."""
    table = dsse.strict_json(payload, "the signed statement", _compact)
    subject, predicate = table.get("subject"), table.get("predicate")
    if table.get("_type") != STATEMENT or table.get("predicateType") != PREDICATE:
        raise VerificationFailed(
            "the signed statement is no model signature of version 1.0",
            hint="sign again with a current tool",
            rule="PRV-009",
        )
    if not (
        isinstance(subject, list) and len(subject) == 1 and isinstance(subject[0], dict) and isinstance(predicate, dict)
    ):
        raise VerificationFailed("the signed statement has no single subject", hint="sign again", rule="PRV-009")
    how = _table(predicate.get("serialization"))
    if how.get("method") not in {"files", "shards"} or how.get("hash_type") not in {"sha256", "blake2b", "blake2"}:
        raise VerificationFailed(
            f"digests of the kind {how.get('method')}/{how.get('hash_type')} are not verified here",
            hint="sign with sha256 over files",
            rule="PRV-005",
        )
    ours = _table(predicate.get(OURS))
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


def _compact(table: dict[str, Any]) -> Any:
    """A listed file as a pair: a tree may have very many."""
    if len(table) <= 3 and isinstance(table.get("name"), str) and isinstance(table.get("digest"), str):
        return table["name"], table["digest"]
    return table


def _resource(item: object, *, shards: bool) -> Resource:
    name, digest = item if isinstance(item, tuple) else ("", "")
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
