"""The demonstration of the registry: real clients before a gate, a reviewer in a real browser, pictures of every page."""

import contextlib
import json
import os
import pickle
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).parent.parent
PAGES = (
    "/",
    "/artifacts",
    "/cases/1",
    "/cases/2",
    "/cases/3",
    "/cases/4",
    "/cases/4/tests/1.html",
    "/findings",
    "/policy",
    "/gateway",
    "/monitor",
    "/evidence",
    "/admin",
)
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
CLIENT = """
import sys
from huggingface_hub import HfApi, hf_hub_download
what, name, path = sys.argv[1:4]
if what == "push":
    HfApi().create_repo(name, exist_ok=True)
    print(HfApi().upload_folder(repo_id=name, folder_path=path))
else:
    print(hf_hub_download(name, path))
"""


def artifacts(folder):
    """An honest model, a malicious one (its payload would write a marker file), one that cannot be read whole, one with a trigger."""
    import numpy
    import py7zr
    from safetensors.numpy import save_file
    from tests.corpus.assemble import COMMAND, Call

    from weighbridge.backdoor.self_test import FOLDER

    (folder / "digits").mkdir(parents=True)
    shutil.copy(f"{FOLDER}/badnets.onnx", folder / "digits/model.onnx")
    for name in ("honest", "malicious", "sealed"):
        (folder / name).mkdir(parents=True)
        save_file({"w": numpy.arange(4096, dtype=numpy.float32)}, folder / name / "model.safetensors")
        (folder / name / "config.json").write_text(json.dumps({"model_type": "bert", "hidden_size": 64}))
    (folder / "malicious/pytorch_model.bin").write_bytes(pickle.dumps(Call(os.system, COMMAND)))
    with py7zr.SevenZipFile(folder / "sealed/notes.7z", "w", password="secret", header_encryption=True) as archive:
        archive.writestr(b"nobody can read this", "notes.txt")


class Gate:
    """A running `weighbridge serve`, as somebody starts it."""

    def __init__(self, folder, index):
        from weighbridge.backdoor.self_test import FOLDER

        data = folder / "data"
        data.mkdir(parents=True)
        (data / "weighbridge.toml").write_text(
            f'[registry]\npatience = 25.0\n\n[registry.upstreams]\nhub = ""\nnpm = ""\npypi = "{index}/simple"\n'
            f'\n[[test]]\nmatch = "acme/digits*"\ndata = "{FOLDER}/digits.npz"\nreferences = "digits"\n'
        )
        said = folder / "serve.log"
        command = [
            sys.executable,
            "-m",
            "weighbridge",
            "serve",
            "--data",
            str(data),
            "--port",
            os.environ.get("PORT", "0"),
        ]
        self.process = subprocess.Popen(command, stderr=said.open("w"), start_new_session=True)
        while not (match := re.search(r"(?s)(wb_\S+).*registry at (http://\S+)", said.read_text())):
            assert self.process.poll() is None, said.read_text()
            time.sleep(0.1)
        self.token, self.address, self.folder = match[1], match[2], folder

    def weighbridge(self, *arguments, show=True):
        environment = {
            **os.environ,
            "WEIGHBRIDGE_REGISTRY_FILE": str(self.folder / "login.json"),
            "WEIGHBRIDGE_TOKEN": self.token,
        }
        done = subprocess.run(
            [sys.executable, "-m", "weighbridge", *arguments],
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
        if show:
            print(f"\n$ weighbridge {' '.join(arguments)}\n{done.stdout}{done.stderr}".rstrip(), flush=True)
        return done.stdout.strip()

    def hub(self, *arguments):
        environment = {
            **os.environ, "HF_ENDPOINT": self.address, "HF_TOKEN": self.token, "HF_HUB_DISABLE_XET": "1", "HF_HOME": str(self.folder / "hub"),
            "HF_HUB_DISABLE_PROGRESS_BARS": "1", "HF_HUB_DISABLE_TELEMETRY": "1",
        }  # fmt: skip
        done = subprocess.run(
            [sys.executable, "-c", CLIENT, *arguments], env=environment, capture_output=True, text=True, check=False
        )
        last = (done.stdout or done.stderr).strip().splitlines()[-1]
        print(f"\n>>> huggingface_hub: {' '.join(arguments)}\n{last}", flush=True)
        return done.returncode, last

    def pip(self, wanted):
        index = self.address.replace("://", f"://token:{self.token}@") + "/pypi/simple/"
        environment = {name: value for name, value in os.environ.items() if not name.startswith("PIP_")}
        command = [
            sys.executable,
            "-m",
            "pip",
            "install",
            "--no-deps",
            "--no-cache-dir",
            "--disable-pip-version-check",
            "--index-url",
            index,
            "--target",
            str(self.folder / wanted),
            wanted,
        ]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        lines = [
            line.replace(self.token, "<token>")
            for line in (done.stdout + done.stderr).splitlines()
            if line.startswith(("ERROR", "Successfully"))
        ]
        print(f"\n$ pip install {wanted}\n" + "\n".join(lines), flush=True)
        return done.returncode

    def stop(self):
        os.killpg(self.process.pid, signal.SIGINT)
        self.process.wait(20)


def settled(gate, case):
    while (
        "is requested" in (said := gate.weighbridge("registry", "status", str(case), show=False))
        or "is fetching" in said
        or "is quarantined" in said
    ):
        time.sleep(0.2)


def chromium():
    return next(
        (path for name in ("chromium", "chromium-browser", "google-chrome") if (path := shutil.which(name))), ""
    )


def reviewed(gate, token):
    """A reviewer logs in, reads and approves case 3 in a browser; then pictures of every page are taken."""
    from playwright.sync_api import sync_playwright

    pictures = gate.folder / "pages"
    pictures.mkdir()
    with sync_playwright() as play:
        browser = play.chromium.launch(executable_path=chromium(), args=FLAGS)
        page = browser.new_page()
        page.goto(f"{gate.address}/cases/3")
        page.fill("input[name=token]", token)
        page.click("main button")
        page.fill("form[action$='/approve'] input[name=reason]", "the notes were shown to me; nothing loads them")
        page.click("form[action$='/approve'] button")
        print(f"\nin the browser: {page.inner_text('[role=status]')}", flush=True)
        page.goto(f"{gate.address}/findings?severity=critical")
        page.fill("td form input[name=reason]", "it would run a command")
        page.select_option("td form select[name=triage]", "confirmed")
        page.click("td form button")
        for width in (1280, 390):
            context = browser.new_context(viewport={"width": width, "height": 900})
            page = context.new_page()
            page.goto(f"{gate.address}/login")
            page.fill("input[name=token]", gate.token)
            page.click("main button")
            page.goto(f"{gate.address}/artifacts?state=rejected")
            page.fill(".kept input[name=name]:visible", "what we refused")
            page.click(".kept button:has-text('Keep')")
            for path in PAGES:
                page.goto(gate.address + path)
                page.wait_for_timeout(200)
                name = path.strip("/").replace("/", "-").removesuffix(".html") or "overview"
                page.screenshot(path=pictures / f"{name}-{width}.png", full_page=True)
        browser.close()
    print(f"pictures of {len(PAGES)} pages in {pictures}")


def demonstrate(folder):
    """0 where everything went as it should."""
    from tests.integration.test_registry_packages import EVIL, GOOD, python_index
    from tests.servers import serve

    artifacts(folder / "artifacts")
    with serve(python_index({"1.0": GOOD, "1.1": EVIL})) as index:
        gate = Gate(folder, index)
        try:
            return walked(gate, folder)
        finally:
            if sys.stdin.isatty() and sys.stdout.isatty():
                print(f"\nthe gate runs at {gate.address}, token {gate.token}; stop with Ctrl-C", flush=True)
                with contextlib.suppress(KeyboardInterrupt):
                    gate.process.wait()
            else:
                gate.stop()


def walked(gate, folder):
    print(f"\n$ weighbridge serve\nthe gate runs at {gate.address}")
    gate.weighbridge("registry", "login", gate.address)
    for number, name in enumerate(("honest", "malicious", "sealed", "digits"), 1):
        gate.hub("push", f"acme/{name}", str(folder / "artifacts" / name))
        settled(gate, number)
    codes = [gate.hub("get", f"acme/{name}", "config.json")[0] for name in ("honest", "malicious", "sealed")]
    triggered = gate.hub("get", "acme/digits", "model.onnx")[0]
    gate.weighbridge("registry", "users", "rita", "--role", "reviewer")
    token = gate.weighbridge("registry", "token", "rita", show=False)
    packages = [gate.pip("ranker==1.0"), gate.pip("ranker==1.1")]
    from scripts.demo_monitor import demonstrate as watched

    watching = watched(
        folder.parent / "monitor", {**os.environ, "WEIGHBRIDGE_REGISTRY_FILE": str(folder / "login.json")}, "registry:"
    )
    if chromium():
        reviewed(gate, token)
        codes.append(gate.hub("get", "acme/sealed", "config.json")[0])
    else:
        print("\nthere is no Chromium here: case 3 is left to a reviewer, and no pictures are taken")
        codes.append(0)
    gate.weighbridge("registry", "log")
    gate.weighbridge("registry", "audit")
    good = codes == [0, 1, 1, 0] and triggered == 1 and packages[0] == 0 and packages[1] != 0 and watching == 0
    print(f"\nregistry: downloads {codes}, packages {packages}: {'as it should be' if good else 'NOT as it should be'}")
    return 0 if good else 1
