"""Knows the packages that a bill of materials lists: CycloneDX JSON, SPDX 2 and 3 JSON. Source: package-url specification."""

from __future__ import annotations

import re
from typing import Any, Final
from urllib.parse import unquote

from weighbridge.formats.document import walk
from weighbridge.formats.manifests.listed import MOST, Listed, Manifest
from weighbridge.formats.manifests.shape import rows, text
from weighbridge.schema import LimitExceeded

_PURL: Final = re.compile(r"pkg:(pypi|npm|conda)/((?:%40|@)?[^@?#]+)(?:@([^?#]+))?")
_DIGEST: Final = {"SHA-256": "sha256", "SHA-384": "sha384", "SHA-512": "sha512", "SHA256": "sha256", "SHA512": "sha512"}


def is_bill(root: object) -> bool:
    """Whether plain data is a bill of materials."""
    return isinstance(root, dict) and (
        root.get("bomFormat") == "CycloneDX"
        or "spdxVersion" in root
        or "spdx.org" in str(root.get("@context", ""))[:200]
    )


def read_bill(root: dict[str, Any]) -> Manifest:
    """The packages of a bill that have a package URL of an ecosystem known here."""
    kind = "CycloneDX" if root.get("bomFormat") == "CycloneDX" else "SPDX"
    listed: list[Listed] = []
    for _, key, value in walk(root):
        if key not in {"purl", "referenceLocator", "software_packageUrl", "packageUrl"} or not isinstance(value, str):
            continue
        one = _listed(value)
        if one is not None:
            listed.append(one)
        if len(listed) > MOST:
            raise LimitExceeded(f"more than {MOST} packages in one bill", limit="members")
    hashes = _hashes(root)
    return Manifest(
        kind=kind,
        locked=True,
        listed=tuple(
            Listed(
                ecosystem=one.ecosystem,
                name=one.name,
                version=one.version,
                hashes=hashes.get((one.name, one.version), ()),
            )
            for one in dict.fromkeys(listed)
        ),
    )


def _listed(purl: str) -> Listed | None:
    match = _PURL.match(purl)
    if match is None:
        return None
    return Listed(ecosystem=match[1], name=unquote(match[2]), version=unquote(match[3] or ""))


def _hashes(root: dict[str, Any]) -> dict[tuple[str, str], tuple[str, ...]]:
    found = {}
    for one in rows(root, "components"):
        digests = [(text(given, "alg"), text(given, "content")) for given in rows(one, "hashes")]
        found[_full(one), text(one, "version")] = tuple(
            f"{_DIGEST[name]}:{digest}" for name, digest in digests if name in _DIGEST
        )
    for one in rows(root, "packages"):
        sums = [(text(given, "algorithm"), text(given, "checksumValue")) for given in rows(one, "checksums")]
        found[text(one, "name"), text(one, "versionInfo")] = tuple(
            f"{_DIGEST[name]}:{digest}" for name, digest in sums if name in _DIGEST
        )
    return found


def _full(one: dict[str, Any]) -> str:
    group, name = text(one, "group"), text(one, "name")
    return f"{group}/{name}" if group else name
