"""What an audit reads, what it says, and that nothing it could not do passes as clean."""

from __future__ import annotations

import builtins
import hashlib
import json
import socket
import subprocess

import pytest

from tests.corpus.dependencies import DIGEST, FINE, LOCKED, PROJECTS, audited, installed, rules
from weighbridge.dependencies.wanted import Demands
from weighbridge.names import Own
from weighbridge.schema import Reason, Severity, SourceError, Status, UsageError

PINNED = {"requirements.txt": f"einops==0.8.0 --hash={DIGEST}\n"}


def reasons(report):
    return {entry.reason for entry in report.coverage if entry.status is not Status.INSPECTED}


def test_without_advisories_nothing_is_clean(tmp_path):
    report = audited(tmp_path, PINNED, with_advisories=False).report
    assert not report.findings
    assert reasons(report) == {Reason.MISSING}
    assert not report.complete


def test_with_advisories_a_pinned_project_is_clean(tmp_path):
    report = audited(tmp_path, PINNED).report
    assert not report.findings
    assert report.complete
    assert any(fact.name == "pypi" and "2026-06-09" in fact.value for fact in report.facts)


def test_old_advisories_are_not_enough(tmp_path):
    report = audited(
        tmp_path, PINNED, demands=Demands(stale_days=3), today=__import__("datetime").date(2026, 6, 20)
    ).report
    assert reasons(report) == {Reason.STALE}


def test_a_source_that_was_not_reached_stays_in_the_report(tmp_path):
    assert Reason.UNREACHABLE in reasons(audited(tmp_path, PINNED, gaps=("the source could not be reached",)).report)


def test_an_ecosystem_without_advisories_is_not_clean(tmp_path):
    from tests.corpus.dependencies import RECORDS, advisories
    from weighbridge.inspection.audit import Order, audit
    from weighbridge.policy import Policy

    kept = advisories(tmp_path, [one for one in RECORDS if "npm" not in json.dumps(one)])
    (tmp_path / "package-lock.json").write_text(
        json.dumps({"packages": {"node_modules/a": {"version": "1.0.0", "integrity": "sha512-x"}}})
    )
    report = audit(
        Order(paths=(str(tmp_path / "package-lock.json"),), advisories=kept),
        Policy(today=__import__("datetime").date(2026, 6, 10)),
    ).report
    assert reasons(report) == {Reason.MISSING}


@pytest.mark.parametrize(
    ("files", "reason"),
    [
        ({"uv.lock": ""}, Reason.MALFORMED),
        ({"requirements.txt": "!!!\n"}, Reason.MALFORMED),
        ({"requirements.txt": b"\xff\xfe\x00"}, Reason.UNREADABLE),
        ({"requirements.txt": "-r missing.txt\n"}, Reason.MISSING),
        ({"requirements.txt": "-r https://x.example/more.txt\n"}, Reason.UNSUPPORTED),
        ({"requirements.txt": f"jinja2==nightly --hash={DIGEST}\n", "uv.lock": LOCKED.replace("einops", "jinja2").replace("0.8.0", "nightly") % "2024"}, Reason.UNSUPPORTED),
    ],
    ids=["empty lock", "no requirement", "no text", "missing include", "include from an address", "version that cannot be compared"],
)  # fmt: skip
def test_what_cannot_be_read_is_said(tmp_path, files, reason):
    assert reason in reasons(audited(tmp_path, files).report)


def test_includes_stay_in_the_folder_and_nothing_outside_is_quoted(tmp_path):
    (tmp_path / "secret.txt").write_text("hunter2==1.0\n")
    report = audited(tmp_path, {"requirements.txt": "-r ../secret.txt\n-c ../../../../../etc/passwd\n"}).report
    assert Reason.UNREADABLE in reasons(report)
    assert "hunter2" not in repr(report)
    assert "root:" not in repr(report)


def test_includes_are_followed_once_and_without_end(tmp_path):
    files = {
        "requirements.txt": "-r deps/a.list\n",
        "deps/a.list": f"-r ../requirements.txt\nultralytics==8.3.41 --hash={DIGEST}\n",
    }
    assert "PKG-001" in rules(tmp_path, files)


def test_files_that_commands_read_are_looked_for_where_commands_run(tmp_path):
    flow = "jobs:\n  a:\n    steps:\n      - run: pip install -r requirements/all.txt -r gone.txt\n"
    files = {".github/workflows/ci.yml": flow, "requirements/all.txt": f"ultralytics==8.3.41 --hash={DIGEST}\n"}
    report = audited(tmp_path, files).report
    assert [one.rule for one in report.findings if one.rule == "PKG-001"] == ["PKG-001"]
    assert report.complete
    assert any("gone.txt" in fact.value for fact in report.facts)


def test_an_archive_is_no_list_of_packages(tmp_path):
    from weighbridge.inspection.audit import Order, audit
    from weighbridge.policy import Policy

    (tmp_path / "a.whl").write_bytes(b"PK")
    with pytest.raises(UsageError, match="package"):
        audit(Order(paths=(str(tmp_path / "a.whl"),)), Policy())
    with pytest.raises(SourceError):
        audit(Order(paths=(str(tmp_path / "none"),)), Policy())
    with pytest.raises(SourceError):
        audit(Order(environments=(str(tmp_path),)), Policy())


def test_a_lock_beside_it_makes_ranges_harmless(tmp_path):
    ranged = {"requirements.in": "einops>=0.7\n"}
    assert rules(tmp_path, ranged) == {"PKG-003"}
    assert rules(tmp_path, {**ranged, **PINNED}) == set()


def test_what_policy_asks_of_indexes_digests_and_internal_names(tmp_path):
    files = {"requirements.txt": f"--index-url https://mirror.example.org/simple\nacme-core==1.0 --hash={DIGEST}\n"}
    assert rules(tmp_path, files) == set()
    assert rules(tmp_path, files, demands=Demands(indexes=("https://pypi.org/",))) == {"PKG-005"}
    inside = Demands(internal=("acme-*",))
    assert rules(tmp_path, files, demands=inside) == set()
    assert rules(tmp_path, {"requirements.txt": files["requirements.txt"].partition("\n")[2]}, demands=inside) == {
        "PKG-005"
    }


def test_passwords_in_addresses_are_nowhere_in_a_report(tmp_path):
    lines = [
        "--extra-index-url https://ann:hunter2@packages.example.org/simple",
        "git+https://ann:hunter2@git.example.org/a.git@main#egg=alpha",
        "beta @ https://ann:hunter2@files.example.org/beta-1.0-py3-none-any.whl",
    ]
    report = audited(tmp_path, {"requirements.txt": "\n".join(["gamma==1.0", *lines])}).report
    assert {"PKG-005", "PKG-008"} <= {one.rule for one in report.findings}
    assert "hunter2" not in repr(report)


def test_own_names_are_nobodys_lookalike(tmp_path):
    files = {"requirements.txt": f"reqeusts==1.0 --hash={DIGEST}\n"}
    assert rules(tmp_path, files) == {"PKG-006"}
    assert rules(tmp_path, files, names=Own(internal=("reqeusts",))) == set()


def test_attestations_that_fit_are_enough_and_others_are_not(tmp_path):
    wanted = Demands(attested=("einops",), publishers={"einops": "arogozhnikov/einops"})
    known = {"a" * 64: "https://github.com/arogozhnikov/einops/.github/workflows/release.yml"}
    assert rules(tmp_path, PINNED, demands=wanted, attested=known) == set()
    assert rules(tmp_path, PINNED, demands=wanted, attested={"b" * 64: "x"}) == {"PKG-017"}
    assert rules(tmp_path, PINNED, demands=wanted, attested={"a" * 64: "https://github.com/somebody/einops"}) == {
        "PKG-017"
    }


def test_a_baseline_keeps_what_is_known_quiet_and_says_how_much(tmp_path):
    files = PROJECTS["PKG-001"][0]
    before = audited(tmp_path, files).report
    known = frozenset((one.rule, one.location.path[0], one.message) for one in before.findings)
    after = audited(tmp_path, files, known=known).report
    assert not after.findings
    assert any(fact.name == "known before" for fact in after.facts)


def test_attacks_that_were_seen_make_a_weakness_critical(tmp_path):
    from tests.corpus.dependencies import advisories
    from weighbridge.inspection.audit import Order, audit
    from weighbridge.policy import Policy

    kept = advisories(
        tmp_path,
        exploited=json.dumps({"vulnerabilities": [{"cveID": "CVE-2025-27516", "dateAdded": "2026-01-02"}]}).encode(),
    )
    (tmp_path / "requirements.txt").write_text(f"jinja2==3.1.5 --hash={DIGEST}\n")
    done = audit(Order(paths=(str(tmp_path / "requirements.txt"),), advisories=kept), Policy())
    (found,) = [one for one in done.report.findings if one.rule == "PKG-002"]
    assert found.severity is Severity.CRITICAL
    assert "CISA" in " ".join(line.text for line in found.evidence)
    assert [(one.name, one.safe) for one in done.upgrades] == [("jinja2", "3.1.6")]


def test_every_file_of_an_environment_is_held_against_its_record(tmp_path):
    changed = installed(
        "einops",
        "0.8.0",
        {"einops/__init__.py": "x = 1\n", "einops/b.py": "y = 1\n"},
        changed=("einops/b.py",),
        missing=("einops/__init__.py",),
    )
    report = audited(tmp_path, changed, environment=True).report
    (found,) = [one for one in report.findings if one.rule == "PKG-015"]
    assert "and 1 more" in found.message
    assert found.severity is Severity.HIGH


def test_a_start_up_file_of_nobody_is_found_twice_over(tmp_path):
    files = {**FINE, "helper.pth": "import base64; exec(base64.b64decode('cGFzcw=='))\n"}
    found = {one.rule: one.severity for one in audited(tmp_path, files, environment=True).report.findings}
    assert found == {"PKG-010": Severity.CRITICAL, "PKG-015": Severity.HIGH}


def test_code_of_nobody_is_found(tmp_path):
    assert rules(tmp_path, {**FINE, "einops/extra.py": "z = 1\n"}, environment=True) == {"PKG-015"}


def test_a_virtual_environment_is_found_by_its_folder(tmp_path):
    laid = {f"lib/python3.12/site-packages/{name}": text for name, text in FINE.items()}
    report = audited(tmp_path, laid, environment=True).report
    assert not report.findings
    assert report.artifact.files == 1


def test_a_package_without_a_record_is_said(tmp_path):
    files = {name: text for name, text in FINE.items() if not name.endswith("RECORD")}
    assert reasons(audited(tmp_path, files, environment=True).report) == {Reason.MISSING}


def test_nothing_of_what_is_audited_is_imported_run_or_asked_for(tmp_path, monkeypatch):
    """A trap at every way in: sockets, processes, exec, and imports of what is audited."""
    real = builtins.__import__

    def imported(name, *rest, **more):
        assert name.partition(".")[0] not in {"einops", "ultralytics", "helper", "sitecustomize_x"}
        return real(name, *rest, **more)

    def never(*_, **__):
        raise AssertionError("this must not happen")

    monkeypatch.setattr(builtins, "__import__", imported)
    monkeypatch.setattr(builtins, "exec", never)
    monkeypatch.setattr(subprocess, "Popen", never)
    monkeypatch.setattr(socket, "socket", never)
    marker = tmp_path / "marker"
    text = f"open({str(marker)!r}, 'w')\n"
    files = {
        **installed("einops", "0.8.0", {"einops/__init__.py": text}),
        "helper.pth": f"import helper; {text}",
        "setup.py": text,
        "requirements.txt": "ultralytics==8.3.41\n",
    }
    audited(tmp_path, files, environment=True)
    audited(tmp_path, files)
    assert not marker.exists()


def test_reports_are_the_same_each_time(tmp_path):
    files = {**PROJECTS["PKG-001"][0], **PROJECTS["PKG-024"][0], "b/requirements.txt": "torchh\n"}
    one, other = (hashlib.sha256(repr(audited(tmp_path, files).report).encode()).hexdigest() for _ in range(2))
    assert one == other


def test_links_inside_are_read_and_links_that_lead_out_are_said(tmp_path):
    (tmp_path / "secret.txt").write_text("hunter2==1.0\n")
    root = tmp_path / "project"
    root.mkdir()
    (root / "pinned.list").write_text(f"ultralytics==8.3.41 --hash={DIGEST}\n")
    (root / "requirements.txt").symlink_to("pinned.list")
    (root / "requirements-dev.txt").symlink_to("../secret.txt")
    report = audited(tmp_path, {}).report
    assert "PKG-001" in {one.rule for one in report.findings}
    assert Reason.NOT_REGULAR in reasons(report)
    assert "hunter2" not in repr(report)
