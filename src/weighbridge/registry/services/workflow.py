"""Knows the way in: fetch, hash, inspect, decide. Each step may be repeated after a crash and comes to the same.

Inspection runs in a process of its own, which reads and never executes what it inspects.
"""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import tomllib
from typing import TYPE_CHECKING, Any, Final

import msgspec
from msgspec import Struct
from sqlalchemy import insert, select, update

from weighbridge.output.words import plural
from weighbridge.policy import decide
from weighbridge.policy.language import parse_settings
from weighbridge.provenance import feed, keys
from weighbridge.registry.records import tables
from weighbridge.registry.services.cases import Cases, digest_of
from weighbridge.registry.services.mirrors import large
from weighbridge.registry.services.site_rules import facts_of
from weighbridge.registry.services.states import State
from weighbridge.registry.services.workplace import Workplace
from weighbridge.rules import ruleset_version
from weighbridge.schema import Outcome, Report, SourceError, UsageError, VerificationFailed

if TYPE_CHECKING:
    from collections.abc import Sequence

    from weighbridge.registry.records.tables import Record
    from weighbridge.registry.services.cases import Kept
    from weighbridge.registry.services.house import House
    from weighbridge.registry.services.mirrors import Mirrors
    from weighbridge.registry.services.packages import Packages
    from weighbridge.registry.services.repositories import Repositories

STEPS: Final = ("fetch", "hash", "inspect", "convert", "decide")
_REPORTED: Final = frozenset({0, 1, 3})
_LONGEST: Final = 4 * 3600
_TRIED: Final = 2000
_INSERTED: Final = 5000
_CONVERTED: Final = "safetensors"
_PICKLED: Final = (
    ".bin",
    ".pt",
    ".pth",
    ".ckpt",
    ".pkl",
    ".pickle",
    ".joblib",
    ".h5",
    ".keras",
    ".msgpack",
    ".npz",
    ".npy",
)
_PACKAGES: Final = frozenset({"pypi", "npm"})


class Change(Struct, frozen=True, kw_only=True):
    """An artifact of which another policy would say something else."""

    case: int
    name: str
    before: str
    after: str
    because: str


class Trial(Struct, frozen=True, kw_only=True):
    """What another policy would change, in one sentence and one by one."""

    sentence: str
    changes: list[Change]


class Workflow:
    """The steps, for one registry. A step returns why the case cannot go on, or nothing."""

    def __init__(
        self, house: House, cases: Cases, repositories: Repositories, mirrors: Mirrors, packages: Packages
    ) -> None:
        self._house, self._cases, self._repositories = house, cases, repositories
        self._mirrors, self._packages = mirrors, packages
        self.workplace = Workplace(house.folder)

    def run(self, number: int, round_: int) -> str:
        """All steps at once; the state that the case ends in."""
        for step in STEPS:
            try:
                why = self.step(step, number, round_)
            except SourceError as error:
                why = error.message
            if why:
                self.fail(number, round_, why)
                break
        with self._house.database.read() as connection:
            return str(self._cases.row(connection, number).state)

    def fail(self, number: int, round_: int, why: str) -> None:
        """A case that cannot go on."""
        self._cases.fail(number, round_, why)

    def step(self, name: str, number: int, round_: int) -> str:
        """One step. Raises SourceError where trying again may help."""
        try:
            return str(getattr(self, f"_{name}")(number, round_) or "")
        except (VerificationFailed, msgspec.DecodeError) as error:
            return str(error)

    def _row(self, number: int, round_: int) -> Record | None:
        with self._house.database.read() as connection:
            row = self._cases.row(connection, number)
        return row if row.round == round_ else None

    def _fetch(self, number: int, round_: int) -> str:
        row = self._row(number, round_)
        if row is None or row.state not in {State.REQUESTED, State.FETCHING}:
            return ""
        if row.state == State.REQUESTED:
            with self._house.database.write() as connection:
                self._cases.move(connection, number, State.FETCHING, round_=round_)
        if row.kind in _PACKAGES:
            files = self._packages.fetch(row)
        elif row.upstream and "derived" not in row.facts:
            files = self._mirrors.fetch(row)
        else:
            files = self._repositories.files(number)
        with self._house.database.write() as connection:
            self._cases.keep_files(connection, number, files)
            r = tables.revisions
            connection.execute(update(r).where(r.c.id == number).values(digest=digest_of(files)))
            self._cases.move(connection, number, State.QUARANTINED, round_=round_)
            size = sum(file.size for file in files)
            self._cases.event(
                connection, number, round_, "fetch", "done", f"{plural(len(files), 'file')}, {size} bytes"
            )
        return ""

    def _hash(self, number: int, round_: int) -> str:
        row = self._row(number, round_)
        if row is None or row.state != State.QUARANTINED:
            return ""
        for file in self._repositories.files(number):
            why = self.altered(file.sha256, file.size)
            if why:
                return f"{file.path}: {why}"
        self._event(number, round_, "hash", "every byte is what was announced")
        return ""

    def altered(self, sha256: str, size: int) -> str:
        """Why a blob is not what its name says, or nothing."""
        if self._house.blobs.size(sha256) < 0:
            return f"the blob {sha256[:16]}… is missing"
        made, found = hashlib.sha256(), 0
        for piece in self._house.blobs.read(sha256):
            made.update(piece)
            found += len(piece)
        if found != size or made.hexdigest() != sha256:
            return f"the blob {sha256[:16]}… was altered"
        return ""

    def _event(self, number: int, round_: int, step: str, detail: str, outcome: str = "done") -> None:
        with self._house.database.write() as connection:
            self._cases.event(connection, number, round_, step, outcome, detail)

    def _inspect(self, number: int, round_: int) -> str:
        row = self._row(number, round_)
        if row is None or row.state != State.QUARANTINED:
            return ""
        with self._house.database.read() as connection:
            known = self._cases.inspection(connection, row.digest)
        if known is not None and round_ == 1 and (known.rules, known.policy) == self._judges():
            self._event(number, round_, "inspect", "the same bytes were inspected before")
            return ""
        report = self._inspected(row)
        self._keep(row, report)
        self._event(number, round_, "inspect", f"{plural(len(report.findings), 'finding')}; {report.verdict.because}")
        return ""

    def _inspected(self, row: Record) -> Report:
        with self.workplace.room() as folder:
            name = folder_name(row.name)
            files = self._repositories.files(row.id)
            self._lay_out(os.path.join(folder, name), files)
            packaged = row.kind in _PACKAGES
            report = self._scan(folder, "scan", f"{name}/{files[0].path}" if packaged else name)
            audited = self._packages.listing(row, folder) if packaged else _audited(name, files)
            return self._joined(report, self._scan(folder, "audit", audited)) if audited else report

    def judged_anew(self, number: int, round_: int) -> str:
        """Inspect what is served by the rules of today: why it can no longer be served, or nothing."""
        row = self._row(number, round_)
        if row is None:
            return ""
        report = self._inspected(row)
        self._keep(row, report)
        verdict = report.verdict
        self._event(number, round_, "inspect", f"rules {report.rules}: {verdict.because}")
        return f"{verdict.decided_by}: {verdict.because}" if verdict.outcome is Outcome.BLOCK else ""

    def _judges(self) -> tuple[str, str]:
        return ruleset_version(), self._house.settings.policy.name

    def _lay_out(self, folder: str, files: Sequence[Kept]) -> None:
        """The files under their names, without a copy where the file system allows it."""
        for file in files:
            path = os.path.join(folder, file.path)
            os.makedirs(os.path.dirname(path), exist_ok=True)
            there = self._house.blobs.path(file.sha256)
            if not (there and _linked(there, path)):
                with open(path, "wb") as copy:
                    copy.writelines(self._house.blobs.read(file.sha256))

    def _scan(self, folder: str, verb: str, target: str) -> Report:
        """The report of a verb of this program. Raises VerificationFailed where there is none: that is not clean."""
        more = ["--policy", os.path.abspath(self._house.settings.source)] if self._house.settings.source else []
        if verb == "scan":
            more += ["--offline", "--quiet"]
        done, why = _run(folder, verb, target, "--format", "json", *more)
        if done is None or done.returncode not in _REPORTED:
            raise VerificationFailed(f"{verb}: {why}", hint="inspect it by hand")
        return msgspec.json.decode(done.stdout, type=Report)

    def _joined(self, report: Report, other: Report) -> Report:
        """Two reports about one artifact as one, judged again."""
        if not self._house.terms.advisories:
            # Settled by the organisation: without advisories on this machine, their absence does not decide.
            other = msgspec.structs.replace(
                other, coverage=tuple(one for one in other.coverage if one.path != ("advisories",))
            )
        known = {(one.rule, one.location.member) for one in report.findings}
        more = [one for one in other.findings if (one.rule, one.location.member) not in known]
        joined = msgspec.structs.replace(
            report,
            findings=tuple(sorted([*report.findings, *more], key=lambda one: one.sort_key())),
            coverage=(
                *report.coverage,
                *(one for one in other.coverage if one.path not in {c.path for c in report.coverage}),
            ),
            facts=(*report.facts, *other.facts),
        )
        return decide(joined, self._house.settings.policy)

    def _keep(self, row: Record, report: Report) -> None:
        stored, _ = self._house.blobs.put([msgspec.json.encode(report)])
        worst = report.findings[0].severity.value if report.findings else ""
        with self._house.database.write() as connection:
            made = connection.execute(
                insert(tables.inspections).values(
                    digest=row.digest,
                    rules=report.rules,
                    outcome=report.verdict.outcome.value,
                    decided_by=report.verdict.decided_by,
                    because=report.verdict.because,
                    policy=report.verdict.policy,
                    complete=report.complete,
                    report=stored,
                    worst=worst,
                    count=len(report.findings),
                    at=self._house.clock(),
                )
            )
            assert made.inserted_primary_key is not None
            number = made.inserted_primary_key[0]
            triaged = self._triaged(connection, row.digest)
            rows = [
                {
                    "inspection_id": number, "digest": row.digest, "rule": one.rule, "severity": one.severity.value,
                    "rank": one.severity.rank, "member": one.location.member, "message": one.message,
                    "triage": triaged.get((one.rule, one.location.member), "open"),
                }
                for one in report.findings
            ]  # fmt: skip
            f = tables.findings
            connection.execute(f.delete().where(f.c.digest == row.digest))
            for start in range(0, len(rows), _INSERTED):
                connection.execute(insert(f), rows[start : start + _INSERTED])

    def _triaged(self, connection: Any, digest: str) -> dict[tuple[str, str], str]:
        """What people said of findings outlives the next inspection."""
        f = tables.findings
        query = select(f.c.rule, f.c.member, f.c.triage).where(f.c.digest == digest, f.c.triage != "open")
        return {(row[0], row[1]): row[2] for row in connection.execute(query)}

    def report(self, digest: str) -> Report | None:
        """The last report about a set of files. Raises SourceError where it is gone."""
        with self._house.database.read() as connection:
            row = self._cases.inspection(connection, digest)
        if row is None:
            return None
        return msgspec.json.decode(b"".join(self._house.blobs.read(row.report)), type=Report)

    def _convert(self, number: int, round_: int) -> str:
        """Weights that only a pickle holds, as safetensors: a revision of its own, which goes the same way."""
        row = self._row(number, round_)
        if row is None or row.state != State.QUARANTINED or row.kind != "model" or not self._house.terms.convert:
            return ""
        files = self._repositories.files(number)
        report = self.report(row.digest)
        blocked = report is None or decide(report, self._house.settings.policy).verdict.outcome is Outcome.BLOCK
        if blocked or not _is_pickled([file.path for file in files]):
            return ""
        with self.workplace.room() as folder:
            name = folder_name(row.name)
            self._lay_out(os.path.join(folder, name), files)
            why = self._converted(folder, name)
            if why:
                self._event(number, round_, "convert", why, "not done")
                return ""
            case = self._derive(row, os.path.join(folder, "converted"))
        self._event(number, round_, "convert", f"as safetensors in case {case}, branch {_CONVERTED}")
        return ""

    def _converted(self, folder: str, name: str) -> str:
        """Run the conversion in a process of its own: why there is none, or nothing."""
        key = os.path.join(self._house.folder, "keys", "decisions.pem")
        done, why = _run(folder, "convert", name, "--output", "converted", "--key", key)
        return "" if done is not None and done.returncode == 0 else why

    def _derive(self, row: Record, folder: str) -> int:
        kept = []
        for above, _, names in os.walk(folder):
            for one in names:
                path = os.path.join(above, one)
                with open(path, "rb") as file:
                    sha256, size = self._house.blobs.put(iter(lambda: file.read(1 << 20), b""))
                kept.append(large(os.path.relpath(path, folder).replace(os.sep, "/"), size, sha256))
        with open(f"{folder}.conversion.att", "rb") as file:
            statement, _ = self._house.blobs.put([file.read()])
        label = hashlib.sha1(f"{row.label} {digest_of(kept)}".encode(), usedforsecurity=False).hexdigest()
        with self._house.database.write() as connection:
            case = self._cases.open(
                connection, repository=row.repository_id, label=label, branch=_CONVERTED, requester=row.requester,
                parent=row.label, title=f"{row.label[:12]} as safetensors", files=kept,
                facts={"derived": row.id, "conversion": statement},
            )  # fmt: skip
            self._repositories.point(connection, row.repository_id, "branch", _CONVERTED, tip=label)
        self._house.submit(case, 1)
        return case

    def tried(self, text: str) -> Trial:
        """What another policy (TOML) would say of what is here. Raises UsageError where it is none."""
        try:
            settings = parse_settings(tomllib.loads(text), "the policy")
        except tomllib.TOMLDecodeError as error:
            raise UsageError(f"the policy: {error}", hint="correct the line") from error
        r, o = tables.revisions, tables.repositories
        query = select(r.c.id, r.c.digest, r.c.state, o.c.name).join_from(r, o).where(r.c.digest != "")
        with self._house.database.read() as connection:
            rows = connection.execute(query.order_by(r.c.id.desc()).limit(_TRIED)).all()
        changes, counts = [], dict.fromkeys(Outcome, 0)
        for row in rows:
            report = self.report(row.digest)
            if report is None:
                continue
            before = decide(report, self._house.settings.policy).verdict.outcome
            after = decide(report, settings.policy).verdict
            if after.outcome is not before:
                counts[after.outcome] += 1
                changes.append(
                    Change(case=row.id, name=row.name, before=before, after=after.outcome, because=after.because)
                )
        told = ", ".join(f"would {outcome} {counts[outcome]}" for outcome in Outcome)
        return Trial(
            sentence=f"Of the last {len(rows)} artifacts this policy {told} that the present one does not.",
            changes=changes,
        )

    def _decide(self, number: int, round_: int) -> str:
        row = self._row(number, round_)
        if row is None or row.state != State.QUARANTINED:
            return ""
        report = self.report(row.digest)
        if report is None:
            return "there is no report"
        with self._house.database.read() as connection:
            known = self._cases.inspection(connection, row.digest)
        assert known is not None
        # The report is judged by the policy of today, so that waivers that ended since do not count.
        verdict = decide(report, self._house.settings.policy).verdict
        outcome, because = verdict.outcome.value, f"{verdict.decided_by}: {verdict.because}"
        bad = self._known_bad(row)
        if bad:
            outcome, because = Outcome.BLOCK.value, bad
        if outcome != Outcome.BLOCK.value:
            outcome, because = self._by_site_rules(row, report, outcome, because)
        self._cases.decide(number, round_, outcome, because, policy=verdict.policy, report=known.report)
        return ""

    def _known_bad(self, row: Record) -> str:
        """What the feed of the configuration says of a name, publisher or release, or nothing.

        Raises VerificationFailed where there is a feed and it does not hold: a feed that cannot be read is not an empty one.
        """
        wanted = self._house.settings.provenance
        if not (wanted.feed and wanted.feed_key):
            return ""
        found = feed.load(wanted.feed, keys.load_public(wanted.feed_key), self._house.now())
        release = row.label.partition("/")[0] if row.kind in _PACKAGES else row.label
        known = found.about(row.kind, row.name, release)
        return f"SEC-005: {known.kind} {known.value} is known to be bad: {known.reason}" if known else ""

    def _by_site_rules(self, row: Record, report: Report, outcome: str, because: str) -> tuple[str, str]:
        files = [(file.path, file.size, file.sha256) for file in self._repositories.files(row.id)]
        facts = facts_of(
            kind=row.kind, name=row.name, label=row.label, files=files, source=row.upstream, requester=row.requester,
            report=report,
        )  # fmt: skip
        for objection in self._house.rules.objections(facts):
            why = f"{objection.rule}: {objection.because}"
            if objection.otherwise == "reject":
                return Outcome.BLOCK.value, why
            if outcome == Outcome.ADMIT.value:
                outcome, because = Outcome.REVIEW.value, why
        return outcome, because


def folder_name(name: str) -> str:
    """The last part of a name, as the folder that reports speak of. It is given to programs, and must be no option of theirs."""
    return name.rpartition("/")[2].lstrip("@-~.") or "artifact"


def _run(folder: str, *arguments: str) -> tuple[subprocess.CompletedProcess[bytes] | None, str]:
    """(this program with arguments in a folder, what it complained of); nothing where it took too long."""
    # -I: neither the current folder nor the environment may put a module in the way.
    command = [sys.executable, "-I", "-m", "weighbridge", *arguments]
    try:
        done = subprocess.run(  # noqa: S603  # our own program, with a list of arguments
            command, cwd=folder, capture_output=True, timeout=_LONGEST, check=False, env=_environment()
        )
    except subprocess.TimeoutExpired:
        return None, "it took too long"
    said = done.stderr.decode("utf-8", "replace").strip().splitlines()
    return done, said[0] if said else f"exit code {done.returncode}"


def _environment() -> dict[str, str]:
    """What a child needs to know of the environment; tokens and addresses are not among it."""
    return {name: os.environ[name] for name in ("PATH", "HOME", "WEIGHBRIDGE_CACHE", "LANG") if name in os.environ}


def _is_pickled(paths: Sequence[str]) -> bool:
    """Whether weights may lie in a pickle, and nowhere else."""
    return any(path.endswith(_PICKLED) for path in paths) and not any(path.endswith(".safetensors") for path in paths)


def _linked(there: str, path: str) -> bool:
    try:
        os.link(there, path)
    except OSError:
        return False
    return True


def _audited(name: str, files: Sequence[Kept]) -> str:
    """The folder, where files in it say what it depends on."""
    from weighbridge.formats.manifests import is_manifest  # noqa: PLC0415  # only here

    return name if any(is_manifest(file.path.rpartition("/")[2]) for file in files) else ""
