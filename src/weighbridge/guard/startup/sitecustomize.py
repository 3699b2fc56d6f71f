"""Installs the guard when an interpreter starts. Python imports this module by its name, before any other code.

Found by PYTHONPATH (`weighbridge run` sets it); the order is in the variable WEIGHBRIDGE_GUARD. Where the guard cannot be
installed, the interpreter ends: a program that is believed to be guarded must not run without.
"""

import json
import os
import sys


def _install() -> None:
    order = os.environ.get("WEIGHBRIDGE_GUARD")
    if not order:
        return
    try:
        from weighbridge.guard import install  # noqa: PLC0415

        given = json.loads(order)
        for name in ("attestations", "keys"):
            given[name] = tuple(given.get(name, ()))
        install(**given)
    except BaseException as error:  # noqa: BLE001  # whatever it is, nothing may run unguarded
        sys.stderr.write(f"weighbridge: the guard could not be installed: {error}\n")
        os._exit(2)


def _others() -> None:
    """Run the sitecustomize that this one stands before, where there is one."""
    import importlib.machinery  # noqa: PLC0415
    import importlib.util  # noqa: PLC0415

    here = os.path.dirname(os.path.abspath(__file__))
    rest = [path for path in sys.path if os.path.abspath(path or ".") != here]
    spec = importlib.machinery.PathFinder.find_spec("sitecustomize", rest)
    if spec is not None and spec.loader is not None:
        spec.loader.exec_module(importlib.util.module_from_spec(spec))


_install()
_others()
