"""Knows how members are looked at together: each folder that holds something worth comparing is one repository."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

from weighbridge.detect import detect
from weighbridge.detect.subjects import Note, RepositorySubject
from weighbridge.schema import Coverage, Finding, Location, Reason, Status

if TYPE_CHECKING:
    from collections.abc import Iterable

Folder: TypeAlias = tuple[str, ...]


def repositories(
    notes: Iterable[Note], coverage: Iterable[Coverage]
) -> tuple[tuple[Finding, ...], tuple[Coverage, ...]]:
    """What the detectors say about each folder, inside archives too; a fault costs that folder alone."""
    by_folder: dict[Folder, list[Note]] = {}
    for note in notes:
        by_folder.setdefault(_folder(note.path), []).append(note)
    names: dict[Folder, set[str]] = {folder: set() for folder in by_folder}
    for entry in coverage if names else ():
        _file_under(entry.path, names)
        beside = by_folder.get(_folder(entry.path))
        if beside is not None:
            beside.append(Note(kind="size", path=entry.path, value=entry.size))
    findings: list[Finding] = []
    failed: list[Coverage] = []
    for folder, found in sorted(by_folder.items()):
        subject = RepositorySubject(location=Location(path=folder), names=frozenset(names[folder]), notes=tuple(found))
        try:
            findings += detect(subject)
        except Exception as error:  # noqa: BLE001  # reported as not inspected, never swallowed
            detail = f"{type(error).__name__}: {error}"
            failed.append(
                Coverage(
                    path=folder, format="folder", size=0, status=Status.SKIPPED, reason=Reason.INTERNAL, detail=detail
                )
            )
    return tuple(findings), tuple(failed)


def named_files(notes: Iterable[Note]) -> set[Folder]:
    """The paths of files that other members name as their numbers."""
    found: set[Folder] = set()
    for note in notes:
        folder = _folder(note.path)
        for name in note.value if isinstance(note.value, tuple) else ():
            found.add((*folder[:-1], f"{folder[-1]}/{name}" if folder[-1] else str(name)))
    return found


def _folder(path: tuple[str, ...]) -> Folder:
    return (*path[:-1], path[-1].rpartition("/")[0])


def _file_under(path: tuple[str, ...], names: dict[Folder, set[str]]) -> None:
    """Enter one file into every known folder above it that lies in the same container."""
    container, whole = path[:-1], path[-1]
    folder = whole.rpartition("/")[0]
    while True:
        known = names.get((*container, folder))
        if known is not None:
            known.add(whole.removeprefix(f"{folder}/") if folder else whole)
        if not folder:
            return
        folder = folder.rpartition("/")[0]
