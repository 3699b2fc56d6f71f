"""Knows the RUN family: what an artifact did when it was loaded in the sandbox."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from weighbridge.rules.build import CRITICAL, HIGH, INFO, MEDIUM, rule

if TYPE_CHECKING:
    from weighbridge.schema import Rule

_TRIED: Final = "each call with its object, what the sandbox did about it, and how often"
_GONE: Final = "do not load it anywhere else; tell whoever published it"

RUN: Final[tuple[Rule, ...]] = (
    rule("RUN-001", "starts a program when it is loaded", CRITICAL, "X", "CWE-78 CWE-502 AML.T0011.000 AATMF:T13-AT-001", evidence=_TRIED,
         what="while it was loaded in the sandbox, the artifact tried to execute a program",
         why="weights are numbers: nothing in them has a reason to run anything", fix=_GONE),
    rule("RUN-002", "uses the network when it is loaded", CRITICAL, "XN", "CWE-506 CWE-918 AML.T0011.000", evidence=_TRIED,
         what="while it was loaded in the sandbox, the artifact asked for names, opened sockets, or sent data",
         why="it fetches what runs next, or carries away what it found", fix=_GONE),
    rule("RUN-003", "reads what is not its own when it is loaded", HIGH, "XR", "CWE-506 AML.T0055", evidence=_TRIED,
         what="while it was loaded in the sandbox, the artifact tried to read files outside the libraries",
         why="keys, tokens and sources lie in files", fix=_GONE),
    rule("RUN-004", "writes files when it is loaded", CRITICAL, "XW", "CWE-506 CWE-73", evidence=_TRIED,
         what="while it was loaded in the sandbox, the artifact tried to write, change, rename or remove files",
         why="what is written to start-up files and libraries stays after the model is gone", fix=_GONE),
    rule("RUN-005", "reaches for processes when it is loaded", HIGH, "X", "CWE-506 CWE-250", evidence=_TRIED,
         what="while it was loaded in the sandbox, the artifact tried to start, signal, trace or read other processes",
         why="secrets live in the memory of the process beside it", fix=_GONE),
    rule("RUN-006", "asks the kernel for what loading does not need", HIGH, "XE", "CWE-250 AML.T0107", evidence=_TRIED,
         what="while it was loaded in the sandbox, the artifact made system calls that no loader makes, mapped code, or used another machine's calls",
         why="this is how a way out of a sandbox is looked for", fix=_GONE),
    rule("RUN-007", "exceeds a limit when it is loaded", HIGH, "D", "CWE-400 CWE-770", evidence="the limit, and how long and how much it took",
         what="loading had to be ended: time, processor time, memory, output or processes reached their bound",
         why="loading it takes the machine down", fix="raise the bound if the file is really that large: weighbridge load --help"),
    rule("RUN-008", "does what inspection did not see", CRITICAL, "XE", "CWE-506 AML.T0107 AML.T0123", evidence="what was tried, and what inspection said",
         what="inspection of the bytes found nothing that would run, and in the sandbox something did",
         why="either the file hides what it does, or a rule is missing", fix="report it, with the file's digest; block it meanwhile"),
    rule("RUN-009", "did nothing of what inspection expects", INFO, "P", "CWE-693", evidence="what inspection found",
         what="inspection of the bytes found code that would run, and in the sandbox nothing was tried",
         why="payloads wait for a date, a host name or a user; that nothing happened here proves nothing", fix="go by what inspection found"),
    rule("RUN-010", "answers with what is none", HIGH, "XE", "CWE-20 CWE-502", evidence="what was refused",
         what="what came out of the sandbox is not the one message or the safetensors file that is due",
         why="the process was taken over: its answer is made to deceive whoever reads it", fix=_GONE),
    rule("RUN-011", "cannot be loaded", MEDIUM, "P", "CWE-20", evidence="what the library said",
         what="the library that reads such files fails on it, in the sandbox, without having tried anything",
         why="what does not load was not tested", fix="check that the library is installed here, and that the file is whole"),
)  # fmt: skip
