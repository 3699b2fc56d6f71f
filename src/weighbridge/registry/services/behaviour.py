"""Knows how models of a case are tested for backdoors, where a plan of the configuration names them, and what is kept of it.

A test runs in a process of its own. Its result, its page and a statement signed by this registry are kept as blobs; what it
found stands in the report, so that policy, waivers and people treat it like any other finding.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Final

import msgspec
from msgspec import Struct
from sqlalchemy import update

from weighbridge.backdoor.result import Result, Verdict
from weighbridge.inspection.tested import MOST, Tested, joined, models_in
from weighbridge.policy.testing import plan_for
from weighbridge.registry.records import tables
from weighbridge.registry.services.child import run

if TYPE_CHECKING:
    from weighbridge.policy.testing import TestPlan
    from weighbridge.registry.records.tables import Record
    from weighbridge.registry.services.house import House
    from weighbridge.registry.services.inspector import Inspector
    from weighbridge.schema import Report

_TESTED: Final = frozenset({"model", "oci"})


class Kept(Struct, frozen=True, kw_only=True):
    """A test that was done: the model, its verdict and why, and the blobs of its result, page and signed statement."""

    place: str
    verdict: str
    because: str
    result: str
    page: str = ""
    statement: str = ""


class Behaviour:
    """Backdoor tests of one registry."""

    def __init__(self, house: House, inspector: Inspector) -> None:
        self._house, self._inspector = house, inspector

    def plan(self, row: Record) -> TestPlan | None:
        """The plan that names a case, if any."""
        return plan_for(self._house.settings.tests, row.name) if row.kind in _TESTED else None

    def test(self, row: Record) -> str:
        """Test the models of a case and put what is found into its report: what came out in one line, or nothing where none is planned.

        Raises VerificationFailed where there is no report to put it into.
        """
        plan = self.plan(row)
        if plan is None:
            return ""
        with self._inspector.laid_out(row) as (folder, name):
            found = [os.path.relpath(one, folder) for one in models_in(os.path.join(folder, name))]
            kept = [self._tested(folder, one, plan) for one in found[:MOST]]
        facts = {**row.facts, "tests": [msgspec.to_builtins(one) for one in kept], "models": len(found)}
        with self._house.database.write() as connection:
            connection.execute(update(tables.revisions).where(tables.revisions.c.id == row.id).values(facts=facts))
        self._inspector.keep_joined(row, lambda report: self._joined(row, report, kept, len(found)))
        return "; ".join(f"{one.place}: {one.verdict}" for one in kept) or "there is no model in it that can be tested"

    def again(self, row: Record, report: Report) -> Report:
        """A new report of a case with what its tests said when they were run."""
        if "tests" not in row.facts:
            return report
        return self._joined(row, report, self.kept(row), int(row.facts.get("models", 0)))

    @staticmethod
    def kept(row: Record) -> list[Kept]:
        """The tests of a case."""
        return msgspec.convert(row.facts.get("tests", []), list[Kept])

    def _joined(self, row: Record, report: Report, kept: list[Kept], count: int) -> Report:
        results = [
            Tested(
                place=one.place, result=msgspec.json.decode(b"".join(self._house.blobs.read(one.result)), type=Result)
            )
            for one in kept
        ]
        return joined(report, report.artifact.name or row.name, results, self._house.settings.policy, count=count)

    def _tested(self, folder: str, model: str, plan: TestPlan) -> Kept:
        here = {one: os.path.join(folder, f"test.{one}") for one in ("json", "html", "att")}
        more = [word for name, value in _options(plan) for word in (f"--{name}", value)]
        key = os.path.join(self._house.folder, "keys", "decisions.pem")
        done, why = run(
            folder, "test", model, *more, "--format", "json", "--output", here["json"], "--html", here["html"],
            "--key", key, "--attestation", here["att"],
        )  # fmt: skip
        if done is None or not os.path.isfile(here["json"]):
            result = Result(
                model=model, digest="", about="", verdict=Verdict.UNTESTABLE, because=f"the test did not run: {why}",
                untested=("everything",),
            )  # fmt: skip
            stored, _ = self._house.blobs.put([msgspec.json.encode(result)])
            return Kept(place=model, verdict=result.verdict, because=result.because, result=stored)
        blobs = {name: self._taken(path) for name, path in here.items()}
        result = msgspec.json.decode(b"".join(self._house.blobs.read(blobs["json"])), type=Result)
        return Kept(
            place=model, verdict=result.verdict, because=result.because, result=blobs["json"], page=blobs["html"],
            statement=blobs["att"],
        )  # fmt: skip

    def _taken(self, path: str) -> str:
        """A file as a blob; it is gone then, so that the next model's cannot be taken for it."""
        if not os.path.isfile(path):
            return ""
        with open(path, "rb") as file:
            stored, _ = self._house.blobs.put(iter(lambda: file.read(1 << 20), b""))
        os.unlink(path)
        return stored


def _options(plan: TestPlan) -> list[tuple[str, str]]:
    """What a plan says, as options of `weighbridge test`. References are a file, or the name of shipped ones."""
    known = _here(plan.references) if os.path.exists(plan.references) else plan.references
    said = [
        ("data", _here(plan.data)),
        ("references", known),
        ("pixels", plan.pixels),
        ("budget", plan.budget),
        ("base", _here(plan.base)),
        ("frame", plan.frame),
    ]
    return [(name, value) for name, value in said if value] + [("clean", _here(one)) for one in plan.clean]


def _here(path: str) -> str:
    """A path of the configuration as it is from another folder."""
    return os.path.abspath(path) if path else ""
