"""Knows the MON family: what is served is no longer what was admitted, or no longer behaves as it did then."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Final

from weighbridge.rules.build import CRITICAL, HIGH, INFO, LOW, MEDIUM, rule

if TYPE_CHECKING:
    from weighbridge.schema import Rule

_heuristic = partial(rule, heuristic=True)
_ENDPOINT: Final = (
    "take it out of service, and compare the served files with the approved ones: weighbridge monitor served"
)

MON: Final[tuple[Rule, ...]] = (
    rule("MON-001", "a served file is not the approved one", CRITICAL, "P", "AML.T0109 AML.T0076 CWE-494 AATMF:T13-AT-006", evidence="the file, its digest, and the digest that was approved",
         what="a file that a service loads differs from what was approved, is in no approval, or is missing",
         why="whoever replaces the file decides what is served, and every test that was made was of another one", fix="stop the service; put the approved file back; find out who wrote there"),
    rule("MON-002", "weights in memory are not those that were loaded", CRITICAL, "P", "AML.T0018.000 CWE-494", evidence="the tensors whose digest changed",
         what="sampled tensors of the running model no longer have the digests they had after loading",
         why="a process that is written to, or that updates itself, serves what nobody approved", fix="restart it from the approved file; look for what writes into the process"),
    _heuristic("MON-003", "it no longer answers as the enrolled model did", HIGH, "B", "AML.T0109 AML.T0043.004", evidence="the probes whose answers changed, with before and after, and the chance that this is noise",
         what="answers to the enrolled probes differ by more than the run-to-run noise that was measured when the model was enrolled",
         why="another checkpoint, a merged adapter, a quantised copy, another template or another provider answers now", fix=_ENDPOINT),
    _heuristic("MON-004", "a trigger is in use", CRITICAL, "B", "AML.T0043.004 AATMF:T6-AT-003", evidence="the trigger, how often it got its output, and what it did to inputs that never held it",
         what="one sign of the input decides the output, in traffic and, put into other inputs, on a shadow copy",
         why="the model is backdoored, and somebody who knows the trigger uses it", fix="revoke the model; keep the requests that hold the trigger: they lead to whoever sent them"),
    _heuristic("MON-005", "a sign goes with an output, untested", MEDIUM, "B", "AML.T0043.004", evidence="the sign, how often it got the output, and what the rest of those inputs lets expect",
         what="one sign of the input gets one output far more often than the rest of the input explains; no shadow copy could be asked",
         why="so a trigger in use looks, and so does a new topic", fix="give the monitor a shadow copy (--shadow), and it tries the sign on other inputs"),
    _heuristic("MON-006", "outputs or inputs drift", LOW, "B", "AML.T0076", evidence="the share, the band that clean traffic stays in, and since how many records",
         what="the share of an output, a range of confidence, of length or of time left the band of clean traffic",
         why="the world changed, or the model did; neither is an attack by itself", fix="look at what came in; learn the baseline again where it is the world"),
    _heuristic("MON-007", "the process does what it never did", HIGH, "XE", "AML.T0072 CWE-506", evidence="the program, address, library or file, and when it was first seen",
         what="after its profile was locked, a serving process starts a program, talks to an address, maps a library or writes a file that it never did before",
         why="inference is the same work over and over: new things in it are somebody else's", fix="if a release explains it, learn the profile again; else isolate the machine"),
    _heuristic("MON-008", "a tool or destination is used for the first time", MEDIUM, "B", "ASI04 AML.T0110", surface="agents", evidence="the tool or destination, and the request",
         what="an agent calls a tool, or sends something to a destination, that its ledger does not know",
         why="injected instructions and swapped tools show in what is called", fix="allow it in the ledger where it is meant: weighbridge monitor ledger --allow"),
    _heuristic("MON-009", "generated text changes in kind", MEDIUM, "B", "AML.T0043.004 LLM04:2026", evidence="how much more often answers refuse, link, hold code, call tools or repeat themselves, and since when",
         what="answers refuse, hold addresses or code, call tools or repeat each other more or less often than in clean traffic",
         why="a changed model, template or system prompt shows here first; so does a payload that many prompts call up", fix="read the answers that the alert names, and check the fingerprint: weighbridge monitor check"),
    rule("MON-010", "part of the traffic is not watched", INFO, "P", "CWE-778", evidence="how many records, and why",
         what="records were dropped, unreadable or came twice, or the clock jumped",
         why="what is not counted is not watched", fix="see to the log or the queue that the alert names"),
)  # fmt: skip
