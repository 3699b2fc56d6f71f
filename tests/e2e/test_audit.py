"""An audit as a user meets it: the poisoned project of the README, every exit code, advisories with and without a network."""

from __future__ import annotations

import functools
import http.server
import json
import threading
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tests.corpus.dependencies import DIGEST, FINE, QUIET, RECORDS, archive, record, renamed
from tests.corpus.packages import INCIDENTS
from tests.e2e.test_command_line import weighbridge

LOCKS = Path(__file__).parent.parent / "fixtures/locks"
TODAY = f"{datetime.now(UTC):%Y-%m-%d}T00:00:00Z"
FRESH = [{**one, "modified": TODAY} for one in RECORDS]
POISONED = f"--extra-index-url https://packages.example.org/simple\nultralytics==8.3.41 --hash={DIGEST}\njinja2==3.1.5 --hash={DIGEST}\nreqeusts==2.0\n"


@pytest.fixture
def site(tmp_path):
    """A mirror of OSV on this machine: its address, and the folder it serves."""
    folder = tmp_path / "mirror"
    for ecosystem in ("PyPI", "npm"):
        (folder / ecosystem).mkdir(parents=True)
        records = [one for one in FRESH if one["affected"][0]["package"]["ecosystem"] == ecosystem]
        archive(folder / ecosystem / "all.zip", records)
        (folder / ecosystem / "modified_id.csv").write_text(
            "".join(f"{one['modified']},{one['id']}\n" for one in records)
        )

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *_):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=str(folder)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}", folder
    server.shutdown()


def test_the_poisoned_project_is_stopped(tmp_path):
    (tmp_path / "requirements.txt").write_text(POISONED)
    archive(tmp_path / "all.zip", FRESH)
    assert weighbridge("audit", "--update", tmp_path / "all.zip", cwd=tmp_path).returncode == 0
    done = weighbridge("audit", "requirements.txt", "--fix", cwd=tmp_path)
    assert done.returncode == 1
    assert "critical[PKG-001]: ultralytics 8.3.41 is known to be malicious" in done.stdout
    assert "--> requirements.txt, line 2" in done.stdout
    assert "medium[PKG-002]: jinja2 3.1.5" in done.stdout
    assert "fixed in 3.1.6" in done.stdout
    assert "[PKG-005]" in done.stdout
    assert "reqeusts: two letters swapped away from requests" in done.stdout


def test_a_project_in_order_is_admitted(tmp_path):
    (tmp_path / "requirements.txt").write_text(f"einops==0.8.0 --hash={DIGEST}\n")
    archive(tmp_path / "all.zip", FRESH)
    assert weighbridge("audit", "--update", "all.zip", "--", ".", cwd=tmp_path).returncode == 0


@pytest.mark.parametrize("name", sorted(path.name for path in LOCKS.iterdir() if path.is_file()))
def test_every_kind_of_file_can_be_named(tmp_path, name):
    done = weighbridge("audit", LOCKS / name, cwd=tmp_path)
    assert done.returncode == 3
    assert "there are no advisories on this machine" in done.stdout
    assert "Traceback" not in done.stderr


def test_a_closed_network_is_never_clean(tmp_path):
    (tmp_path / "requirements.txt").write_text(f"einops==0.8.0 --hash={DIGEST}\n")
    done = weighbridge("audit", "--update", "--mirror", "http://127.0.0.1:9", "--", "requirements.txt", cwd=tmp_path)
    assert done.returncode == 3
    assert "could not be reached" in done.stdout
    assert weighbridge("audit", "--update", "--mirror", "http://127.0.0.1:9", cwd=tmp_path).returncode == 3


def test_nothing_to_audit_is_a_result_of_its_own(tmp_path):
    assert weighbridge("audit", cwd=tmp_path).returncode == 4
    assert weighbridge("audit", "none.txt", cwd=tmp_path).returncode == 2
    (tmp_path / "prose.txt").write_text("this is a letter, not a list of packages!\n")
    done = weighbridge("audit", "prose.txt", cwd=tmp_path)
    assert done.returncode == 2
    assert "nothing here reads like a list of packages" in done.stderr


def test_updates_bring_what_changed_since(tmp_path, site):
    address, folder = site
    done = weighbridge("audit", "--update", "--mirror", address, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "pypi: 5 records taken" in done.stderr
    again = weighbridge("audit", "--update", "--mirror", address, cwd=tmp_path)
    assert "pypi: 0 records taken" in again.stderr
    new = {**record("MAL-2026-9", "einops"), "modified": "2099-01-01T00:00:00Z"}
    (folder / "PyPI/MAL-2026-9.json").write_text(json.dumps(new))
    (folder / "PyPI/modified_id.csv").write_text("2099-01-01T00:00:00Z,MAL-2026-9\n")
    assert "pypi: 1 record taken" in weighbridge("audit", "--update", "--mirror", address, cwd=tmp_path).stderr
    (tmp_path / "requirements.txt").write_text(f"einops==0.8.0 --hash={DIGEST}\n")
    assert "known to be malicious" in weighbridge("audit", "requirements.txt", cwd=tmp_path).stdout


def test_a_signed_copy_travels_and_an_unsigned_one_does_not(tmp_path):
    archive(tmp_path / "all.zip", FRESH)
    here = {"WEIGHBRIDGE_ADVISORIES": str(tmp_path / "here.db")}
    there = {"WEIGHBRIDGE_ADVISORIES": str(tmp_path / "there.db")}
    assert weighbridge("audit", "--update", "all.zip", "--export", "copy.db", cwd=tmp_path, **here).returncode == 0
    refused = weighbridge("audit", "--update", "copy.db", cwd=tmp_path, **there)
    assert refused.returncode == 2
    assert "only with its signature" in refused.stderr
    assert weighbridge("keys", "new", "release", cwd=tmp_path).returncode == 0
    signed = weighbridge("sign", "copy.db", "--key", "release", cwd=tmp_path)
    assert signed.returncode == 0, signed.stderr
    taken = weighbridge("audit", "--update", "copy.db", "--key", "release.pub", cwd=tmp_path, **there)
    assert taken.returncode == 0, taken.stderr
    with (tmp_path / "copy.db").open("ab") as file:
        file.write(b"x")
    assert weighbridge("audit", "--update", "copy.db", "--key", "release.pub", cwd=tmp_path, **there).returncode == 1
    (tmp_path / "requirements.txt").write_text(f"ultralytics==8.3.41 --hash={DIGEST}\n")
    assert weighbridge("audit", "requirements.txt", cwd=tmp_path, **there).returncode == 1


def test_fixes_are_named_and_written_where_a_line_is_enough(tmp_path):
    archive(tmp_path / "all.zip", FRESH)
    weighbridge("audit", "--update", "all.zip", cwd=tmp_path)
    (tmp_path / "requirements.txt").write_text("Jinja2[async]==3.1.5  # templates\neinops==0.8.0\n")
    (tmp_path / "package.json").write_text('{"dependencies": {"left-pad": "1.3.0"}}')
    (tmp_path / "hashed.txt").write_text(f"jinja2==3.1.5 --hash={DIGEST}\n")
    said = weighbridge("audit", ".", "hashed.txt", "--fix", cwd=tmp_path).stdout
    assert "requirements.txt: Jinja2 3.1.5 -> 3.1.6" in said
    assert "pip install 'jinja2==3.1.6'" in said
    assert "3.1.5" in (tmp_path / "requirements.txt").read_text()
    weighbridge("audit", ".", "hashed.txt", "--fix", "--write", cwd=tmp_path)
    assert (tmp_path / "requirements.txt").read_text() == "Jinja2[async]==3.1.6  # templates\neinops==0.8.0\n"
    assert (tmp_path / "package.json").read_text() == '{"dependencies": {"left-pad": "1.3.1"}}'
    assert "3.1.5" in (tmp_path / "hashed.txt").read_text()


def test_a_baseline_and_a_waiver_leave_the_rest(tmp_path):
    archive(tmp_path / "all.zip", FRESH)
    weighbridge("audit", "--update", "all.zip", cwd=tmp_path)
    (tmp_path / "requirements.txt").write_text(POISONED)
    assert (
        weighbridge("audit", "requirements.txt", "--format", "json", "--output", "base.json", cwd=tmp_path).returncode
        == 1
    )
    assert weighbridge("audit", "requirements.txt", "--baseline", "base.json", cwd=tmp_path).returncode == 0
    (tmp_path / "weighbridge.toml").write_text(
        '[[waiver]]\nrule = "PKG-001"\npath = "requirements.txt"\nreason = "kept for a test"\nowner = "ml"\nexpires = 2099-01-01\n'
    )
    done = weighbridge("audit", "requirements.txt", cwd=tmp_path)
    assert "waived: PKG-001 in requirements.txt" in done.stdout
    broken = weighbridge("audit", "requirements.txt", "--baseline", "requirements.txt", cwd=tmp_path)
    assert (broken.returncode, "not a report" in broken.stderr) == (2, True)


def test_an_environment_is_held_against_what_was_installed(tmp_path):
    archive(tmp_path / "all.zip", FRESH)
    weighbridge("audit", "--update", "all.zip", cwd=tmp_path)
    packages = tmp_path / ".venv/lib/python3.12/site-packages"
    for name, text in FINE.items():
        (packages / name).parent.mkdir(parents=True, exist_ok=True)
        (packages / name).write_text(text)
    assert weighbridge("audit", "--environment", ".venv", cwd=tmp_path).returncode == 0
    assert weighbridge("audit", "--environment", cwd=tmp_path, VIRTUAL_ENV=str(tmp_path / ".venv")).returncode == 0
    (packages / "helper.pth").write_text("import base64; exec(base64.b64decode('cGFzcw=='))\n")
    done = weighbridge("audit", "--environment", ".venv", cwd=tmp_path)
    assert done.returncode == 1
    assert "a .pth file runs code in every Python process" in done.stdout


def test_sarif_names_file_and_line(tmp_path):
    (tmp_path / "requirements.txt").write_text(POISONED)
    done = weighbridge("audit", "requirements.txt", "--format", "sarif", cwd=tmp_path)
    (place,) = {
        (one["physicalLocation"]["artifactLocation"]["uri"], one["physicalLocation"]["region"]["startLine"])
        for result in json.loads(done.stdout)["runs"][0]["results"]
        for one in result["locations"]
        if result["ruleId"] == "PKG-006"
    }
    assert place == ("requirements.txt", 4)


def test_two_releases_are_compared_by_diff(tmp_path):
    for folder, files in (
        ("old", QUIET),
        ("new", renamed(INCIDENTS["command on import that fetches and runs"], "1.1")),
    ):
        (tmp_path / folder).mkdir()
        for name, data in files.items():
            (tmp_path / folder / name).write_bytes(data)
    old, new = (next((tmp_path / folder).iterdir()) for folder in ("old", "new"))
    done = weighbridge("diff", old, new, cwd=tmp_path)
    assert done.returncode == 1
    assert "this release begins to do what the one before never did: it starts a process on import" in done.stdout
