"""Knows how models of an MLflow registry are brought in: every version, under its own number, inspected like anything else.

Source: mlflow 3 REST API (registered-models/search, model-versions/search and get-download-uri, mlflow-artifacts).
"""

from __future__ import annotations

import json
import os
import tempfile
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote, urlencode, urlsplit

from msgspec import Struct

from weighbridge.registry.client import path_below
from weighbridge.schema import SourceError, WeighbridgeError
from weighbridge.source.http import Session, origin

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from weighbridge.registry.client import Registry

_V2: Final = "/api/2.0/mlflow"
_ARTIFACTS: Final = "/api/2.0/mlflow-artifacts/artifacts"
_SCHEME: Final = "mlflow-artifacts"
_PAGES: Final = 1000
_FILES: Final = 100_000
_DEEP: Final = 32


class Imported(Struct, frozen=True, kw_only=True):
    """What became of one version: its case here, or why it stayed where it is."""

    name: str
    version: str
    case: int = 0
    why: str = ""


class MlflowSource:
    """An MLflow tracking server as the place that models come from. Every method raises SourceError."""

    def __init__(self, address: str, token: str = "", *, largest: int = 200 << 30) -> None:
        self._address, self._largest = address.rstrip("/"), largest
        self._session = Session(trusted=self._address)
        if token:
            self._session.allow(origin(self._address), {"Authorization": f"Bearer {token}"})

    def names(self) -> Iterator[str]:
        """The registered models."""
        for one in self._pages("registered-models/search", {}, "registered_models"):
            yield str(one.get("name", ""))

    def versions(self, name: str) -> list[str]:
        """The versions of a model, oldest first."""
        quoted = name.replace("'", "\\'")
        found = self._pages("model-versions/search", {"filter": f"name='{quoted}'"}, "model_versions")
        return sorted((str(one.get("version", "")) for one in found), key=lambda text: (len(text), text))

    def aliases(self, name: str) -> dict[str, str]:
        """The aliases of a model, each with its version."""
        told = self._asked("registered-models/get", {"name": name}).get("registered_model", {})
        return {str(one["alias"]): str(one["version"]) for one in told.get("aliases", []) if "alias" in one}

    def fetch(self, name: str, version: str, folder: str) -> None:
        """Write the files of a version into a folder."""
        told = self._asked("model-versions/get-download-uri", {"name": name, "version": version})
        where = urlsplit(str(told.get("artifact_uri", "")))
        if where.scheme != _SCHEME:
            raise SourceError(
                f"{name} {version} lies at {where.scheme or 'an unknown place'}:, which the server does not proxy",
                hint="start it with --serve-artifacts, or push the folder: weighbridge registry push",
            )
        for count, (path, short) in enumerate(self._files(where.path.strip("/"), "", _DEEP)):
            if count >= _FILES:
                raise SourceError(f"{name} {version} has more than {_FILES} files", hint="push a part of them")
            target = path_below(folder, short)
            os.makedirs(os.path.dirname(target), exist_ok=True)
            self._session.download(f"{self._address}{_ARTIFACTS}/{quote(path)}", target, self._largest)

    def _files(self, root: str, below: str, deep: int) -> Iterator[tuple[str, str]]:
        """(path on the server, path in the version) of every file."""
        if not deep:
            raise SourceError(f"{root}: folders lie too deep in each other", hint="push the folder by hand")
        path = f"{root}/{below}".rstrip("/")
        for one in self._json(f"{_ARTIFACTS}?{urlencode({'path': path})}").get("files", []):
            short = f"{below}/{one.get('path', '')}".lstrip("/")
            if one.get("is_dir"):
                yield from self._files(root, short, deep - 1)
            else:
                yield f"{root}/{short}", short

    def _pages(self, what: str, query: dict[str, str], key: str) -> Iterator[dict[str, Any]]:
        token = ""
        for _ in range(_PAGES):
            told = self._asked(what, {**query, "max_results": "100", **({"page_token": token} if token else {})})
            yield from told.get(key, [])
            token = str(told.get("next_page_token") or "")
            if not token:
                return
        raise SourceError(f"{self._address}: the list of {key} does not end", hint="name the models")

    def _asked(self, what: str, query: dict[str, str]) -> dict[str, Any]:
        return self._json(f"{_V2}/{what}?{urlencode(query)}")

    def _json(self, path: str) -> dict[str, Any]:
        body, _ = self._session.document(f"{self._address}{path}")
        try:
            told = json.loads(body)
        except ValueError as error:
            raise SourceError(f"{self._address}: this is no MLflow server", hint="check the address") from error
        return told if isinstance(told, dict) else {}


def bring_in(source: MlflowSource, registry: Registry, names: Iterable[str] = ()) -> Iterator[Imported]:
    """Bring models in (all of them, where none is named), and point their aliases.

    A version that fails keeps no other back.
    """
    for name in names or source.names():
        numbers = source.versions(name)
        if not numbers:
            yield Imported(name=name, version="", why="it has no version")
        came = set()
        for version in numbers:
            one = _version(source, registry, name, version)
            came |= {version} if one.case else set()
            yield one
        for alias, version in source.aliases(name).items():
            if version in came:
                registry.point_alias(name, alias, version)


def _version(source: MlflowSource, registry: Registry, name: str, version: str) -> Imported:
    with tempfile.TemporaryDirectory(prefix="weighbridge-") as folder:
        try:
            source.fetch(name, version, folder)
            case = registry.push(
                "model", f"mlflow/{name}", folder, f"version {version} of {name}", branch=f"v{version}"
            )
        except WeighbridgeError as error:
            return Imported(name=name, version=version, why=f"{error.message} ({error.hint})")
    return Imported(name=name, version=version, case=case)
