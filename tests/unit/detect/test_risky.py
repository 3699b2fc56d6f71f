"""Which Python files of a package are read in full: everything a chain could be made of, and not what every library does."""

from __future__ import annotations

import pytest

from weighbridge.detect.patterns import detect_patterns
from weighbridge.schema import Location

RISKY = [
    "import subprocess", "import os, socket", "from urllib.request import urlopen", "x=1;import base64", "import \\\n  socket", "exec(x)", "y = eval (x)",
    "__import__('os')", "globals()['ex' + 'ec']", "vars(builtins).get('x')", "sys.modules['os'].system('x')", "os.system('x')", "os.popen(x)", "send(os.environ)",
    "dict(os.environ)", "os.environ.copy()", "getattr(os, 'sys' + 'tem')", "importlib.import_module('os').system('x')", "import_module('subprocess')",
    "a = '\\x68\\x69'", "compile(x, '', 'exec')", "''.join(chr(c) for c in x)", "x = 1" + " " * 200 + "; y = 2", "loader.exec_module(m)",
    "import httpx\nhttpx.get(a)", "import httpx as h", "from httpx import post", "import httpx, os", "httpx.AsyncClient()", "(httpx\n .get(a))",
    "import urllib.request", "from urllib import request", "import urllib as u", "f(urllib)", "urllib\\\n.request", "import asyncio as a",
    "asyncio.create_subprocess_shell(a)", "loop.subprocess_exec(a)", "from asyncio import subprocess", "getattr(asyncio, a)", "asyncio.open_connection(a)",
    "'https://discord.com/api/webhooks/1/a'", "__builtins__.x", "().__class__.__base__.__subclasses__()",
]  # fmt: skip
QUIET = [
    "import os\nos.environ['A']", "os.environ.get('A')", "os.environ.setdefault('A', 'b')", "model.eval()", "re.compile('a')", "sys.modules[__name__]",
    "globals()[name]", "locals()", "import importlib\nimportlib.import_module(name)", "x[::-1]", "self.system(x)", "torch.compile(model)",
    "# exec is bad", "import numpy as np", "import httpx\ndef f(t: httpx.Timeout | None, u: httpx.URL) -> httpx.Response: ...",
    "from urllib.parse import urlsplit", "import urllib.parse\nurllib.parse.quote(a)", "import asyncio\nasyncio.run(main())", "await asyncio.sleep(1)",
]  # fmt: skip


def is_risky(text):
    return detect_patterns(Location(path=("a.py",)), text.encode(), (), packaged=True)[1]


@pytest.mark.parametrize("text", RISKY)
def test_what_a_chain_could_be_made_of_is_read(text):
    assert is_risky(text)


@pytest.mark.parametrize("text", QUIET)
def test_what_every_library_does_is_left(text):
    assert not is_risky(text)
