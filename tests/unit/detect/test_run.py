"""What attempts mean: which rule, in which words, beside what inspection had said."""

from __future__ import annotations

from weighbridge.detect.run import detect_run, telling
from weighbridge.rules.finding import finding
from weighbridge.sandbox import Attempt, Kind
from weighbridge.schema import Location

PLACE = Location(path=("m.pkl",))
BEFORE = finding("PKL-001", PLACE, "the pickle calls builtins.exec when it is loaded")


def tried(kind, what, call="openat", outcome="denied"):
    return Attempt(kind=kind, call=call, what=what, outcome=outcome)


def told(attempts, before=(), **more):
    return {one.rule: one for one in detect_run(PLACE, attempts, before, **more)}


def test_a_finding_leads_with_what_says_most():
    attempts = [
        tried(Kind.NETWORK, "inet", "socket"),
        tried(Kind.NETWORK, "198.51.100.7:80", "connect"),
        tried(Kind.NETWORK, "GET /x?k=stolen HTTP/1.1 and a long request behind it", "sendto"),
    ]
    found = told(attempts, [BEFORE])["RUN-002"]
    assert found.message == "tried to use the network: 198.51.100.7:80 (and 2 more)"
    assert [line.text for line in found.evidence if line.culprit] == ["connect(198.51.100.7:80) -> denied"]
    assert found.evidence[-1].text == "foretold by PKL-001: the pickle calls builtins.exec when it is loaded"
    question = tried(Kind.NETWORK, "198.51.100.7:53: asks for the name stolen.evil.example", "sendto")
    assert "stolen.evil.example" in told([*attempts, question], [BEFORE])["RUN-002"].message


def test_the_line_that_counts_is_shown_behind_many_others():
    many = [tried(Kind.READ, f"/home/{number}/a.txt") for number in range(40)]
    found = told([*many, tried(Kind.READ, "/home/somebody/.ssh/id_ed25519.longest")], [BEFORE])["RUN-003"]
    assert any(line.culprit and "id_ed25519" in line.text for line in found.evidence)
    assert any("other attempts" in line.text for line in found.evidence)


def test_a_clean_file_that_misbehaves_is_a_finding_of_its_own():
    found = told([tried(Kind.PROGRAM, "sh -c id", "execve")])
    assert (
        found["RUN-008"].message
        == "inspection found nothing that would run, and in the sandbox it tried to run sh -c id"
    )
    assert "RUN-008" not in told([tried(Kind.PROGRAM, "sh -c id", "execve")], [BEFORE])


def test_a_block_that_did_nothing_is_a_note():
    assert told([], [BEFORE])["RUN-009"].severity.value == "info"
    assert told([], [BEFORE], limit="time").keys() == {"RUN-007"}


def test_what_libraries_do_by_themselves_is_not_told():
    own = [
        tried(Kind.READ, "/proc/cpuinfo"),
        tried(Kind.READ, "/sys/devices/system/cpu/possible"),
        tried(Kind.WRITE, "/dev/null"),
        tried(Kind.NETWORK, "unix:/var/run/nscd/socket", "connect"),
    ]
    assert telling(own) == ()
    assert told(own) == {}


def test_a_fork_before_a_program_is_a_part_of_it():
    attempts = [tried(Kind.PROCESS, "a new process", "clone"), tried(Kind.PROGRAM, "id", "execve")]
    assert told(attempts, [BEFORE]).keys() == {"RUN-001"}


def test_text_of_the_file_cannot_act_on_the_terminal():
    found = told([tried(Kind.READ, "/home/\x1b[2J\u202etxt")], [BEFORE])["RUN-003"]
    assert "\x1b" not in found.message + found.evidence[0].text
    assert "\\x1b[2J\\u202etxt" in found.message
