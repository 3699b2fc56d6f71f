"""Knows cases: a revision that somebody asked for, what was decided about it, by whom, and what is served since.

A decision is one transaction: state, signed statement in the log, and what branches serve change together or not at all.
"""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

import msgspec
from msgspec import Struct
from sqlalchemy import func, insert, select, update
from sqlalchemy.exc import IntegrityError

from weighbridge.provenance import attestation, bundle, predicates
from weighbridge.provenance.digest import FileDigest
from weighbridge.registry.records import Exclusive, tables
from weighbridge.registry.services.access import Act, Caller
from weighbridge.registry.services.house import encoded
from weighbridge.registry.services.refusal import No, Refusal
from weighbridge.registry.services.states import MOVING, SERVED, State, follows

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from sqlalchemy import Connection

    from weighbridge.registry.records.tables import Record
    from weighbridge.registry.services.house import House

_HOUSE: Final = "registry"


class Kept(Struct, frozen=True, kw_only=True):
    """One file of a revision: path, bytes, SHA-256, git object, and whether clients treat it as a large file."""

    path: str
    size: int
    sha256: str
    oid: str
    lfs: bool


class Cases:
    """The cases of one registry."""

    def __init__(self, house: House) -> None:
        self._house = house

    def open(
        self,
        connection: Connection,
        *,
        repository: int,
        label: str,
        branch: str,
        requester: str,
        parent: str = "",
        title: str = "",
        message: str = "",
        facts: dict[str, Any] | None = None,
        files: Iterable[Kept] = (),
    ) -> int:
        """The number of a new case, or of the one that this revision has already."""
        self._house.database.lock(connection, Exclusive.CASE)
        r = tables.revisions
        known = connection.scalar(select(r.c.id).where(r.c.repository_id == repository, r.c.label == label))
        if known is not None:
            return int(known)
        kept = sorted(files, key=lambda file: file.path)
        made = connection.execute(
            insert(r).values(
                repository_id=repository,
                label=label,
                branch=branch,
                parent=parent,
                title=title,
                message=message,
                requester=requester,
                state=State.REQUESTED,
                digest=digest_of(kept) if kept else "",
                opened=self._house.clock(),
                facts=facts or {},
            )
        )
        assert made.inserted_primary_key is not None
        number = int(made.inserted_primary_key[0])
        self.keep_files(connection, number, kept)
        self.event(connection, number, 1, "request", "done", f"asked for by {requester}")
        return number

    def keep_files(self, connection: Connection, number: int, files: Sequence[Kept]) -> None:
        """Say which files a revision has, instead of what was said before."""
        connection.execute(tables.files.delete().where(tables.files.c.revision_id == number))
        rows = [{"revision_id": number, **msgspec.structs.asdict(file)} for file in files]
        if rows:
            connection.execute(insert(tables.files), rows)

    def event(self, connection: Connection, number: int, round_: int, step: str, outcome: str, detail: str) -> None:
        """Note what happened in a case."""
        connection.execute(
            insert(tables.events).values(
                revision_id=number, round=round_, step=step, outcome=outcome, detail=detail, at=self._house.clock()
            )
        )

    def row(self, connection: Connection, number: int, *, own: bool = False) -> Record:
        """The revision of a case with `kind` and `name` of its repository; `own` keeps others from it until the end.

        Raises Refusal where there is none.
        """
        r, o = tables.revisions, tables.repositories
        query = select(r, o.c.kind, o.c.name, o.c.upstream).join_from(r, o).where(r.c.id == number)
        found = connection.execute(query.with_for_update(of=r) if own else query).one_or_none()
        if found is None:
            raise Refusal(No.ENTRY, f"there is no case {number}", hint="weighbridge registry status")
        return found

    def move(self, connection: Connection, number: int, new: State, because: str = "", *, round_: int = 0) -> bool:
        """Put a revision into its next state, and say whether it was in the round that is meant.

        Raises Refusal where the state cannot follow.
        """
        row = self.row(connection, number, own=True)
        if round_ and row.round != round_:
            return False
        follows(State(row.state), new)
        self._set(connection, row, new, because=because)
        return True

    def _set(self, connection: Connection, row: Record, new: State, **values: object) -> None:
        r = tables.revisions
        closed = 0.0 if new in MOVING or new is State.REVIEW else self._house.clock()
        done = connection.execute(
            update(r).where(r.c.id == row.id, r.c.state == row.state).values(state=new, closed=closed, **values)
        )
        if done.rowcount != 1:
            raise Refusal(No.CONFLICT, f"case {row.id} was decided by somebody else just now", hint="look at it again")
        self._serve(connection, row, new)

    def _serve(self, connection: Connection, row: Record, new: State) -> None:
        """A branch serves its latest approved revision, whatever else was pushed or decided."""
        r, f = tables.revisions, tables.refs
        latest = connection.scalar(
            select(r.c.label)
            .where(r.c.repository_id == row.repository_id, r.c.branch == row.branch, r.c.state.in_(SERVED))
            .order_by(r.c.id.desc())
            .limit(1)
        )
        here = (f.c.repository_id == row.repository_id, f.c.kind == "branch")
        connection.execute(update(f).where(*here, f.c.name == row.branch).values(served=latest or ""))
        # Other branches may have been set to this very revision.
        there = row.label if new in SERVED else ""
        connection.execute(update(f).where(*here, f.c.name != row.branch, f.c.tip == row.label).values(served=there))

    # --- decisions

    def decide(self, number: int, round_: int, outcome: str, because: str, *, policy: str, report: str) -> State:
        """What the policy decides after an inspection: `admit`, `review` or `block`. Said twice, it is decided once."""
        with self._house.database.write() as connection:
            row = self.row(connection, number, own=True)
            if row.round != round_ or row.state != State.QUARANTINED:
                return State(row.state)
            if outcome == "block":
                self._close(connection, row, State.REJECTED, _HOUSE, because, policy=policy, report=report)
                return State.REJECTED
            if outcome == "admit" and self._house.terms.automatic:
                self._approve(connection, row, _HOUSE, because, (), policy=policy, report=report)
                return State.APPROVED
            self._set(connection, row, State.REVIEW, because=because)
            self.event(connection, number, round_, "decision", "waiting", because)
            self._tell(connection, "review", row, because)
            return State.REVIEW

    def approve(
        self, number: int, caller: Caller, reason: str, *, scopes: Sequence[str] = (), days: float = 0
    ) -> State:
        """A reviewer's vote; with enough of them, the approval. Raises Refusal where it may not be theirs."""
        reason = _reason(reason)
        self._check_scopes(scopes)
        with self._house.database.write() as connection:
            row = self.row(connection, number, own=True)
            caller.must(Act.REVIEW, row.name.partition("/")[0])
            if row.requester == caller.name:
                raise Refusal(
                    No.FORBIDDEN, f"{caller.name} asked for case {number} and cannot approve it",
                    hint="four eyes: somebody else has to",
                )  # fmt: skip
            if State(row.state) in MOVING:
                raise Refusal(No.CONFLICT, f"case {number} is still being inspected", hint="wait for the report")
            follows(State(row.state), State.APPROVED)
            try:
                connection.execute(
                    insert(tables.votes).values(
                        revision_id=number, round=row.round, user=caller.name, reason=reason, at=self._house.clock()
                    )
                )
            except IntegrityError:
                raise Refusal(No.CONFLICT, f"{caller.name} has approved case {number} already") from None
            voted = select(tables.votes.c.user).where(
                tables.votes.c.revision_id == number, tables.votes.c.round == row.round
            )
            reviewers = sorted(connection.scalars(voted))
            self.event(connection, number, row.round, "vote", "done", f"{caller.name}: {reason}")
            if len(reviewers) < self._house.terms.approvals:
                return State.REVIEW
            last = self.inspection(connection, row.digest)
            self._approve(
                connection, row, caller.name, reason, reviewers, scopes=scopes, days=days,
                policy=last.policy if last else "", report=last.report if last else "",
            )  # fmt: skip
            return State.APPROVED

    def close(self, number: int, caller: Caller, new: State, reason: str) -> State:
        """Reject, revoke or deprecate. Raises Refusal where the caller may not, or the state cannot follow."""
        reason = _reason(reason)
        with self._house.database.write() as connection:
            row = self.row(connection, number, own=True)
            caller.must(Act.REVIEW, row.name.partition("/")[0])
            self._close(connection, row, new, caller.name, reason)
            return new

    def reopen(self, number: int, caller: Caller, reason: str) -> State:
        """Put what was rejected, revoked or has expired before the reviewers again."""
        reason = _reason(reason)
        with self._house.database.write() as connection:
            row = self.row(connection, number, own=True)
            caller.must(Act.REVIEW, row.name.partition("/")[0])
            follows(State(row.state), State.REVIEW)
            self._set(connection, row, State.REVIEW, because=reason, round=row.round + 1)
            self.event(connection, number, row.round + 1, "reopen", "done", f"{caller.name}: {reason}")
            return State.REVIEW

    def again(self, number: int, caller: Caller, reason: str) -> int:
        """Judge a revision anew; what was served stays in quarantine until then. The number of the new round.

        Raises Refusal where the caller may not, or the state cannot follow.
        """
        reason = _reason(reason)
        with self._house.database.write() as connection:
            row = self.row(connection, number, own=True)
            caller.must(Act.REVIEW, row.name.partition("/")[0])
            state = State(row.state)
            new = State.REQUESTED if state is State.FAILED else State.QUARANTINED
            if state is not State.QUARANTINED:
                follows(state, new)
            if state in SERVED:
                self._state(connection, row, new, caller.name, reason)
            self._set(connection, row, new, because=reason, round=row.round + 1)
            self.event(connection, number, row.round + 1, "again", "done", f"{caller.name}: {reason}")
            return int(row.round) + 1

    def revoke(self, number: int, because: str) -> bool:
        """Withdraw an approval without being asked, and say whether there was one to withdraw."""
        with self._house.database.write() as connection:
            row = self.row(connection, number, own=True)
            if State(row.state) not in SERVED:
                return False
            self._close(connection, row, State.REVOKED, _HOUSE, because)
            return True

    def expire(self) -> int:
        """End the approvals whose time has come; how many there were."""
        r = tables.revisions
        due = select(r.c.id).where(r.c.state.in_(SERVED), r.c.expires > 0, r.c.expires <= self._house.clock())
        with self._house.database.write() as connection:
            numbers = list(connection.scalars(due))
            for number in numbers:
                self._close(
                    connection, self.row(connection, number, own=True), State.EXPIRED, _HOUSE, "the approval has ended"
                )
        return len(numbers)

    def fail(self, number: int, round_: int, because: str) -> None:
        """A case that could not be brought to an end: it is not served, and says why."""
        with self._house.database.write() as connection:
            row = self.row(connection, number, own=True)
            if row.round == round_ and State(row.state) in MOVING:
                self._set(connection, row, State.FAILED, because=because)
                self.event(connection, number, round_, "workflow", "failed", because)
                self._tell(connection, "failed", row, because)

    # --- what a decision leaves

    def _approve(
        self,
        connection: Connection,
        row: Record,
        by: str,
        reason: str,
        reviewers: Sequence[str],
        *,
        policy: str,
        report: str,
        scopes: Sequence[str] = (),
        days: float = 0,
    ) -> None:
        follows(State(row.state), State.APPROVED)
        days = days or self._house.terms.approval_days
        ends = self._house.now() + timedelta(days=days) if days else None
        said = predicates.Approval(
            by=by,
            approved_at=self._house.stamp(),
            reason=reason,
            scopes=tuple(scopes),
            expires=f"{ends:%Y-%m-%d}" if ends else "",
            subject=subject_of(row),
            case=row.id,
            requester=row.requester,
            reviewers=tuple(reviewers),
            policy=policy,
            report_sha256=report,
        )
        self._log(connection, row, "approved", predicates.APPROVAL, said)
        self._set(
            connection, row, State.APPROVED, because=reason, scopes=list(scopes),
            expires=_midnight(ends) if ends else 0.0,
        )  # fmt: skip
        self.event(connection, row.id, row.round, "decision", "done", f"approved by {by}: {reason}")
        self._tell(connection, "approved", row, reason)

    def _close(
        self,
        connection: Connection,
        row: Record,
        new: State,
        by: str,
        reason: str,
        *,
        policy: str = "",
        report: str = "",
    ) -> None:
        follows(State(row.state), new)
        self._state(connection, row, new, by, reason, policy=policy, report=report)
        self._set(connection, row, new, because=reason)
        self.event(connection, row.id, row.round, "decision", "done", f"{new} by {by}: {reason}")

    def _state(
        self,
        connection: Connection,
        row: Record,
        new: State,
        by: str,
        reason: str,
        *,
        policy: str = "",
        report: str = "",
    ) -> None:
        """Sign and log a decision other than an approval."""
        said = predicates.Decision(
            outcome=new,
            by=by,
            decided_at=self._house.stamp(),
            reason=reason,
            subject=subject_of(row),
            case=row.id,
            policy=policy,
            report_sha256=report,
        )
        self._log(connection, row, new.value, predicates.DECISION, said)
        self._tell(connection, new.value, row, reason)

    def _log(self, connection: Connection, row: Record, word: str, kind: str, said: object) -> None:
        f = tables.files
        kept = connection.execute(select(f.c.path, f.c.size, f.c.sha256).where(f.c.revision_id == row.id)).all()
        subjects = [FileDigest(name=one.path, size=one.size, sha256=one.sha256) for one in kept]
        if not subjects:
            # A decision about what was never fetched is about its name.
            name = subject_of(row)
            subjects = [FileDigest(name=name, size=0, sha256=hashlib.sha256(name.encode()).hexdigest())]
        statement = attestation.statement(subjects, kind, msgspec.to_builtins(said))
        sealed = bundle.seal(statement, bundle.IN_TOTO, self._house.key)
        self._house.ledger.append(connection, word, sealed, at=self._house.stamp(), revision=row.id)

    def _tell(self, connection: Connection, event: str, row: Record, because: str) -> None:
        """Messages for those who want to know; they leave with the transaction."""
        hooks = list(connection.scalars(select(tables.webhooks.c.id)))
        body = encoded(
            {
                "event": event,
                "case": row.id,
                "kind": row.kind,
                "name": row.name,
                "revision": row.label,
                "digest": row.digest,
                "because": because,
                "at": self._house.stamp(),
            }
        )
        if hooks:
            now = self._house.clock()
            connection.execute(
                insert(tables.deliveries),
                [{"webhook_id": hook, "event": event, "body": body, "due": now} for hook in hooks],
            )

    def _check_scopes(self, scopes: Sequence[str]) -> None:
        known = self._house.terms.scopes
        odd = [scope for scope in scopes if known and scope not in known]
        if odd:
            raise Refusal(No.INVALID, f"{odd[0]!r} is no environment here", hint=f"one of {', '.join(known)}")

    # --- reading

    def inspection(self, connection: Connection, digest: str) -> Record | None:
        """The last inspection of a set of files."""
        i = tables.inspections
        return connection.execute(select(i).where(i.c.digest == digest).order_by(i.c.id.desc()).limit(1)).one_or_none()

    def statement(self, number: int, kind: str = "") -> bytes:
        """The signed statement of the last decision about a case, or of the last of one kind.

        Raises Refusal where none was made.
        """
        with self._house.database.read() as connection:
            query = select(tables.ledger.c.body).where(tables.ledger.c.revision_id == number)
            if kind:
                query = query.where(tables.ledger.c.kind == kind)
            body = connection.scalar(query.order_by(tables.ledger.c.index.desc()).limit(1))
        if body is None:
            raise Refusal(No.ENTRY, f"nothing was decided about case {number}", hint="it may still be inspected")
        return msgspec.json.encode(msgspec.json.decode(body)["statement"])

    def counts(self) -> dict[str, int]:
        """How many revisions there are in each state."""
        r = tables.revisions
        with self._house.database.read() as connection:
            found = connection.execute(select(r.c.state, func.count()).group_by(r.c.state)).all()
        return {str(row[0]): int(row[1]) for row in found}


def digest_of(files: Sequence[Kept]) -> str:
    """One digest for names, sizes and digests of all files, whatever they are called together."""
    lines = sorted((file.path, file.size, file.sha256) for file in files)
    return hashlib.sha256(msgspec.json.encode(lines)).hexdigest()


def subject_of(row: Record) -> str:
    """A revision in words: `model acme/net@4f1c…`."""
    return f"{row.kind} {row.name}@{row.label}"


def _reason(text: str) -> str:
    if not text.strip():
        raise Refusal(No.INVALID, "a decision needs a reason", hint="say why, for those who read it in a year")
    return text.strip()[:2000]


def _midnight(day: datetime) -> float:
    """The end of a day: the signed statement holds until then."""
    return (datetime(day.year, day.month, day.day, tzinfo=UTC) + timedelta(days=1)).timestamp()
