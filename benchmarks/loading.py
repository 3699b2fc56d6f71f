"""Conversion beside the usual ways, the matrix of the sandbox, the cost of loading in it, and of the guard."""

from __future__ import annotations

import os
import pickle
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.measure import median
from benchmarks.peers import OURS

STORE = Path(__file__).parent.parent / ".bench/conversion"
LOADED = "import torch, sys; from safetensors.torch import save_file; d = torch.load(sys.argv[1], weights_only=True, mmap={mmap}, map_location='cpu')\n"
ONCE = "seen = {}\nfor k in list(d):\n    p = d[k].data_ptr()\n    if p in seen: del d[k]\n    else: seen[p] = k\n"
CLONED = "d = {k: v.contiguous().clone() for k, v in d.items()}\n"
SAVED = "save_file(d, sys.argv[2])"
TIMES = 3


def conversion(peers, every):
    """A checkpoint of 2 GB with one tied pair, as zip and in the legacy form; median of three, wall and processor time."""
    del peers, every
    STORE.mkdir(parents=True, exist_ok=True)
    sources = {"zip": STORE / "zip.pt", "legacy": STORE / "legacy.pt"}
    if not all(path.exists() for path in sources.values()):
        import torch

        torch.manual_seed(0)
        tensors = {f"layer{number}.weight": torch.randn(2048, 2560) for number in range(97)}
        tensors["tied.weight"] = tensors["layer0.weight"]
        torch.save(tensors, sources["zip"])
        torch.save(tensors, sources["legacy"], _use_new_zipfile_serialization=False)
    convert = (
        [OURS[0], "convert", "--overwrite"]
        if len(OURS) == 2
        else [sys.executable, "-m", "weighbridge", "convert", "--overwrite"]
    )
    out = str(STORE / "out.safetensors")
    found = {}
    for name, path in sources.items():
        ways = {
            "cp": ["cp", str(path), str(STORE / "copy")],
            "weighbridge convert --no-digest": [*convert, "--no-digest", "--output", out, str(path)],
            "weighbridge convert": [*convert, "--output", out, str(path)],
        }
        if name == "zip":
            mapped = LOADED.format(mmap=True) + ONCE + SAVED
            ways["torch.load(mmap) + save_file"] = [sys.executable, "-c", mapped, str(path), out]
        usual = LOADED.format(mmap=False) + ONCE + CLONED + SAVED
        ways["the usual script (load, drop shared, clone, save_file)"] = [sys.executable, "-c", usual, str(path), out]
        found[name] = {way: _timed(command) for way, command in ways.items()}
    found["size"] = sources["zip"].stat().st_size
    return found


def _timed(command):
    runs = []
    for _ in range(TIMES):
        for name in ("out.safetensors", "copy"):
            (STORE / name).unlink(missing_ok=True)
        os.sync()
        runs.append(median(command, times=1, limit=300))
    if any(one.code for one in runs):
        raise RuntimeError(f"{command} failed")
    return {
        "wall": statistics.median(one.wall for one in runs),
        "cpu": statistics.median(one.cpu for one in runs),
        "memory": statistics.median(one.memory for one in runs),
    }


SETS = {
    "none": (),
    "rlimits": ("rlimits",),
    "landlock": ("landlock",),
    "seccomp": ("seccomp", "supervisor"),
    "all": None,
}


def sandbox(peers, every):
    """Each payload under no layer, each layer alone, and all; as this user, and as an ordinary one where this is root."""
    del peers, every
    users = {"root" if os.geteuid() == 0 else "ordinary user": None}
    if os.geteuid() == 0 and shutil.which("setpriv"):
        users["ordinary user"] = ["setpriv", "--reuid", "1001", "--regid", "1001", "--clear-groups"]
    matrix, notes = {}, {}
    for user, prefix in users.items():
        try:
            matrix[user] = _matrix(prefix)
        except (OSError, subprocess.CalledProcessError) as error:
            notes[user] = f"not run: {error}"
    return {"matrix": matrix, "notes": notes, "cost": cost(), "guard": guarded()}


def _matrix(prefix):
    """The matrix in a process of its own, since an ordinary user needs one."""
    import json

    folder = tempfile.mkdtemp(prefix="weighbridge-")
    os.chmod(folder, 0o777)
    python = sys.executable
    if prefix is not None:
        python = _for_everybody(folder)
    root = Path(__file__).parent.parent
    found = subprocess.run(
        [*(prefix or []), python, "-B", "-c", "from benchmarks.loading import rows; rows()", folder],
        cwd=root, env={**os.environ, "PYTHONPATH": str(root), "WEIGHBRIDGE_TEST_TOKEN": "hidden", "HOME": folder},
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    shutil.rmtree(folder, ignore_errors=True)
    return json.loads(found.stdout)


def _for_everybody(folder):
    """An interpreter that every user may run, with what the sandbox needs."""
    system = next((path for path in ("/usr/bin/python3.11", "/usr/bin/python3") if os.path.exists(path)), None)
    if system is None:
        raise OSError("there is no interpreter for everybody")
    site = Path(folder) / "site"
    root = Path(__file__).parent.parent
    shutil.copytree(
        root / "src/weighbridge", site / "weighbridge", ignore=shutil.ignore_patterns("*.so", "__pycache__")
    )
    import librt
    import msgspec
    import mypy_extensions

    for module in (msgspec, librt):
        shutil.copytree(Path(module.__path__[0]), site / module.__name__)
    shutil.copy(mypy_extensions.__file__, site)
    python = Path(folder) / "python"
    subprocess.run([system, "-m", "venv", "--without-pip", str(python)], check=True, capture_output=True)
    for name in os.listdir(site):
        shutil.move(site / name, next((python / "lib").glob("python3*")) / "site-packages" / name)
    subprocess.run(["chmod", "-R", "a+rX", folder], check=True)
    return str(python / "bin/python")


def rows():
    """Print the matrix as JSON: payload -> layers -> won, or what became of it."""
    import json

    from tests.corpus.payloads import DESIGN, PAYLOADS, Scene

    from weighbridge.sandbox import Bounds, Sandbox

    bounds = Bounds(memory=1 << 30, processor=2, seconds=4, output=1 << 20)
    found = {}
    with Scene(tempfile.mkdtemp(dir=sys.argv[1])) as scene, Sandbox() as whole, Sandbox(namespaces=False) as bare:
        for name in PAYLOADS:
            row = {"of": "design" if name in DESIGN else "ours"}
            for label, layers in SETS.items():
                path = scene.laid(name)
                more = {} if layers is None else {"layers": layers, "required": ()}
                made = (whole if layers is None else bare).load(path, "pickle", bounds=bounds, **more)
                row[label] = "won" if "WON" in made.printed else f"ended: {made.limit}" if made.limit else "stopped"
            found[name] = row
    print(json.dumps(found))


def cost():
    """Milliseconds of loading inside, beside the library's own load in a warm process; median of fifteen."""
    import joblib
    import numpy as np
    import torch
    from sklearn.datasets import load_digits
    from sklearn.ensemble import RandomForestClassifier

    from weighbridge.sandbox import Sandbox

    folder = Path(tempfile.mkdtemp(prefix="weighbridge-"))
    data, labels = load_digits(return_X_y=True)
    torch.save({f"l{number}": torch.randn(256, 256) for number in range(8)}, folder / "state.pt")
    torch.save(torch.nn.Sequential(*[torch.nn.Linear(256, 256) for _ in range(8)]), folder / "module.pt")
    joblib.dump(RandomForestClassifier(50, random_state=0).fit(data[:500], labels[:500]), folder / "forest.joblib")
    (folder / "arrays.pkl").write_bytes(pickle.dumps({"x": np.random.default_rng(0).normal(size=(512, 256))}))
    loads = {
        "state.pt": ("torch", lambda path: torch.load(path, weights_only=False)),
        "module.pt": ("torch", lambda path: torch.load(path, weights_only=False)),
        "forest.joblib": ("joblib", joblib.load),
        "arrays.pkl": ("pickle", lambda path: pickle.loads(path.read_bytes())),
    }
    started = time.perf_counter()
    found = {}
    with Sandbox(("torch", "numpy", "joblib", "sklearn.ensemble")) as box:
        found["start"] = time.perf_counter() - started
        for name, (loader, own) in loads.items():
            path = folder / name
            inside, plain = [], []
            for _ in range(15):
                begun = time.perf_counter()
                made = box.load(str(path), loader)
                inside.append(time.perf_counter() - begun)
                if made.image >= 0:
                    os.close(made.image)
                if made.answer.error:
                    raise RuntimeError(made.answer.error)
                begun = time.perf_counter()
                own(path)
                plain.append(time.perf_counter() - begun)
            found[name] = {"inside": 1000 * statistics.median(inside), "own": 1000 * statistics.median(plain)}
    shutil.rmtree(folder)
    return found


def guarded():
    """Milliseconds that the guard adds to a load, without hashing: small locked files; median of two hundred."""
    import torch

    from weighbridge import guard
    from weighbridge.provenance import lock

    folder = Path(tempfile.mkdtemp(prefix="weighbridge-"))
    torch.save({"a": torch.ones(8)}, folder / "a.pt")
    (folder / "a.pkl").write_bytes(pickle.dumps({"a": 1}))
    entries = [lock.lock_folder(str(folder / name), str(folder / name)) for name in ("a.pt", "a.pkl")]
    (folder / "weighbridge.lock").write_bytes(lock.dump(entries))

    def unpickle():
        with (folder / "a.pkl").open("rb") as file:
            return pickle.load(file)

    loads = {"torch.load": lambda: torch.load(folder / "a.pt", weights_only=True), "pickle.load": unpickle}
    found = {}
    for name, load in loads.items():
        guard.uninstall()
        plain = _each(load)
        guard.install(lock=str(folder / "weighbridge.lock"), scan=False)
        found[name] = {"plain": plain, "guarded": _each(load)}
    guard.uninstall()
    shutil.rmtree(folder)
    return found


def _each(load, times=200):
    taken = []
    for _ in range(times):
        begun = time.perf_counter()
        load()
        taken.append(time.perf_counter() - begun)
    return 1000 * statistics.median(taken)
