"""Knows how somebody asks for something by name, whatever it is."""

from __future__ import annotations

from typing import TYPE_CHECKING

from weighbridge.registry.services.oci import KIND as OCI
from weighbridge.registry.services.refusal import No, Refusal
from weighbridge.registry.services.repositories import KINDS

if TYPE_CHECKING:
    from weighbridge.registry.services.access import Caller
    from weighbridge.registry.services.mirrors import Mirrors
    from weighbridge.registry.services.oci import Images
    from weighbridge.registry.services.packages import Packages
    from weighbridge.registry.services.repositories import Repositories


class Wishes:
    """Requests of one registry."""

    def __init__(self, repositories: Repositories, mirrors: Mirrors, packages: Packages, images: Images) -> None:
        self._repositories, self._mirrors, self._packages, self._images = repositories, mirrors, packages, images

    def ask(self, kind: str, name: str, revision: str, caller: Caller) -> int:
        """The case of what is asked for, old or new. Raises Refusal where nobody has it."""
        if kind in {"pypi", "npm"}:
            return self._package(kind, name, revision, caller)
        if kind == OCI:
            found = self._images.find(name, revision, caller)
            if not isinstance(found, Refusal):
                return found.revision
            if found.case:
                return found.case
            raise found
        if kind not in KINDS:
            raise Refusal(
                No.INVALID, f"{kind!r} is nothing that is let in", hint=f"one of {', '.join(KINDS)}, pypi, npm, oci"
            )
        try:
            return self._repositories.served(kind, name, revision).revision
        except Refusal as refusal:
            if refusal.case:
                return refusal.case
            wanted = self._mirrors.want(kind, name, revision, caller)
            if wanted is None or not wanted.case:
                raise wanted or refusal from None
            return wanted.case

    def _package(self, kind: str, name: str, version: str, caller: Caller) -> int:
        """The file that an installer would most likely take: a wheel for everybody, else any wheel, else the source."""
        project = self._packages.project(kind, name)
        files = [one.file for one in project.offers if one.file.version == version]
        if not files:
            raise Refusal(No.REVISION, f"{project.name} has no version {version}", hint="say which: name==version")
        ranked = sorted(files, key=lambda one: ("none-any" not in one.file, not one.file.endswith(".whl"), one.file))
        offer, case = self._packages.want(kind, project.name, version, ranked[0].file, caller)
        if not case:
            raise Refusal(No.FORBIDDEN, offer.denied or "it cannot be asked for now")
        return case
