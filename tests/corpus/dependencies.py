"""Bad and benign projects and environments for the rules about dependencies, laid into a folder and audited.

The advisories are records that we wrote in the OSV schema, imported as the real archives are.
"""

from __future__ import annotations

import base64
import hashlib
import io
import json
import zipfile
from datetime import date

from tests.corpus.lineage import Story
from tests.corpus.packages import PLAIN, wheel
from weighbridge.dependencies.advisories import weigh
from weighbridge.dependencies.wanted import Demands
from weighbridge.inspection.audit import Order, audit
from weighbridge.inspection.refresh import from_files
from weighbridge.inspection.released import released
from weighbridge.policy import Policy

TODAY = date(2026, 6, 10)
DIGEST = "sha256:" + "a" * 64
LOCKED = """version = 1
[[package]]
name = "sample"
version = "0.1.0"
source = { virtual = "." }
dependencies = [{ name = "einops" }]

[[package]]
name = "einops"
version = "0.8.0"
source = { registry = "https://pypi.org/simple" }
sdist = { url = "https://files.pythonhosted.org/einops.tar.gz", hash = "sha256:1", upload-time = "%s" }
"""


def record(identifier, name, ecosystem="PyPI", *, events=(), versions=(), **more):
    """A record of the OSV schema."""
    ranges = [{"type": "ECOSYSTEM" if ecosystem == "PyPI" else "SEMVER", "events": list(events)}] if events else []
    affected = [{"package": {"ecosystem": ecosystem, "name": name}, "ranges": ranges, "versions": list(versions)}]
    return {
        "id": identifier,
        "modified": "2026-06-09T00:00:00Z",
        "affected": affected,
        "summary": f"about {name}",
        **more,
    }


RECORDS = (
    record("MAL-2026-1", "ultralytics", versions=("8.3.41", "8.3.42")),
    record("MAL-2026-2", "deepseeek"),
    record("GHSA-aaaa-bbbb-cccc", "Jinja2", events=({"introduced": "0"}, {"fixed": "3.1.6"}), aliases=["CVE-2025-27516"], database_specific={"severity": "MODERATE"}),
    record("PYSEC-2025-1", "jinja2", events=({"introduced": "0"}, {"fixed": "3.1.6"}), aliases=["CVE-2025-27516"]),
    record("GHSA-with-draw-nnnn", "einops", events=({"introduced": "0"},), withdrawn="2026-01-01T00:00:00Z"),
    record("GHSA-npm1-npm1-npm1", "left-pad", "npm", events=({"introduced": "1.0.0"}, {"fixed": "1.3.1"}), database_specific={"severity": "HIGH"}),
    record("MAL-2026-3", "@evil/pad", "npm", events=({"introduced": "0"},)),
)  # fmt: skip


def archive(path, records=RECORDS):
    """An all.zip as OSV publishes it."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as made:
        for one in records:
            made.writestr(f"{one['id']}.json", json.dumps(one))
    return str(path)


def advisories(folder, records=RECORDS, **more):
    """A file of advisories with these records."""
    path = str(folder / "advisories.db")
    from_files(path, [archive(folder / "all.zip", records)])
    if more:
        weigh(path, **more)
    return path


def audited(folder, files, *, demands=None, with_advisories=True, environment=False, today=TODAY, **order):
    """The report of an audit of files that are laid below `folder / "project"`."""
    root = folder / "project"
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(text if isinstance(text, bytes) else text.encode())
    root.mkdir(exist_ok=True)
    kept = advisories(folder) if with_advisories else str(folder / "none.db")
    given = Order(
        paths=() if environment else (str(root),),
        environments=(str(root),) if environment else (),
        advisories=kept,
        demands=demands or Demands(),
        **order,
    )
    return audit(given, Policy(today=today))


def rules(folder, files, **more):
    """The rules that hold, informational ones left out."""
    found = audited(folder, files, **more).report.findings
    return {one.rule for one in found if one.severity.value != "info"}


def installed(name, version, files, *, extra=None, changed=(), metadata="", missing=(), licence="MIT"):
    """A site-packages folder with one package, as pip leaves it."""
    info = f"{name}-{version}.dist-info"
    every = {
        **files,
        f"{info}/METADATA": f"Metadata-Version: 2.4\nName: {name}\nVersion: {version}\nLicense-Expression: {licence}\n{metadata}\n",
    }
    lines = []
    for path, text in every.items():
        digest = base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).rstrip(b"=").decode()
        lines.append(f"{path},sha256={digest},{len(text)}")
    laid = {
        path: text + ("\n# one more line" if path in changed else "")
        for path, text in every.items()
        if path not in missing
    }
    return {
        **laid,
        f"{info}/RECORD": "\n".join([*lines, f"{info}/RECORD,,"]),
        f"{info}/INSTALLER": "pip\n",
        **(extra or {}),
    }


FINE = installed("einops", "0.8.0", {"einops/__init__.py": "x = 1\n"})


def renamed(files, version):
    """The same wheel as another version: in its file name, its folder of metadata and the metadata itself."""
    ((name, data),) = files.items()
    buffer = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(data)) as old, zipfile.ZipFile(buffer, "w") as new:
        for member in old.namelist():
            text = old.read(member)
            if member.endswith("/METADATA"):
                text = text.replace(b"Version: 1.0\n", f"Version: {version}\n".encode())
            new.writestr(member.replace("-1.0.dist-info/", f"-{version}.dist-info/"), text)
    return {name.replace("-1.0-", f"-{version}-"): buffer.getvalue()}


def _pinned(*names):
    return "".join(f"{name} --hash={DIGEST}\n" for name in names)


# rule: (bad files, benign files, what the audit is told beside them)
PROJECTS = {
    "PKG-001": ({"requirements.txt": _pinned("ultralytics==8.3.41")}, {"requirements.txt": _pinned("ultralytics==8.3.43")}, {}),
    "PKG-002": ({"requirements.txt": _pinned("jinja2==3.1.5")}, {"requirements.txt": _pinned("jinja2==3.1.6", "einops==0.7.0")}, {}),
    "PKG-003": ({"requirements.txt": "einops\n"}, {"pyproject.toml": '[project]\nname = "sample"\ndependencies = ["einops"]\n', "uv.lock": LOCKED % "2024-04-28T04:07:48Z"}, {}),
    "PKG-004": ({"requirements.txt": f"einops==0.8.0 --hash={DIGEST}\ntqdm==4.67.0\n"}, {"requirements.txt": _pinned("einops==0.8.0")}, {}),
    "PKG-005": (
        {"requirements.txt": "--extra-index-url https://packages.example.org/simple\neinops==0.8.0\n"},
        {"requirements.txt": f"--index-url https://packages.example.org/simple\n{_pinned('einops==0.8.0')}"},
        {},
    ),
    "PKG-006": ({"requirements.txt": _pinned("reqeusts==2.0.0")}, {"requirements.txt": _pinned("requests==2.33.0", "weighbridge==0.1")}, {}),
    "PKG-007": ({"requirements.txt": _pinned("cv2==1.0")}, {"requirements.txt": _pinned("opencv-python==4.12.0")}, {}),
    "PKG-008": (
        {"requirements.txt": "git+https://github.com/owner/einops@main#egg=einops\n"},
        {"requirements.txt": f"git+https://github.com/owner/einops@{'a' * 40}#egg=einops\n"},
        {},
    ),
    "PKG-015": (
        installed("einops", "0.8.0", {"einops/__init__.py": "x = 1\n"}, changed=("einops/__init__.py",)),
        FINE,
        {"environment": True},
    ),
    "PKG-016": ({"uv.lock": LOCKED % "2026-06-09T12:00:00Z"}, {"uv.lock": LOCKED % "2026-05-09T12:00:00Z"}, {}),
    "PKG-017": (
        {"requirements.txt": _pinned("einops==0.8.0")},
        {"requirements.txt": _pinned("tqdm==4.67.0")},
        {"demands": Demands(attested=("einops",))},
    ),
    "PKG-020": (
        {"environment.yml": "channels:\n  - somebody\ndependencies:\n  - numpy=2.0.1\n"},
        {"environment.yml": "channels:\n  - conda-forge\ndependencies:\n  - numpy=2.0.1\n"},
        {},
    ),
    "PKG-021": (
        installed("einops", "0.8.0", {"einops/__init__.py": "x = 1\n"}, metadata="Classifier: Development Status :: 7 - Inactive\n"),
        FINE,
        {"environment": True},
    ),
    "PKG-022": (
        installed("colour-tables-x", "1.0", {"c/__init__.py": "x = 1\n", "colour-tables-x-1.0.dist-info/entry_points.txt": "[pytest11]\nc = c.hook\n"}),
        installed("pytest-tables-x", "1.0", {"c/__init__.py": "x = 1\n", "pytest-tables-x-1.0.dist-info/entry_points.txt": "[pytest11]\nc = c.hook\n"}),
        {"environment": True},
    ),
    "PKG-023": (
        {"requirements.txt": f"https://gpu-wheels.example.org/torch-2.11.0-cp311-linux_x86_64.whl --hash={DIGEST}\n"},
        {"requirements.txt": f"https://download.pytorch.org/whl/cu128/torch-2.11.0-cp311-linux_x86_64.whl --hash={DIGEST}\n"},
        {},
    ),
    "PKG-024": (
        {"pyproject.toml": '[project]\nname = "sample"\ndependencies = ["einops>=0.9"]\n', "uv.lock": LOCKED % "2024-04-28T04:07:48Z"},
        {"pyproject.toml": '[project]\nname = "sample"\ndependencies = ["einops>=0.8"]\n', "uv.lock": LOCKED % "2024-04-28T04:07:48Z"},
        {},
    ),
    "PKG-025": (
        {"requirements.txt": _pinned("einops==0.8.0"), ".gitmodules": '[submodule "vendored"]\n\tpath = vendored\n\turl = https://example.org/v.git\n\tbranch = main\n'},
        {"requirements.txt": _pinned("einops==0.8.0"), ".gitmodules": '[submodule "vendored"]\n\tpath = vendored\n\turl = https://example.org/v.git\n'},
        {},
    ),
    "PKG-026": (
        {"requirements.txt": _pinned("einops==0.8.0"), ".devcontainer/devcontainer.json": '{"image": "somebody/cuda:latest"}'},
        {"requirements.txt": _pinned("einops==0.8.0"), ".devcontainer/devcontainer.json": '{"image": "mcr.microsoft.com/devcontainers/python:3.12"}'},
        {},
    ),
    "PKG-031": (
        installed("einops", "0.8.0", {"einops/__init__.py": "x = 1\n"}),
        installed("einops", "0.8.0", {"einops/__init__.py": "x = 1\n"}, licence="Apache-2.0"),
        {"environment": True, "demands": Demands(licences=("Apache-2.0",))},
    ),
    "TCH-018": (
        {"requirements.txt": _pinned("torch==2.5.1"), "model.pt": "x"},
        {"requirements.txt": _pinned("torch==2.11.0"), "model.pt": "x"},
        {},
    ),
    "GGF-020": (
        {"requirements.txt": _pinned("llama-cpp-python==0.2.70"), "model.gguf": "x"},
        {"requirements.txt": _pinned("llama-cpp-python==0.3.9"), "model.gguf": "x"},
        {},
    ),
    "MLO-014": ({"requirements.txt": _pinned("vllm==0.8.4")}, {"requirements.txt": _pinned("vllm==0.14.0")}, {}),
    "AGT-015": (
        {"package-lock.json": json.dumps({"lockfileVersion": 3, "packages": {"node_modules/mcp-remote": {"version": "0.1.15", "integrity": "sha512-x"}}})},
        {"package-lock.json": json.dumps({"lockfileVersion": 3, "packages": {"node_modules/mcp-remote": {"version": "0.1.16", "integrity": "sha512-x"}}})},
        {},
    ),
}  # fmt: skip


QUIET = renamed(wheel({"ranker/__init__.py": PLAIN}), "1.0")
OTHER = renamed(wheel({"ranker/__init__.py": PLAIN.replace("sorted(items)", "sorted(items, key=len)")}), "1.1")
LOUD = renamed(
    wheel({"ranker/__init__.py": f"{PLAIN}import urllib.request\nurllib.request.urlopen('https://x.example/')\n"}),
    "1.1",
)


def _story(files, more):
    return Story("a project is audited", lambda folder: rules(folder, files, **more))


def released_rules(folder, before, after):
    """The rules that hold of a release beside the one before it, or beside its source."""
    for name, files in (("old", before), ("new", after)):
        (folder / name).mkdir()
        for file, data in files.items():
            (folder / name / file).write_bytes(data)
    old, new = (str(next((folder / name).iterdir())) for name in ("old", "new"))
    return {one.rule for one in released(old, new).findings}


SAMPLES = {rule: (_story(bad, more), _story(benign, more)) for rule, (bad, benign, more) in PROJECTS.items()}
SAMPLES["PKG-018"] = (
    Story("a release asks an address on import", lambda folder: released_rules(folder, QUIET, LOUD)),
    Story("a release sorts in another way", lambda folder: released_rules(folder, QUIET, OTHER)),
)
