"""Knows the verbs, and turns every failure into one line with a hint."""

from __future__ import annotations

import gc
import importlib
import os
import sys
from typing import TYPE_CHECKING, Final

from weighbridge.cli.exits import FAILED, INTERRUPTED, TABLE
from weighbridge.schema import UsageError, WeighbridgeError

if TYPE_CHECKING:
    from collections.abc import Sequence

VERBS: Final = {
    "scan": "inspect files, folders and archives, and judge them",
    "audit": "say what a project or an environment depends on, and what is wrong with it",
    "rule": "explain a rule, or list all of them",
    "policy": "show and check the policy that is in force",
    "sign": "sign every file of an artifact",
    "verify": "hold an artifact against its signature, attestations, bill or lock",
    "attest": "sign a statement about an artifact: inspection, approval, test, build",
    "lock": "pin the models and datasets of a project, and check them",
    "test": "test a model for backdoors before it is deployed",
    "dataset": "say what a set of data is, and whether it was poisoned",
    "calibrate": "score clean models, for tests to be held against",
    "convert": "turn pickled weights into safetensors without executing them",
    "load": "load a file in the sandbox, and say what it tried",
    "run": "run a program whose model files load only where they are approved",
    "bom": "write the bill of materials of an artifact",
    "inventory": "list the models and datasets that code names",
    "diff": "compare two versions, or a derivative with its base",
    "keys": "make, show, rotate and revoke signing keys",
    "monitor": "watch what is served: files, process, answers to probes, traffic",
    "serve": "serve the registry: only what was approved",
    "worker": "inspect what a registry is asked for, apart from its web processes",
    "registry": "ask a registry, decide, push and pull, prove, back up",
    "feed": "build, verify and fetch signed feeds of what is known to be bad",
    "cache": "show or clear what is kept of far artifacts; find revoked copies",
    "doctor": "say what this installation can do",
}
_EPILOG: Final = "A bare path means scan: weighbridge model.pt"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one verb and return its exit code. A user never sees a traceback."""
    # Imports make no garbage worth looking for; a long scan still collects, only less often.
    gc.set_threshold(50_000, 20, 50)
    given = list(sys.argv[1:] if arguments is None else arguments)
    try:
        code = _run(given)
        sys.stdout.flush()
    except WeighbridgeError as error:
        return _complain(error.message, error.hint, error.exit_code)
    except KeyboardInterrupt:
        return _complain("interrupted", "", INTERRUPTED)
    except BrokenPipeError:
        # The reader went away (`| head`); there is nobody left to tell.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except Exception as error:  # the last line of defence: no verdict, exit 2
        if os.environ.get("WEIGHBRIDGE_DEBUG"):
            raise
        return _complain(
            f"internal error: {type(error).__name__}: {error}",
            "set WEIGHBRIDGE_DEBUG=1 for details, and report it",
            FAILED,
        )
    return code


def _complain(message: str, hint: str, code: int) -> int:
    print(f"weighbridge: {message}", file=sys.stderr)
    if hint:
        print(f"  hint: {hint}", file=sys.stderr)
    return code


def _run(given: list[str]) -> int:
    if not given or given[0] in {"-h", "--help", "help"}:
        print(usage())
        return 0 if given else FAILED
    if given[0] in {"-V", "--version"}:
        from weighbridge import __version__  # noqa: PLC0415  # the package imports this module's siblings

        print(f"weighbridge {__version__}")
        return 0
    verb, rest = (given[0], given[1:]) if given[0] in VERBS else ("scan", given)
    if (
        given[0] not in VERBS
        and not given[0].startswith("-")
        and not os.path.lexists(given[0])
        and os.sep not in given[0]
        and "." not in given[0]
    ):
        known = ", ".join(VERBS)
        raise UsageError(f"{given[0]}: neither a verb nor a path", hint=f"verbs: {known}")
    code: int = importlib.import_module(f"weighbridge.cli.{verb}").run(rest)
    return code


def usage() -> str:
    """The help of the command as a whole."""
    width = max(map(len, VERBS))
    verbs = "\n".join(f"  {verb:<{width}}  {what}" for verb, what in VERBS.items())
    return f"""weighbridge: the checkpoint between the open AI ecosystem and your own systems

example:
  weighbridge scan model.pt

verbs:
{verbs}

{_EPILOG}
`weighbridge VERB --help` says more. `weighbridge --version` prints the version.

{TABLE}"""
