"""Sandboxes for the tests of this room: one for all of them, and none where the machine cannot isolate."""

from __future__ import annotations

import pytest

from tests.corpus.payloads import Scene
from weighbridge.sandbox import Sandbox
from weighbridge.sandbox.kernel import landlock_version
from weighbridge.schema import Unavailable


@pytest.fixture(scope="session")
def sandbox():
    try:
        made = Sandbox()
    except Unavailable as error:
        pytest.skip(error.message)
    if not landlock_version():
        made.close()
        pytest.skip("this kernel has no Landlock")
    with made:
        yield made


@pytest.fixture(scope="session")
def scene(tmp_path_factory):
    with Scene(str(tmp_path_factory.mktemp("scene"))) as made:
        yield made
