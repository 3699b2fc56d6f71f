"""The verb `cache`: what is kept of far artifacts, and how to remove it."""

from __future__ import annotations

from weighbridge.cli.options import parser
from weighbridge.output.words import plural, size_text
from weighbridge.source.cache import Cache, default_folder


def run(arguments: list[str]) -> int:
    """Run the verb."""
    made = parser("cache", "Show or clear what is kept of far artifacts.", "weighbridge cache clear")
    made.add_argument("what", nargs="?", choices=("show", "clear"), default="show")
    given = made.parse_args(arguments)
    cache = Cache(default_folder())
    if given.what == "clear":
        print(f"{plural(cache.clear(), 'range')} removed from {cache.folder}")
        return 0
    files, total = cache.size()
    print(f"{cache.folder}: {plural(files, 'range')}, {size_text(total)}")
    return 0
