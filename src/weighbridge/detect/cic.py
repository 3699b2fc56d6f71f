"""Knows what is wrong with CI workflows that touch models (CIC): GitHub Actions, GitLab CI, pre-commit, DVC."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

from weighbridge.detect.knowledge import commands as shell
from weighbridge.detect.place import in_document
from weighbridge.formats.commands import commands
from weighbridge.formats.document import walk
from weighbridge.schema import Severity
from weighbridge.schema.text import printable

if TYPE_CHECKING:
    from collections.abc import Iterator

    from weighbridge.detect.subjects import DocumentSubject
    from weighbridge.formats.document import Path
    from weighbridge.schema import Finding

_COMMIT: Final = re.compile(r"@[0-9a-f]{40}\Z|@sha256:[0-9a-f]{64}\Z")
_FIRST_PARTY: Final = re.compile(r"(?:actions|github)/")
_PRIVILEGED: Final = (
    "pull_request_target",
    "workflow_run",
    "issue_comment",
    "issues",
    "discussion",
    "discussion_comment",
)
_STRANGERS: Final = re.compile(
    r"\$\{\{[^}]*github\.(?:event\.(?:issue|pull_request|comment|review|discussion|head_commit|commits|workflow_run|pages)[\w.*\[\]'-]*\.(?:title|body|message|name|email|ref|label|default_branch|head_branch|page_name|display_title)|head_ref)\b[^}]*\}\}"
)
_UNTRUSTED_HEAD: Final = re.compile(
    r"github\.event\.(?:pull_request\.head\.(?:sha|ref|repo)|workflow_run\.head_)|refs/pull/|github\.head_ref|\bgh pr checkout\b"
)
_PUBLISH: Final = re.compile(
    r"\btwine upload\b|\bnpm publish\b|\bcargo publish\b|\buv publish\b|\bpoetry publish\b|\b(?:hf|huggingface-cli) upload\b|gh-action-pypi-publish|\bpush_to_hub\b|docker push\b"
)
_SIGNS: Final = re.compile(
    r"attest|sigstore|cosign|slsa|provenance|gpg --|model_signing|id-token|in-toto", re.IGNORECASE
)
_GATE: Final = re.compile(
    r"\b(?:eval|evaluat\w*|test|tests|scan|weighbridge|modelscan|picklescan|lint|audit|check|verify|benchmark)\b",
    re.IGNORECASE,
)
_SWALLOWED: Final = re.compile(r"\|\|\s*(?:true|:|exit 0)\s*$", re.MULTILINE)
_SCANNER: Final = re.compile(
    r"(?:pip3?|uv|pipx|npm|npx|brew|apt(?:-get)?|go)\s+(?:tool\s+)?(?:install|i|run)?\s*(?:-\S+\s+)*((?:picklescan|modelscan|modelaudit|weighbridge|fickling|bandit|pip-audit|safety|semgrep|trivy|grype|syft|snyk|checkov|gitleaks|trufflehog|zizmor))(?![\w=~<>@.\[-])",
)
_TOKEN_STEP: Final = re.compile(
    r"\$\{\{\s*secrets\.(\w*(?:PYPI|NPM|TWINE|HF|HUGGINGFACE|DOCKER|CARGO|GH_PAT|PAT)\w*(?:TOKEN|PASSWORD|KEY|PAT)?\w*)\s*\}\}"
)


def detect_workflow(subject: DocumentSubject) -> Iterator[Finding]:
    """A workflow or composite action."""
    root = subject.document.root
    if not isinstance(root, dict):
        return
    triggers = _triggers(root.get("on", root.get("true")))
    privileged: list[str] = [name for name in _PRIVILEGED if name in triggers]
    for path, key, value in walk(root):
        yield from _entry(subject, path, key, value, privileged)
    for job, steps in _jobs(root):
        yield from _job(subject, job, steps, root)


def _triggers(value: Any) -> set[str]:
    if isinstance(value, str):
        return {value}
    return set(map(str, value)) if isinstance(value, (list, dict)) else set()


def _jobs(root: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    jobs = root.get("jobs")
    for name, job in jobs.items() if isinstance(jobs, dict) else ():
        if isinstance(job, dict):
            yield name, job


def _entry(subject: DocumentSubject, path: Path, key: object, value: Any, privileged: list[str]) -> Iterator[Finding]:
    if key == "uses" and isinstance(value, str):
        if not value.startswith("./") and not _COMMIT.search(value):
            severity = Severity.MEDIUM if _FIRST_PARTY.match(value) else None
            message = f"{printable(value)} is not pinned to a commit"
            yield in_document("CIC-001", subject, path, key, value, message, severity=severity)
    elif key == "ref" and isinstance(value, str) and privileged and _UNTRUSTED_HEAD.search(value):
        message = f"{privileged[0]} checks out what a stranger wrote"
        yield in_document("CIC-002", subject, path, key, value, message)
    elif key in {"run", "script"} and isinstance(value, (str, list)):
        for text in value if isinstance(value, list) else [value]:
            yield from _script(subject, path, key, str(text), privileged)
    elif key == "permissions" and value == "write-all":
        yield in_document("CIC-004", subject, path, key, value, "every permission is given")
    elif isinstance(value, str) and (match := _TOKEN_STEP.search(value)) and "password" in str(key).lower():
        message = f"a long-lived token ({match[1]}) publishes"
        yield in_document("CIC-004", subject, path, key, value, message, severity=Severity.MEDIUM)


def _script(subject: DocumentSubject, path: Path, key: object, text: str, privileged: list[str]) -> Iterator[Finding]:
    match = _STRANGERS.search(text)
    if match:
        message = f"what a stranger wrote becomes part of a script: {printable(match[0])}"
        severity = None if privileged else Severity.HIGH
        yield in_document("CIC-002", subject, path, key, match[0], message, severity=severity)
    elif privileged and _UNTRUSTED_HEAD.search(text) and "checkout" in text:
        yield in_document("CIC-002", subject, path, key, text, f"{privileged[0]} checks out what a stranger wrote")
    for command in commands(text):
        doing = shell.fetches_and_runs(command.text)
        scanner = _SCANNER.search(command.text)
        model = shell.fetches_model(command.text)
        if scanner and not re.search(r"-r\s|--require-hashes|==", command.text):
            yield in_document(
                "CIC-009", subject, path, key, command.text, f"{scanner[1]} is installed without a version"
            )
        if model and shell.fetches_model(text):
            yield in_document("CIC-010", subject, path, key, model, "a model is downloaded without a commit or digest")
        if doing:
            yield in_document("CIC-011", subject, path, key, command.text, f"a step {doing}")


def _job(subject: DocumentSubject, name: str, job: dict[str, Any], root: dict[str, Any]) -> Iterator[Finding]:
    steps = (
        [step for step in job.get("steps", []) if isinstance(step, dict)] if isinstance(job.get("steps"), list) else []
    )
    publishing = next((s for s in steps if _PUBLISH.search(f"{s.get('run', '')} {s.get('uses', '')}")), None)
    if publishing is not None and not _SIGNS.search(f"{job} {root.get('permissions', '')}"):
        yield in_document(
            "CIC-005",
            subject,
            (((), "jobs"), name),
            "steps",
            publishing.get("run", publishing.get("uses", "")),
            "something is published and nothing is signed",
        )
    for step in steps:
        label = f"{step.get('name', '')} {step.get('run', '')} {step.get('uses', '')}"
        if not _GATE.search(label):
            continue
        if step.get("continue-on-error") is True or _SWALLOWED.search(str(step.get("run", ""))):
            shown = str(step.get("name") or step.get("run") or step.get("uses"))
            yield in_document(
                "CIC-007",
                subject,
                ((((), "jobs"), name), "steps"),
                "continue-on-error",
                shown,
                f"the gate {printable(shown[:60])!r} may fail unnoticed",
            )


def detect_hooks(subject: DocumentSubject) -> Iterator[Finding]:
    """`.pre-commit-config.yaml`."""
    root = subject.document.root
    repositories = root.get("repos") if isinstance(root, dict) else None
    for number, item in enumerate(repositories if isinstance(repositories, list) else []):
        if not isinstance(item, dict) or item.get("repo") in {"local", "meta"}:
            continue
        revision = str(item.get("rev", ""))
        if not re.fullmatch(r"[0-9a-f]{40}", revision):
            message = f"hooks of {printable(str(item.get('repo')))} follow the tag {printable(revision)!r}"
            severity = Severity.MEDIUM if revision in {"main", "master", "HEAD", ""} else Severity.LOW
            yield in_document("CIC-011", subject, ((), number), "rev", revision, message, severity=severity)


def detect_stages(subject: DocumentSubject) -> Iterator[Finding]:
    """`dvc.yaml`."""
    for path, key, value in walk(subject.document.roots):
        if key == "cmd" and isinstance(value, str) and (doing := shell.fetches_and_runs(value)):
            yield in_document("CIC-011", subject, path, key, value, f"a stage {doing}")
