"""Knows which digests may be loaded: those of a lock, of signed approvals, and of files that are inspected on the spot."""

from __future__ import annotations

import contextlib
import os
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from msgspec import Struct

from weighbridge.schema import Outcome, UsageError, WeighbridgeError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from weighbridge.policy import Policy


class Decision(Struct, frozen=True, kw_only=True):
    """Whether a file may be loaded, and why."""

    allowed: bool
    reason: str


class Approvals:
    """What has been approved. `lock` is a file, `attestations` are bundles that `keys` have signed.

    `revocations` is a signed list, by `revocations_key`, of what was called back since; it is read again when it changes.
    """

    def __init__(
        self,
        *,
        lock: str = "",
        attestations: Sequence[str] = (),
        keys: Sequence[str] = (),
        scan: bool = True,
        policy: Policy | None = None,
        revocations: str = "",
        revocations_key: str = "",
    ) -> None:
        """Raises UsageError, SourceError or VerificationFailed where one of them cannot be relied on."""
        self.known: dict[str, str] = {}
        self._scan, self._policy = scan, policy
        self._judged: dict[str, Decision] = {}
        self._list, self._list_key, self._list_seen = revocations, revocations_key, 0
        self._revoked: frozenset[str] = frozenset()
        if bool(revocations) != bool(revocations_key):
            raise UsageError("a revocation list and the key of its signer belong together", hint="give both")
        if revocations:
            self._read_revocations()
        if lock:
            self._read_lock(lock)
        if attestations:
            self._read_attestations(attestations, keys)

    def _read_lock(self, path: str) -> None:
        from weighbridge.provenance import lock  # noqa: PLC0415  # only where there is one

        for entry in lock.load(path).artifacts:
            for name, digest in entry.files.items():
                self.known.setdefault(digest, f"locked in {path} as {entry.source}, {name}")

    def _read_attestations(self, paths: Sequence[str], keys: Sequence[str]) -> None:
        from weighbridge.provenance import attestation, predicates  # noqa: PLC0415  # loading cryptography takes a while
        from weighbridge.provenance.check import trust  # noqa: PLC0415
        from weighbridge.provenance.wanted import Wanted  # noqa: PLC0415

        now = datetime.now(UTC)
        trusted = trust(Wanted(keys=tuple(keys)), now)
        for path in paths:
            for one in attestation.read(path, trusted, now):
                speaks = isinstance(one.predicate, (predicates.Approval, predicates.ScanResult))
                if speaks and not any(attestation.objections(one, now)):
                    for _, digest in one.subjects:
                        if "sha256" in digest:
                            self.known.setdefault(f"sha256:{digest['sha256']}", attestation.described(one))

    def _read_revocations(self) -> None:
        """The list as it is now. Raises SourceError, VerificationFailed where it cannot be relied on."""
        from weighbridge.provenance import keys, revocation  # noqa: PLC0415  # loading cryptography takes a while

        seen = os.stat(keys.existing(self._list)).st_mtime_ns
        key = keys.load_public(self._list_key)
        found = revocation.remembered(revocation.load(self._list, key, datetime.now(UTC)), key)
        self._revoked, self._list_seen = self._revoked | frozenset(found.revoked), seen

    def _called_back(self, sha256: str) -> bool:
        # What was called back stays so, whatever a later list says or does not say.
        with contextlib.suppress(OSError, WeighbridgeError):
            if self._list and os.stat(self._list).st_mtime_ns != self._list_seen:
                self._read_revocations()
        return sha256 in self._revoked

    def decide(self, path: str, shown: str, sha256: str) -> Decision:
        """Whether the bytes that lie at `path`, with this digest, may be loaded. `shown` is what the user calls them."""
        if self._called_back(sha256):
            return Decision(allowed=False, reason=f"its SHA-256 {sha256[:16]}… was called back, says {self._list}")
        known = self.known.get(f"sha256:{sha256}")
        if known:
            return Decision(allowed=True, reason=known)
        if sha256 in self._judged:
            return self._judged[sha256]
        if any(digest.startswith("git-sha1:") for digest in self.known):
            from weighbridge.provenance.lock import git_object  # noqa: PLC0415  # a lock with such digests was read

            known = self.known.get(f"git-sha1:{git_object(path)}")
            if known:
                return Decision(allowed=True, reason=known)
        told = f"its SHA-256 {sha256[:16]}… is in no lock or approval"
        if not self._scan:
            return Decision(allowed=False, reason=told)
        self._judged[sha256] = self._inspected(path, shown, told)
        return self._judged[sha256]

    def _inspected(self, path: str, shown: str, told: str) -> Decision:
        from weighbridge.inspection import scan  # noqa: PLC0415  # files that are approved need no inspection

        report = scan([path], policy=self._policy)
        verdict = report.verdict
        if verdict.outcome is Outcome.ADMIT and report.complete:
            return Decision(allowed=True, reason="inspected now, nothing stands against it")
        because = verdict.because.replace(path, shown) if verdict.because else "it could not be inspected completely"
        return Decision(allowed=False, reason=f"{told}, and inspection says {verdict.outcome.value}: {because}")
