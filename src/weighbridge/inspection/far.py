"""Knows how an artifact behind an address is inspected: list it, read windows of its files, a few files at a time."""

from __future__ import annotations

import os
from functools import partial
from typing import TYPE_CHECKING, Final

from weighbridge.schema import Coverage, Reason, SourceError, Status, UsageError, WeighbridgeError
from weighbridge.source import Kind

if TYPE_CHECKING:
    from collections.abc import Callable

    from weighbridge.inspection.far_history import HubHistory
    from weighbridge.inspection.plan import Job, Options, Result
    from weighbridge.source import Blob, Entry, Tree
    from weighbridge.source.http import Session

_WEB: Final = ("http://", "https://")
SCHEMES: Final = ("hf://", "http://", "https://", "s3://", "oci://")


def is_far(path: str) -> bool:
    """Whether a path is an address. Raises UsageError for schemes that are not read."""
    scheme, marker, _ = path.partition("://")
    if not marker or "/" in scheme:
        return False
    if not path.startswith(SCHEMES):
        raise UsageError(f"{scheme}:// is not read", hint=f"one of {', '.join(SCHEMES)}, or a path")
    return True


def inspect_far(
    address: str, options: Options, progress: Callable[[int, int], None] | None
) -> tuple[list[Job], list[Result], int]:
    """(files, results, bytes received) of an artifact behind an address.

    Raises SourceError where it cannot be listed or, for a single file, read; a file of many that fails is coverage.
    """
    session = _session(address, options, cached=options.cache)
    if address.startswith(_WEB):
        shown, blob = _single_of(address, session)
        return *_single(shown, blob, options), session.received
    tree, root = _tree(address, session)
    jobs, results = _many(tree, root, options, progress)
    return jobs, results, session.received


def listed(address: str, options: Options) -> tuple[str, list[tuple[str, Callable[[], Blob]]]]:
    """(the address as it is shown, its files by their names in it, each opened when it is asked for). Raises as `inspect_far`."""
    session = _session(address, options, cached=False)
    if address.startswith(_WEB):
        shown, blob = _single_of(address, session)
        name = os.path.basename(shown.partition("?")[0].rstrip("/")) or "data"
        return shown, [(name, lambda: blob)]
    tree, root = _tree(address, session)
    return root, [(entry.name, partial(tree.open, entry)) for entry in tree.entries() if entry.kind is Kind.FILE]


def far_history(address: str, options: Options, *, most: int, budget: int) -> HubHistory:
    """The history of a data set on a hub: its latest `most` commits. Raises UsageError for other addresses, SourceError."""
    if not address.startswith("hf://"):
        raise UsageError(
            f"{address}: no history is told of it", hint="--history takes a data set on a hub (hf://datasets/…)"
        )
    from weighbridge.inspection.far_history import HubHistory  # noqa: PLC0415  # needs what only data sets do
    from weighbridge.source.hub import HubTree  # noqa: PLC0415

    session = _session(address, options, cached=False)
    return HubHistory(HubTree(address, session), session, most=most, budget=budget)


def _session(address: str, options: Options, *, cached: bool) -> Session:
    if options.offline:
        raise UsageError(f"{address}: --offline was given", hint="download it first, or leave --offline out")
    from weighbridge.source.cache import Cache, default_folder  # noqa: PLC0415  # only far artifacts need the network
    from weighbridge.source.http import Session  # noqa: PLC0415

    cache = Cache(default_folder()) if cached else None
    return Session(cache=cache, connections=options.connections, tokens=_tokens(address))


def _single_of(address: str, session: Session) -> tuple[str, Blob]:
    """One file over the web, and its address without what is secret in it."""
    from weighbridge.inspection.plan import without_secrets  # noqa: PLC0415  # plan calls this module
    from weighbridge.source.http import HttpBlob  # noqa: PLC0415

    return without_secrets(address), HttpBlob(session, address)


def _tokens(address: str) -> dict[str, dict[str, str]]:
    """A token for plain HTTP from WEIGHBRIDGE_HTTP_TOKEN, for the given host alone."""
    token = os.environ.get("WEIGHBRIDGE_HTTP_TOKEN")
    if not token or not address.startswith(("http://", "https://")):
        return {}
    from weighbridge.source.http import origin  # noqa: PLC0415

    return {origin(address): {"Authorization": f"Bearer {token}"}}


def _tree(address: str, session: Session) -> tuple[Tree, str]:
    if address.startswith("hf://"):
        from weighbridge.source.hub import HubTree  # noqa: PLC0415

        hub = HubTree(address, session)
        return hub, hub.root
    if address.startswith("oci://"):
        from weighbridge.source.oci import OciTree  # noqa: PLC0415

        return OciTree(address, session), address
    from weighbridge.source.object_store import ObjectTree  # noqa: PLC0415

    store = ObjectTree(address, session)
    return store, store.root


def _single(shown: str, blob: Blob, options: Options) -> tuple[list[Job], list[Result]]:
    from weighbridge.inspection.plan import Job, inspect_blob  # noqa: PLC0415  # plan calls this module

    return [Job(shown, (shown,), blob.size)], [inspect_blob(blob, (shown,), options)]


def _many(
    tree: Tree, root: str, options: Options, progress: Callable[[int, int], None] | None
) -> tuple[list[Job], list[Result]]:
    from concurrent.futures import ThreadPoolExecutor  # noqa: PLC0415

    from weighbridge.inspection.plan import Job, excluded, structure  # noqa: PLC0415  # plan calls this module

    entries = [entry for entry in tree.entries() if not excluded(entry.name, options.excluded)]
    files = [entry for entry in entries if entry.kind is Kind.FILE]
    if not files:
        raise SourceError(f"{root}: there is nothing", hint="check the name")
    jobs = [Job(root, (f"{root}/{entry.name}",), entry.size) for entry in files]
    results: list[Result] = []
    with ThreadPoolExecutor(options.connections) as pool:
        for number, result in enumerate(pool.map(lambda entry: _one(tree, root, entry, options), files)):
            if progress:
                progress(number, len(files))
            results.append(result)
    results.append(structure(root, tuple(entries), tuple(tree.anomalies()), names=options.names))
    return jobs, results


def _one(tree: Tree, root: str, entry: Entry, options: Options) -> Result:
    from weighbridge.inspection.plan import Result, inspect_blob  # noqa: PLC0415  # plan calls this module

    shown = (f"{root}/{entry.name}",)
    try:
        blob = tree.open(entry)
    except WeighbridgeError as error:
        missing = Coverage(
            path=shown,
            format="",
            size=entry.size,
            status=Status.SKIPPED,
            reason=Reason.UNREADABLE,
            detail=error.message,
        )
        return Result((), (missing,), ())
    return inspect_blob(blob, shown, options)
