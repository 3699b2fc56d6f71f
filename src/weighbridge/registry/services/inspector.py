"""Knows how what a case holds is inspected, by which edition of rules and data, and what is kept of it.

Inspection runs in a process of its own, which reads and never executes what it inspects.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
from typing import TYPE_CHECKING, Any, Final

import msgspec
from sqlalchemy import insert, select

from weighbridge.inspection.deep import together
from weighbridge.policy import decide
from weighbridge.registry.records import tables
from weighbridge.registry.services.child import folder_name, run
from weighbridge.registry.services.workplace import Workplace
from weighbridge.rules import ruleset_version
from weighbridge.schema import Outcome, Report, Verdict, VerificationFailed

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from weighbridge.registry.records.tables import Record
    from weighbridge.registry.services.cases import Cases, Kept
    from weighbridge.registry.services.house import House
    from weighbridge.registry.services.packages import Packages
    from weighbridge.registry.services.repositories import Repositories
    from weighbridge.registry.services.waivers import Waivers

PACKAGES: Final = frozenset({"pypi", "npm"})
_REPORTED: Final = frozenset({0, 1, 3})
_INSERTED: Final = 5000


class Inspector:
    """Inspections of one registry."""

    def __init__(
        self, house: House, cases: Cases, repositories: Repositories, packages: Packages, waivers: Waivers
    ) -> None:
        self._house, self._cases, self._repositories = house, cases, repositories
        self._packages, self._waivers = packages, waivers
        self.workplace = Workplace(house.folder)
        # What a new report is given beside what the inspection finds: set by who knows more about a case.
        self.amended: Callable[[Record, Report], Report] = lambda _row, report: report

    def edition(self) -> str:
        """What an inspection of now would go by: rules, policy, advisories and feed, as one short name."""
        from weighbridge.dependencies.advisories import default_path  # noqa: PLC0415  # it loads the version readers

        wanted = self._house.settings.provenance
        parts = [
            ruleset_version(), self._house.settings.policy.name, _stamp(self._house.settings.source),
            _stamp(default_path()), _stamp(wanted.feed or ""),
        ]  # fmt: skip
        return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:32]

    def is_known(self, digest: str) -> bool:
        """Whether these files were inspected by what an inspection of now would go by."""
        with self._house.database.read() as connection:
            known = self._cases.inspection(connection, digest)
        return known is not None and known.edition == self.edition()

    def inspect(self, row: Record) -> Report:
        """Inspect what a case holds, and keep the report. Raises VerificationFailed where there is none."""
        edition = self.edition()
        with self.laid_out(row) as (folder, name):
            files = self._repositories.files(row.id)
            packaged = row.kind in PACKAGES
            target = f"{name}/{files[0].path}" if packaged else name
            report = self._scan(folder, "scan", target)
            audited = self._packages.listing(row, folder) if packaged else _audited(name, files)
            if audited:
                beside = self._packages.beside(row, folder) if packaged else []
                report = self._joined(report, self._scan(folder, "audit", audited, *beside))
            bill = self._bill(folder, target)
        report = self.amended(row, report)
        self._keep(row, report, bill, edition)
        return report

    def keep_joined(self, row: Record, joined: Callable[[Report], Report]) -> None:
        """Keep the last report of a case with something joined to it. Raises VerificationFailed where there is none."""
        report = self.report(row.digest)
        if report is None:
            raise VerificationFailed("there is no report", hint="have it inspected again")
        self._keep(row, joined(report), self.bill(row.digest), self.edition())

    @contextlib.contextmanager
    def laid_out(self, row: Record) -> Iterator[tuple[str, str]]:
        """(a folder for a while, the name in it under which the files of a case lie)."""
        with self.workplace.room() as folder:
            name = folder_name(row.name)
            self._lay_out(os.path.join(folder, name), self._repositories.files(row.id))
            yield folder, name

    def _lay_out(self, folder: str, files: Sequence[Kept]) -> None:
        """The files under their names, without a copy where the file system allows it."""
        for file in files:
            path = os.path.join(folder, file.path)
            os.makedirs(os.path.dirname(path), exist_ok=True)
            there = self._house.blobs.path(file.sha256)
            if not (there and _linked(there, path)):
                with open(path, "wb") as copy:
                    copy.writelines(self._house.blobs.read(file.sha256))

    def _scan(self, folder: str, verb: str, target: str, *options: str) -> Report:
        """The report of a verb of this program. Raises VerificationFailed where there is none: that is not clean."""
        more = ["--policy", os.path.abspath(self._house.settings.source)] if self._house.settings.source else []
        if verb == "scan":
            more += ["--offline", "--quiet"]
        done, why = run(folder, verb, target, "--format", "json", *more, *options)
        if done is None or done.returncode not in _REPORTED:
            raise VerificationFailed(f"{verb}: {why}", hint="inspect it by hand")
        return msgspec.json.decode(done.stdout, type=Report)

    def _bill(self, folder: str, target: str) -> bytes:
        """The bill of materials (CycloneDX), or nothing where none can be written: it decides nothing."""
        done, _ = run(folder, "bom", target, "--output", "bill.cdx.json")
        path = os.path.join(folder, "bill.cdx.json")
        if done is None or done.returncode not in _REPORTED or not os.path.isfile(path):
            return b""
        with open(path, "rb") as file:
            return file.read()

    def _joined(self, report: Report, other: Report) -> Report:
        """Two reports about one artifact as one, judged again."""
        if not self._house.terms.advisories:
            # Settled by the organisation: without advisories on this machine, their absence does not decide.
            other = msgspec.structs.replace(
                other, coverage=tuple(one for one in other.coverage if one.path != ("advisories",))
            )
        return together(report, other, self._house.settings.policy)

    def _keep(self, row: Record, report: Report, bill: bytes, edition: str) -> None:
        stored, _ = self._house.blobs.put([msgspec.json.encode(report)])
        billed = self._house.blobs.put([bill])[0] if bill else ""
        worst = report.findings[0].severity.value if report.findings else ""
        with self._house.database.write() as connection:
            made = connection.execute(
                insert(tables.inspections).values(
                    digest=row.digest, rules=report.rules, edition=edition, outcome=report.verdict.outcome.value,
                    decided_by=report.verdict.decided_by, because=report.verdict.because, policy=report.verdict.policy,
                    complete=report.complete, report=stored, bill=billed, worst=worst, count=len(report.findings),
                    at=self._house.clock(),
                )
            )  # fmt: skip
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

    # --- what was kept

    def report(self, digest: str) -> Report | None:
        """The last report about a set of files. Raises SourceError where it is gone."""
        kept = self._kept(digest, "report")
        return msgspec.json.decode(kept, type=Report) if kept else None

    def bill(self, digest: str) -> bytes:
        """The last bill of materials of a set of files, or nothing. Raises SourceError where it is gone."""
        return self._kept(digest, "bill")

    def _kept(self, digest: str, what: str) -> bytes:
        with self._house.database.read() as connection:
            row = self._cases.inspection(connection, digest)
        name = getattr(row, what, "")
        return b"".join(self._house.blobs.read(name)) if name else b""

    def verdict(self, row: Record, report: Report) -> Verdict:
        """A report judged by the policy of today and what people waived, so that waivers that ended do not count.

        A waiver of one reviewer lets nothing in by itself: where it made the difference, reviewers decide as the terms want.
        """
        policy = self._house.settings.policy
        plain = decide(report, policy).verdict
        granted = self._waivers.of(row.digest)
        if not granted or plain.outcome is Outcome.ADMIT:
            return plain
        policy = msgspec.structs.replace(policy, waivers=(*policy.waivers, *granted), today=self._house.now().date())
        found = decide(report, policy).verdict
        if found.outcome is not Outcome.ADMIT:
            return found
        return msgspec.structs.replace(
            found, outcome=Outcome.REVIEW, decided_by="waivers",
            because=f"people accepted what would hold it ({plain.because}); reviewers decide",
        )  # fmt: skip


def _stamp(path: str) -> str:
    """What changes when a file is replaced; empty where there is none."""
    try:
        found = os.stat(path)
    except OSError:
        return ""
    return f"{found.st_size} {found.st_mtime_ns}"


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
