"""Knows which controls the frameworks demand of an AI supply chain, and where this registry shows each of them.

The frameworks: OWASP LLM05:2023, LLM03:2025, LLM04:2026, ML Top 10 and ASI04, AISVS, MITRE ATLAS mitigations, AATMF T13, NIST SSDF
(800-218A), CISA/NSA data security, ASD/NSA supply chain, EU AI Act.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Final

from msgspec import Struct


class Seen(StrEnum):
    """Where a control is shown."""

    RULES = "findings of rules"
    DECISIONS = "signed decisions"
    TERMS = "terms of this registry"
    ELSEWHERE = "shown by another verb, not by this registry"
    NOWHERE = "not covered"


class Control(Struct, frozen=True, kw_only=True):
    """A control: who demands it, where it is shown, and by which rules (`PKL-*`), term, or verb."""

    id: str
    text: str
    demanded: str
    seen: Seen
    by: tuple[str, ...] = ()


def _control(number: int, text: str, demanded: str, seen: Seen, *by: str) -> Control:
    return Control(id=f"C-{number:02d}", text=text, demanded=demanded, seen=seen, by=by)


_RULES, _SAID, _TERMS, _AWAY, _NONE = Seen.RULES, Seen.DECISIONS, Seen.TERMS, Seen.ELSEWHERE, Seen.NOWHERE

CONTROLS: Final = (
    _control(1, "inventory of everything in use, with owner and source", "LLM05:2023 LLM03:2025 LLM04:2026 ASI04", _AWAY, "weighbridge inventory"),
    _control(2, "AI bill of materials, with licences and origin of data", "LLM03:2025 LLM04:2026 AISVS AML.M0023", _AWAY, "weighbridge bom"),
    _control(3, "signed bill; an incomplete one fails the build", "AISVS LLM04:2026 ASI04", _AWAY, "weighbridge bom, attest --kind bom"),
    _control(4, "approved sources only", "LLM05:2023 LLM03:2025 LLM04:2026 AISVS", _TERMS, "upstreams", "internal"),
    _control(5, "digests instead of names and tags", "LLM04:2026 ASI04 AML.M0014", _SAID, "approved"),
    _control(6, "signatures verified with a policy of identities", "LLM05:2023 LLM03:2025 LLM04:2026 AML.M0013", _RULES, "PRV-*"),
    _control(7, "verified again at admission and at load", "AISVS ASI04 AATMF:T13-AT-012", _SAID, "approved"),
    _control(8, "build provenance with the builder checked", "LLM04:2026 SSDF", _AWAY, "weighbridge verify --attestation"),
    _control(9, "every artifact inspected for malicious code before it is imported", "AISVS AML.M0016", _RULES, "PKL-*", "TCH-*", "JBL-*", "KRS-*", "NPY-*"),
    _control(10, "what cannot be inspected is not approved", "AML.T0076 LLM04:2026", _RULES, "SCN-*", "ARC-*"),
    _control(11, "safe formats preferred, pickles refused", "AML.M0011", _RULES, "HFR-018", "PKL-*"),
    _control(12, "inspection and conversion without network and secrets", "AISVS ASI04", _AWAY, "weighbridge doctor, load"),
    _control(13, "configuration, templates, tokenizers, adapters treated as code", "LLM04:2026 AISVS", _RULES, "HFR-*", "TPL-*", "TOK-*", "ADP-*"),
    _control(14, "code of strangers denied or reviewed", "LLM04:2026", _RULES, "HFR-001", "HFR-002", "HFR-003"),
    _control(15, "loaders of vulnerable versions refused", "LLM04:2026 LLM03:2025 AML.M0016", _RULES, "TCH-018", "GGF-020", "MLO-014"),
    _control(16, "advisories for packages, locks with digests", "LLM05:2023 LLM03:2025 LLM04:2026 ML06:2023", _RULES, "PKG-*"),
    _control(17, "look-alike names and dependency confusion", "ASI04 LLM04:2026", _RULES, "IDN-*", "PKG-005", "PKG-006"),
    _control(18, "releases wait", "AATMF:T13-AT-004", _TERMS, "cooldown_days"),
    _control(19, "packages audited statically", "AML.M0016", _RULES, "PKG-*", "COD-*"),
    _control(20, "own code and notebooks checked for unsafe loading", "AML.M0011", _AWAY, "weighbridge scan src/"),
    _control(21, "datasets locked file by file", "AML.M0025", _AWAY, "weighbridge lock"),
    _control(22, "lineage of datasets", "SSDF AISVS EU AI Act 10", _AWAY, "weighbridge bom"),
    _control(23, "datasets analysed for poison", "SSDF AISVS ML02:2023", _NONE),
    _control(24, "quarantine before data enters", "ASD/NSA CISA/NSA", _SAID, "approved", "rejected"),
    _control(25, "integrity of labels, consensus of annotators", "AISVS ML02:2023", _NONE),
    _control(26, "versions of datasets with difference and roll-back", "CISA/NSA", _SAID, "revoked", "deprecated"),
    _control(27, "behaviour tested before promotion", "AISVS LLM04:2026 AML.M0008", _NONE),
    _control(28, "evaluated again after conversion, merge, quantisation", "AISVS LLM04:2026", _NONE),
    _control(29, "adapters bound to their base", "LLM03:2025 LLM04:2026 AISVS", _RULES, "ADP-*"),
    _control(30, "each stage of a checkpoint hashed, signed, registered", "AISVS", _SAID, "approved"),
    _control(31, "weights compared with the declared base", "AATMF:T13-AT-005", _AWAY, "weighbridge diff"),
    _control(32, "internal registry with states, roles and an audit log", "AML.M0005 LLM05:2023", _SAID, "approved", "rejected", "revoked", "expired"),
    _control(33, "promotion gated by policy", "LLM04:2026 AISVS ASI04", _SAID, "approved", "rejected"),
    _control(34, "approval by more than one person", "SSDF AATMF:T13-AT-012", _TERMS, "approvals", "automatic"),
    _control(35, "hardened pipelines", "AATMF:T13-AT-003 SSDF", _RULES, "CIC-*"),
    _control(36, "rules for containers", "AATMF:T13-AT-013", _RULES, "OCI-*"),
    _control(37, "secrets searched for", "SSDF", _RULES, "SEC-*"),
    _control(38, "manifests of agent tools pinned", "AISVS ASI04", _AWAY, "weighbridge lock"),
    _control(39, "agent tools and skills checked", "AISVS ASI04", _RULES, "AGT-*"),
    _control(40, "artifacts called back everywhere, offline too", "ASI04", _SAID, "revoked"),
    _control(41, "behaviour watched in production", "LLM04:2026 AML.M0024 SSDF", _NONE),
    _control(42, "what is loaded is what was approved", "ASI04 AISVS", _AWAY, "weighbridge run"),
    _control(43, "claims of cards held against facts", "AATMF:T13-AT-005 LLM03:2025", _RULES, "PRV-*"),
    _control(44, "evaluation sets checked for contamination", "AATMF CoSAI", _NONE),
    _control(45, "licences followed", "LLM03:2025 LLM04:2026", _AWAY, "weighbridge bom, inventory"),
    _control(46, "exposed services found", "ML06:2023", _RULES, "MLO-*"),
    _control(47, "packages for devices signed again and attested", "LLM03:2025 LLM04:2026", _NONE),
    _control(48, "tamper-evident log and evidence report", "EU AI Act 12 AISVS SSDF", _SAID, "approved", "rejected", "revoked"),
    _control(49, "who uses an artifact; roll back to the last good", "ASI04", _SAID, "revoked"),
    _control(50, "feed of what is known to be bad", "AML.M0016 ASI04", _RULES, "SEC-005"),
    _control(51, "safe defaults", "AML.M0018", _TERMS, "anonymous", "automatic"),
    _control(52, "the inspector is a target itself", "AML.T0119", _AWAY, "weighbridge doctor"),
)  # fmt: skip
