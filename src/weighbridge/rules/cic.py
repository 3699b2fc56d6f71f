"""Knows the CIC family: continuous integration and builds."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from weighbridge.rules.build import CRITICAL, HIGH, MEDIUM, rule

if TYPE_CHECKING:
    from weighbridge.schema import Rule

CIC: Final[tuple[Rule, ...]] = (
    rule("CIC-001", "action by tag or branch", HIGH, "X", "AATMF:T13-AT-003 CWE-829",
         what="a workflow uses an action without a 40-digit commit", why="whoever moves the tag runs code with the workflow's secrets", fix="pin the action to a commit", surface="mlops"),
    rule("CIC-002", "foreign code with secrets", CRITICAL, "XS", "AATMF:T13-AT-003 CWE-94",
         what="a privileged trigger checks out or interpolates what a stranger wrote", why="a pull request or comment runs code with write access", fix="use pull_request, and pass values through the environment", surface="mlops"),
    rule("CIC-004", "token with broad rights", HIGH, "S", "CWE-250",
         what="a workflow has write-all permissions, or hands long-lived publishing tokens to a step", why="one bad step publishes in your name", fix="set permissions for each job, publish with OIDC", surface="mlops"),
    rule("CIC-005", "release without provenance", MEDIUM, "P", "CWE-353",
         what="a job publishes packages or models and signs nothing", why="nobody can tell the release from a forgery", fix="add an attestation or signing step", surface="mlops"),
    rule("CIC-007", "gate that can be skipped", HIGH, "P", "CWE-693",
         what="an evaluation, test or scan step continues on error", why="a failing gate lets everything through", fix="remove continue-on-error and `|| true`", surface="mlops"),
    rule("CIC-009", "scanner that is not pinned", HIGH, "X", "CWE-829",
         what="the pipeline installs a security scanner without a version", why="the scanner itself was an entry in 2026", fix="pin the scanner by version and hash", surface="mlops"),
    rule("CIC-010", "model download without verification", HIGH, "P", "CWE-494",
         what="the pipeline downloads a model without a commit or digest", why="what is tested and shipped is what was there that day", fix="name the revision and compare the digest", surface="mlops"),
    rule("CIC-011", "build files that run code", MEDIUM, "X", "AATMF:T13-AT-003",
         what="pre-commit hooks, DVC stages or tasks fetch and run code from elsewhere", why="ordinary commands of a developer run it", fix="pin the hooks to commits", surface="mlops"),
)  # fmt: skip
