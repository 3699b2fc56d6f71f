"""Knows checkpoints of a log: its size and root, signed, as a short text that anybody can keep and compare.

Sources: C2SP signed-note and tlog-checkpoint 1.0 (Ed25519 signatures, verifier keys `name+hash+key`).
"""

from __future__ import annotations

import base64
import binascii
import hashlib
from typing import Final

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from msgspec import Struct

from weighbridge.provenance import keys
from weighbridge.schema import UsageError, VerificationFailed

_ED25519: Final = b"\x01"
_DASH: Final = "\N{EM DASH} "
_LONGEST: Final = 64 << 10


class Checkpoint(Struct, frozen=True, kw_only=True):
    """What a log was at one moment: `root` is the hash of RFC 6962 over its first `size` entries."""

    origin: str
    size: int
    root: bytes

    def text(self) -> str:
        """What is signed."""
        return f"{self.origin}\n{self.size}\n{base64.b64encode(self.root).decode()}\n"


class LogKey:
    """The private key of a log."""

    def __init__(self, private: Ed25519PrivateKey, name: str) -> None:
        self._private, self.name = private, name
        raw = private.public_key().public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw)
        self._hash = _hash(name, raw)
        self.verifier = f"{name}+{self._hash.hex()}+{base64.b64encode(_ED25519 + raw).decode()}"

    def sign(self, checkpoint: Checkpoint) -> str:
        """The signed note."""
        text = checkpoint.text()
        signature = base64.b64encode(self._hash + self._private.sign(text.encode())).decode()
        return f"{text}\n{_DASH}{self.name} {signature}\n"


def new(path: str, name: str) -> LogKey:
    """Write a new private key. Raises UsageError where the file exists."""
    if not name or any(character.isspace() or character == "+" for character in name):
        raise UsageError(f"{name!r} cannot name a log", hint="no spaces and no plus sign")
    private = Ed25519PrivateKey.generate()
    pem = private.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    keys.write_new(path, pem, 0o600)
    return LogKey(private, name)


def load(path: str, name: str) -> LogKey:
    """The key of a log from its file. Raises SourceError, UsageError."""
    try:
        private = serialization.load_pem_private_key(keys.read(path), None)
    except (ValueError, TypeError) as error:
        raise UsageError(f"{path}: the key cannot be read", hint="a private Ed25519 key in PEM is needed") from error
    if not isinstance(private, Ed25519PrivateKey):
        raise UsageError(f"{path}: not an Ed25519 key", hint="a private Ed25519 key in PEM is needed")
    return LogKey(private, name)


def read(note: str, verifier: str) -> Checkpoint:
    """The checkpoint of a signed note. Raises VerificationFailed unless the key `verifier` has signed it."""
    name, raw = _verifier(verifier)
    head, blank, signatures = note[:_LONGEST].rpartition("\n\n")
    lines = head.split("\n")
    if not blank or len(lines) < 3 or not lines[1].isdigit() or len(lines[1]) > 18:
        raise VerificationFailed("this is no checkpoint of a log", hint="fetch it again from the registry")
    wanted = _hash(name, raw)
    for line in signatures.splitlines():
        signer, _, encoded = line.removeprefix(_DASH).rpartition(" ")
        signature = _decoded(encoded)
        if line.startswith(_DASH) and signer == name and signature[:4] == wanted:
            try:
                Ed25519PublicKey.from_public_bytes(raw).verify(signature[4:], f"{head}\n".encode())
            except InvalidSignature:
                continue
            return Checkpoint(origin=lines[0], size=int(lines[1]), root=_decoded(lines[2]))
    raise VerificationFailed(
        f"the checkpoint is not signed by {name}", hint="check whose key it is before you trust it"
    )


def _verifier(text: str) -> tuple[str, bytes]:
    name, _, rest = text.strip().partition("+")
    number, _, encoded = rest.partition("+")
    raw = _decoded(encoded)
    if not name or raw[:1] != _ED25519 or len(raw) != 33 or _hash(name, raw[1:]).hex() != number:
        raise VerificationFailed("this is no key of a log", hint="it looks like name+1a2b3c4d+AX…")
    return name, raw[1:]


def _hash(name: str, raw: bytes) -> bytes:
    return hashlib.sha256(name.encode() + b"\n" + _ED25519 + raw).digest()[:4]


def _decoded(text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return b""
