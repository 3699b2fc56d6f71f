"""Knows which chains of a package are harm, how grave each is, and when it runs.

A new kind of harm by data that flows is one row of FLOWS: a label and a sink (`knowledge/behaviour`), and what makes a chain of them plain.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from msgspec.structs import replace

from weighbridge.detect.package_flow import INSTALL, LAZY, START, contexts_of, sinks_of
from weighbridge.detect.package_places import START_MODULES, is_aside
from weighbridge.formats.python_source import MODULE
from weighbridge.schema import Severity
from weighbridge.schema.patterns import lazy

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from weighbridge.detect.package_flow import Chain
    from weighbridge.detect.subjects import PackageSubject
    from weighbridge.formats.python_source import Call

_COMMANDS: Final = frozenset(
    {
        "install",
        "develop",
        "egg_info",
        "build_py",
        "build_ext",
        "build",
        "sdist",
        "bdist_egg",
        "bdist_wheel",
        "easy_install",
        "install_lib",
        "install_scripts",
        "editable_wheel",
        "dist_info",
    }
)
_METHODS: Final = ("run", "__init__", "initialize_options", "finalize_options")
_DERIVES: Final = lazy(
    r"(?i)sign|hmac|hash|digest|jwt|crypt|sha\d|public|address|account|derive|from_?key|load_|<patched>"
)


class Grave(NamedTuple):
    """What a flow comes to, how grave it is where it happens by itself and where it is called, and which chains of it are none after all."""

    what: str
    hot: Severity
    lazily: Severity | None
    plain: Callable[[Chain], bool] = lambda _: False


def _without_shell(chain: Chain) -> bool:
    """A server may start programs by request; what is handed to a shell is something else."""
    call, shell_of = chain.call, chain.call.keyword("shell")
    return not (
        call.name.startswith(("os.system", "os.popen"))
        or "getoutput" in call.name
        or (shell_of is not None and shell_of.value is True)
    )


def _through_others(chain: Chain) -> bool:
    """Sent by another function: it may be one that is told to."""
    return "S" not in sinks_of(chain.call)


def _asked_for(chain: Chain) -> bool:
    """Single variables are what clients are set up with: sent before anybody asked they are something else."""
    return chain.context not in {INSTALL, START} or _through_others(chain)


def _looks_itself_up(chain: Chain) -> bool:
    """To look one's own address up is no message; to look up a name that is put together may be one."""
    own = {"socket.gethostname", "socket.getfqdn", "platform.node"}
    asks = chain.call.name.endswith(("gethostbyname", "getaddrinfo"))
    return (asks and set(chain.call.origins) <= own) or _through_others(chain)


def _names_alone(chain: Chain) -> bool:
    """Names of files, without what is in them."""
    return not any(one == "open" or "read" in one for one in chain.call.origins)


def _derived(chain: Chain) -> bool:
    """What is signed or derived with a key may go out."""
    return _through_others(chain) or any(_DERIVES.search(one) for one in chain.call.origins)


FLOWS: Final = {
    "DX": Grave("decoded data is run", Severity.CRITICAL, Severity.MEDIUM),
    "DP": Grave("a decoded command is started", Severity.CRITICAL, Severity.MEDIUM),
    "DL": Grave("decoded data is unpickled", Severity.MEDIUM, None),
    "NX": Grave("what is downloaded is run", Severity.CRITICAL, Severity.MEDIUM),
    "NP": Grave("what is downloaded is started", Severity.CRITICAL, Severity.LOW),
    "NL": Grave("what is downloaded is unpickled", Severity.HIGH, Severity.LOW),
    "MX": Grave("what is hidden in a picture or a sound is run", Severity.CRITICAL, Severity.HIGH),
    "ML": Grave("what is hidden in a picture or a sound is unpickled", Severity.CRITICAL, Severity.MEDIUM),
    "QX": Grave("what a request carries is run", Severity.CRITICAL, Severity.HIGH),
    "QP": Grave("what a request carries is started", Severity.CRITICAL, Severity.HIGH, _without_shell),
    "KS": Grave("keys, wallets or a browser's secrets are sent away", Severity.CRITICAL, Severity.HIGH),
    "ES": Grave("the environment is sent away", Severity.CRITICAL, Severity.MEDIUM),
    "HS": Grave("who and where the host is, is sent away", Severity.HIGH, None, _looks_itself_up),
    "VS": Grave("variables of the environment are sent away", Severity.HIGH, None, _asked_for),
    "kS": Grave("what proves who somebody is, is sent away", Severity.CRITICAL, None, _through_others),
    "CS": Grave("what a command prints is sent away", Severity.HIGH, None, _through_others),
    "FS": Grave("files that are looked for are sent away", Severity.HIGH, None, _names_alone),
    "pS": Grave("a private key is sent away", Severity.HIGH, Severity.HIGH, _derived),
    "AS": Grave("what is handed to a function of another package is sent away", Severity.HIGH, Severity.MEDIUM),
}  # fmt: skip
# Flows that are followed through every file.
CRITICAL_FLOWS: Final = frozenset(flow for flow, grave in FLOWS.items() if grave.hot is Severity.CRITICAL)


def gravest(subject: PackageSubject, sure: dict[tuple[str, str], str]) -> Iterator[tuple[Chain, Severity]]:
    """The gravest chain of each line."""
    found: dict[tuple[str, int], tuple[Chain, Severity]] = {}
    for chain in _timed(subject, sure):
        if chain.flow not in FLOWS or _is_plain(chain) or (is_aside(chain.module) and chain.context == LAZY):
            continue
        grave = FLOWS[chain.flow]
        severity = grave.hot if chain.context != LAZY else grave.lazily
        if chain.flow == "QX" and chain.context == LAZY and "X" not in sinks_of(chain.call):
            severity = Severity.MEDIUM  # a console that somebody opens to others, rather than a door that nobody sees
        place = (chain.module, chain.call.line)
        if severity is not None and (place not in found or severity.rank < found[place][1].rank):
            found[place] = chain, severity
    yield from found.values()


def _timed(subject: PackageSubject, sure: dict[tuple[str, str], str]) -> Iterator[Chain]:
    """The chains of a package. Of a grave one, a guess is enough to say that nobody has to call it."""
    guessed: dict[tuple[str, str], str] | None = None
    for chain in subject.flow.chains(sure):
        if chain.context != LAZY or chain.flow not in CRITICAL_FLOWS:
            yield chain
            continue
        if guessed is None:
            guessed = contexts(subject, guess=True)
        yield replace(chain, context=guessed.get((chain.module, chain.call.scope), LAZY))


def _is_plain(chain: Chain) -> bool:
    """Data that is only looked up in, `eval` and commands that are constant, whatever else stands beside; or plain for its flow."""
    sink, first = chain.flow[1], next(iter(chain.call.arguments), None)
    if sink == "X" and isinstance(first, str) and "{}" not in first:
        return True
    if sink == "P" and chain.flow != "QP":
        words = words_of(chain.call)
        return words != "" and None not in parts_of(chain.call) and "{}" not in words
    return FLOWS[chain.flow].plain(chain)


def contexts(subject: PackageSubject, *, guess: bool = False) -> dict[tuple[str, str], str]:
    """When each scope of a package runs: (module, scope) → start, install, import; what is absent runs when it is called.

    With `guess`, calls of methods are followed by their names alone.
    """
    flow = subject.flow
    setup = [name for name in flow.modules if name == "setup" or name in subject.backends]
    install = [(name, MODULE) for name in setup]
    for name in setup:
        for made, bases in flow.modules[name].classes.items():
            if any(base.rpartition(".")[2] in _COMMANDS for base in bases):
                install += [(name, f"{made}.{method}") for method in _METHODS]
        install += [
            (name, scope) for scope in flow.modules[name].functions if scope in {"build_wheel", "build_sdist", "<main>"}
        ]
    start = [(name, MODULE) for name in flow.modules if START_MODULES.match(name)]
    start += [(name, MODULE) for name in subject.started if name in flow.modules]
    imports = [(name, MODULE) for name in flow.modules if name not in setup and not is_aside(name)]
    return contexts_of(flow, start=start, install=install, imports=imports, guess=guess)


def parts_of(call: Call) -> list[object]:
    """What a command is made of: the parts of its first argument."""
    first = call.arguments[0] if call.arguments else None
    return list(first) if isinstance(first, tuple) else [first]


def words_of(call: Call) -> str:
    """The constant words of a command."""
    parts = parts_of(call)
    if call.name.startswith(("os.exec", "os.spawn", "os.posix_spawn")):
        parts = [word for one in call.arguments for word in (one if isinstance(one, tuple) else (one,))]
    words = (word.decode("latin-1") if isinstance(word, bytes) else word for word in parts)
    return " ".join(str(word) for word in words if isinstance(word, str))
