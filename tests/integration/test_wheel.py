"""What `pip install` lays down is what the sources hold: code, knowledge, styles."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from pathlib import Path

SOURCE = Path(__file__).parents[2] / "src"


def test_the_wheel_holds_every_file_of_the_package(tmp_path):
    command = [
        sys.executable,
        "-m",
        "pip",
        "wheel",
        "--quiet",
        "--no-deps",
        "--no-build-isolation",
        "--wheel-dir",
        str(tmp_path),
        str(SOURCE.parent),
    ]
    environment = {**os.environ, "WEIGHBRIDGE_PURE": "1", "PIP_DISABLE_PIP_VERSION_CHECK": "1"}
    copy = tmp_path / "copy"
    copy.mkdir()
    for name in ("pyproject.toml", "setup.py", "README.md", "LICENSE"):
        (copy / name).write_bytes((SOURCE.parent / name).read_bytes())
    files = [
        path for path in (SOURCE / "weighbridge").rglob("*") if path.is_file() and path.suffix not in {".pyc", ".so"}
    ]
    for path in files:
        target = copy / path.relative_to(SOURCE.parent)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(path.read_bytes())
    done = subprocess.run([*command[:-1], str(copy)], env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    (wheel,) = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        packed = {name for name in archive.namelist() if name.startswith("weighbridge/")}
    assert packed == {str(path.relative_to(SOURCE)) for path in files}
