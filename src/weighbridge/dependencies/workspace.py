"""Knows what a workspace brings along beside packages: submodules, editor extensions, development containers.

Sources: gitmodules(5), the formats of .vscode/extensions.json and tasks.json, the development container specification.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

from weighbridge.formats.document import read_json
from weighbridge.rules.finding import finding
from weighbridge.schema import Location, Severity
from weighbridge.schema.text import printable

if TYPE_CHECKING:
    from collections.abc import Iterator

    from weighbridge.schema import Finding

_FILES: Final = re.compile(
    r"(?:^|/)(?:\.gitmodules|\.vscode/(?:extensions|tasks)\.json|(?:\.devcontainer/(?:[^/]+/)?)?\.?devcontainer\.json|[^/]+\.code-workspace)\Z"
)
_PUBLISHERS: Final = frozenset(
    [
        "ms-python",
        "ms-toolsai",
        "ms-vscode",
        "ms-vscode-remote",
        "ms-azuretools",
        "ms-dotnettools",
        "ms-kubernetes-tools",
        "github",
        "redhat",
        "charliermarsh",
        "esbenp",
        "dbaeumer",
        "golang",
        "rust-lang",
        "vue",
        "google",
        "nvidia",
        "hashicorp",
        "docker",
        "amazonwebservices",
        "googlecloudtools",
        "tamasfe",
        "eamonn",
        "editorconfig",
        "streetsidesoftware",
        "davidanson",
        "yzhang",
        "bradlc",
        "svelte",
        "astro-build",
        "denoland",
        "oven",
        "biomejs",
        "prisma",
        "graphql",
        "vscodevim",
        "eamodio",
        "usernamehw",
        "njpwerner",
        "anthropic",
        "openai",
        "continue",
        "databricks",
        "snowflake",
        "mechatroner",
        "tamasfe",
        "batisteo",
        "wholroyd",
        "samuelcolvin",
        "matangover",
        "llvm-vs-code-extensions",
        "twxs",
        "nvidia",
    ]
)
_FIXED: Final = re.compile(r"(?:@sha256:[0-9a-f]{64}|:\d[\w.-]*)\Z")
_KNOWN_FEATURES: Final = re.compile(r"ghcr\.io/(?:devcontainers|microsoft|nvidia)/")


def is_workspace(name: str) -> bool:
    """Whether a file of this name is judged here."""
    return bool(_FILES.search(name))


def workspace(place: str, text: str) -> Iterator[Finding]:
    """What a workspace file brings along. Raises MalformedInput, LimitExceeded."""
    if place.endswith(".gitmodules"):
        yield from _submodules(place, text)
        return
    root = read_json(text).root
    if not isinstance(root, dict):
        return
    if place.endswith("tasks.json"):
        yield from _tasks(place, root)
    elif "devcontainer" in place:
        yield from _container(place, root)
    else:
        yield from _extensions(place, root.get("recommendations") or _inner(root, "extensions").get("recommendations"))


def _inner(root: dict[str, Any], key: str) -> dict[str, Any]:
    value = root.get(key)
    return value if isinstance(value, dict) else {}


def _submodules(place: str, text: str) -> Iterator[Finding]:
    name = ""
    for number, line in enumerate(text.splitlines(), 1):
        head = re.match(r'\s*\[submodule "([^"]*)"\]', line)
        key, _, value = (part.strip() for part in line.partition("="))
        at = Location(path=(place,), line=number)
        if head:
            name = head[1]
        elif key == "branch":
            yield finding(
                "PKG-025",
                at,
                printable(f"the submodule {name} follows the branch {value}"),
                evidence=[printable(line.strip())],
            )
        elif key == "url" and value.startswith(("http://", "git://")):
            yield finding(
                "PKG-025",
                at,
                printable(f"the submodule {name} is fetched without encryption"),
                evidence=[printable(line.strip())],
                severity=Severity.MEDIUM,
            )
        elif key == "url" and value.startswith("ext::"):
            yield finding(
                "PKG-025",
                at,
                printable(f"the submodule {name} runs a command to be fetched"),
                evidence=[printable(line.strip())],
                severity=Severity.CRITICAL,
            )


def _extensions(place: str, listed: object) -> Iterator[Finding]:
    strangers = (
        [one for one in listed if isinstance(one, str) and one.partition(".")[0].lower() not in _PUBLISHERS]
        if isinstance(listed, list)
        else []
    )
    if strangers:
        message = f"extensions of publishers that are not known here: {', '.join(strangers[:4])}"
        yield finding(
            "PKG-026",
            Location(path=(place,)),
            printable(message),
            evidence=map(printable, strangers[:8]),
            severity=Severity.LOW,
        )


def _tasks(place: str, root: dict[str, Any]) -> Iterator[Finding]:
    tasks = root.get("tasks")
    for task in tasks if isinstance(tasks, list) else ():
        if isinstance(task, dict) and _inner(task, "runOptions").get("runOn") == "folderOpen":
            command = printable(str(task.get("command", ""))[:120])
            yield finding(
                "PKG-026",
                Location(path=(place,)),
                f"a task runs when the folder is opened: {command}",
                evidence=[command],
                severity=Severity.HIGH,
            )


def _container(place: str, root: dict[str, Any]) -> Iterator[Finding]:
    image = root.get("image")
    if isinstance(image, str) and not _FIXED.search(image):
        yield finding(
            "PKG-026",
            Location(path=(place,)),
            printable(f"the image {image} has no version"),
            evidence=[printable(image)],
        )
    for feature in _inner(root, "features"):
        if feature.startswith(("./", "../")) or _FIXED.search(feature):
            continue
        severity = Severity.LOW if _KNOWN_FEATURES.match(feature) else None
        yield finding(
            "PKG-026",
            Location(path=(place,)),
            printable(f"the feature {feature} has no version"),
            evidence=[printable(feature)],
            severity=severity,
        )
    if "initializeCommand" in root:
        command = printable(str(root["initializeCommand"])[:120])
        yield finding(
            "PKG-026",
            Location(path=(place,)),
            f"a command runs on the host before the container: {command}",
            evidence=[command],
        )
    yield from _extensions(place, _inner(_inner(root, "customizations"), "vscode").get("extensions"))
