"""The verb `registry`: ask a registry, decide, push and pull, prove, back up."""

from __future__ import annotations

import json
import os
import sys
from typing import TYPE_CHECKING, Any, Final

import msgspec

from weighbridge.cli.exits import ADMITTED, BLOCKED, INCOMPLETE
from weighbridge.cli.house import server_parts
from weighbridge.cli.options import parser
from weighbridge.output.words import size_text
from weighbridge.schema import UsageError
from weighbridge.schema.text import plural, printable

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable

    from weighbridge.registry.client import Case, Registry
    from weighbridge.registry.services.house import House

_SERVED: Final = frozenset({"approved", "deprecated"})
_WAITING: Final = frozenset({"requested", "fetching", "quarantined", "needs review"})
_DECISIONS: Final = {
    "approve": "let a case in that waits for review",
    "reject": "refuse a case",
    "revoke": "call back what was approved",
    "deprecate": "serve it on, with a warning",
    "reopen": "put a case before the reviewers again",
    "rescan": "quarantine and inspect it again",
}


def run(arguments: list[str]) -> int:
    """Run the verb."""
    given = _parse(arguments)
    acts: dict[str, Callable[[argparse.Namespace], int]] = {
        "login": _login, "request": _request, "status": _status, "pull": _pull, "push": _push, "log": _log,
        "waive": _waive, "rollback": _rollback, "import-mlflow": _import_mlflow, "audit": _audit, "backup": _backup, "restore": _restore, "users": _users, "token": _token,
        **dict.fromkeys(_DECISIONS, _decide),
    }  # fmt: skip
    return acts[given.what](given)


def _parse(arguments: list[str]) -> argparse.Namespace:
    made = parser(
        "registry",
        "Work with a registry: ask, decide, push, pull, prove.",
        "weighbridge registry request model google/bert_uncased_L-2_H-128_A-2",
    )
    verbs = made.add_subparsers(dest="what", required=True, metavar="WHAT")
    login = verbs.add_parser(
        "login", help="remember a registry; the token is read from WEIGHBRIDGE_TOKEN or the terminal"
    )
    login.add_argument("address")
    request = verbs.add_parser("request", help="ask for something to be let in")
    request.add_argument("kind", choices=("model", "dataset", "space", "pypi", "npm", "oci"))
    request.add_argument("name")
    request.add_argument("revision", nargs="?", default="main", help="branch, tag, commit, or version of a package")
    status = verbs.add_parser("status", help="one case, or the latest ones")
    status.add_argument("case", nargs="?", type=int)
    status.add_argument("--state", default="")
    for name, text in _DECISIONS.items():
        one = verbs.add_parser(name, help=text)
        one.add_argument("case", type=int)
        one.add_argument("--reason", required=True)
        one.add_argument("--scope", action="append", default=[], help="an environment that it is for; may be repeated")
        one.add_argument("--days", type=float, default=0, help="how long an approval holds")
    waive = verbs.add_parser("waive", help="accept a finding in the files of a case")
    waive.add_argument("case", type=int)
    waive.add_argument("rule")
    waive.add_argument("member", help="the member that the finding is in, as the report names it")
    waive.add_argument("--reason", required=True)
    waive.add_argument("--days", type=int, default=90, help="how long it holds (default: 90)")
    rollback = verbs.add_parser(
        "rollback", help="revoke what is served, so that the last good revision is served again"
    )
    rollback.add_argument("kind", choices=("model", "dataset", "space"))
    rollback.add_argument("name")
    rollback.add_argument("--branch", default="main")
    rollback.add_argument("--reason", required=True)
    mlflow = verbs.add_parser("import-mlflow", help="bring in the models of an MLflow registry, to be inspected here")
    mlflow.add_argument("address", help="of the tracking server; its token is read from MLFLOW_TRACKING_TOKEN")
    mlflow.add_argument("model", nargs="*", help="these alone (default: all)")
    for name, text in (("pull", "fetch what was approved, and verify it"), ("push", "bring a folder in")):
        one = verbs.add_parser(name, help=text)
        one.add_argument("kind", choices=("model", "dataset", "space"))
        one.add_argument("name")
        one.add_argument("folder")
        one.add_argument("--revision", default="main")
        one.add_argument("--message", default="pushed by weighbridge")
    verbs.add_parser("log", help="every decision, after the whole log was verified")
    _add_upkeep(verbs)
    return made.parse_args(arguments)


def _add_upkeep(verbs: argparse._SubParsersAction[Any]) -> None:
    """What administrators do."""
    users = verbs.add_parser("users", help="list users, or add one")
    users.add_argument("name", nargs="?")
    users.add_argument("--role", default="reader", choices=("reader", "publisher", "reviewer", "admin"))
    users.add_argument("--service", action="store_true", help="an account of a program")
    token = verbs.add_parser("token", help="make a token, which is printed once")
    token.add_argument("user")
    token.add_argument("--name", default="token")
    token.add_argument("--role", default="", choices=("", "reader", "publisher", "reviewer", "admin"))
    token.add_argument("--namespace", default="", help="publish and decide there alone")
    token.add_argument("--scope", default="", help="the environment that it is used in")
    token.add_argument("--days", type=float, default=90)
    audit = verbs.add_parser("audit", help="prove that nothing was altered or removed")
    audit.add_argument(
        "--data", metavar="FOLDER", help="the registry's own folder, on its machine (default: over the network)"
    )
    audit.add_argument("--database", default="", metavar="URL")
    audit.add_argument("--blobs", default="", metavar="URL")
    audit.add_argument("--against", metavar="FILE", help="an older checkpoint that was kept elsewhere")
    audit.add_argument("--no-bytes", action="store_true", help="do not hash the bytes again")
    for name, text in (
        ("backup", "write a backup while the registry goes on"),
        ("restore", "make a registry of a backup"),
    ):
        one = verbs.add_parser(name, help=text)
        one.add_argument("--data", required=True, metavar="FOLDER", help="the registry's folder")
        one.add_argument("backup", metavar="BACKUP")


def _place() -> str:
    folder = os.environ.get("XDG_CONFIG_HOME") or os.path.join(os.path.expanduser("~"), ".config")
    return os.environ.get("WEIGHBRIDGE_REGISTRY_FILE") or os.path.join(folder, "weighbridge", "registry.json")


def known_registry() -> Registry:
    """The registry that was logged in to. Raises UsageError where there is none."""
    from weighbridge.registry.client import Pinned, Registry  # noqa: PLC0415  # loading cryptography takes a while

    try:
        with open(_place(), "rb") as file:
            pinned = msgspec.json.decode(file.read(), type=Pinned)
    except FileNotFoundError:
        raise UsageError("no registry is known here", hint="weighbridge registry login ADDRESS") from None
    except (OSError, msgspec.DecodeError) as error:
        raise UsageError(f"{_place()}: {error}", hint="log in again") from error
    return Registry(pinned, remember=_place())


def _login(given: argparse.Namespace) -> int:
    from weighbridge.registry.client import Registry  # noqa: PLC0415  # loading cryptography takes a while
    from weighbridge.source.whole import write_whole  # noqa: PLC0415

    token = os.environ.get("WEIGHBRIDGE_TOKEN", "")
    if not token and sys.stdin.isatty():
        import getpass  # noqa: PLC0415  # only where somebody types

        token = getpass.getpass("token: ")
    if not token:
        raise UsageError("a token is needed", hint="set WEIGHBRIDGE_TOKEN")
    registry = Registry.at(given.address, token.strip())
    registry.cases(limit=1)
    place = _place()
    os.makedirs(os.path.dirname(place), mode=0o700, exist_ok=True)
    old = os.umask(0o077)
    try:
        write_whole(place, msgspec.json.encode(registry.pinned))
    finally:
        os.umask(old)
    print(f"logged in to {registry.pinned.address}")
    print(f"decisions are signed by  {registry.key().fingerprint}")
    print(f"the log is signed by     {registry.pinned.log}")
    print("hold both against what its administrators tell you; from now on they may not change")
    return 0


def _shown(case: Case) -> str:
    return printable(
        f"case {case.id}: {case.kind} {case.name} {case.revision[:40]} is {case.state}: {case.because or 'it waits'}"
    )


def _code(case: Case) -> int:
    return ADMITTED if case.state in _SERVED else INCOMPLETE if case.state in _WAITING else BLOCKED


def _request(given: argparse.Namespace) -> int:
    case = known_registry().request(given.kind, given.name, given.revision)
    print(_shown(case))
    return _code(case)


def _status(given: argparse.Namespace) -> int:
    registry = known_registry()
    if given.case is not None:
        case = registry.case(given.case)
        print(_shown(case))
        return _code(case)
    for case in registry.cases(state=given.state):
        print(_shown(case))
    return 0


def _decide(given: argparse.Namespace) -> int:
    state = known_registry().decide(given.case, given.what, given.reason, scopes=tuple(given.scope), days=given.days)
    print(f"case {given.case} is {state}")
    return 0


def _waive(given: argparse.Namespace) -> int:
    known_registry().waive(given.case, given.rule, given.member, given.reason, days=given.days)
    print(f"{given.rule} in {given.member} is accepted for {plural(given.days, 'day')}")
    print(f"weighbridge registry rescan {given.case} --reason … has it judged with that", file=sys.stderr)
    return 0


def _rollback(given: argparse.Namespace) -> int:
    bad, good = known_registry().roll_back(given.kind, given.name, given.reason, given.branch)
    print(f"case {bad.id} ({bad.revision[:12]}) is revoked")
    if good is None:
        print(f"{given.name} serves nothing on {given.branch}: no revision before it was approved")
        return INCOMPLETE
    print(f"{given.name} serves case {good.id} ({good.revision[:12]}) on {given.branch} again")
    return 0


def _import_mlflow(given: argparse.Namespace) -> int:
    from weighbridge.registry.mlflow_source import MlflowSource, bring_in  # noqa: PLC0415  # only here

    registry = known_registry()
    source = MlflowSource(given.address, os.environ.get("MLFLOW_TRACKING_TOKEN", ""))
    left = came = 0
    for one in bring_in(source, registry, given.model):
        if one.case:
            came += 1
            print(printable(f"{one.name} {one.version}: case {one.case}"))
        else:
            left += 1
            print(printable(f"{one.name} {one.version}: not brought in: {one.why}"), file=sys.stderr)
    print(f"{plural(came, 'version')} brought in, {left} left; weighbridge registry status", file=sys.stderr)
    return INCOMPLETE if left or not came else 0


def _pull(given: argparse.Namespace) -> int:
    registry = known_registry()
    case, size = registry.pull(given.kind, given.name, given.folder, given.revision)
    print(f"{given.folder}: {size_text(size)} of {case.kind} {case.name}@{case.revision[:12]}")
    print(f"every file is what case {case.id} approved, signed by {registry.key().fingerprint[:16]}…")
    return 0


def _push(given: argparse.Namespace) -> int:
    registry = known_registry()
    number = registry.push(given.kind, given.name, given.folder, given.message)
    print(_shown(registry.case(number)))
    return 0


def _log(_given: argparse.Namespace) -> int:
    registry = known_registry()
    count = 0
    for entry in registry.log():
        said = _said(entry)
        count += 1
        print(
            printable(
                f"{entry['index']:>6}  {entry['at']}  {entry['kind']:<10}  case {said.get('case')}  {said.get('subject')}  by {said.get('by')}: {said.get('reason')}"
            )
        )
    print(
        f"{plural(count, 'entry') if count == 1 else f'{count} entries'}, all of them under the signed checkpoint",
        file=sys.stderr,
    )
    return 0


def _said(entry: dict[str, Any]) -> dict[str, Any]:
    import base64  # noqa: PLC0415  # only here

    statement = json.loads(base64.b64decode(entry["statement"]["dsseEnvelope"]["payload"]))
    found: dict[str, Any] = statement["predicate"]
    return found


def _users(given: argparse.Namespace) -> int:
    registry = known_registry()
    if given.name:
        registry.add_user(given.name, given.role, "service" if given.service else "person")
        print(f"{given.name} is a {given.role} now; weighbridge registry token {given.name}")
        return 0
    for user in registry.users():
        print(
            printable(
                f"{user['name']:<24} {user['role']:<10} {user['kind']}{' (shut out)' if user['disabled'] else ''}"
            )
        )
    return 0


def _token(given: argparse.Namespace) -> int:
    print(
        known_registry().new_token(
            given.user, given.name, role=given.role, namespace=given.namespace, scope=given.scope, days=given.days
        )
    )
    return 0


def _audit(given: argparse.Namespace) -> int:
    older = ""
    if given.against:
        from weighbridge.provenance import keys  # noqa: PLC0415  # loading cryptography takes a while

        older = keys.read(given.against).decode("utf-8", "replace")
    if given.data is None:
        return _audit_afar(older)
    house = _house(given)
    from weighbridge.registry.services.proof import objections  # noqa: PLC0415

    altered = None if given.no_bytes else house.altered
    count = 0
    for objection in objections(house, older=older, altered=altered):
        count += 1
        print(printable(objection))
    if count:
        print(f"weighbridge: {plural(count, 'objection')}: this registry is not what was decided", file=sys.stderr)
        return BLOCKED
    print(f"log, signatures, database{'' if given.no_bytes else ' and bytes'} agree")
    print(house.ledger.checkpoint(), end="")
    return 0


def _audit_afar(older: str) -> int:
    from weighbridge.registry.client import Registry  # noqa: PLC0415  # loading cryptography takes a while

    registry = known_registry()
    if older:
        registry = Registry(msgspec.structs.replace(registry.pinned, checkpoint=older))
    count = sum(1 for _ in registry.log())
    print(f"{count} entries; the log is complete, and continues what was seen before")
    print(registry.pinned.checkpoint, end="")
    return 0


def _house(given: argparse.Namespace) -> House:
    with server_parts("this"):
        from weighbridge.registry.services.house import open_house  # noqa: PLC0415  # an extra
    if not os.path.isdir(os.path.join(given.data, "keys")):
        raise UsageError(f"{given.data}: there is no registry", hint="name the folder of `weighbridge serve --data`")
    return open_house(given.data, database=getattr(given, "database", ""), blobs=getattr(given, "blobs", ""))[0]


def _backup(given: argparse.Namespace) -> int:
    house = _house(given)
    from weighbridge.registry.services.backup import back_up  # noqa: PLC0415  # an extra

    print(f"{given.backup}: {plural(back_up(house, given.backup), 'file')}")
    return 0


def _restore(given: argparse.Namespace) -> int:
    with server_parts("this"):
        from weighbridge.registry.services.backup import restore  # noqa: PLC0415  # an extra
    count = restore(given.backup, given.data)
    print(f"{given.data}: {plural(count, 'file')}, each with the digest it was backed up with")
    print(f"prove it: weighbridge registry audit --data {given.data}")
    return 0
