"""The verb `run`: a program whose model files load only where they are approved."""

from __future__ import annotations

import json
import os
import shutil
from typing import Final

from weighbridge.cli.options import flag, parser
from weighbridge.schema import Unavailable, UsageError

_PLAIN: Final = frozenset("IES")


def run(arguments: list[str]) -> int:
    """Run the verb; the program takes this process over, and its exit code is its own."""
    if "--" not in arguments and not {"-h", "--help"} & set(arguments):
        raise UsageError("say what to run behind two dashes", hint="weighbridge run -- python serve.py")
    cut = arguments.index("--") if "--" in arguments else len(arguments)
    made = parser(
        "run",
        "Run a program under the guard: pickle, torch, joblib, numpy, Keras, transformers, huggingface_hub, datasets,\n"
        "onnxruntime, safetensors and llama_cpp load only files that are locked, approved, or admitted by inspection.",
        "weighbridge run --lock weighbridge.lock -- python serve.py",
        "The exit code is the program's; 2 where the guard cannot be installed. Refusals raise weighbridge.guard.Refused.",
    )
    group = made.add_argument_group("guard")
    flag(group, "mode", "refuse, warn, or only write down", choices=("enforce", "warn", "record"), default="enforce")
    flag(group, "lock", "lock whose digests may be loaded", metavar="FILE", default="")
    flag(
        group, "attestation", "approval or admitting scan; may be repeated", action="append", default=[], metavar="FILE"
    )
    flag(
        group,
        "key",
        "public key that such attestations are signed with; may be repeated",
        action="append",
        default=[],
        metavar="FILE",
    )
    flag(
        group, "no-scan", "do not inspect files that are neither locked nor approved: refuse them", action="store_true"
    )
    flag(
        group,
        "revocations",
        "signed list of what was called back; read again when it changes",
        metavar="FILE",
        default="",
    )
    flag(group, "revocations-key", "public key that the list is signed with", metavar="FILE", default="")
    flag(group, "log", "write a line of JSON for everything that is loaded", metavar="FILE", default="")
    given = made.parse_args(arguments[:cut])
    command = arguments[cut + 1 :]
    if not command:
        raise UsageError("there is nothing behind the two dashes", hint="weighbridge run -- python serve.py")
    order = {
        "mode": given.mode,
        "lock": os.path.abspath(given.lock) if given.lock else "",
        "attestations": [os.path.abspath(path) for path in given.attestation],
        "keys": [os.path.abspath(path) for path in given.key],
        "scan": not given.no_scan,
        "log": os.path.abspath(given.log) if given.log else "",
        "revocations": os.path.abspath(given.revocations) if given.revocations else "",
        "revocations_key": os.path.abspath(given.revocations_key) if given.revocations_key else "",
    }
    _try(order)
    return _become(command, order)


def _try(order: dict[str, object]) -> None:
    """Read lock and attestations once here, where a mistake in them is told in one line."""
    from weighbridge.guard.approvals import Approvals  # noqa: PLC0415  # usage errors need none

    wanted = ("lock", "attestations", "keys", "revocations", "revocations_key")
    Approvals(**{name: order[name] for name in wanted})  # type: ignore[arg-type]  # as `run` has put them together


def _become(command: list[str], order: dict[str, object]) -> int:
    program = shutil.which(command[0])
    if program is None:
        raise UsageError(f"{command[0]}: no such program", hint="give a program on the PATH, or its path")
    if os.path.basename(program).startswith("python"):
        odd = next((one for one in _options(command) if _ignores(one)), "")
        if odd:
            raise UsageError(
                f"{odd} makes Python ignore the guard", hint="leave it out, or call weighbridge.guard.install()"
            )
    from weighbridge import guard  # noqa: PLC0415  # to know where it lies

    site = os.path.join(os.path.dirname(os.path.abspath(guard.__file__)), "startup")
    if not os.path.isfile(os.path.join(site, "sitecustomize.py")):
        raise Unavailable("this installation lacks the module that starts the guard", hint="install weighbridge again")
    known = os.environ.get("PYTHONPATH")
    environment = {
        **os.environ,
        "PYTHONPATH": f"{site}{os.pathsep}{known}" if known else site,
        "WEIGHBRIDGE_GUARD": json.dumps(order),
    }
    os.execve(program, command, environment)  # noqa: S606  # the program that the user asked for


def _options(command: list[str]) -> list[str]:
    """The options of the interpreter itself: those before the script, module or code."""
    found = []
    for one in command[1:]:
        if one in {"-c", "-m"} or not one.startswith("-"):
            break
        found.append(one)
    return found


def _ignores(option: str) -> bool:
    """Whether Python starts without PYTHONPATH or site modules."""
    return not option.startswith(("--", "-W", "-X")) and bool(_PLAIN & set(option[1:]))
