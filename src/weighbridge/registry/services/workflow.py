"""Knows the way in: fetch, hash, inspect, convert, test, decide. Each step may be repeated after a crash and comes to the same."""

from __future__ import annotations

import hashlib
import os
from typing import TYPE_CHECKING, Final

import msgspec
from sqlalchemy import update

from weighbridge.provenance import feed, keys
from weighbridge.registry.records import tables
from weighbridge.registry.services.cases import Cases, digest_of
from weighbridge.registry.services.child import run
from weighbridge.registry.services.inspector import PACKAGES
from weighbridge.registry.services.mirrors import large
from weighbridge.registry.services.oci import KIND as OCI
from weighbridge.registry.services.site_rules import facts_of
from weighbridge.registry.services.states import State
from weighbridge.registry.telemetry import TELEMETRY
from weighbridge.schema import Outcome, Report, SourceError, VerificationFailed
from weighbridge.schema.text import plural

if TYPE_CHECKING:
    from collections.abc import Sequence

    from weighbridge.registry.records.tables import Record
    from weighbridge.registry.services.behaviour import Behaviour
    from weighbridge.registry.services.house import House
    from weighbridge.registry.services.inspector import Inspector
    from weighbridge.registry.services.mirrors import Mirrors
    from weighbridge.registry.services.oci import Images
    from weighbridge.registry.services.packages import Packages
    from weighbridge.registry.services.repositories import Repositories

STEPS: Final = ("fetch", "hash", "inspect", "convert", "test", "decide")
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


class Workflow:
    """The steps, for one registry. A step returns why the case cannot go on, or nothing."""

    def __init__(
        self,
        house: House,
        cases: Cases,
        repositories: Repositories,
        mirrors: Mirrors,
        packages: Packages,
        images: Images,
        inspector: Inspector,
        behaviour: Behaviour,
    ) -> None:
        self._house, self._cases, self._repositories = house, cases, repositories
        self._mirrors, self._packages, self._inspector = mirrors, packages, inspector
        self._behaviour, self._images = behaviour, images

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
        with TELEMETRY.step(name, number, round_, self._house.terms.name) as told:
            try:
                why = str(getattr(self, f"_{name}")(number, round_) or "")
            except (VerificationFailed, msgspec.DecodeError) as error:
                why = str(error)
            told["outcome"] = why or "done"
            return why

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
        if row.kind in PACKAGES:
            files = self._packages.fetch(row)
        elif row.kind == OCI:
            files = self._images.fetch(row)
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
            why = self._house.altered(file.sha256, file.size)
            if why:
                return f"{file.path}: {why}"
        self._event(number, round_, "hash", "every byte is what was announced")
        return ""

    def _event(self, number: int, round_: int, step: str, detail: str, outcome: str = "done") -> None:
        with self._house.database.write() as connection:
            self._cases.event(connection, number, round_, step, outcome, detail)

    def _inspect(self, number: int, round_: int) -> str:
        row = self._row(number, round_)
        if row is None or row.state != State.QUARANTINED:
            return ""
        if round_ == 1 and self._inspector.is_known(row.digest):
            self._event(number, round_, "inspect", "the same bytes were inspected before")
            return ""
        report = self._inspector.inspect(row)
        self._event(number, round_, "inspect", f"{plural(len(report.findings), 'finding')}; {report.verdict.because}")
        return ""

    def judged_anew(self, number: int, round_: int) -> str:
        """Inspect what is served by rules, advisories and feed of today: why it can no longer be served, or nothing."""
        row = self._row(number, round_)
        if row is None:
            return ""
        report = self._inspector.inspect(row)
        if self._behaviour.plan(row) is not None and "tests" not in row.facts:
            # The plan is newer than the decision.
            self._event(number, round_, "test", self._behaviour.test(row))
            report = self._inspector.report(row.digest) or report
        verdict = self._inspector.verdict(row, report)
        because = f"{verdict.decided_by}: {verdict.because}"
        self._event(number, round_, "inspect", f"again, by rules {report.rules}: {verdict.because}")
        return self._known_bad(row) or (because if verdict.outcome is Outcome.BLOCK else "")

    def _convert(self, number: int, round_: int) -> str:
        """Weights that only a pickle holds, as safetensors: a revision of its own, which goes the same way."""
        row = self._row(number, round_)
        if row is None or row.state != State.QUARANTINED or row.kind != "model" or not self._house.terms.convert:
            return ""
        files = self._repositories.files(number)
        report = self._inspector.report(row.digest)
        blocked = report is None or self._inspector.verdict(row, report).outcome is Outcome.BLOCK
        if blocked or not _is_pickled([file.path for file in files]):
            return ""
        with self._inspector.laid_out(row) as (folder, name):
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
        done, why = run(folder, "convert", name, "--output", "converted", "--key", key)
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

    def _test(self, number: int, round_: int) -> str:
        """Backdoor tests, where a plan names the model; what is blocked already is not tested."""
        row = self._row(number, round_)
        if row is None or row.state != State.QUARANTINED or self._behaviour.plan(row) is None:
            return ""
        report = self._inspector.report(row.digest)
        if report is None or self._inspector.verdict(row, report).outcome is Outcome.BLOCK:
            return ""
        self._event(number, round_, "test", self._behaviour.test(row))
        return ""

    def _decide(self, number: int, round_: int) -> str:
        row = self._row(number, round_)
        if row is None or row.state != State.QUARANTINED:
            return ""
        report = self._inspector.report(row.digest)
        if report is None:
            return "there is no report"
        with self._house.database.read() as connection:
            known = self._cases.inspection(connection, row.digest)
        assert known is not None
        verdict = self._inspector.verdict(row, report)
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
        release = row.label.partition("/")[0] if row.kind in PACKAGES else row.label
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


def _is_pickled(paths: Sequence[str]) -> bool:
    """Whether weights may lie in a pickle, and nowhere else."""
    return any(path.endswith(_PICKLED) for path in paths) and not any(path.endswith(".safetensors") for path in paths)
