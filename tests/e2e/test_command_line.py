"""The command as a user meets it: exit codes, streams, wrong input, interrupts."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

from tests.corpus.assemble import call, stream
from tests.corpus.rules import PLAIN, TORCH

BAD = stream(call("os.system", "id"))


def weighbridge(*arguments, cwd=None, **environment):
    command = [sys.executable, "-m", "weighbridge", *map(str, arguments)]
    own = ("WEIGHBRIDGE_CACHE",)
    keep = {key: value for key, value in os.environ.items() if not key.startswith("WEIGHBRIDGE_") or key in own}
    return subprocess.run(command, capture_output=True, text=True, check=False, cwd=cwd, env={**keep, **environment})


def test_a_clean_file_is_admitted(tmp_path):
    (tmp_path / "a.pkl").write_bytes(PLAIN)
    done = weighbridge("scan", tmp_path / "a.pkl", cwd=tmp_path)
    assert done.returncode == 0
    assert done.stdout.strip().endswith('ADMIT by "nothing stands against it"')
    assert done.stderr == ""


def test_a_malicious_file_is_blocked_with_its_opcodes(tmp_path):
    (tmp_path / "a.pkl").write_bytes(BAD)
    done = weighbridge("scan", "a.pkl", cwd=tmp_path)
    assert done.returncode == 1
    assert "critical[PKL-001]: the pickle calls os.system when it is loaded" in done.stdout
    assert "--> a.pkl, opcode" in done.stdout
    assert "<- runs os.system('id')" in done.stdout
    assert 'BLOCK by "no code in weights"' in done.stdout.splitlines()[-1]


def test_a_bare_path_means_scan(tmp_path):
    (tmp_path / "a.pkl").write_bytes(BAD)
    assert weighbridge(tmp_path / "a.pkl", cwd=tmp_path).returncode == 1


def test_what_cannot_be_read_is_incomplete(tmp_path):
    (tmp_path / "weights.bin").write_bytes(bytes(range(256)) * 4)
    done = weighbridge("scan", "weights.bin", cwd=tmp_path)
    assert done.returncode == 3
    assert "not inspected: weights.bin" in done.stdout
    allowed = weighbridge("scan", "weights.bin", "--allow-incomplete", cwd=tmp_path)
    assert allowed.returncode == 0
    assert "--allow-incomplete was given" in allowed.stderr


def test_block_wins_over_incomplete(tmp_path):
    (tmp_path / "weights.bin").write_bytes(bytes(range(256)) * 4)
    (tmp_path / "a.pkl").write_bytes(BAD)
    assert weighbridge("scan", ".", cwd=tmp_path).returncode == 1
    assert weighbridge("scan", ".", "--exit-zero", cwd=tmp_path).returncode == 0


def test_a_missing_path_says_what_and_what_next(tmp_path):
    done = weighbridge("scan", "absent.pt", cwd=tmp_path)
    assert done.returncode == 2
    assert done.stderr.splitlines() == [
        "weighbridge: absent.pt: no such file or directory",
        "  hint: check the spelling of the path",
    ]
    assert done.stdout == ""


def test_an_empty_folder_is_no_clean_scan(tmp_path):
    (tmp_path / "empty").mkdir()
    done = weighbridge("scan", "empty", cwd=tmp_path)
    assert done.returncode == 4
    assert "nothing to inspect" in done.stderr
    assert "ADMIT" not in done.stdout


def test_an_empty_file_is_inspected(tmp_path):
    (tmp_path / "a.pkl").write_bytes(b"")
    assert weighbridge("scan", "a.pkl", cwd=tmp_path).returncode == 0


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads everything")
def test_a_forbidden_file_is_incomplete(tmp_path):
    path = tmp_path / "a.pkl"
    path.write_bytes(PLAIN)
    path.chmod(0)
    assert weighbridge("scan", ".", cwd=tmp_path).returncode == 3


def test_one_hostile_file_never_stops_a_folder(tmp_path):
    (tmp_path / "1.pkl").write_bytes(b"\x93NUMPY")
    (tmp_path / "2.safetensors").write_bytes(b"\xff" * 40)
    (tmp_path / "3.pkl").write_bytes(BAD)
    (tmp_path / "4.pt").write_bytes(TORCH[:-30])
    done = weighbridge("scan", ".", cwd=tmp_path)
    assert done.returncode == 1
    assert "3.pkl, opcode" in done.stdout


def test_machine_formats_go_to_stdout_and_files_are_whole(tmp_path):
    (tmp_path / "a.pkl").write_bytes(BAD)
    report = json.loads(weighbridge("scan", "a.pkl", "--format", "json", cwd=tmp_path).stdout)
    assert report["verdict"]["outcome"] == "block"
    done = weighbridge("scan", "a.pkl", "--format", "html", "--output", "r.html", cwd=tmp_path)
    assert done.stdout == ""
    assert (tmp_path / "r.html").read_text().startswith("<!doctype html>")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.pkl", "r.html"]


def test_the_same_bytes_give_the_same_report(tmp_path):
    for number in range(30):
        (tmp_path / f"{number}.pkl").write_bytes(BAD if number % 3 else PLAIN)
    runs = [weighbridge("scan", ".", "--format", "json", "--workers", str(n), cwd=tmp_path).stdout for n in (1, 1, 2)]
    assert runs[0] == runs[1] == runs[2]


@pytest.mark.parametrize(
    ("arguments", "code", "text"),
    [
        ((), 2, ""),
        (("--help",), 0, ""),
        (("scan",), 2, "PATH"),
        (("scan", "--format", "xml", "a"), 2, "invalid choice"),
        (("scan", "--workers", "many", "."), 2, "takes a number"),
        (("frobnicate",), 2, "neither a verb nor a path"),
        (("rule",), 2, "which rule"),
        (("rule", "XXX-001"), 2, "no rule is called"),
        (("scan", "--policy", "absent.toml", "."), 2, "no such policy file"),
    ],
)
def test_usage_is_answered_in_one_line_and_a_hint(arguments, code, text, tmp_path):
    done = weighbridge(*arguments, cwd=tmp_path)
    assert done.returncode == code
    assert text in done.stderr
    assert "Traceback" not in done.stderr


def test_rules_are_explained_and_listed(tmp_path):
    page = weighbridge("rule", "pkl-001", cwd=tmp_path).stdout
    assert "PKL-001" in page
    assert "OWASP LLM 2026: Supply Chain" in page
    assert len(weighbridge("rule", "--list", cwd=tmp_path).stdout.splitlines()) > 90


def test_flags_have_variables(tmp_path):
    (tmp_path / "a.pkl").write_bytes(PLAIN)
    done = weighbridge("scan", "a.pkl", cwd=tmp_path, WEIGHBRIDGE_FORMAT="json")
    assert json.loads(done.stdout)["verdict"]["outcome"] == "admit"
    assert weighbridge("scan", "a.pkl", cwd=tmp_path, WEIGHBRIDGE_FORMAT="xml").returncode == 2


INTERRUPTED = """
import os, signal, sys
# A runner in the background hands SIGINT down ignored; a terminal does not.
signal.signal(signal.SIGINT, signal.default_int_handler)
from weighbridge.cli import main
from weighbridge.inspection import plan
inspect = plan.inspect_file
def interrupted(job, options):
    os.kill(os.getpid(), signal.SIGINT)
    return inspect(job, options)
plan.inspect_file = interrupted
sys.exit(main(["scan", "."]))
"""


def test_an_interrupt_ends_with_130_and_one_line(tmp_path):
    (tmp_path / "a.pkl").write_bytes(BAD)
    done = subprocess.run(
        [sys.executable, "-c", INTERRUPTED], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 130
    assert done.stderr.strip() == "weighbridge: interrupted"
    assert done.stdout == ""


def test_starting_up_loads_little(tmp_path):
    (tmp_path / "a.pkl").write_bytes(PLAIN)
    code = "import sys; sys.argv=['weighbridge','a.pkl']; from weighbridge.cli import main; main(); print(*sorted(sys.modules), file=sys.stderr)"
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False)
    loaded = set(done.stderr.split())
    assert not loaded & {
        "zstandard",
        "lz4",
        "tomllib",
        "hashlib",
        "tempfile",
        "zipfile",
        "pickle",
        "asyncio",
        "http",
        "ssl",
        "dataclasses",
        "weighbridge.output.html_page",
    }
    # One of them keeps the patterns of all others from being compiled.
    assert sum(name.startswith("weighbridge") for name in loaded) <= 85


def test_nothing_is_read_from_the_artifact_as_configuration(tmp_path):
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "a.pkl").write_bytes(BAD)
    (tmp_path / "model" / "weighbridge.toml").write_text('[policy]\nname = "all is well"\nstatement = []\n')
    assert weighbridge("scan", "model", cwd=tmp_path).returncode == 1
