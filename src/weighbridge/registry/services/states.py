"""Knows the states of a revision and which may follow which. Pure."""

from __future__ import annotations

from enum import StrEnum
from typing import Final

from weighbridge.registry.services.refusal import No, Refusal


class State(StrEnum):
    """Where a revision stands on its way in, or out."""

    REQUESTED = "requested"
    FETCHING = "fetching"
    QUARANTINED = "quarantined"
    FAILED = "failed"
    REVIEW = "needs review"
    REJECTED = "rejected"
    APPROVED = "approved"
    DEPRECATED = "deprecated"
    REVOKED = "revoked"
    EXPIRED = "expired"


SERVED: Final = frozenset({State.APPROVED, State.DEPRECATED})
MOVING: Final = frozenset({State.REQUESTED, State.FETCHING, State.QUARANTINED})
_DECIDED: Final = frozenset({State.REJECTED, State.REVOKED, State.EXPIRED})
_NEXT: Final[dict[State, frozenset[State]]] = {
    State.REQUESTED: frozenset({State.FETCHING, State.FAILED, State.REJECTED}),
    State.FETCHING: frozenset({State.QUARANTINED, State.FAILED, State.REJECTED}),
    State.QUARANTINED: frozenset({State.REVIEW, State.APPROVED, State.REJECTED, State.FAILED}),
    State.FAILED: frozenset({State.REQUESTED, State.REJECTED}),
    State.REVIEW: frozenset({State.APPROVED, State.REJECTED, State.QUARANTINED}),
    State.REJECTED: frozenset({State.REVIEW, State.QUARANTINED}),
    State.APPROVED: frozenset({State.DEPRECATED, State.REVOKED, State.EXPIRED, State.QUARANTINED}),
    State.DEPRECATED: frozenset({State.APPROVED, State.REVOKED, State.EXPIRED, State.QUARANTINED}),
    State.REVOKED: frozenset({State.REVIEW}),
    State.EXPIRED: frozenset({State.REVIEW, State.QUARANTINED, State.REVOKED}),
}


def follows(old: State, new: State) -> State:
    """The new state. Raises Refusal where it cannot follow."""
    if new not in _NEXT[old]:
        allowed = ", ".join(sorted(_NEXT[old]))
        raise Refusal(No.CONFLICT, f"what is {old} cannot become {new}", hint=f"it can become {allowed}")
    return new


def told(state: State, case: int, because: str) -> str:
    """Why a revision in this state is not served, in one sentence for the developer who asked for it."""
    words = {
        State.REQUESTED: "was requested and waits for inspection",
        State.FETCHING: "is being fetched for inspection",
        State.QUARANTINED: "is in quarantine while it is inspected",
        State.FAILED: "could not be inspected",
        State.REVIEW: "waits for a reviewer",
        State.REJECTED: "was rejected",
        State.REVOKED: "was revoked",
        State.EXPIRED: "was approved until its approval ended",
    }.get(state, f"is {state}")
    reason = f": {because}" if because and state not in MOVING else ""
    return f"this revision {words} (case {case}){reason}"
