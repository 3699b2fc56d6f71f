"""Knows the registry's own API: requests, decisions, the log, revocations, users; and its description (OpenAPI 3.1)."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

import msgspec
from msgspec import Struct
from starlette.responses import PlainTextResponse, Response

from weighbridge import __version__
from weighbridge.provenance import keys, merkle
from weighbridge.registry.api.asking import STATUS, Ask, Desk, Route, Table
from weighbridge.registry.client import Case
from weighbridge.registry.services.access import Act, Role
from weighbridge.registry.services.refusal import No, Refusal
from weighbridge.registry.services.review import Sought
from weighbridge.registry.services.revoked import revocation_list
from weighbridge.registry.services.states import State
from weighbridge.schema import WeighbridgeError
from weighbridge.schema.alert import Alert, Pulse

if TYPE_CHECKING:
    from starlette.requests import Request

    from weighbridge.registry.services import Services

_V1: Final = "/api/weighbridge/v1"
_PAGE: Final = 200
_ENTRIES: Final = 1000


class Wish(Struct, forbid_unknown_fields=True):
    """Something that is to be let in: `model`, `dataset`, `space`, `pypi` or `npm`, its name, and a revision or version."""

    kind: str
    name: str
    revision: str = "main"


class Say(Struct, forbid_unknown_fields=True):
    """A decision: why, for which environments, for how many days (0: what the terms say)."""

    reason: str
    scopes: list[str] = []
    days: float = 0


class Acceptance(Struct, forbid_unknown_fields=True):
    """A finding that is accepted: its rule and member, why, and for how many days."""

    rule: str
    member: str
    reason: str
    days: int = 90


class Outcome(Struct):
    """What a case is now."""

    id: int
    state: str


class Taken(Struct):
    """An alert that was kept: the cases that were revoked because of it."""

    revoked: list[int]


class NewUser(Struct, forbid_unknown_fields=True):
    """A user to be: `person` or `service`."""

    name: str
    role: str
    kind: str = "person"


class UserChange(Struct, forbid_unknown_fields=True):
    """What is to be different about a user."""

    role: str = ""
    disabled: bool | None = None


class NewToken(Struct, forbid_unknown_fields=True):
    """A token to be: for whom (empty: yourself), with at most which role, in which namespace, for which environment, for how long."""

    name: str
    user: str = ""
    role: str = ""
    namespace: str = ""
    scope: str = ""
    days: float = 90


class Token(Struct):
    """A token, shown once."""

    token: str


class Run(Struct, forbid_unknown_fields=True):
    """The token that a pipeline's own platform gave it."""

    token: str


class NewHook(Struct, forbid_unknown_fields=True):
    """Where messages are sent."""

    url: str


class Hook(Struct):
    """A webhook, with its secret where it is new."""

    id: int
    url: str
    secret: str = ""


class Problem(Struct):
    """Why a request was not granted."""

    error: str
    hint: str = ""
    case: int = 0


def refuse(_request: Request, refusal: Refusal) -> Response:
    """A refusal as a Problem."""
    body = Problem(error=refusal.message, hint=refusal.hint, case=refusal.case)
    return _json(body, STATUS[refusal.why])


def _json(value: object, status: int = 200) -> Response:
    return Response(msgspec.json.encode(value), status, media_type="application/json")


class OwnApi:
    """The routes."""

    def __init__(self, services: Services) -> None:
        self._all = services
        self._house = services.house
        self._desk: Desk | None = None
        self._routes = self._made()

    def watch(self, desk: Desk) -> None:
        """Count what a desk answers, for the metrics."""
        self._desk = desk

    def table(self) -> Table:
        """The routes."""
        return Table(self._routes, refuse)

    def _made(self) -> tuple[Route, ...]:
        case = rf"{_V1}/cases/(?P<case>\d{{1,9}})"
        number = r"(?P<number>\d{1,9})"
        rows: list[tuple[str, str, Act | None, Any, Any, Any, str]] = [
            ("GET", "/health", None, self._health, None, None, "Whether the process lives"),
            ("GET", "/ready", None, self._ready, None, None, "Whether requests can be answered"),
            ("GET", "/metrics", Act.ADMINISTER, self._metrics, None, None, "Counters for Prometheus"),
            ("GET", f"{_V1}/openapi.json", None, self._openapi, None, None, "This description"),
            ("GET", f"{_V1}/keys", None, self._keys, None, dict, "The public keys of this registry"),
            ("GET", f"{_V1}/checkpoint", Act.READ, self._checkpoint, None, None, "The signed checkpoint of the log"),
            ("GET", f"{_V1}/log", Act.READ, self._log, None, None, "Entries of the log, as JSON Lines"),
            ("GET", f"{_V1}/log/{number}/proof", Act.READ, self._proof, None, dict, "That an entry is in the log"),
            ("GET", f"{_V1}/log/consistency", Act.READ, self._consistency, None, dict, "That the log continues an older one"),
            ("GET", f"{_V1}/revocations", Act.READ, self._revocations, None, None, "The signed list of revoked digests"),
            ("GET", f"{_V1}/cases", Act.READ, self._cases, None, list[Case], "Cases, latest first"),
            ("POST", f"{_V1}/cases", Act.REQUEST, self._request, Wish, Case, "Ask for something to be let in"),
            ("GET", case, Act.READ, self._case, None, Case, "One case"),
            ("GET", f"{case}/report", Act.READ, self._report, None, None, "Its last inspection"),
            ("GET", f"{case}/statement", Act.READ, self._statement, None, None, "The signed statement of its last decision"),
            ("POST", f"{case}/approve", Act.REVIEW, self._approve, Say, Outcome, "Approve it"),
            ("POST", f"{case}/reject", Act.REVIEW, self._closed(State.REJECTED), Say, Outcome, "Reject it"),
            ("POST", f"{case}/revoke", Act.REVIEW, self._closed(State.REVOKED), Say, Outcome, "Revoke what was approved"),
            ("POST", f"{case}/deprecate", Act.REVIEW, self._closed(State.DEPRECATED), Say, Outcome, "Serve it with a warning"),
            ("POST", f"{case}/reopen", Act.REVIEW, self._reopen, Say, Outcome, "Put it before the reviewers again"),
            ("POST", f"{case}/rescan", Act.REVIEW, self._rescan, Say, Outcome, "Inspect it again"),
            ("GET", f"{case}/bill", Act.READ, self._bill, None, None, "Its bill of materials (CycloneDX)"),
            ("POST", f"{case}/waive", Act.REVIEW, self._waive, Acceptance, Outcome, "Accept a finding in these files"),
            ("GET", f"{_V1}/users", Act.ADMINISTER, self._users, None, None, "Users"),
            ("POST", f"{_V1}/users", Act.ADMINISTER, self._add_user, NewUser, Outcome, "Add a user"),
            ("PATCH", rf"{_V1}/users/(?P<user>[\w.-]{{1,63}})", Act.ADMINISTER, self._change_user, UserChange, Outcome, "Change a user"),
            ("GET", f"{_V1}/tokens", Act.ADMINISTER, self._tokens, None, None, "Tokens that have not ended"),
            ("POST", f"{_V1}/tokens", Act.READ, self._add_token, NewToken, Token, "Make a token"),
            ("DELETE", f"{_V1}/tokens/{number}", Act.READ, self._end_token, None, Outcome, "End a token"),
            ("POST", f"{_V1}/workload", None, self._workload, Run, Token, "Exchange the token of a run for one of an hour"),
            ("GET", f"{_V1}/webhooks", Act.ADMINISTER, self._hooks, None, list[Hook], "Webhooks"),
            ("POST", f"{_V1}/webhooks", Act.ADMINISTER, self._add_hook, NewHook, Hook, "Add a webhook"),
            ("DELETE", f"{_V1}/webhooks/{number}", Act.ADMINISTER, self._end_hook, None, Outcome, "Remove a webhook"),
            ("GET", f"{_V1}/webhooks/dead", Act.ADMINISTER, self._dead, None, None, "Messages that were given up"),
            ("POST", f"{_V1}/alerts", Act.PUBLISH, self._take_alert, Alert, Taken, "Tell what a monitor found"),
            ("GET", f"{_V1}/alerts", Act.READ, self._alerts, None, list[Alert], "Alerts that are not closed, worst first"),
            ("POST", f"{_V1}/streams", Act.PUBLISH, self._take_pulse, Pulse, Outcome, "Tell how a watched stream stands"),
            ("GET", f"{_V1}/audit", Act.ADMINISTER, self._audit, None, None, "Who did what, latest first"),
        ]  # fmt: skip
        return tuple(
            Route(
                method=method, pattern=pattern, act=act, run=run, takes=takes, gives=gives, about=about,
                body="whole" if takes else "none",
            )
            for method, pattern, act, run, takes, gives, about in rows
        )  # fmt: skip

    # --- the process

    def _health(self, _ask: Ask) -> Response:
        return PlainTextResponse("ok\n")

    def _ready(self, _ask: Ask) -> Response:
        try:
            self._house.setting("ready")
            self._house.blobs.check()
        except WeighbridgeError as error:
            return PlainTextResponse(f"{error.message}\n", 503)
        return PlainTextResponse("ready\n")

    def _metrics(self, _ask: Ask) -> Response:
        lines = ["# TYPE weighbridge_cases gauge"]
        lines += [
            f'weighbridge_cases{{state="{state}"}} {count}' for state, count in sorted(self._all.cases.counts().items())
        ]
        if self._desk is not None:
            lines.append("# TYPE weighbridge_requests_total counter")
            lines += [
                f'weighbridge_requests_total{{route="{_escaped(route)}",status="{status}"}} {count}'
                for (route, status), count in sorted(self._desk.counts.items())
            ]
            lines += [
                "# TYPE weighbridge_request_seconds_total counter",
                f"weighbridge_request_seconds_total {self._desk.seconds:.6f}",
            ]
        return PlainTextResponse("\n".join(lines) + "\n", media_type="text/plain; version=0.0.4")

    def _openapi(self, ask: Ask) -> Response:
        return _json(openapi(self._routes, ask.base))

    # --- what can be proved

    def _keys(self, _ask: Ask) -> Response:
        return _json(
            {
                "decisions": keys.pem_of(self._house.public.key).decode(),
                "fingerprint": self._house.public.fingerprint,
                "log": self._house.log_key.verifier,
            }
        )

    def _checkpoint(self, _ask: Ask) -> Response:
        return PlainTextResponse(self._house.ledger.checkpoint())

    def _log(self, ask: Ask) -> Response:
        start = ask.number("start", 0, 1 << 40)
        lines = [body for _, body in self._house.ledger.entries(start, start + _ENTRIES)]
        return Response(b"".join(line + b"\n" for line in lines), media_type="application/jsonl")

    def _proof(self, ask: Ask) -> Response:
        number, leaves = int(ask.part["number"]), self._house.ledger.leaves(ask.number("size", -1, 1 << 40))
        if number >= len(leaves):
            raise Refusal(No.ENTRY, f"the log has {len(leaves)} entries", hint="they are numbered from 0")
        return _json(
            {
                "index": number, "size": len(leaves), "leaf": leaves[number].hex(),
                "hashes": [one.hex() for one in merkle.inclusion(number, leaves)],
            }
        )  # fmt: skip

    def _consistency(self, ask: Ask) -> Response:
        leaves, old = self._house.ledger.leaves(ask.number("size", -1, 1 << 40)), ask.number("old", 0, 1 << 40)
        if old > len(leaves):
            raise Refusal(No.INVALID, f"the log has {len(leaves)} entries", hint="the older one cannot have more")
        return _json(
            {"old": old, "size": len(leaves), "hashes": [one.hex() for one in merkle.consistency(old, leaves)]}
        )

    def _revocations(self, _ask: Ask) -> Response:
        return Response(revocation_list(self._house), media_type="application/json")

    # --- cases

    def _cases(self, ask: Ask) -> Response:
        sought = Sought(
            kind=ask.query("kind"), state=ask.query("state"), text=ask.query("q"), after=ask.number("after", 0, 1 << 31)
        )
        rows = self._all.review.artifacts(sought, ask.number("limit", 50, _PAGE))
        return _json(
            [
                Case(
                    id=row.id, kind=row.kind, name=row.name, revision=row.label, branch=row.branch, state=row.state,
                    because=row.because, requester=row.requester, opened=row.opened,
                )
                for row in rows
            ]
        )  # fmt: skip

    def _row(self, number: int) -> Case:
        with self._house.database.read() as connection:
            row = self._all.cases.row(connection, number)
        return Case(
            id=row.id, kind=row.kind, name=row.name, revision=row.label, branch=row.branch, state=row.state,
            because=row.because, requester=row.requester, opened=row.opened, digest=row.digest, scopes=tuple(row.scopes),
            expires=row.expires,
        )  # fmt: skip

    def _case(self, ask: Ask) -> Response:
        return _json(self._row(int(ask.part["case"])))

    def _request(self, ask: Ask) -> Response:
        wish = ask.json(Wish)
        number = self._all.wishes.ask(wish.kind, wish.name, wish.revision, ask.caller)
        return _json(self._row(number))

    def _report(self, ask: Ask) -> Response:
        report = self._all.inspector.report(self._row(int(ask.part["case"])).digest)
        if report is None:
            raise Refusal(No.ENTRY, "it was not inspected yet", hint="ask again in a minute")
        return _json(report)

    def _statement(self, ask: Ask) -> Response:
        return Response(
            self._all.cases.statement(int(ask.part["case"]), ask.query("kind")), media_type="application/json"
        )

    def _approve(self, ask: Ask) -> Response:
        said, number = ask.json(Say), int(ask.part["case"])
        state = self._all.cases.approve(number, ask.caller, said.reason, scopes=said.scopes, days=said.days)
        return _json(Outcome(id=number, state=state))

    def _closed(self, state: State) -> Any:
        def run(ask: Ask) -> Response:
            number = int(ask.part["case"])
            return _json(
                Outcome(id=number, state=self._all.cases.close(number, ask.caller, state, ask.json(Say).reason))
            )

        return run

    def _reopen(self, ask: Ask) -> Response:
        number = int(ask.part["case"])
        return _json(Outcome(id=number, state=self._all.cases.reopen(number, ask.caller, ask.json(Say).reason)))

    def _rescan(self, ask: Ask) -> Response:
        number = int(ask.part["case"])
        round_ = self._all.cases.again(number, ask.caller, ask.json(Say).reason)
        self._house.submit(number, round_)
        return _json(Outcome(id=number, state=self._row(number).state))

    def _bill(self, ask: Ask) -> Response:
        bill = self._all.inspector.bill(self._row(int(ask.part["case"])).digest)
        if not bill:
            raise Refusal(No.ENTRY, "there is no bill of materials", hint="it is written when it is inspected")
        return Response(bill, media_type="application/vnd.cyclonedx+json")

    def _waive(self, ask: Ask) -> Response:
        said, number = ask.json(Acceptance), int(ask.part["case"])
        self._all.waivers.grant(
            number, ask.caller, rule=said.rule, member=said.member, reason=said.reason, days=said.days
        )
        return _json(Outcome(id=number, state=self._row(number).state))

    # --- monitors

    def _take_alert(self, ask: Ask) -> Response:
        return _json(Taken(revoked=self._all.alerts.take(ask.json(Alert), ask.caller)))

    def _alerts(self, ask: Ask) -> Response:
        return _json([one for _, one in self._all.alerts.all(limit=ask.number("limit", 100, _PAGE))])

    def _take_pulse(self, ask: Ask) -> Response:
        self._all.alerts.pulse(ask.json(Pulse), ask.caller)
        return _json(Outcome(id=0, state="kept"))

    # --- people

    def _users(self, _ask: Ask) -> Response:
        return _json(
            [
                {"name": row.name, "kind": row.kind, "role": row.role, "disabled": row.disabled}
                for row in self._all.access.users()
            ]
        )

    def _add_user(self, ask: Ask) -> Response:
        new = ask.json(NewUser)
        self._all.access.add_user(new.name, new.role, kind=new.kind)
        return _json(Outcome(id=0, state="added"))

    def _change_user(self, ask: Ask) -> Response:
        change = ask.json(UserChange)
        self._all.access.change_user(ask.part["user"], role=change.role, disabled=change.disabled)
        return _json(Outcome(id=0, state="changed"))

    def _tokens(self, _ask: Ask) -> Response:
        return _json([dict(row._mapping) for row in self._all.access.tokens()])  # noqa: SLF001  # SQLAlchemy's public name

    def _add_token(self, ask: Ask) -> Response:
        new = ask.json(NewToken)
        user = new.user or ask.caller.name
        if user != ask.caller.name:
            ask.caller.must(Act.ADMINISTER)
        # Nobody makes a token that may more than the one it is made with.
        role = min(new.role or ask.caller.role, ask.caller.role, key=_rank) if user == ask.caller.name else new.role
        if ask.caller.namespace and new.namespace != ask.caller.namespace:
            raise Refusal(No.FORBIDDEN, f"this token is for {ask.caller.namespace} alone", hint="name that namespace")
        if ask.caller.scope and new.scope != ask.caller.scope:
            raise Refusal(No.FORBIDDEN, f"this token is for {ask.caller.scope} alone", hint="name that environment")
        token = self._all.access.new_token(
            user, new.name, role=role, days=min(new.days, 3650), namespace=new.namespace, scope=new.scope
        )
        return _json(Token(token=token))

    def _workload(self, ask: Ask) -> Response:
        token, name = self._all.identity.exchange(ask.json(Run).token)
        self._house.note(name, "POST workload", "a token for an hour")
        return _json(Token(token=token))

    def _end_token(self, ask: Ask) -> Response:
        owner = "" if ask.caller.may(Act.ADMINISTER) else ask.caller.name
        self._all.access.revoke_token(int(ask.part["number"]), owner=owner)
        return _json(Outcome(id=int(ask.part["number"]), state="ended"))

    def _hooks(self, _ask: Ask) -> Response:
        return _json([Hook(id=row.id, url=row.url) for row in self._all.messages.all()])

    def _add_hook(self, ask: Ask) -> Response:
        new = ask.json(NewHook)
        number, secret = self._all.messages.add(new.url)
        return _json(Hook(id=number, url=new.url, secret=secret))

    def _end_hook(self, ask: Ask) -> Response:
        self._all.messages.remove(int(ask.part["number"]))
        return _json(Outcome(id=int(ask.part["number"]), state="removed"))

    def _dead(self, _ask: Ask) -> Response:
        rows = self._all.messages.dead()
        return _json([{"id": row.id, "event": row.event, "body": row.body, "answer": row.answer} for row in rows])

    def _audit(self, ask: Ask) -> Response:
        self._house.flush()
        rows = self._all.review.acts(
            user=ask.query("user"), before=ask.number("before", 0, 1 << 60), limit=ask.number("limit", 100, 1000)
        )
        return _json([dict(row._mapping) for row in rows])  # noqa: SLF001  # SQLAlchemy's public name


def _rank(role: str) -> int:
    return Role(role).rank if role in set(Role) else -1


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"')


def openapi(routes: tuple[Route, ...], base: str) -> dict[str, Any]:
    """The description of routes. Source: OpenAPI 3.1."""
    kinds = [one for route in routes for one in (route.takes, route.gives) if one is not None and one is not dict]
    schemas, components = msgspec.json.schema_components([*kinds, Problem], ref_template="#/components/schemas/{name}")
    by_kind = dict(zip(map(str, [*kinds, Problem]), schemas, strict=True))
    paths: dict[str, dict[str, Any]] = {}
    for route in routes:
        names = re.findall(r"\(\?P<(\w+)>(?:[^()]|\([^()]*\))*\)", route.pattern)
        path = re.sub(r"\(\?P<(\w+)>(?:[^()]|\([^()]*\))*\)", r"{\1}", route.pattern).replace(r"\.", ".")
        answer: dict[str, Any] = {"description": route.about}
        if route.gives is not None:
            schema = {"type": "object"} if route.gives is dict else by_kind[str(route.gives)]
            answer["content"] = {"application/json": {"schema": schema}}
        problem = {"description": "not granted", "content": {"application/json": {"schema": by_kind[str(Problem)]}}}
        row: dict[str, Any] = {
            "summary": route.about, "operationId": f"{route.method.lower()}{re.sub(r'[^a-z]+', '_', path)}",
            "responses": {"200": answer, "default": problem},
            "parameters": [
                {"name": name, "in": "path", "required": True, "schema": {"type": "integer" if name in {"case", "number"} else "string"}}
                for name in names
            ],
        }  # fmt: skip
        if route.act is not None:
            row["security"] = [{"token": []}]
            row["x-role"] = route.act.value
        if route.takes is not None:
            row["requestBody"] = {
                "required": True,
                "content": {"application/json": {"schema": by_kind[str(route.takes)]}},
            }
        paths.setdefault(path, {})[route.method.lower()] = row
    return {
        "openapi": "3.1.0", "info": {"title": "Weighbridge registry", "version": __version__}, "servers": [{"url": base}],
        "paths": paths,
        "components": {"schemas": components, "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}}},
    }  # fmt: skip
