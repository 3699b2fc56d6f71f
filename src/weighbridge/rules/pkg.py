"""Knows the PKG family: packages and what they depend on."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from weighbridge.rules.build import CRITICAL, HIGH, MEDIUM, rule

if TYPE_CHECKING:
    from weighbridge.schema import Rule

_CHAIN: Final = "the lines from source to sink, and when they run"

PKG: Final[tuple[Rule, ...]] = (
    rule("PKG-009", "code that runs on installation", HIGH, "X", "CWE-506 AML.T0010.001 AATMF:T13-AT-003", heuristic=True, evidence=_CHAIN,
         what="setup.py, one of its commands or an in-tree build backend reaches the network, runs commands that are no build, or decodes what it runs",
         why="installing the package is enough", fix="do not install it; use the wheel of a version from before, after inspecting it"),
    rule("PKG-010", "code that runs when Python starts", CRITICAL, "X", "CWE-427 CWE-506 AML.T0010.001 AATMF:T13-AT-003", evidence="the line",
         what="a .pth file executes code, or sitecustomize or usercustomize is installed",
         why="every Python process of the environment runs it, whether or not the package is imported", fix="remove the file, and look at what else the package did"),
    rule("PKG-011", "npm script that runs on installation", HIGH, "X", "CWE-506 AML.T0010.001 AATMF:T13-AT-003", evidence="the script",
         what="package.json has an install script that fetches, decodes or starts another program or runtime",
         why="npm runs it before anybody has looked", fix="install with --ignore-scripts, and take an earlier version"),
    rule("PKG-012", "runtime or packed program inside a package", HIGH, "XE", "CWE-506 AATMF:T13-AT-003", heuristic=True, evidence="the file, and what it is",
         what="a Python package holds an executable that is no extension module, a bundled JavaScript runtime, or heavily obfuscated script",
         why="what cannot be read was put there so that it is not read", fix="compare with the source repository; take an earlier version"),
    rule("PKG-013", "package loads its own pickle", HIGH, "X", "CWE-502 AML.T0011.000 AATMF:T13-AT-003", evidence="the pickle, and the call that loads it",
         what="a package ships a pickle that does more than hold data, and has code that loads pickles",
         why="importing the package may be enough to run what is in it", fix="do not import it; report it to the index"),
    rule("PKG-014", "wheel that is not its RECORD", HIGH, "E", "CWE-354 AATMF:T13-AT-003", evidence="the file, and the entry",
         what="files differ from their digest in RECORD, are in no RECORD, or are listed and missing",
         why="the wheel was changed after it was built", fix="fetch it again from the index"),
    rule("PKG-019", "harm on import", CRITICAL, "XS", "CWE-506 AML.T0010.001 AATMF:T13-AT-003", heuristic=True, evidence=_CHAIN,
         what="a package decodes or downloads what it runs, sends secrets or the environment away, hides a command, or installs itself elsewhere",
         why="importing the package is enough where it happens on import; where it does not, a call is", fix="do not import it; report it to the index"),
    rule("PKG-027", "obfuscated code", HIGH, "E", "CWE-506 AATMF:T13-AT-003", heuristic=True, evidence="the line, or the share of junk",
         what="source carries the mark of an obfuscator, hides code behind blanks, or is made of junk names and escapes",
         why="open source has no reason to be unreadable", fix="take another package, or an earlier version"),
    rule("PKG-028", "drop point in a package", HIGH, "S", "CWE-506 AATMF:T13-AT-003", heuristic=True, evidence="the address",
         what="the package holds the address of a chat webhook with its secret, a bot, or a service that logs who calls it",
         why="this is where stolen data goes", fix="do not use it; report it to the index"),
    rule("PKG-029", "hunt for secrets", HIGH, "S", "CWE-506 AML.T0055 AATMF:T13-AT-003", heuristic=True, evidence="the paths",
         what="the package names the stores of browsers, wallets, messengers or cloud credentials that it has no business with",
         why="this is what stealers read", fix="do not use it; report it to the index"),
    rule("PKG-030", "module that cannot be read", MEDIUM, "E", "CWE-506 AATMF:T13-AT-003", evidence="the file",
         what="bytecode without its source stands in the package, or bytecode of another source than the one beside it",
         why="Python runs it like any module, and nobody can read it", fix="ask for the source"),
)  # fmt: skip
