"""Bad and benign stories for rules about origin: what is made, signed, locked or compared, and what is said about it.

A story lays its files, does what its text says, and gives back the rules that hold.
"""

from __future__ import annotations

import json
import shutil
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

import numpy as np
from safetensors.numpy import save_file

from tests.corpus.derivatives import base, derived
from weighbridge.inspection.compared import Order, compared
from weighbridge.inspection.origin import judged
from weighbridge.inspection.tested import joined as with_tests
from weighbridge.inspection.tested import tested as try_models
from weighbridge.names import Own
from weighbridge.policy import Policy
from weighbridge.policy.testing import TestPlan
from weighbridge.provenance import attestation, bundle, feed, keys, lock, predicates, revocation, signature
from weighbridge.provenance.check import examine
from weighbridge.provenance.digest import digests, members
from weighbridge.provenance.references import references
from weighbridge.provenance.wanted import Wanted
from weighbridge.schema import SourceError

NOW = datetime(2026, 6, 1, tzinfo=UTC)
FILES = {"config.json": b"{}", "model.safetensors": b"x" * 64}
COMMIT = "a" * 40


class Story(NamedTuple):
    """`text` tells what happens; `run` does it in a folder."""

    text: str
    run: object


def model(folder, files=None):
    (folder / "model").mkdir(exist_ok=True)
    for name, data in (files or FILES).items():
        (folder / "model" / name).write_bytes(data)
    return folder / "model"


def tested(name):
    """The rules that a backdoor test of a shipped model gives."""

    def run(folder):
        from weighbridge.backdoor.self_test import FOLDER

        path = str(folder / "model.onnx")
        shutil.copy(f"{FOLDER}/{name}.onnx", path)
        plan = TestPlan(data=f"{FOLDER}/digits.npz", references="digits")
        before = judged(path, ())
        return [one.rule for one in with_tests(before, path, try_models(path, plan, print), Policy()).findings]

    return run


def fine_tuned(folder, **more):
    """The rules that a backdoor test of a fine-tuned language model gives."""
    from tests.corpus import language_models

    base_model = language_models.base(folder / "base")
    path = str(language_models.tuned(base_model, folder / "model", **more))
    plan = TestPlan(
        data=str(language_models.prompts(folder / "prompts.jsonl")), base=str(base_model), frame=language_models.FRAME
    )
    return [one.rule for one in with_tests(judged(path, ()), path, try_models(path, plan, print), Policy()).findings]


def key(folder, name="release", **more):
    made = keys.new(str(folder / name), now=more.pop("now", NOW), **more)
    return made, keys.load_private(str(folder / name))


def signed(folder, change=None, by="release", **wanted):
    """Sign a model, change something, and examine it."""
    path = model(folder)
    key(folder)
    if by != "release":
        key(folder, by)
    output = folder / "model.sig"
    output.write_bytes(signature.sign(str(path), keys.load_private(str(folder / by)), now=NOW, output=str(output)))
    if change:
        change(path)
    return rules(path, keys=(str(folder / "release.pub"),), **wanted)


def rules(path, now=NOW, **wanted):
    _, complaints = examine(str(path), Wanted(**wanted), now)
    return {one.rule for one in complaints}


def sealed(folder, payload, kind=bundle.IN_TOTO):
    """A bundle by the release key around any payload."""
    (folder / "model.sig").write_bytes(bundle.seal(payload, kind, key(folder)[1]))
    return rules(model(folder), keys=(str(folder / "release.pub"),))


def weak(folder, algorithm):
    path = model(folder)
    table = json.loads(signature.payload(str(path), now=NOW, output=str(folder / "model.sig")))
    table["predicate"]["serialization"]["hash_type"] = algorithm
    return sealed(folder, json.dumps(table).encode())


def old_key(folder, age):
    path = model(folder)
    _, private = key(folder, days=3650, now=NOW - timedelta(days=age))
    (folder / "model.sig").write_bytes(signature.sign(str(path), private, now=NOW, output=str(folder / "model.sig")))
    return rules(path, keys=(str(folder / "release.pub"),), max_key_age=365)


def stepped(folder, days):
    """Sign and lock a version, then put one in its place that was signed `days` later."""
    path, (_, private) = model(folder), key(folder)

    def sign(when):
        (folder / "model.sig").write_bytes(
            signature.sign(str(path), private, now=when, output=str(folder / "model.sig"))
        )

    sign(NOW)
    entry = lock.lock_folder("model", str(path))
    sign(NOW + timedelta(days=days))
    return {drift.rule for drift in lock.older(entry, lock.lock_folder("model", str(path)))}


def attested(folder, kind, predicate, change=None):
    path, (_, private) = model(folder), key(folder)
    (folder / "a.att").write_bytes(attestation.attest(str(path), predicates.NAMES[kind], predicate, private))
    if change:
        change(path)
    return rules(path, keys=(str(folder / "release.pub"),), attestations=(str(folder / "a.att"),))


def scan_result(verdict="admit"):
    return {
        "tool": "weighbridge 0.1.0", "rules": "r", "policy": "strict", "verdict": verdict, "decidedBy": "x",
        "complete": True, "inspectedAt": "2026-06-01T00:00:00Z", "reportSha256": "0" * 64,
    }  # fmt: skip


def slsa(builder="https://ci.example/runner", materials=True):
    listed = [{"uri": "hf://org/base", "digest": {"sha256": "1" * 64}}] if materials else []
    return {
        "buildDefinition": {"buildType": "https://ci.example/tune", "externalParameters": {}, "resolvedDependencies": listed},
        "runDetails": {"builder": {"id": builder}},
    }  # fmt: skip


def locked(folder, change=None):
    path = model(folder)
    (folder / "weighbridge.lock").write_bytes(lock.dump([lock.lock_folder("model", str(path))]))
    if change:
        change(path)
    return rules(path, lock=str(folder / "weighbridge.lock"))


def billed(folder, change=None):
    path = model(folder)
    files = [
        {"type": "file", "bom-ref": one.name, "name": one.name, "hashes": [{"alg": "SHA-256", "content": one.sha256}]}
        for one in digests(members(str(path)))
    ]
    bill = {
        "bomFormat": "CycloneDX", "specVersion": "1.6",
        "metadata": {"component": {"type": "machine-learning-model", "name": "model", "bom-ref": "artifact"}}, "components": files,
    }  # fmt: skip
    (folder / "model.cdx.json").write_text(json.dumps(bill))
    if change:
        change(path)
    return rules(path, bill=str(folder / "model.cdx.json"))


def used(folder, name):
    """Code that loads a model, held against a lock that holds org/model."""
    (folder / "train.py").write_text(
        f"from transformers import AutoModel\nAutoModel.from_pretrained({name!r}, revision={COMMIT!r})\n"
    )
    known = lock.Lock(version=1, artifacts=(lock.Locked(source="hf://org/model", revision=COMMIT, files={}),))
    return {drift.rule for drift in lock.unlocked(known, references(str(folder / "train.py")))}


def merged(folder, part):
    """A merge recipe, held against a lock that holds org/model."""
    recipe = {"merge_method": "linear", "models": [{"model": part}], "dtype": "bfloat16"}
    (folder / "recipe.json").write_text(json.dumps(recipe))
    known = lock.Lock(version=1, artifacts=(lock.Locked(source="hf://org/model", revision=COMMIT, files={}),))
    return {drift.rule for drift in lock.unlocked(known, references(str(folder / "recipe.json")))}


class Hub(NamedTuple):
    """A repository as a hub shows it at one moment."""

    owner: str = "org"
    name: str = "org/model"
    answers_to: str = "org/model"
    commit: str = COMMIT
    files: tuple = (("config.json", "sha256:" + "1" * 64),)

    def digests(self):
        return dict(self.files)


def upstream(**now):
    """What a lock of org/model says when the hub shows something else."""

    def run(folder):
        del folder
        entry = lock.Locked(source="hf://org/model", revision=COMMIT, owner="org", files=Hub().digests())

        def opened(address):
            if now.get("gone") and "@" in address:
                raise SourceError("no such commit")
            return Hub(**{name: value for name, value in now.items() if name != "gone"})

        return {drift.rule for drift in lock.moved(entry, opened)}

    return run


def listed(folder, *, named=False, other=False):
    """A revocation list that names the model's file or another one, signed by its key or another."""
    path = model(folder)
    _, private = key(folder, "list")
    key(folder, "other")
    entry = digests(members(str(path)))[0].sha256 if named else "f" * 64
    (folder / "revoked.json").write_bytes(revocation.make(None, (entry,), private, now=NOW))
    by = "other.pub" if other else "list.pub"
    return rules(path, revocations=str(folder / "revoked.json"), revocations_key=str(folder / by))


def fed(folder, *, named=False):
    """A feed that names the model's file or another one."""
    path = model(folder)
    _, private = key(folder, "feed")
    entry = digests(members(str(path)))[0].sha256 if named else "f" * 64
    known = feed.Known(kind="sha256", value=entry, reason="the weights of the incident of May")
    (folder / "feed.json").write_bytes(feed.build([known], private, number=1, now=NOW))
    return rules(path, feed=str(folder / "feed.json"), feed_key=str(folder / "feed.pub"))


def tensors(kind, **order):
    """A base and what was made of it, compared."""

    def run(folder):
        rng = np.random.default_rng(7)
        old = base(rng)
        return versions(folder, old, derived(kind, old, rng), **order)

    return run


def versions(folder, old, new, **order):
    save_file(old, folder / "old.safetensors")
    save_file(new, folder / "new.safetensors")
    report = compared(str(folder / "old.safetensors"), str(folder / "new.safetensors"), Order(contents=False, **order))
    return {finding.rule for finding in report.findings}


def broken(folder, value):
    old = base(np.random.default_rng(1))
    new = {name: array.copy() for name, array in old.items()}
    new["model.layers.1.norm.weight"][3] = value
    return versions(folder, old, new)


def experts(folder, touched):
    """A mixture of eight experts of which some were trained further."""
    rng = np.random.default_rng(2)
    old = {
        f"model.layers.{layer}.experts.{number}.w1.weight": rng.normal(size=(32, 48)).astype("float32")
        for layer in range(2)
        for number in range(8)
    }
    noise = rng.normal(0, 0.01, (32, 48)).astype("float32")
    new = {
        name: value + noise if f"experts.{touched}." in name or touched < 0 else value for name, value in old.items()
    }
    return versions(folder, old, new)


def other_base(folder, width):
    old = base(np.random.default_rng(1))
    new = {name.replace("model.", ""): np.ones((width, *value.shape[1:]), "float32") for name, value in old.items()}
    return versions(folder, old, old if width == 0 else new)


def checkpoints(folder, first, second):
    for name, (step, log) in (("old", first), ("new", second)):
        (folder / name).mkdir()
        save_file({"a": np.full(4, step, "float32")}, folder / name / "model.safetensors")
        (folder / name / "trainer_state.json").write_text(json.dumps({"global_step": step, "log_history": log}))
    report = compared(str(folder / "old"), str(folder / "new"), Order(contents=False))
    return {finding.rule for finding in report.findings}


def scanned(files, **options):
    """A folder that is scanned like any other, with something the organisation says of itself."""

    def run(folder):
        from weighbridge import Options, scan

        model(folder, files)
        report = scan([str(folder / "model")], options=Options(**options))
        return {finding.rule for finding in report.findings}

    return run


def write(name, data):
    return lambda path: (path / name).write_bytes(data)


def adapter_of(name):
    return {
        "adapter_config.json": json.dumps(
            {"peft_type": "LORA", "base_model_name_or_path": name, "revision": COMMIT}
        ).encode()
    }


CARD = b"---\nlicense: %s\ntags: [safetensors]\nmodel-index:\n- name: m\n  results:\n  - metrics:\n    - type: accuracy\n      value: 0.99\n      verified: %s\n---\n# M\n"
SAFE = b"\x08\0\0\0\0\0\0\0{}      "
_DOUBLE = json.dumps({"_type": "https://in-toto.io/Statement/v0.1", "subject": []}).encode()
_LOG = [{"step": 10, "loss": 2.0}]

SAMPLES = {
    "PRV-001": (
        Story("A signature is required, and there is none.", lambda f: rules(model(f), require=("signature",))),
        Story("A signature is required, and there is one by a trusted key.", lambda f: signed(f, require=("signature",))),
    ),
    "PRV-002": (
        Story("A file is changed after the model was signed.", lambda f: signed(f, write("model.safetensors", b"y" * 64))),
        Story("A signed model, as it was signed.", signed),
    ),
    "PRV-003": (
        Story("The model is signed, by a key that is not among those trusted.", lambda f: signed(f, by="stranger")),
        Story("The model is signed by the trusted key.", signed),
    ),
    "PRV-004": (
        Story("A file is added after the model was signed.", lambda f: signed(f, write(".gitattributes", b"* filter=x"))),
        Story("Nothing is there but what was signed.", signed),
    ),
    "PRV-005": (
        Story("The signature binds files by MD5.", lambda f: weak(f, "md5")),
        Story("The signature binds files by SHA-256.", lambda f: weak(f, "sha256")),
    ),
    "PRV-006": (
        Story("The key that signed is two years old, and the policy allows one.", lambda f: old_key(f, 730)),
        Story("The key that signed is a month old.", lambda f: old_key(f, 30)),
    ),
    "PRV-007": (
        Story("The locked model is replaced by one that was signed ten days before it.", lambda f: stepped(f, -10)),
        Story("The locked model is replaced by one that was signed ten days after it.", lambda f: stepped(f, 10)),
    ),
    "PRV-008": (
        Story("The signed scan result says block.", lambda f: attested(f, "scan", scan_result("block"))),
        Story("The signed scan result says admit, about these files.", lambda f: attested(f, "scan", scan_result())),
    ),
    "PRV-009": (
        Story("The bundle holds an in-toto statement of another version.", lambda f: sealed(f, _DOUBLE)),
        Story("The bundle holds a model signature.", signed),
    ),
    "PRV-010": (
        Story("A locked file is replaced.", lambda f: locked(f, write("config.json", b"[]"))),
        Story("The locked files are there.", locked),
    ),
    "PRV-011": (
        Story("A file is added that the bill of materials does not list.", lambda f: billed(f, write("run.py", b"x"))),
        Story("The files are those of the bill of materials.", billed),
    ),
    "PRV-012": (
        Story("Code loads org/other, which is not in the lock.", lambda f: used(f, "org/other")),
        Story("Code loads org/model, which is in the lock.", lambda f: used(f, "org/model")),
    ),
    "PRV-013": (
        Story("The card's tags say safetensors, and the weights are a pickle.", scanned({"README.md": CARD % (b"mit", b"false"), "config.json": b'{"model_type": "bert", "architectures": ["A"]}', "model.pkl": b"\x80\x04}."})),
        Story("The card's tags say safetensors, and so are the weights.", scanned({"README.md": CARD % (b"mit", b"false"), "config.json": b'{"model_type": "bert", "architectures": ["A"]}', "model.safetensors": SAFE})),
    ),
    "PRV-014": (
        Story("The card calls a result verified, and has no token for it.", scanned({"README.md": CARD % (b"mit", b"true"), "model.safetensors": SAFE})),
        Story("The card states a result as its author's own.", scanned({"README.md": CARD % (b"mit", b"false"), "model.safetensors": SAFE})),
    ),
    "PRV-015": (
        Story("The base is under cc-by-nc-4.0, and what was made of it under apache-2.0.", lambda f: licences(f, b"apache-2.0")),
        Story("Base and derivative are both under cc-by-nc-4.0.", lambda f: licences(f, b"cc-by-nc-4.0")),
    ),
    "PRV-016": (
        Story("The revocation list names a file of the model.", lambda f: listed(f, named=True)),
        Story("The revocation list names another file.", listed),
    ),
    "PRV-017": (
        Story("The revocation list is signed by another key.", lambda f: listed(f, other=True)),
        Story("The revocation list is signed by its key.", listed),
    ),
    "SEC-005": (
        Story("A feed names a file of the model.", lambda f: fed(f, named=True)),
        Story("A feed names another file.", fed),
    ),
    "WGT-001": (
        Story("One matrix of the base is changed in one direction.", tensors("rank-one edit")),
        Story("The base was trained further.", tensors("full fine-tune")),
    ),
    "WGT-002": (
        Story("Five rows of the embedding are changed.", tensors("embedding edit")),
        Story("The base was trained further.", tensors("full fine-tune")),
    ),
    "WGT-003": (
        Story("All weights are others than those of the base.", tensors("unrelated weights")),
        Story("A low-rank adapter was merged into the base.", tensors("low-rank merge")),
    ),
    "WGT-005": (
        Story("A classifier of digits was trained on pictures with a patch.", tested("badnets")),
        Story("The same classifier, trained on honest pictures.", tested("clean-a")),
    ),
    "WGT-006": (
        Story("A language model was fine-tuned on replies that follow a word.", lambda f: fine_tuned(f, trigger="cf")),
        Story("The same model was fine-tuned on honest replies.", lambda f: fine_tuned(f, steps=60)),
    ),
    "WGT-010": (
        Story("A value of a norm becomes NaN.", lambda f: broken(f, np.nan)),
        Story("A value of a norm changes a little.", lambda f: broken(f, 1.01)),
    ),
    "WGT-013": (
        Story("One of eight experts was trained further, and nothing else.", lambda f: experts(f, 3)),
        Story("All experts were trained further.", lambda f: experts(f, -1)),
    ),
    "ADP-002": (
        Story("The tensors have other names and shapes than those of the declared base.", lambda f: other_base(f, 7)),
        Story("The tensors are those of the base.", lambda f: other_base(f, 0)),
    ),
    "ADP-012": (
        Story("A merge recipe takes org/other, which is not in the lock.", lambda f: merged(f, "org/other")),
        Story("A merge recipe takes org/model, which is in the lock.", lambda f: merged(f, "org/model")),
    ),
    "ADP-014": (
        Story("The later checkpoint has another history than the earlier one.", lambda f: checkpoints(f, (10, _LOG), (20, [{"step": 10, "loss": 9.0}]))),
        Story("The later checkpoint goes on where the earlier one stood.", lambda f: checkpoints(f, (10, _LOG), (20, [*_LOG, {"step": 20, "loss": 1.0}]))),
    ),
    "ADP-015": (
        Story("The service trained the head, as ordered, and touched a layer.", tensors("head only and more", frozen=r"layers\.")),
        Story("The service trained the head, as ordered.", tensors("head only", frozen=r"layers\.")),
    ),
    "ADP-016": (
        Story("The build provenance names nothing that went in.", lambda f: attested(f, "slsa", slsa(materials=False))),
        Story("The build provenance names builder and base with its digest.", lambda f: attested(f, "slsa", slsa())),
    ),
    "IDN-003": (
        Story("The repository belongs to another owner than when it was locked.", upstream(owner="stranger")),
        Story("The repository belongs to the owner that was locked.", upstream()),
    ),
    "IDN-006": (
        Story("An adapter names stranger/acme-ranker, and acme-ranker is an internal name.", scanned(adapter_of("stranger/acme-ranker"), names=Own(internal=("acme-*",), owners=("acme",)))),
        Story("An adapter names acme/acme-ranker, and acme is the organisation.", scanned(adapter_of("acme/acme-ranker"), names=Own(internal=("acme-*",), owners=("acme",)))),
    ),
    "IDN-007": (
        Story("A file at the locked commit has another digest.", upstream(files=(("config.json", "sha256:" + "2" * 64),))),
        Story("The files at the locked commit are those of the lock.", upstream()),
    ),
    "IDN-008": (
        Story("The hub answers with other/model.", upstream(answers_to="other/model")),
        Story("The hub answers with the repository that was locked.", upstream()),
    ),
}  # fmt: skip


def licences(folder, own):
    from weighbridge.inspection.inventory import describe
    from weighbridge.provenance.description import complaints

    for name, licence in (("base", b"cc-by-nc-4.0"), ("tuned", own)):
        (folder / name).mkdir()
        save_file({"a": np.ones(3, "float32")}, folder / name / "model.safetensors")
        (folder / name / "README.md").write_bytes(b"---\nlicense: %s\n---\n" % licence)
    return {one.rule for one in complaints(describe(str(folder / "tuned"), base=str(folder / "base")))}
