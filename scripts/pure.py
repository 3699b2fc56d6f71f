"""Runs a command on the uncompiled sources: a copy of the sources without extensions.

Usage: python scripts/pure.py -m pytest tests/unit/formats/pickle
"""

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).parent.parent


def main():
    with tempfile.TemporaryDirectory() as folder:
        target = Path(folder, "src/weighbridge")
        shutil.copytree(ROOT / "src/weighbridge", target, ignore=shutil.ignore_patterns("*.so", "__pycache__"))
        shutil.copytree(ROOT / "tests", Path(folder, "tests"), ignore=shutil.ignore_patterns("__pycache__"))
        shutil.copy(ROOT / "pyproject.toml", folder)
        environment = {**os.environ, "PYTHONPATH": f"{target.parent}{os.pathsep}{folder}"}
        arguments = [
            str(Path(a).resolve()) if Path(a).is_file() and not a.startswith("tests") else a for a in sys.argv[1:]
        ]
        return subprocess.run([sys.executable, *arguments], cwd=folder, env=environment, check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
