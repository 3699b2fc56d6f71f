"""Knows the files in which a Python project says what it needs: pyproject.toml, Pipfile, pixi.toml.

Sources: PEP 621, PEP 735, and the documentation of uv, Poetry, PDM, Pipenv and pixi.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

from msgspec.structs import replace

from weighbridge.formats.manifests.listed import Gap, Index, Listed, Manifest, Origin, exact, normal
from weighbridge.formats.manifests.requirements import requirement
from weighbridge.formats.manifests.shape import lines_of, table, tables, text, texts

if TYPE_CHECKING:
    from collections.abc import Iterator

_QUOTED: Final = re.compile(r"""["']([A-Za-z0-9][\w.-]*)""")


def read_pyproject(root: dict[str, Any], source: str) -> Manifest:
    """What [project], dependency groups, the build system and the tools' own tables ask for, and from where."""
    project, tool = table(root, "project"), table(root, "tool")
    found: list[Listed] = []
    gaps: list[Gap] = []
    for line in _asked(root, project, tool):
        one = requirement(line)
        if one is None:
            gaps.append(Gap(0, f"not a requirement: {line[:80]}"))
        else:
            found.append(one)
    poetry = table(tool, "poetry")
    groups = [table(poetry, "dependencies"), table(poetry, "dev-dependencies")]
    groups += [table(group, "dependencies") for _, group in tables(table(poetry, "group"))]
    groups += [table(table(tool, "pixi"), "pypi-dependencies")]
    found += [one for group in groups for one in _named(group) if one.key != "python"]
    needed = {one.key for line in texts(table(root, "build-system"), "requires") if (one := requirement(line))}
    asked = {one.key for line in _asked({}, project, tool) if (one := requirement(line))}
    found = [replace(one, build=one.key in needed - asked) for one in found]
    found = list(_placed(found, table(table(tool, "uv"), "sources")))
    numbers = lines_of(source, _QUOTED)
    return Manifest(
        kind="pyproject.toml",
        listed=tuple(_numbered(one, numbers) for one in found),
        indexes=tuple(_indexes(tool)),
        options=tuple(_options(table(tool, "uv"))),
        gaps=tuple(gaps),
    )


def _asked(root: dict[str, Any], project: dict[str, Any], tool: dict[str, Any]) -> Iterator[str]:
    yield from texts(project, "dependencies")
    for name in table(project, "optional-dependencies"):
        yield from texts(table(project, "optional-dependencies"), name)
    for name in table(root, "dependency-groups"):
        yield from texts(table(root, "dependency-groups"), name)
    yield from texts(table(root, "build-system"), "requires")
    yield from texts(table(tool, "uv"), "dev-dependencies")
    for name in table(table(tool, "pdm"), "dev-dependencies"):
        yield from texts(table(table(tool, "pdm"), "dev-dependencies"), name)
    for _, environment in tables(table(table(tool, "hatch"), "envs")):
        yield from texts(environment, "dependencies")


def _named(group: dict[str, Any]) -> Iterator[Listed]:
    """Dependencies written as a table: name = "constraint", or name = {version = …, git = …}."""
    for name, value in group.items():
        for one in value if isinstance(value, list) else [value]:
            given = one if isinstance(one, dict) else {"version": one}
            wanted = text(given, "version")
            address = text(given, "git") or text(given, "url") or text(given, "path")
            origin = Origin.VCS if "git" in given else Origin.URL if "url" in given else Origin.PATH
            yield Listed(
                ecosystem="pypi",
                name=str(name),
                version=exact(wanted),
                wanted=wanted,
                origin=origin if address else Origin.INDEX,
                address=address,
                fixed=text(given, "rev"),
                editable=given.get("develop") is True or given.get("editable") is True,
                index=text(given, "source") or text(given, "index"),
            )


def _placed(listed: list[Listed], sources: dict[str, Any]) -> Iterator[Listed]:
    """Dependencies with the places that [tool.uv.sources] gives them."""
    known = {normal("pypi", name): value for name, value in sources.items()}
    for one in listed:
        given = known.get(one.key)
        given = given[0] if isinstance(given, list) and given else given
        if not isinstance(given, dict):
            yield one
            continue
        (placed,) = _named({one.name: given})
        kept = {"version": one.version, "wanted": one.wanted}
        yield replace(placed, **kept)


def _indexes(tool: dict[str, Any]) -> Iterator[Index]:
    uv = table(tool, "uv")
    for _, one in tables({"index": uv.get("index")}):
        role = "explicit" if one.get("explicit") is True else "index" if one.get("default") is True else "extra"
        yield Index(address=text(one, "url"), role=role, name=text(one, "name"))
    for option, role in (("index-url", "index"), ("extra-index-url", "extra"), ("find-links", "find-links")):
        given = texts(uv, option) or texts(table(uv, "pip"), option)
        yield from (Index(address=one, role=role) for one in given)
    for _, one in tables({"source": table(tool, "poetry").get("source")}):
        priority = text(one, "priority") or "primary"
        role = {"primary": "index", "default": "index", "explicit": "explicit"}.get(priority, "extra")
        yield Index(address=text(one, "url"), role=role, name=text(one, "name"))
    for _, one in tables({"source": table(tool, "pdm").get("source")}):
        role = (
            "index" if text(one, "name") == "pypi" else "find-links" if text(one, "type") == "find_links" else "extra"
        )
        yield Index(address=text(one, "url"), role=role, name=text(one, "name"))
    yield from (Index(address=one, role="channel") for one in texts(table(tool, "pixi"), "channels"))


def _options(uv: dict[str, Any]) -> Iterator[str]:
    strategy = text(uv, "index-strategy") or text(table(uv, "pip"), "index-strategy")
    if strategy:
        yield f"index-strategy {strategy}"
    if uv.get("no-index") is True:
        yield "no-index"


def _numbered(one: Listed, numbers: dict[str, int]) -> Listed:
    line = numbers.get(one.name, 0)
    return replace(one, line=line)


def read_pipfile(root: dict[str, Any]) -> Manifest:
    """A Pipfile: sources and two tables of names."""
    sources = [one for _, one in tables({"source": root.get("source")})]
    indexes = [
        Index(address=text(one, "url"), role="index" if number == 0 else "extra", name=text(one, "name"))
        for number, one in enumerate(sources)
    ]
    listed = [one for group in ("packages", "dev-packages") for one in _named(table(root, group))]
    return Manifest(kind="Pipfile", listed=tuple(listed), indexes=tuple(indexes))


def read_pixi(root: dict[str, Any]) -> Manifest:
    """A pixi.toml: conda channels, and packages of both kinds."""
    workspace = table(root, "workspace") or table(root, "project")
    features = [root, *(feature for _, feature in tables(table(root, "feature")))]
    listed = [one for feature in features for one in _named(table(feature, "pypi-dependencies"))]
    for feature in features:
        for name, value in table(feature, "dependencies").items():
            wanted = value if isinstance(value, str) else text(value, "version") if isinstance(value, dict) else ""
            listed.append(Listed(ecosystem="conda", name=str(name), version=exact(wanted), wanted=wanted))
    channels = tuple(Index(address=one, role="channel") for one in texts(workspace, "channels"))
    return Manifest(kind="pixi.toml", ecosystem="conda", listed=tuple(listed), indexes=channels)
