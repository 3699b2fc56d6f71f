"""Knows the guard that is in force in this process: what it decides, what it writes down, and how it comes and goes."""

from __future__ import annotations

import contextlib
import functools
import json
import os
import sys
import threading
import time
import warnings
from io import BytesIO
from typing import TYPE_CHECKING, Any, Final

from weighbridge.guard import copies, hooks
from weighbridge.guard.approvals import Approvals, Decision
from weighbridge.schema import UsageError, VerificationFailed

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

# Modules of the standard library that pickle between processes of one program; what they load came from itself.
_OWN: Final = ("multiprocessing.", "concurrent.futures", "asyncio.", "logging.")
MODES: Final = ("enforce", "warn", "record")
_active: Guard | None = None


class Refused(VerificationFailed, PermissionError):
    """A file that may not be loaded, and why. A traceback shows what to do next below it.

    An OSError too: libraries pass those on, and put words of their own in the place of others.
    """

    def __init__(self, message: str, *, hint: str, rule: str) -> None:
        super().__init__(message, hint=hint, rule=rule)
        self.add_note(f"hint: {hint}")


class Warned(UserWarning):
    """A file that would not have been loaded, and why."""


class Guard:
    """Decides about every file that a guarded loader is given. `log` gets a line of JSON for each."""

    def __init__(self, approvals: Approvals, mode: str, log: str) -> None:
        self.approvals, self.mode, self.log = approvals, mode, log
        self._within = threading.local()

    @property
    def inside(self) -> bool:
        """Whether this thread is in a load that has been decided about."""
        return bool(getattr(self._within, "depth", 0))

    @contextlib.contextmanager
    def deciding(self) -> Iterator[None]:
        """What is loaded in here belongs to one decision."""
        self._within.depth = getattr(self._within, "depth", 0) + 1
        try:
            yield
        finally:
            self._within.depth -= 1

    def check(self, call: str, shown: str, found: copies.Checked) -> None:
        """Raise Refused where the file may not be loaded, and write the decision down."""
        with self.deciding():
            decision = self.approvals.decide(found.path, shown, found.sha256)
        self.record(call, shown, found, decision)
        if decision.allowed or self.mode == "record":
            return
        told = f"{call}: {shown} may not be loaded: {decision.reason}"
        if self.mode == "warn":
            warnings.warn(told, Warned, stacklevel=4)
            return
        raise Refused(
            told,
            hint="weighbridge scan says more; weighbridge lock --add, or weighbridge attest --kind approval, lets it in",
            rule="PRV-010",
        )

    def record(self, call: str, shown: str, found: copies.Checked, decision: Decision) -> None:
        """One line for the registry and the monitor."""
        if not self.log:
            return
        line = {
            "time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
            "call": call,
            "path": shown,
            "sha256": found.sha256,
            "size": found.size,
            "decision": "allowed" if decision.allowed else "refused" if self.mode == "enforce" else "would be refused",
            "reason": decision.reason,
            "process": os.getpid(),
        }
        target = os.open(self.log, os.O_WRONLY | os.O_APPEND | os.O_CREAT | getattr(os, "O_CLOEXEC", 0), 0o600)
        try:
            os.write(target, json.dumps(line).encode() + b"\n")
        finally:
            os.close(target)

    def executed(self, call: str, path: str, load: Callable[[str], Any], *, named: bool = False) -> Any:
        """Load a file that can run code, from a sealed copy."""
        with copies.sealed(path, named=named) as found:
            self.check(call, path, found)
            with self.deciding():
                return load(found.path)

    def parsed(self, call: str, path: str, load: Callable[[str], Any], *, by_descriptor: bool = True) -> Any:
        """Load a file that only holds numbers, in its place."""
        with copies.watched(path, by_descriptor=by_descriptor) as found:
            self.check(call, path, found)
            with self.deciding():
                return load(found.path)

    def held(self, call: str, data: bytes, load: Callable[[BytesIO], Any]) -> Any:
        """Load bytes that are in memory."""
        with _kept(data) as found:
            self.check(call, f"{len(data)} bytes in memory", found)
        with self.deciding():
            return load(BytesIO(data))


@contextlib.contextmanager
def _kept(data: bytes) -> Iterator[copies.Checked]:
    """Bytes as a file, for inspection."""
    import hashlib  # noqa: PLC0415  # few loads are from memory
    import tempfile  # noqa: PLC0415

    with tempfile.NamedTemporaryFile() as file:
        file.write(data)
        file.flush()
        yield copies.Checked(path=file.name, sha256=hashlib.sha256(data).hexdigest(), size=len(data))


def install(
    mode: str = "enforce",
    *,
    lock: str = "",
    attestations: tuple[str, ...] = (),
    keys: tuple[str, ...] = (),
    scan: bool = True,
    log: str = "",
    revocations: str = "",
    revocations_key: str = "",
) -> Guard:
    """Guard the loaders of this process, those that are imported already and those that will be.

    A file is allowed where its digest is in `lock` or in an attestation (approval, or admitting scan) by one of `keys`,
    or, with `scan`, where inspection on the spot admits it; never where `revocations`, a list signed by `revocations_key`,
    calls it back. `mode` is enforce (raise Refused), warn or record.
    Raises UsageError for a mode that does not exist, and whatever `Approvals` raises.
    """
    global _active  # noqa: PLW0603  # there is one guard in a process
    if mode not in MODES:
        raise UsageError(f"there is no mode {mode!r}", hint=f"one of {', '.join(MODES)}")
    if log:
        log = os.path.abspath(log)
    approvals = Approvals(
        lock=lock,
        attestations=attestations,
        keys=keys,
        scan=scan,
        revocations=revocations,
        revocations_key=revocations_key,
    )
    uninstall()
    _active = Guard(approvals, mode, log)
    from weighbridge.guard.loaders import PATCHES  # noqa: PLC0415  # loaders ask for the guard that is active

    hooks.patch(PATCHES)
    _listen()
    return _active


@functools.cache
def _listen() -> None:
    """Audit hooks stay for the life of a process: one, which asks whether a guard is in force."""
    sys.addaudithook(_backstop)


def asked_by_own(depth: int) -> bool:
    """Whether the code so many frames above is one of the modules that unpickle what their own program wrote."""
    return str(sys._getframe(depth).f_globals.get("__name__", "")).startswith(_OWN)  # noqa: SLF001


def _backstop(event: str, arguments: tuple[Any, ...]) -> None:
    """Names that are known to be dangerous, asked for by an unpickler that no decision was made about.

    Python tells audit hooks of every name that a pickle asks for, whichever way the unpickler was reached.
    """
    guard = _active
    if event != "pickle.find_class" or guard is None or guard.inside or guard.mode == "record":
        return
    if asked_by_own(2):
        return
    with guard.deciding():
        from weighbridge.detect import Knowledge  # noqa: PLC0415  # only where something is unpickled past the loaders
        from weighbridge.detect.knowledge.grades import Standing, Use  # noqa: PLC0415
        from weighbridge.formats.pickle import Name  # noqa: PLC0415

        name = Name(str(arguments[0]), str(arguments[1]))
        if Knowledge().grade(name, Use.CALL).standing is not Standing.DANGEROUS:
            return
    told = f"a pickle that no guarded loader was given asks for {name.dotted}"
    if guard.mode == "warn":
        warnings.warn(told, Warned, stacklevel=2)
        return
    raise Refused(told, hint="load it through pickle.load, torch.load or joblib.load", rule="PKL-001")


def uninstall() -> None:
    """Take the guard away: loaders are what they were."""
    global _active  # noqa: PLW0603
    _active = None
    hooks.restore()


def active() -> Guard | None:
    """The guard that is in force."""
    return _active
