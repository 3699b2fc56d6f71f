"""Knows which files say what packages are used, and reads each of them into the same facts."""

from __future__ import annotations

import re
from importlib import import_module
from typing import Any, Final

from weighbridge.formats.manifests.listed import Gap, Included, Index, Listed, Manifest, Origin, exact, normal
from weighbridge.schema import MalformedInput

__all__ = [
    "Gap",
    "Included",
    "Index",
    "Listed",
    "Manifest",
    "Origin",
    "exact",
    "is_install",
    "is_manifest",
    "normal",
    "read_manifest",
]

_REQUIREMENTS: Final = re.compile(
    r"(?:^|/)(?:[\w.-]*requirements(?:[\w.-]*|/[\w./-]+)|(?:[\w.-]*-)?constraints[\w.-]*)\.(?:txt|in)\Z"
)
_ENVIRONMENT: Final = re.compile(r"(?:^|/)(?:[\w.-]*-)?(?:environment|env|conda)(?:[-.][\w.-]+)?\.ya?ml\Z")
_BILL: Final = re.compile(r"(?:^|/)(?:s?bom|[\w.-]+\.(?:cdx|spdx)|spdx)\.json\Z")
_PYLOCK: Final = re.compile(r"pylock(?:\.[\w-]+)?\.toml\Z")
_PLAIN: Final = {
    "pyproject.toml": "pyproject", "uv.lock": "uv", "poetry.lock": "poetry", "pdm.lock": "pdm", "pipfile": "pipfile", "pipfile.lock": "pipfile_lock",
    "pixi.toml": "pixi", "pixi.lock": "pixi_lock", "conda-lock.yml": "conda_lock", "conda-lock.yaml": "conda_lock", "package.json": "package_json",
    "package-lock.json": "package_lock", "npm-shrinkwrap.json": "package_lock", "pnpm-lock.yaml": "pnpm", "yarn.lock": "yarn", "bun.lock": "bun",
    "bun.lockb": "binary",
}  # fmt: skip


def _kind(name: str) -> str:
    """What a file of this name is; empty for one that is read only where it is named."""
    lower = name.replace("\\", "/").lower()
    last = lower.rpartition("/")[2]
    if last in _PLAIN:
        return _PLAIN[last]
    for kind, pattern in (
        ("pylock", _PYLOCK),
        ("requirements", _REQUIREMENTS),
        ("environment", _ENVIRONMENT),
        ("bill", _BILL),
    ):
        if pattern.search(lower if kind != "pylock" else last):
            return kind
    return ""


def is_manifest(name: str) -> bool:
    """Whether a file of this name lists packages."""
    return bool(_kind(name))


def is_install(name: str) -> bool:
    """Whether a file of this name may hold commands that install packages."""
    from weighbridge.formats.manifests.installs import is_flow, is_script  # noqa: PLC0415  # most readers need no shell

    return is_script(name) or is_flow(name) or name.endswith(".ipynb")


def read_manifest(name: str, text: str) -> Manifest:
    """The packages of a file, by its name or, where the name says nothing, by its content. Raises MalformedInput, LimitExceeded."""
    kind = _kind(name) or _guessed(name, text)
    if kind == "binary":
        raise MalformedInput(
            "a lock of bun in its binary form", hint="bun install --save-text-lockfile writes bun.lock"
        )
    if kind == "requirements" and "@EXPLICIT" in text[:4096]:
        kind = "explicit"
    found = _read(kind, text)
    if found.locked and not found.listed and not found.gaps and not _says_empty(kind, text):
        raise MalformedInput(
            f"{found.kind} lists no package at all", hint="a lock that is empty is broken: write it again"
        )
    return found


def _guessed(name: str, text: str) -> str:
    from weighbridge.formats.manifests.installs import is_flow, is_script  # noqa: PLC0415

    if name.endswith(".ipynb"):
        return "notebook"
    if is_flow(name):
        return "flow"
    if is_script(name):
        return "script"
    start = text.lstrip("\ufeff \t\r\n")[:4096]
    if start.startswith("{") and ("CycloneDX" in start or "spdx" in start.lower()):
        return "bill"
    if name.endswith(".json"):
        raise MalformedInput("not a manifest that is known here", hint="docs/reference/audit.md lists the kinds")
    return (
        "pyproject" if name.endswith(".toml") else "environment" if name.endswith((".yml", ".yaml")) else "requirements"
    )


def _says_empty(kind: str, text: str) -> bool:
    """Whether a lock says itself that there is nothing to lock: a project without a dependency has such a lock."""
    marks = {
        "uv": r"(?m)^name = ", "poetry": r"package = \[\]", "pdm": r"content_hash", "pylock": r"packages = \[\]", "package_lock": r'"packages":\s*\{\s*""',
        "bill": r'"components":\s*\[', "pnpm": r"(?m)^importers:", "bun": r'"packages":\s*\{', "pipfile_lock": r'"default":\s*\{\}',
        "yarn": r"# yarn lockfile v1",
    }  # fmt: skip
    return kind in marks and bool(re.search(marks[kind], text))


# kind: (what carries it, module, reader, whether the reader wants the text beside the data, to name lines)
_READERS: Final = {
    "pyproject": ("toml", "projects", "read_pyproject", True),
    "pipfile": ("toml", "projects", "read_pipfile", False),
    "pixi": ("toml", "projects", "read_pixi", False),
    "uv": ("toml", "locks", "read_uv", True),
    "poetry": ("toml", "locks", "read_poetry", True),
    "pdm": ("toml", "locks", "read_pdm", True),
    "pylock": ("toml", "locks", "read_pylock", True),
    "pipfile_lock": ("json", "locks", "read_pipfile_lock", False),
    "environment": ("yaml", "conda", "read_environment", True),
    "conda_lock": ("yaml", "conda", "read_conda_lock", False),
    "pixi_lock": ("yaml", "conda", "read_pixi_lock", False),
    "package_json": ("json", "npm", "read_package_json", True),
    "package_lock": ("json", "npm", "read_package_lock", False),
    "pnpm": ("yaml", "npm", "read_pnpm", False),
    "bun": ("json", "npm", "read_bun", False),
    "yarn": ("", "npm", "read_yarn", True),
    "bill": ("json", "bills", "read_bill", False),
    "notebook": ("json", "installs", "read_cells", False),
    "flow": ("yaml", "installs", "read_flow", True),
    "script": ("", "installs", "read_script", True),
    "requirements": ("", "requirements", "read_requirements", True),
    "explicit": ("", "conda", "read_explicit", True),
}


def _read(kind: str, text: str) -> Manifest:
    """Parse the carrier, and hand it on. A module is loaded where its format is met."""
    carrier, module, reader, source = _READERS[kind]
    given: list[Any] = []
    if carrier:
        root = getattr(import_module("weighbridge.formats.document"), f"read_{carrier}")(text).root
        if not isinstance(root, dict):
            raise MalformedInput("a table is expected, and there is none")
        given.append(root)
    if source:
        given.append(text)
    found: Manifest = getattr(import_module(f"weighbridge.formats.manifests.{module}"), reader)(*given)
    return found
