"""Builds what sees every opcode or every node with mypyc; without a compiler the same source runs uncompiled."""

import os
import sys

from setuptools import setup

# An isolated build has no msgspec: its records are defined in modules that are not listed here.
MACHINE = ("opcodes", "arrays", "memo", "window", "store", "machine")
SOURCES = [
    *(f"pickle/{name}" for name in MACHINE),
    "python_nodes",
    "python_bindings",
    "python_reader",
    "javascript_tokens",
    "javascript_scopes",
    "javascript_flow",
]
EDITABLE = "editable_wheel" in sys.argv or "develop" in sys.argv

extensions = []
if os.environ.get("WEIGHBRIDGE_PURE") != "1" and (not EDITABLE or os.environ.get("WEIGHBRIDGE_COMPILE") == "1"):
    from mypyc.build import mypycify

    extensions = mypycify(
        [
            "--ignore-missing-imports",
            "--follow-imports=silent",
            *(f"src/weighbridge/formats/{name}.py" for name in SOURCES),
        ],
        opt_level="3",
    )
    for extension in extensions:
        extension.optional = True

setup(ext_modules=extensions)
