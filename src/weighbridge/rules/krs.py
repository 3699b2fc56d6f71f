"""Knows the KRS family: Keras and HDF5. The readers of these formats are still to come; what is here is what bytes alone show."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from weighbridge.rules.build import CRITICAL, rule

if TYPE_CHECKING:
    from weighbridge.schema import Rule

KRS: Final[tuple[Rule, ...]] = (
    rule("KRS-001", "Lambda layer with code", CRITICAL, "X", "CVE-2024-3660 CWE-94",
         what="the model holds a Lambda layer, whose function is stored as Python bytecode",
         why="loading or using the model runs it; the legacy HDF5 format ignores safe_mode",
         fix="replace the Lambda layer by a registered layer, and load with safe_mode"),
)  # fmt: skip
