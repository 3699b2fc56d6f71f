"""Knows how an upgrade is written down: as a change of a line where that is enough, else as the command that makes it."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from weighbridge.dependencies.known import Upgrade

_COMMANDS = {
    "uv.lock": "uv lock --upgrade-package {name}=={safe}",
    "poetry.lock": "poetry add {name}@{safe}",
    "pdm.lock": "pdm update {name}=={safe}",
    "Pipfile.lock": "pipenv upgrade {name}=={safe}",
    "package-lock.json": "npm install {name}@{safe}",
    "npm-shrinkwrap.json": "npm install {name}@{safe}",
    "pnpm-lock.yaml": "pnpm update {name}@{safe}",
    "yarn.lock": "yarn up {name}@{safe}",
    "bun.lock": "bun update {name}@{safe}",
    "pixi.lock": "pixi add --pypi {name}=={safe}",
    "conda-lock.yml": "conda-lock lock --update {name}",
}


def command(one: Upgrade) -> str:
    """The command that makes an upgrade in a lock, or in an environment."""
    last = one.place.rpartition("/")[2]
    if last in _COMMANDS:
        return _COMMANDS[last].format(name=one.name, safe=one.safe)
    return f"npm install {one.name}@{one.safe}" if one.ecosystem == "npm" else f"pip install '{one.name}=={one.safe}'"


def mended(text: str, one: Upgrade) -> str | None:
    """The text of a requirements file, pyproject.toml or package.json with the new version; None where a line is not enough.

    A lock, and a line with digests, are left: they are those of the old file, and only a resolver knows the new ones.
    """
    if one.place.rpartition("/")[2] in _COMMANDS:
        return None
    name = (
        r"[-_.]+".join(map(re.escape, re.split(r"[-_.]+", one.name)))
        if one.ecosystem == "pypi"
        else re.escape(one.name)
    )
    old = re.escape(one.version)
    if one.place.endswith(".json"):
        pattern, instead = rf'("{name}"\s*:\s*"=?){old}(")', rf"\g<1>{one.safe}\g<2>"
    else:
        pattern, instead = (
            rf"(?mi)((?:^|[\"'\s]){name}(?:\[[^\]]*\])?\s*={{2,3}}\s*){old}(?=[\"'\s;,#]|$)(?![^\n]*(?:--hash|\\$))",
            rf"\g<1>{one.safe}",
        )
    new, count = re.subn(pattern, instead, text)
    return new if count else None
