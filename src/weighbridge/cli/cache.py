"""The verb `cache`: what is kept of far artifacts, and how to remove it."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from weighbridge.cli.exits import ADMITTED, BLOCKED
from weighbridge.cli.options import parser
from weighbridge.output.words import size_text
from weighbridge.schema import UsageError
from weighbridge.schema.text import plural, printable
from weighbridge.source.cache import Cache, default_folder

if TYPE_CHECKING:
    import argparse

    from weighbridge.provenance.revocation import Revocations


def run(arguments: list[str]) -> int:
    """Run the verb."""
    made = parser(
        "cache",
        "Show or clear what is kept of far artifacts; find copies that were called back.",
        "weighbridge cache audit",
    )
    made.add_argument("what", nargs="?", choices=("show", "clear", "audit"), default="show")
    made.add_argument(
        "folder", nargs="?", help="the hub cache to audit (default: HF_HUB_CACHE, or that of huggingface_hub)"
    )
    made.add_argument("--revocations", metavar="FILE", help="the signed list (default: that of the registry)")
    made.add_argument("--revocations-key", metavar="FILE", help="the public key of its signer")
    given = made.parse_args(arguments)
    if given.what == "audit":
        return _audit(given)
    cache = Cache(default_folder())
    if given.what == "clear":
        print(f"{plural(cache.clear(), 'range')} removed from {cache.folder}")
        return 0
    files, total = cache.size()
    print(f"{cache.folder}: {plural(files, 'range')}, {size_text(total)}")
    return 0


def _audit(given: argparse.Namespace) -> int:
    """Hash what hub clients keep, and hold it against the list of what was called back."""
    from weighbridge.registry.copies import copies  # noqa: PLC0415  # only here

    revoked = _revoked(given)
    folder = given.folder or hub_cache()
    count = wrong = 0
    for copy in copies(folder, frozenset(revoked.revoked)):
        count += 1
        if copy.wrong:
            wrong += 1
            print(printable(f"{copy.repository}: {', '.join(copy.names) or 'no snapshot'} {copy.wrong}"))
            print(printable(f"  {copy.path}"))
    print(
        f"{plural(count, 'file')} in {folder}, {wrong} called back or altered; list {revoked.number}, until {revoked.expires}"
    )
    return BLOCKED if wrong else ADMITTED


def _revoked(given: argparse.Namespace) -> Revocations:
    from weighbridge.provenance import keys, revocation  # noqa: PLC0415  # loading cryptography takes a while

    now = datetime.now(UTC)
    if given.revocations or given.revocations_key:
        if not (given.revocations and given.revocations_key):
            raise UsageError("--revocations and --revocations-key belong together", hint="give both")
        key = keys.load_public(given.revocations_key)
        return revocation.remembered(revocation.load(given.revocations, key, now), key)
    from weighbridge.cli.registry import known_registry  # noqa: PLC0415

    registry = known_registry()
    return revocation.remembered(revocation.read(registry.revocations(), registry.key(), now), registry.key())


def hub_cache() -> str:
    """Where hub clients keep what they fetch. Source: huggingface_hub, environment variables."""
    home = os.environ.get("HF_HOME") or os.path.join(
        os.environ.get("XDG_CACHE_HOME") or os.path.join(os.path.expanduser("~"), ".cache"), "huggingface"
    )
    return os.environ.get("HF_HUB_CACHE") or os.path.join(home, "hub")
