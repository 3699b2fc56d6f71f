"""Knows the PKL family: what a pickle does when it is loaded, in any carrier."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from weighbridge.rules.build import CRITICAL, HIGH, MEDIUM, rule

if TYPE_CHECKING:
    from weighbridge.schema import Rule

_CONVERT = "do not load this file; ask the publisher for safetensors, or open it in a sandbox without network"
_OPCODES = "the opcodes that import, build the arguments and call, with their offsets"

PKL: Final[tuple[Rule, ...]] = (
    rule("PKL-001", "runs code or commands when loaded", CRITICAL, "X", "CWE-502",
         what="the pickle calls something that runs a command or Python code",
         why="loading the file is enough; nothing of the model needs to be used", fix=_CONVERT, evidence=_OPCODES),
    rule("PKL-002", "imports something no model needs", HIGH, "X", "CWE-502",
         what="the pickle imports or calls a name that is not known to be harmless",
         why="whatever it does happens when the file is loaded; unknown is not the same as safe",
         fix="read what it calls; if it belongs to your own code, list it under [knowledge] in weighbridge.toml",
         evidence=_OPCODES),
    rule("PKL-003", "indirect gadget", CRITICAL, "X", "CWE-502 CWE-470 CVE-2026-3490",
         what="the pickle reaches a callable by way of another one: getattr, partial, resolve_name, dotted names, code objects",
         why="the name in the file is harmless and what it turns into is not", fix=_CONVERT, evidence=_OPCODES),
    rule("PKL-004", "loads another blob or file", CRITICAL, "X", "CWE-502",
         what="the pickle calls another deserialiser or code loader",
         why="the second load is not bound by anything that holds for the first", fix=_CONVERT, evidence=_OPCODES),
    rule("PKL-005", "fetches or installs code", CRITICAL, "XN", "CVE-2025-1716 CWE-829",
         what="the pickle calls a package installer, a hub download or a network client",
         why="what arrives is chosen by the attacker at load time", fix=_CONVERT, evidence=_OPCODES),
    rule("PKL-006", "reads or writes files", HIGH, "WR", "CWE-73 CWE-502",
         what="the pickle opens, writes, moves or deletes files when it is loaded",
         why="a start-up file or key file is all that an attacker needs", fix=_CONVERT, evidence=_OPCODES),
    rule("PKL-007", "overwrites attributes of classes, modules or functions", HIGH, "UBX", "CWE-915",
         what="the pickle sets state on something that is no instance of its own",
         why="the change acts later, on every other model in the process (sleepy pickle)", fix=_CONVERT, evidence=_OPCODES),
    rule("PKL-008", "uses the extension registry", HIGH, "X", "CWE-502",
         what="the pickle names an object by an extension code",
         why="what the code stands for depends on the process that loads it and can be set by the same stream", fix=_CONVERT),
    rule("PKL-009", "persistent id of unknown shape", MEDIUM, "X", "CWE-502",
         what="a persistent id is not one of the shapes that torch writes",
         why="the loader's own code decides what happens with it", fix=_CONVERT),
    rule("PKL-010", "another pickle behind the first", HIGH, "EX", "CWE-502",
         what="active pickles follow one another in one file, or stand behind junk",
         why="scanners that stop at the first STOP do not see the others, and loaders that read on do",
         fix="keep only the pickle that is needed"),
    rule("PKL-011", "breaks after a dangerous call", CRITICAL, "EX", "CWE-502",
         what="the stream is invalid, but only after it has called something dangerous",
         why="the loader runs the call first and fails afterwards; scanners that fail first see nothing", fix=_CONVERT,
         evidence=_OPCODES),
    rule("PKL-012", "readers disagree about the stream", HIGH, "EX", "AML.T0123 CWE-436",
         what="CPython's C unpickler, its Python unpickler and opcode listers read this stream differently",
         why="a scanner built on one of them stops, or shows another stream than the one that is executed", fix=_CONVERT),
    rule("PKL-013", "text pickle without a signature", HIGH, "EX", "CVE-2025-10155 CWE-434",
         what="a pickle of protocol 0 or 1 in a file that does not look like one",
         why="it has no magic number, so that sniffing by signature misses it", fix=_CONVERT),
    rule("PKL-014", "part of a dangerous module", HIGH, "X", "CVE-2025-10157",
         what="a submodule or private twin of a module that runs code, opens files or talks to the network",
         why="lists of exact names miss it", fix=_CONVERT, evidence=_OPCODES),
    rule("PKL-015", "pickle hidden in a constant", HIGH, "X", "AML.T0123 CWE-502",
         what="a string or bytes constant holds another pickle, plain or encoded, that does something dangerous",
         why="a later load of that constant runs it", fix=_CONVERT),
    rule("PKL-016", "resource bomb", MEDIUM, "D", "CWE-400 CWE-674",
         what="the stream is built to exhaust memory, stack or time",
         why="the loader, or a scanner, dies of it", fix="refuse the file"),
    rule("PKL-017", "name computed at run time", HIGH, "X", "CWE-502 CWE-470",
         what="the stream imports a name that it computes itself",
         why="no list of names can judge it, and no serialiser does this", fix=_CONVERT, evidence=_OPCODES),
    rule("PKL-018", "code of a package that is not known", MEDIUM, "X", "AML.T0011.001 CWE-829",
         what="the pickle makes objects of a package that is not known here",
         why="loading imports that package, with whatever its import runs", heuristic=True,
         fix="check the package; list the class under [knowledge] in weighbridge.toml if it is yours", evidence=_OPCODES),
    rule("PKL-019", "pickle where none is needed", MEDIUM, "X", "CWE-502",
         what="a pickle lies beside the same content in a safe format",
         why="it is an unneeded way in", fix="delete it and load the safe format"),
)  # fmt: skip
