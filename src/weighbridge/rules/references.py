"""Knows every framework id that a rule may carry, with its edition and name. An unknown id fails the checks.

MITRE ATLAS is pinned to the data of version 5.6.0 (2026-04-30), with later ids marked; OWASP ids are
edition-qualified, because the bare number means a different risk in each edition.
"""

from __future__ import annotations

from typing import Final

ATLAS_VERSION: Final = "5.6.0"

NAMES: Final[dict[str, str]] = {
    "AML.T0010": "AI Supply Chain Compromise",
    "AML.T0010.001": "AI Supply Chain Compromise: AI Software",
    "AML.T0010.002": "AI Supply Chain Compromise: Data",
    "AML.T0010.003": "AI Supply Chain Compromise: Model",
    "AML.T0011": "User Execution",
    "AML.T0011.000": "User Execution: Unsafe AI Artifacts",
    "AML.T0011.001": "User Execution: Malicious Package",
    "AML.T0018": "Manipulate AI Model",
    "AML.T0018.000": "Manipulate AI Model: Poison AI Model",
    "AML.T0018.001": "Manipulate AI Model: Modify AI Model Architecture",
    "AML.T0018.002": "Manipulate AI Model: Embed Malware",
    "AML.T0055": "Unsecured Credentials",
    "AML.T0072": "Reverse Shell",
    "AML.T0074": "Masquerading",
    "AML.T0076": "Corrupt AI Model",
    "AML.T0107": "Exploitation for Defense Evasion",
    "AML.T0119": "Exploit Automated Artifact Processing Pipeline (2026.07)",
    "AML.T0123": "Obfuscated Files or Information (2026.07)",
    "LLM05:2023": "OWASP LLM 2023: Supply Chain Vulnerabilities",
    "LLM03:2025": "OWASP LLM 2025: Supply Chain",
    "LLM04:2026": "OWASP LLM 2026: Supply Chain",
    "LLM04:2025": "OWASP LLM 2025: Data and Model Poisoning",
    "LLM05:2026": "OWASP LLM 2026: Data and Model Poisoning",
    "ML06:2023": "OWASP ML 2023: AI Supply Chain Attacks",
    "ML10:2023": "OWASP ML 2023: Model Poisoning",
    "ASI05": "OWASP Agentic 2026: Unexpected Code Execution",
    "AATMF:SC-*": "AATMF supply-chain family",
    "AATMF:T13-AT-001": "AATMF: Model Repository Poisoning",
    "AATMF:T13-AT-006": "AATMF: Checkpoint Poisoning",
    "AATMF:T13-AT-008": "AATMF: Model Conversion Exploits",
    "AATMF:T13-AT-012": "AATMF: Artifact Signature Attacks",
    "NISTAML.05": "NIST AI 100-2: Supply Chain Attacks",
    "NISTAML.051": "NIST AI 100-2: Model Poisoning (supply chain)",
    "NISTAML.023": "NIST AI 100-2: Backdoor Poisoning",
    "CWE-20": "Improper Input Validation",
    "CWE-22": "Path Traversal",
    "CWE-59": "Link Following",
    "CWE-73": "External Control of File Name or Path",
    "CWE-94": "Code Injection",
    "CWE-95": "Eval Injection",
    "CWE-178": "Improper Handling of Case Sensitivity",
    "CWE-190": "Integer Overflow",
    "CWE-276": "Incorrect Default Permissions",
    "CWE-312": "Cleartext Storage of Sensitive Information",
    "CWE-345": "Insufficient Verification of Data Authenticity",
    "CWE-400": "Uncontrolled Resource Consumption",
    "CWE-409": "Data Amplification",
    "CWE-434": "Unrestricted Upload of File with Dangerous Type",
    "CWE-436": "Interpretation Conflict",
    "CWE-451": "Misrepresentation of Critical Information",
    "CWE-470": "Unsafe Reflection",
    "CWE-502": "Deserialization of Untrusted Data",
    "CWE-506": "Embedded Malicious Code",
    "CWE-674": "Uncontrolled Recursion",
    "CWE-770": "Allocation Without Limits",
    "CWE-787": "Out-of-bounds Write",
    "CWE-798": "Hard-coded Credentials",
    "CWE-829": "Functionality from Untrusted Control Sphere",
    "CWE-912": "Hidden Functionality",
    "CWE-915": "Uncontrolled Modification of Object Attributes",
    "CWE-918": "Server-Side Request Forgery",
    "CWE-1007": "Homoglyphs in User Interface",
    "CWE-1284": "Improper Validation of Quantity",
}

CVES: Final = frozenset(
    [
        "CVE-2007-4559",
        "CVE-2024-3660",
        "CVE-2019-6446",
        "CVE-2024-34997",
        "CVE-2024-37065",
        "CVE-2024-48063",
        "CVE-2024-5187",
        "CVE-2024-5480",
        "CVE-2025-10155",
        "CVE-2025-10156",
        "CVE-2025-10157",
        "CVE-2025-1716",
        "CVE-2025-1889",
        "CVE-2025-1944",
        "CVE-2025-1945",
        "CVE-2025-23304",
        "CVE-2025-30402",
        "CVE-2025-32434",
        "CVE-2025-4517",
        "CVE-2025-54412",
        "CVE-2025-54413",
        "CVE-2025-54886",
        "CVE-2025-54950",
        "CVE-2025-62164",
        "CVE-2026-1839",
        "CVE-2026-24747",
        "CVE-2026-34446",
        "CVE-2026-34447",
        "CVE-2026-3490",
        "CVE-2026-4538",
    ]
)

EVERY_RULE: Final = ("AML.T0010", "AML.T0010.003", "LLM05:2023", "LLM03:2025", "LLM04:2026", "AATMF:SC-*", "NISTAML.05")
BY_EFFECT: Final[dict[str, tuple[str, ...]]] = {
    "X": ("AML.T0011.000", "AML.T0018.002", "ML06:2023", "ASI05", "AATMF:T13-AT-001"),
    "B": ("AML.T0018.000", "LLM05:2026", "LLM04:2025", "ML10:2023", "NISTAML.051", "NISTAML.023"),
    "E": ("AML.T0076", "AML.T0107"),
    "D": ("AML.T0119",),
    "M": ("AML.T0119",),
}


def complete(effects: str, given: tuple[str, ...]) -> tuple[str, ...]:
    """The references of a rule: those of every rule, those of its effects, and its own, each once."""
    by_effect = (reference for effect in effects for reference in BY_EFFECT.get(effect, ()))
    return tuple(dict.fromkeys((*EVERY_RULE, *by_effect, *given)))


def name_of(reference: str) -> str:
    """What a framework calls an id. Raises KeyError for an id that is not known."""
    if reference in CVES:
        return "Common Vulnerabilities and Exposures"
    return NAMES[reference]
