"""Knows the SEC family: secrets and self-test."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from weighbridge.rules.build import CRITICAL, HIGH, INFO, rule

if TYPE_CHECKING:
    from weighbridge.schema import Rule

SEC: Final[tuple[Rule, ...]] = (
    rule("SEC-001", "access token in an artifact", HIGH, "S", "AML.T0055 CWE-798",
         what="a token for a hub, cloud or model service stands in the file",
         why="whoever downloads the file can use it", fix="revoke the token, then remove it"),
    rule("SEC-002", "private key in an artifact", CRITICAL, "S", "AML.T0055 CWE-312",
         what="a private key or cloud credential file is among the files",
         why="whoever downloads the file can use it", fix="revoke the key, then remove it"),
    rule("SEC-005", "known to be bad", CRITICAL, "X", "AML.T0010 CWE-506", evidence="the file, and what the feed says of it",
         what="a signed feed names the file by its SHA-256",
         why="somebody has found out what it is", fix="do not use it; look for where else it is (weighbridge cache audit)"),
    rule("SEC-010", "self-test marker", INFO, "-", "",
         what="the marker that Weighbridge looks for to show that it is awake", why="it proves that scanning reaches this place",
         fix="nothing to do"),
)  # fmt: skip
