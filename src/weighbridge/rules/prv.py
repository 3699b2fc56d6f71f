"""Knows the PRV family: signatures, digests, attestations, bills of materials, lineage."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from weighbridge.rules.build import CRITICAL, HIGH, INFO, LOW, MEDIUM, rule

if TYPE_CHECKING:
    from weighbridge.schema import Rule

_PROOF: Final = "the file, and what was signed, attested or locked for it"

PRV: Final[tuple[Rule, ...]] = (
    rule("PRV-001", "no signature or attestation", MEDIUM, "P", "CWE-345 AATMF:T13-AT-012", evidence="what the policy requires, and what was found",
         what="the policy requires a signature, an attestation or more signers, and none that holds is there",
         why="nobody who is trusted stands behind the artifact", fix="ask the publisher for a signature, or sign it yourself after inspection"),
    rule("PRV-002", "signature over other bytes", CRITICAL, "P", "CWE-347 AML.T0109 AATMF:T13-AT-012", evidence=_PROOF,
         what="the signature is not valid, or a file was changed, renamed, removed or given other rights after it was signed",
         why="this is not what was signed", fix="fetch the artifact again from its publisher"),
    rule("PRV-003", "signed by somebody else", CRITICAL, "P", "CWE-297 AML.T0073 AATMF:T13-AT-012", evidence="who signed, and who was expected",
         what="the signature is by a key, certificate or identity that is not among those trusted, or not made for signing code",
         why="anybody can sign; only who signed counts", fix="check whose key it is before you trust it"),
    rule("PRV-004", "unsigned files", HIGH, "PE", "CWE-353 AATMF:T13-AT-012", evidence=_PROOF,
         what="files, links or parts of files are not covered by the signature, or the signature covers files by ignoring them",
         why="loaders read and import what lies in the folder, signed or not", fix="remove the files, or sign them too"),
    rule("PRV-005", "weak digest", MEDIUM, "P", "CWE-328 AATMF:T13-AT-012", evidence="the algorithm",
         what="files are bound by MD5, SHA-1 or another digest for which collisions are made or that is not verified here",
         why="another file with the same digest can take its place", fix="sign again with SHA-256"),
    rule("PRV-006", "expired key, certificate or approval", HIGH, "P", "CWE-295 AATMF:T13-AT-012", evidence="the date, and whose it is",
         what="the key, certificate or approval has expired, is not valid yet, or is older than the policy allows",
         why="old keys leak, and nobody watches them any more", fix="ask for a signature by the current key"),
    rule("PRV-007", "step back to an older version", HIGH, "P", "AML.T0109 CWE-345", evidence="both dates",
         what="the signature was made before the one of the locked version",
         why="an older version brings its mended faults back", fix="fetch the current version, or lock the older one on purpose"),
    rule("PRV-008", "attestation that does not fit", HIGH, "P", "CWE-345 AATMF:T13-AT-012", evidence="the subject, builder or verdict that is attested",
         what="an attestation is about other files, names another builder, or itself says that the artifact failed",
         why="evidence for something else is no evidence", fix="ask for the attestation of exactly this version"),
    rule("PRV-009", "statement of another kind", HIGH, "PE", "CWE-347 AATMF:T13-AT-012", evidence="the type that was signed",
         what="the signed payload is not of the type that it is used as, names a file twice, or is damaged",
         why="a signature that is valid for one purpose is passed off for another", fix="ask for a proper bundle"),
    rule("PRV-010", "not as locked", CRITICAL, "B", "CWE-354 AML.T0109", evidence="the file, and the entry of the lock",
         what="files differ from the digests in the lock, or the artifact is not in it",
         why="somebody replaced what had been looked at", fix="look at what changed, then write the lock again"),
    rule("PRV-011", "bill of materials that does not fit", MEDIUM, "P", "CWE-1104 CWE-345", evidence="the component, and the file",
         what="the bill of materials is missing, not signed by anybody trusted, incomplete, or names other files or digests",
         why="who relies on it looks for parts that are not there and misses those that are", fix="write it again: weighbridge bom --sign KEY"),
    rule("PRV-012", "gap in the lineage", MEDIUM, "P", "CWE-345 AATMF:T13-AT-007", evidence="the part, and who names it",
         what="a part that is used is in no lock or bill of materials, or parts name each other in a circle",
         why="what cannot be traced cannot be recalled", fix="add the part to the lock, and pin it"),
    rule("PRV-013", "card that the files contradict", MEDIUM, "P", "CWE-451 AATMF:T13-AT-005", evidence="what is declared and where, and what was observed",
         what="card or configuration declare a format, precision or base that the files do not have",
         why="decisions are made on the card", fix="ask the author which of them is true"),
    rule("PRV-014", "results without evidence", INFO, "P", "CWE-451 AATMF:T13-AT-005", heuristic=True, evidence="the line of the card",
         what="the card states evaluation results as verified and names no source for them",
         why="numbers are the cheapest part of a card to make up", fix="ask for the evaluation run"),
    rule("PRV-015", "licences that contradict each other", LOW, "P", "CWE-451", evidence="both licences, and where they stand",
         what="two files of the artifact, or a derivative and its base, name licences that do not go together",
         why="the stricter one may bind you", fix="ask the author"),
    rule("PRV-016", "revoked", CRITICAL, "P", "CWE-345 AML.T0109", evidence="the entry of the revocation list",
         what="a file, or the key that signed it, is on the signed revocation list",
         why="somebody who is trusted has called it back", fix="remove it wherever it is in use"),
    rule("PRV-017", "revocation list that cannot be relied on", CRITICAL, "PE", "CWE-345 CWE-353", evidence="the list's signature, edition and end",
         what="the revocation list is not signed by its key, is damaged, has ended, or is older than one seen before",
         why="an old or forged list hides what was called back", fix="fetch the current list from its publisher"),
)  # fmt: skip
