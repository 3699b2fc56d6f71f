"""Knows the pages: what each shows, who may press which button, and that a form comes from a page of ours."""

from __future__ import annotations

import base64
import binascii
import csv
import hashlib
import hmac
import io
import os
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlencode, urlsplit

import msgspec
from sqlalchemy import select
from starlette.responses import HTMLResponse, RedirectResponse, Response

from weighbridge.registry.api.asking import STATUS, Ask, Route, Table, base_of
from weighbridge.registry.records import tables
from weighbridge.registry.services.access import ANYBODY, Act, Role
from weighbridge.registry.services.evidence import evidence
from weighbridge.registry.services.filters import cleaned
from weighbridge.registry.services.identity import Begun
from weighbridge.registry.services.refusal import No, Refusal
from weighbridge.registry.services.review import Sought
from weighbridge.registry.services.states import MOVING, SERVED, State, told
from weighbridge.registry.services.triage import TRIAGE
from weighbridge.registry.services.trials import tried as try_policy
from weighbridge.registry.web.charts import bars, timeline
from weighbridge.registry.web.lineage import Box, drawn
from weighbridge.registry.web.shown import POLICY, TEST_POLICY, static, templates
from weighbridge.rules import ruleset_version
from weighbridge.schema import Severity, SourceError, Status
from weighbridge.schema.text import plural

if TYPE_CHECKING:
    from collections.abc import Callable

    from starlette.requests import Request

    from weighbridge.registry.records.tables import Record
    from weighbridge.registry.services import Services
    from weighbridge.schema import Report

_COOKIE: Final = "weighbridge"
_BEGUN: Final = "weighbridge_login"
_PAGE: Final = 50
_HOURS: Final = 12
_PLACES: Final = (
    ("/", "Overview"), ("/artifacts", "Artifacts"), ("/findings", "Findings"), ("/policy", "Policy"),
    ("/gateway", "Gateway"), ("/monitor", "Monitor"), ("/evidence", "Evidence"), ("/admin", "Administration"),
)  # fmt: skip
_ACTS: Final[dict[State, tuple[tuple[str, str, str], ...]]] = {
    State.REVIEW: (("approve", "Approve", "good"), ("reject", "Reject", "bad"), ("rescan", "Inspect again", "")),
    State.APPROVED: (
        ("deprecate", "Deprecate", ""),
        ("revoke", "Revoke", "bad"),
        ("rescan", "Quarantine and inspect again", ""),
    ),
    State.DEPRECATED: (("revoke", "Revoke", "bad"), ("rescan", "Quarantine and inspect again", "")),
    State.REJECTED: (("reopen", "Put before reviewers", ""), ("rescan", "Inspect again", "")),
    State.REVOKED: (("reopen", "Put before reviewers", ""),),
    State.EXPIRED: (("reopen", "Put before reviewers", ""), ("rescan", "Inspect again", "")),
    State.FAILED: (("rescan", "Try again", ""),),
}


class Pages:
    """The routes that browsers use."""

    def __init__(self, services: Services) -> None:
        self._all = services
        self._house = services.house
        self._templates = templates()

    def table(self) -> Table:
        """The routes. Reading needs a reader; each button what it does."""
        case = r"/cases/(?P<case>\d{1,9})"
        rows: list[tuple[str, str, Act | None, Callable[[Ask], Response]]] = [
            ("GET", r"/static/(?P<name>[\w.-]+)", None, self._static),
            ("GET", r"/login", None, self._login),
            ("POST", r"/login", None, self._log_in),
            ("GET", r"/login/begin", None, self._begin),
            ("GET", r"/login/back", None, self._back),
            ("POST", r"/logout", Act.READ, self._log_out),
            ("GET", r"/", Act.READ, self._overview),
            ("GET", r"/artifacts", Act.READ, self._artifacts),
            ("GET", case, Act.READ, self._case),
            ("GET", rf"{case}/report\.json", Act.READ, self._report),
            ("GET", rf"{case}/statement\.json", Act.READ, self._statement),
            ("GET", rf"{case}/conversion\.att", Act.READ, self._conversion),
            ("GET", rf"{case}/bill\.cdx\.json", Act.READ, self._bill),
            ("GET", rf"{case}/tests/(?P<number>\d{{1,2}})\.(?P<form>html|json|att)", Act.READ, self._test),
            ("POST", rf"{case}/waive", Act.REVIEW, self._waive),
            ("POST", rf"{case}/(?P<what>approve|reject|revoke|deprecate|reopen|rescan)", Act.REVIEW, self._act),
            ("GET", r"/findings", Act.READ, self._findings),
            ("POST", r"/findings/(?P<number>\d{1,9})", Act.REVIEW, self._triage),
            ("POST", r"/(?P<page>artifacts|findings)/filters", Act.READ, self._keep_filter),
            ("POST", r"/(?P<page>artifacts|findings)/filters/forget", Act.READ, self._forget_filter),
            ("GET", r"/policy", Act.READ, self._policy),
            ("POST", r"/policy", Act.REVIEW, self._try_policy),
            ("GET", r"/gateway", Act.READ, self._gateway),
            ("GET", r"/monitor", Act.READ, self._monitor),
            ("POST", r"/monitor/(?P<alert>[0-9a-f]{32})", Act.REVIEW, self._alert_state),
            ("GET", r"/evidence", Act.READ, self._evidence),
            ("GET", r"/admin", Act.ADMINISTER, self._admin),
            ("POST", r"/admin/users", Act.ADMINISTER, self._add_user),
            ("POST", r"/admin/users/(?P<user>[\w.-]{1,63})", Act.ADMINISTER, self._change_user),
            ("POST", r"/admin/tokens", Act.ADMINISTER, self._add_token),
            ("POST", r"/admin/tokens/(?P<number>\d{1,9})", Act.ADMINISTER, self._end_token),
        ]
        routes = [
            Route(
                method=method, pattern=pattern, act=act, run=self._guarded(run) if method == "POST" else run,
                body="whole" if method == "POST" else "none",
            )
            for method, pattern, act, run in rows
        ]  # fmt: skip
        return Table(routes, self.refuse, cookie=lambda request: request.cookies.get(_COOKIE, ""))

    # --- every page

    def _page(self, ask: Ask | None, name: str, here: str, status: int = 200, **values: Any) -> Response:
        caller = ask.caller if ask else ANYBODY
        body = self._templates.get_template(name).render(
            house=self._house.terms.name, places=_PLACES, here=here, caller=caller, csrf=mark(ask.session) if ask else "",
            said=ask.query("said")[:300] if ask else "", **values,
        )  # fmt: skip
        return HTMLResponse(body, status, headers={"Content-Security-Policy": POLICY, "X-Frame-Options": "DENY"})

    def refuse(self, request: Request, refusal: Refusal) -> Response:
        """A page that says why not; whoever is not known is asked to log in."""
        if refusal.why is No.WHO and request.method == "GET":
            return RedirectResponse(f"/login?{urlencode({'next': request.url.path})}", 303)
        return self._page(
            None, "refused.html", "", STATUS[refusal.why], why=refusal.why.value, message=refusal.message,
            hint=refusal.hint, case=refusal.case,
        )  # fmt: skip

    def _guarded(self, run: Callable[[Ask], Response]) -> Callable[[Ask], Response]:
        """A form is taken only from a page of ours: same origin, and the mark that only such a page holds."""

        def checked(ask: Ask) -> Response:
            origin = ask.request.headers.get("origin")
            if origin and origin != "null" and urlsplit(origin).netloc != urlsplit(base_of(ask.request)).netloc:
                raise Refusal(No.FORBIDDEN, "this form comes from another place", hint="use the pages of this registry")
            if ask.session and not hmac.compare_digest(_field(ask, "csrf"), mark(ask.session)):
                raise Refusal(No.FORBIDDEN, "this form is not one of ours", hint="load the page again")
            return run(ask)

        return checked

    def _static(self, ask: Ask) -> Response:
        found = static(ask.part["name"])
        if found is None:
            raise Refusal(No.ENTRY, "there is no such file")
        return Response(found[0], media_type=found[1], headers={"Cache-Control": "max-age=3600"})

    # --- coming and going

    def _login(self, ask: Ask) -> Response:
        return self._page(
            ask, "login.html", "", next=_local(ask.query("next")), wrong="", offered=self._all.identity.offered
        )

    def _log_in(self, ask: Ask) -> Response:
        next_ = _local(_field(ask, "next"))
        try:
            caller = self._all.access.caller(_field(ask, "token").strip())
        except Refusal:
            self._house.note("anybody", "POST login", "refused", status=401)
            return self._page(
                ask,
                "login.html",
                "",
                401,
                next=next_,
                wrong="This token is unknown, ended or revoked.",
                offered=self._all.identity.offered,
            )
        session = self._all.access.new_token(
            caller.name,
            "browser",
            role=caller.role,
            days=_HOURS / 24,
            namespace=caller.namespace,
            scope=caller.scope,
            kind="session",
        )
        self._house.note(caller.name, "POST login", "logged in")
        response = RedirectResponse(next_, 303)
        secure = base_of(ask.request).startswith("https:")
        response.set_cookie(_COOKIE, session, max_age=_HOURS * 3600, httponly=True, samesite="strict", secure=secure)
        return response

    def _begin(self, ask: Ask) -> Response:
        address, begun = self._all.identity.begin(f"{ask.base}/login/back", _local(ask.query("next")))
        response = RedirectResponse(address, 303)
        kept = base64.urlsafe_b64encode(msgspec.json.encode(begun)).decode()
        secure = ask.base.startswith("https:")
        # Lax: the browser comes back from another site with it.
        response.set_cookie(_BEGUN, kept, max_age=600, path="/login", httponly=True, samesite="lax", secure=secure)
        return response

    def _back(self, ask: Ask) -> Response:
        try:
            kept = base64.urlsafe_b64decode(ask.request.cookies.get(_BEGUN, ""))
            begun = msgspec.json.decode(kept, type=Begun)
        except (binascii.Error, msgspec.DecodeError) as error:
            raise Refusal(No.FORBIDDEN, "this login was not begun here", hint="log in again") from error
        secret = os.environ.get("WEIGHBRIDGE_OIDC_SECRET", "")
        try:
            session = self._all.identity.finish(
                begun, ask.query("state"), ask.query("code"), f"{ask.base}/login/back", secret
            )
        except Refusal as refusal:
            if refusal.why is No.WHO:
                raise Refusal(No.FORBIDDEN, refusal.message, hint=refusal.hint) from refusal
            raise
        self._house.note(self._all.access.caller(session).name, "GET login", "logged in by the identity provider")
        # A page and no redirect: the browser sends a strict cookie only where it comes from a page of this site.
        response = self._page(None, "welcome.html", "", next=_local(begun.next))
        response.set_cookie(
            _COOKIE,
            session,
            max_age=_HOURS * 3600,
            httponly=True,
            samesite="strict",
            secure=ask.base.startswith("https:"),
        )
        response.delete_cookie(_BEGUN, path="/login")
        return response

    def _log_out(self, ask: Ask) -> Response:
        self._all.access.revoke_token(ask.caller.token, owner=ask.caller.name)
        response = RedirectResponse("/login", 303)
        response.delete_cookie(_COOKIE)
        return response

    # --- looking

    def _overview(self, ask: Ask) -> Response:
        review = self._all.review
        return self._page(
            ask, "overview.html", "/", states=[state.value for state in State], counts=self._all.cases.counts(),
            waiting=review.artifacts(Sought(state=State.REVIEW), 20), latest=review.artifacts(Sought(), 12),
            days=review.days(), checkpoint=self._house.ledger.checkpoint().splitlines(),
        )  # fmt: skip

    def _artifacts(self, ask: Ask) -> Response:
        sought = Sought(
            kind=ask.query("kind"), state=ask.query("state"), text=ask.query("q"), after=ask.number("after", 0, 1 << 31)
        )
        form = ask.query("format")
        rows = self._all.review.artifacts(sought, _PAGE if not form else 1000)
        if form == "csv":
            return _csv(rows)
        if form == "json":
            return _json([dict(row._mapping) for row in rows])  # noqa: SLF001  # SQLAlchemy's public name
        kept = {"q": sought.text, "kind": sought.kind, "state": sought.state}
        more = f"/artifacts?{urlencode({**kept, 'after': rows[-1].id})}" if len(rows) == _PAGE else ""
        return self._page(
            ask, "artifacts.html", "/artifacts", rows=rows, sought=sought, facets=self._all.review.facets(), more=more,
            filters=self._all.filters.of("artifacts", ask.caller), query=cleaned("artifacts", urlencode(kept)),
            csv=f"/artifacts?{urlencode({**kept, 'format': 'csv'})}", json=f"/artifacts?{urlencode({**kept, 'format': 'json'})}",
        )  # fmt: skip

    def _row(self, ask: Ask) -> Record:
        with self._house.database.read() as connection:
            return self._all.cases.row(connection, int(ask.part["case"]))

    def _case(self, ask: Ask) -> Response:
        row = self._row(ask)
        state = State(row.state)
        report, unseen = self._seen(row)
        missing = [one for one in report.coverage if one.status is not Status.INSPECTED] if report else []
        sharing = self._all.review.sharing(row.id)
        own = row.requester == ask.caller.name and state is State.REVIEW
        acts = _ACTS.get(state, ()) if ask.caller.may(Act.REVIEW, row.name.partition("/")[0]) else ()
        return self._page(
            ask, "case.html", "/artifacts", row=row, report=report, missing=missing,
            covered=len(report.coverage) - len(missing) if report else 0, files=self._all.repositories.files(row.id),
            events=self._all.review.events(row.id), votes=self._all.review.votes(row.id), sharing=sharing,
            acts=[one for one in acts if not (own and one[0] == "approve")], own=own, scopes=self._house.terms.scopes,
            needed=self._house.terms.approvals, sentence=_sentence(row, report), way_out=_way_out(state), tone=_tone(state),
            unseen=unseen,
            lineage=self._lineage(row, sharing), decided=bool(row.closed), readers=self._readers(row),
            parts_list=self._parts(row), waived=self._all.waivers.of(row.digest) if row.digest else (),
            tests=self._all.behaviour.kept(row),
            may_waive=bool(acts) and row.requester != ask.caller.name, instead=self._instead(row),
        )  # fmt: skip

    def _seen(self, row: Record) -> tuple[Report | None, str]:
        """(the report, why there is none)."""
        try:
            report = self._all.inspector.report(row.digest) if row.digest else None
        except (SourceError, msgspec.DecodeError):
            return None, "The report is missing from the store, or damaged: tell an administrator."
        return report, "It was not inspected yet." if State(row.state) in MOVING else "There is no report."

    def _parts(self, row: Record) -> list[dict[str, Any]]:
        """The components of the bill of materials; nothing where there is none that can be read."""
        try:
            bill = msgspec.json.decode(self._all.inspector.bill(row.digest) or b"{}")
        except (SourceError, msgspec.DecodeError):
            return []
        found = bill.get("components", []) if isinstance(bill, dict) else []
        return [one for one in found if isinstance(one, dict)]

    def _instead(self, row: Record) -> Record | None:
        """What its branch serves once this revision no longer is: the last good one before it."""
        if State(row.state) not in SERVED:
            return None
        return next((one for one in self._all.review.before(row.id) if State(one.state) in SERVED), None)

    def _readers(self, row: Record) -> list[Record]:
        if State(row.state) not in SERVED | {State.REVOKED}:
            return []
        return self._all.review.downloads(row.name, self._house.clock() - 90 * 86400)

    def _lineage(self, row: Record, sharing: list[Record]) -> Any:
        before = [
            Box(name=one.name, below=f"{one.state}, {one.label[:12]}", address=f"/cases/{one.id}")
            for one in self._all.review.before(row.id)
        ]
        if row.upstream:
            before.append(Box(name=row.upstream, below="upstream"))
        after = [
            Box(name=one[2], below=f"{one[4]}, {plural(one[5], 'file')}", address=f"/cases/{one[0]}") for one in sharing
        ]
        return drawn(before, Box(name=row.name, below=f"{row.state}, {row.label[:12]}"), after)

    def _report(self, ask: Ask) -> Response:
        report = self._all.inspector.report(self._row(ask).digest)
        if report is None:
            raise Refusal(No.ENTRY, "it was not inspected yet")
        return _json(report)

    def _statement(self, ask: Ask) -> Response:
        return Response(self._all.cases.statement(int(ask.part["case"])), media_type="application/json")

    def _conversion(self, ask: Ask) -> Response:
        sha256 = self._row(ask).facts.get("conversion", "")
        if not sha256:
            raise Refusal(No.ENTRY, "this revision was not converted here")
        return Response(b"".join(self._house.blobs.read(sha256)), media_type="application/json")

    def _bill(self, ask: Ask) -> Response:
        bill = self._all.inspector.bill(self._row(ask).digest)
        if not bill:
            raise Refusal(No.ENTRY, "there is no bill of materials", hint="it is written when it is inspected")
        return Response(bill, media_type="application/vnd.cyclonedx+json")

    def _test(self, ask: Ask) -> Response:
        """The page, result or signed statement of a backdoor test. The page has pictures in it, and no script."""
        kept, number = self._all.behaviour.kept(self._row(ask)), int(ask.part["number"])
        one = kept[number - 1] if 0 < number <= len(kept) else None
        form = ask.part["form"]
        blob = {"html": one.page, "json": one.result, "att": one.statement}[form] if one else ""
        if not blob:
            raise Refusal(No.ENTRY, "there is no such test")
        body = b"".join(self._house.blobs.read(blob))
        if form != "html":
            return Response(body, media_type="application/json")
        return HTMLResponse(body, headers={"Content-Security-Policy": TEST_POLICY, "X-Frame-Options": "DENY"})

    def _waive(self, ask: Ask) -> Response:
        number, days = int(ask.part["case"]), _field(ask, "days")
        self._all.waivers.grant(
            number, ask.caller, rule=_field(ask, "rule"), member=_field(ask, "member"), reason=_field(ask, "reason"),
            days=int(days) if days.isdigit() and len(days) < 5 else 0,
        )  # fmt: skip
        said = "The finding is accepted here. Inspect the case again to have it judged with that."
        return RedirectResponse(f"/cases/{number}?{urlencode({'said': said})}", 303)

    def _findings(self, ask: Ask) -> Response:
        sought = Sought(
            rule=ask.query("rule"),
            severity=ask.query("severity"),
            triage=ask.query("triage"),
            after=ask.number("after", 0, 1 << 31),
        )
        rows = self._all.review.findings(sought, _PAGE)
        kept = {"rule": sought.rule, "severity": sought.severity, "triage": sought.triage}
        more = f"/findings?{urlencode({**kept, 'after': rows[-1].id})}" if len(rows) == _PAGE else ""
        return self._page(
            ask, "findings.html", "/findings", rows=rows, sought=sought, rules=self._all.review.rules(), triages=TRIAGE,
            severities=[one.value for one in Severity], may=ask.caller.may(Act.REVIEW), more=more,
            said_of=self._all.triage.said(rows), query=cleaned("findings", urlencode(kept)),
            filters=self._all.filters.of("findings", ask.caller),
        )  # fmt: skip

    def _policy(self, ask: Ask, text: str = "", tried: Any = None) -> Response:
        return self._page(
            ask,
            "policy.html",
            "/policy",
            policy=self._house.settings.policy,
            terms=self._house.terms,
            text=text,
            tried=tried,
        )

    def _try_policy(self, ask: Ask) -> Response:
        text = _field(ask, "policy")
        return self._policy(ask, text, try_policy(self._house, self._all.inspector, text))

    def _gateway(self, ask: Ask) -> Response:
        rows = [row for row in self._all.review.acts(limit=400) if _is_pull(row.subject)]
        return self._page(
            ask, "gateway.html", "/gateway", base=ask.base, terms=self._house.terms, rows=rows[:30],
            denied=[row for row in rows if row.status >= 400][:30],
        )  # fmt: skip

    def _monitor(self, ask: Ask) -> Response:
        counts = self._all.cases.counts()
        with self._house.database.read() as connection:
            workers = connection.execute(select(tables.workers).order_by(tables.workers.c.name)).all()
        return self._page(
            ask, "monitor.html", "/monitor", workers=workers, moving=sum(counts.get(state, 0) for state in MOVING),
            rehashed=self._house.setting("rehashed"), rules=ruleset_version(), dead=self._all.messages.dead(),
            failed=self._all.review.artifacts(Sought(state=State.FAILED), 20),
            revoked=self._all.review.artifacts(Sought(state=State.REVOKED), 20),
            alerts=self._all.alerts.all(closed=bool(ask.query("closed"))), timeline=timeline(self._all.alerts.days()),
            streams=[(row, pulse, bars(pulse)) for row, pulse in self._all.alerts.streams()], now=self._house.clock(),
            may_act=ask.caller.may(Act.REVIEW), closed=bool(ask.query("closed")),
        )  # fmt: skip

    def _alert_state(self, ask: Ask) -> Response:
        self._all.alerts.set_state(ask.part["alert"], _field(ask, "state"))
        return RedirectResponse("/monitor", 303)

    def _evidence(self, ask: Ask) -> Response:
        found = evidence(self._house)
        return (
            _json(found)
            if ask.query("format") == "json"
            else self._page(ask, "evidence.html", "/evidence", found=found)
        )

    def _admin(self, ask: Ask, token: str = "") -> Response:
        before = ask.number("before", 0, 1 << 60)
        acts = self._all.review.acts(before=before)
        return self._page(
            ask, "admin.html", "/admin", users=self._all.access.users(), tokens=self._all.access.tokens(),
            roles=[role.value for role in Role], hooks=self._all.messages.all(), dead=self._all.messages.dead(), acts=acts,
            older=f"/admin?before={acts[-1].id}" if acts else "", token=token,
        )  # fmt: skip

    # --- pressing

    def _act(self, ask: Ask) -> Response:
        number, what, reason = int(ask.part["case"]), ask.part["what"], _field(ask, "reason")
        cases = self._all.cases
        if what == "approve":
            scope = _field(ask, "scope")
            state: str = cases.approve(number, ask.caller, reason, scopes=[scope] if scope else [])
        elif what == "reopen":
            state = cases.reopen(number, ask.caller, reason)
        elif what == "rescan":
            self._house.submit(number, cases.again(number, ask.caller, reason))
            state = "being inspected again"
        else:
            new = {"reject": State.REJECTED, "revoke": State.REVOKED, "deprecate": State.DEPRECATED}[what]
            state = cases.close(number, ask.caller, new, reason)
        return RedirectResponse(f"/cases/{number}?{urlencode({'said': f'Case {number} is now {state}.'})}", 303)

    def _triage(self, ask: Ask) -> Response:
        number, word = int(ask.part["number"]), _field(ask, "triage")
        self._all.triage.say(number, word, _field(ask, "reason"), ask.caller, finding=_field(ask, "finding"))
        return RedirectResponse(f"/findings?{cleaned('findings', _field(ask, 'query'))}", 303)

    def _keep_filter(self, ask: Ask) -> Response:
        page = ask.part["page"]
        query = self._all.filters.keep(page, _field(ask, "name"), _field(ask, "query"), ask.caller)
        return RedirectResponse(f"/{page}?{query}", 303)

    def _forget_filter(self, ask: Ask) -> Response:
        self._all.filters.forget(ask.part["page"], _field(ask, "name"), ask.caller)
        return RedirectResponse(f"/{ask.part['page']}", 303)

    def _add_user(self, ask: Ask) -> Response:
        self._all.access.add_user(_field(ask, "name"), _field(ask, "role"), kind=_field(ask, "kind"))
        return RedirectResponse("/admin?said=The+user+was+added.", 303)

    def _change_user(self, ask: Ask) -> Response:
        disabled = bool(_field(ask, "disabled"))
        self._all.access.change_user(ask.part["user"], role=_field(ask, "role"), disabled=disabled)
        return RedirectResponse("/admin?said=The+user+was+changed.", 303)

    def _add_token(self, ask: Ask) -> Response:
        days = _field(ask, "days")
        if not days.isdigit():
            raise Refusal(No.INVALID, "a token ends after a number of days", hint="such as 90")
        token = self._all.access.new_token(
            _field(ask, "user"), _field(ask, "name"), role=_field(ask, "role"), days=min(int(days), 3650),
            namespace=_field(ask, "namespace"),
        )  # fmt: skip
        return self._admin(ask, token)

    def _end_token(self, ask: Ask) -> Response:
        self._all.access.revoke_token(int(ask.part["number"]))
        return RedirectResponse("/admin?said=The+token+was+ended.", 303)


def mark(session: str) -> str:
    """What a form of ours holds: nobody can make it without the session, and it does not tell the session."""
    return hashlib.sha256(f"form:{session}".encode()).hexdigest() if session else ""


def _field(ask: Ask, name: str) -> str:
    return ask.form().get(name, [""])[0]


def _local(address: str) -> str:
    """A page of ours to go to, and no other place."""
    return (
        address if address.startswith("/") and not address.startswith(("//", "/\\")) and address.isprintable() else "/"
    )


def _is_pull(subject: str) -> bool:
    return (
        "/resolve/" in subject or subject.startswith(("/pypi/files/", "/npm/files/", "/v2/")) or "/revision/" in subject
    )


def _sentence(row: Record, report: Report | None) -> str:
    """The verdict in one sentence, with what decided it."""
    state = State(row.state)
    if state in SERVED:
        until = " until its approval ends" if row.expires else ""
        return f"It is {state} and handed out{until}: {row.because}."
    said = told(state, row.id, row.because)
    return f"{said[0].upper()}{said[1:]}." + ("" if report or state in MOVING else " Nothing of it was handed out.")


def _way_out(state: State) -> str:
    return {
        State.REJECTED: "take another revision, mend what the findings name, or ask a reviewer to look at it again.",
        State.REVIEW: "a reviewer other than the one who asked has to decide; the findings below say what about.",
        State.REVOKED: "stop using it: weighbridge cache audit finds copies on a machine.",
        State.EXPIRED: "ask a reviewer to look at it again.",
        State.FAILED: "it could not be inspected, which is not the same as clean; a reviewer can try again.",
        State.REQUESTED: "wait a moment; this page says how far it is.",
        State.FETCHING: "wait a moment; this page says how far it is.",
        State.QUARANTINED: "wait a moment; this page says how far it is.",
    }.get(state, "")


def _tone(state: State) -> str:
    if state in SERVED:
        return "admit"
    return "wait" if state in MOVING or state is State.REVIEW else "block"


def _json(value: object) -> Response:
    return Response(msgspec.json.encode(value), media_type="application/json")


def _csv(rows: list[Record]) -> Response:
    """The rows as a table for spreadsheets. A cell that would be a formula there begins with an apostrophe (CWE-1236)."""
    made = io.StringIO()
    writer = csv.writer(made)
    writer.writerow(["case", "kind", "name", "revision", "state", "worst", "findings", "requester", "because"])
    for row in rows:
        cells = [row.id, row.kind, row.name, row.label, row.state, row.worst, row.count, row.requester, row.because]
        writer.writerow([f"'{cell}" if str(cell)[:1] in {"=", "+", "-", "@", "\t", "\r"} else cell for cell in cells])
    headers = {"Content-Disposition": 'attachment; filename="artifacts.csv"'}
    return Response(made.getvalue(), media_type="text/csv", headers=headers)
