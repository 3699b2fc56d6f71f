"""Knows unsafe use of models in Python source (COD). Names are resolved by the reader; this table says what they mean."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from msgspec.structs import replace

from weighbridge.detect.mend import mended
from weighbridge.detect.place import in_text
from weighbridge.detect.sec import find_secrets
from weighbridge.rules.finding import finding
from weighbridge.schema import Evidence, Severity
from weighbridge.schema.text import printable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from weighbridge.detect.subjects import SourceSubject
    from weighbridge.formats.python_source import Call
    from weighbridge.schema import Finding

_PICKLE_LOADS: Final = frozenset(
    ["pickle.load", "pickle.loads", "pickle.Unpickler", "_pickle.load", "_pickle.loads", "cPickle.load", "cPickle.loads", "dill.load", "dill.loads", "cloudpickle.load", "cloudpickle.loads", "joblib.load", "sklearn.externals.joblib.load", "shelve.open", "pandas.read_pickle", "jsonpickle.decode", "jsonpickle.loads", "marshal.load", "marshal.loads", "torch.package.PackageImporter", "compress_pickle.load", "pandas.compat.pickle_compat.load", "skops.io.loads"]
) - {"skops.io.loads"}  # fmt: skip
_HUB: Final = frozenset({"hf_hub_download", "snapshot_download", "load_dataset", "hf_hub_url", "cached_download"})
_COMMIT: Final = re.compile(r"[0-9a-f]{40}\Z")
_LOCAL: Final = re.compile(r"(?:\.{0,2}/|~|[A-Za-z]:\\|/)|.*[\\/].*[\\/]|.*\.\w{1,12}\Z")
_FRAMEWORKS: Final = (
    "transformers",
    "diffusers",
    "sentence_transformers",
    "peft",
    "huggingface_hub",
    "datasets",
    "vllm",
)
_YAML_UNSAFE: Final = frozenset(
    {"yaml.load", "yaml.load_all", "yaml.unsafe_load", "yaml.unsafe_load_all", "yaml.full_load", "yaml.full_load_all"}
)
_UNSAFE_YAML: Final = frozenset({"yaml.unsafe_load", "yaml.unsafe_load_all"})
_XML: Final = frozenset({"lxml.etree.XMLParser"})
_RUNNERS: Final = frozenset(
    {
        "eval",
        "exec",
        "builtins.eval",
        "builtins.exec",
        "os.system",
        "os.popen",
        "subprocess.run",
        "subprocess.Popen",
        "subprocess.call",
        "subprocess.check_call",
        "subprocess.check_output",
        "subprocess.getoutput",
    }
)
_MODEL_SAYS: Final = re.compile(
    r"\.(?:generate|chat\.completions\.create|completions\.create|messages\.create|generate_content|invoke|predict|responses\.create)\Z|(?:^|\.)pipeline\(\)|\.generate\(\)"
)
_CONFIG_READ: Final = re.compile(
    r"^(?:json\.loads?|yaml\.\w*load\w*|toml\.loads?|tomllib\.loads?|OmegaConf\.load|omegaconf\.OmegaConf\.load|safetensors\.safe_open)|\.metadata\Z"
)
_INSTALL: Final = re.compile(
    r"(?:^|[\s'\"/])(?:pip3?|conda|mamba|npm|yarn|uv pip|easy_install)\b[\s'\",]+(?:install|add)\b"
)
_MODEL_ADDRESS: Final = re.compile(
    r"http://(?!localhost|127\.|0\.0\.0\.0|\[::1\])[^\s\"']+\.(?:pt|pth|bin|safetensors|pkl|onnx|gguf|h5|keras|ckpt|zip|tar|tar\.gz|tgz|whl)\b"
)
_PUBLIC: Final = frozenset({"0.0.0.0", "::"})  # noqa: S104  # what is looked for
_LINE: Final = 200
_SERVERS: Final = re.compile(
    r"(?:uvicorn\.run|\.run|\.launch|ray\.init|ray\.serve\.start|serve\.start|\.serve|HTTPServer|ThreadingHTTPServer|\.bind|waitress\.serve|web\.run_app)\Z"
)
_MOVING: Final = re.compile(r"models:/[^/@]+(?:@\w+|/(?:latest|[A-Z][a-z]+))\Z")
_DANGEROUS_GLOBALS: Final = re.compile(
    r"^(?:os|posix|subprocess|builtins|sys|shutil|importlib|eval|exec|getattr|runpy|pickle)\b"
)


def detect_source(subject: SourceSubject) -> Iterator[Finding]:
    """Every call of a module; one finding for each rule and line."""
    seen: set[tuple[str, int]] = set()
    for call in subject.module.calls:
        for check in _CHECKS:
            for rule, message, severity in check(call):
                if (rule, call.line) not in seen:
                    seen.add((rule, call.line))
                    yield _with_fix(
                        in_text(rule, subject.location, subject.text, call.line, message, severity=severity),
                        subject,
                        call.line,
                    )
    for text in subject.module.texts:
        match = _MODEL_ADDRESS.match(text.value.strip())
        if match and ("COD-014", text.line) not in seen:
            seen.add(("COD-014", text.line))
            message = f"a model comes over plain HTTP: {printable(match[0][:80])}"
            yield in_text("COD-014", subject.location, subject.text, text.line, message)
        secret = next(iter(find_secrets(text.value)), "") if 15 < len(text.value) < 4096 else ""
        if secret and ("COD-017", text.line) not in seen:
            seen.add(("COD-017", text.line))
            yield finding("COD-017", replace(subject.location, line=text.line), f"the source holds {secret}")
    yield from _permissive(subject)


def _with_fix(found: Finding, subject: SourceSubject, number: int) -> Finding:
    """The finding with the line as it should read, where that can be told."""
    lines = subject.text.split("\n", number)
    better = mended(found.rule, lines[number - 1].strip()) if number <= len(lines) else ""
    if not better or len(better) > _LINE:
        return found
    return replace(found, evidence=(*found.evidence, Evidence(text=f"{number:>4} + {printable(better)}", culprit=True)))


_Result = tuple[str, str, Severity | None]


def _torch(call: Call) -> Iterator[_Result]:
    if call.name in {"torch.load", "torch.serialization.load"}:
        given = call.keyword("weights_only")
        if given is None and not call.keyword("**"):
            yield "COD-001", "torch.load without weights_only=True", Severity.MEDIUM
        elif given is not None and given.value is False:
            yield "COD-001", "torch.load with weights_only=False", None
    elif call.name == "torch.hub.load" or call.name.endswith("hub.load_state_dict_from_url"):
        yield from _torch_hub(call)
    elif call.name.endswith(("register_custom_ops_library", "torch.ops.load_library", "torch.classes.load_library")):
        yield "COD-012", "a native library is loaded", None
    elif call.name == "onnx.hub.load" and (silent := call.keyword("silent")) and silent.value is True:
        yield "COD-012", "onnx.hub.load does not ask whether a repository is trusted", None
    elif call.name == "torch.serialization.add_safe_globals" or call.name.endswith(".add_safe_globals"):
        bad = [name for name in call.refers if _DANGEROUS_GLOBALS.match(name)]
        if bad:
            yield "COD-018", f"{bad[0]} becomes a safe global", None


def _torch_hub(call: Call) -> Iterator[_Result]:
    if call.name != "torch.hub.load":
        return
    source, repository = call.keyword("source"), call.arguments[0] if call.arguments else None
    if source is not None and source.value == "local":
        return
    trust = call.keyword("trust_repo")
    if isinstance(repository, str) and _COMMIT.search(repository.partition(":")[2]):
        return
    if trust is not None and trust.value is True:
        yield "COD-007", "torch.hub.load trusts the repository without asking", None
    else:
        yield "COD-007", "torch.hub.load runs the code of a branch", None


def _pickles(call: Call) -> Iterator[_Result]:
    if call.name in _PICKLE_LOADS:
        if any(origin.endswith((".dumps", ".dump")) for origin in call.origins):
            return  # a copy of one's own object
        downloaded = [o for o in call.origins if re.search(r"download|requests\.|urlopen|httpx\.", o)]
        message = (
            f"{call.name} of a download ({downloaded[0]})" if downloaded else f"{call.name} runs what a pickle says"
        )
        yield "COD-002", message, None if downloaded else Severity.MEDIUM
    elif (
        call.name in {"numpy.load", "numpy.lib.npyio.NpzFile"}
        and (k := call.keyword("allow_pickle"))
        and k.value is True
    ):
        yield "COD-006", "numpy.load(allow_pickle=True)", None
    elif (k := call.keyword("allow_dangerous_deserialization")) and k.value is True:
        yield "COD-011", f"{call.name}(allow_dangerous_deserialization=True)", None


def _hub(call: Call) -> Iterator[_Result]:
    trust = call.keyword("trust_remote_code")
    if trust is not None and trust.constant and trust.value is True:
        yield "COD-003", f"{call.name}(trust_remote_code=True)", None
    last = call.name.rpartition(".")[2]
    from_library = call.name.startswith(_FRAMEWORKS)
    if (
        last == "from_pretrained"
        and (from_library or re.search(r"(?:Auto|Model|Tokenizer|Pipeline|Processor)", call.name))
    ) or (last in _HUB and (from_library or "." not in call.name)):
        name = (
            call.arguments[0]
            if call.arguments
            else next(
                (k.value for k in call.keywords if k.name in {"repo_id", "pretrained_model_name_or_path", "path"}), None
            )
        )
        revision = call.keyword("revision") or call.keyword("commit_hash")
        pinned = revision is not None and (
            not revision.constant or (isinstance(revision.value, str) and _COMMIT.match(revision.value))
        )
        offline = (k := call.keyword("local_files_only")) is not None and k.value is True
        if isinstance(name, str) and not _LOCAL.match(name) and not pinned and not offline and not call.keyword("**"):
            yield "COD-004", f"{printable(name[:60])} is loaded without a commit", None


def _keras(call: Call) -> Iterator[_Result]:
    if (k := call.keyword("safe_mode")) is not None and k.value is False:
        yield "COD-005", f"{call.name}(safe_mode=False)", None
    elif call.name.endswith("enable_unsafe_deserialization"):
        yield "COD-005", "unsafe deserialisation is switched on", None
    elif call.name.endswith("load_model") and ("keras" in call.name) and call.arguments:
        path = call.arguments[0]
        if isinstance(path, str) and path.endswith((".h5", ".hdf5")):
            yield "COD-005", "a legacy .h5 model is loaded, where safe_mode does nothing", Severity.MEDIUM


def _parsers(call: Call) -> Iterator[_Result]:
    if call.name in _YAML_UNSAFE:
        loader = call.keyword("Loader")
        given = loader.refers if loader else " ".join(call.refers[-1:])
        explicit = len(call.arguments) > 1 or loader is not None
        if call.name in _UNSAFE_YAML:
            yield "COD-009", f"{call.name} builds any object", None
        elif not explicit:
            yield "COD-009", f"{call.name} without a safe loader", Severity.MEDIUM
        elif given.endswith(("UnsafeLoader", "yaml.Loader", "yaml.CLoader")):
            yield "COD-009", f"{call.name} with an unsafe loader", None
    elif call.name in _XML and (k := call.keyword("resolve_entities")) and k.value is True:
        yield "COD-009", "the XML parser resolves entities", None
    elif (
        call.name in {"jinja2.Template", "jinja2.Environment"} and any(_CONFIG_READ.search(o) for o in call.origins)
    ) or (
        call.name.endswith(".from_string")
        and "Environment" in call.name
        and "Sandboxed" not in call.name
        and any(_CONFIG_READ.search(o) for o in call.origins)
    ):
        yield "COD-009", "a template of the artifact is rendered without a sandbox", None


def _jobs(call: Call) -> Iterator[_Result]:
    source = call.keyword("source_dir") or call.keyword("git_config")
    if source is not None and isinstance(source.value, str) and "://" in source.value:
        yield "MLO-009", f"{call.name} takes its code from {printable(source.value[:80])}", None


def _archives(call: Call) -> Iterator[_Result]:
    last = call.name.rpartition(".")[2]
    if last == "extractall" and call.keyword("filter") is None and "zip" not in call.name.lower():
        opened = "tar" in call.name.lower() or any("tarfile" in origin for origin in call.origins)
        yield "COD-010", "extractall without filter", None if opened else Severity.LOW
    elif call.name == "shutil.unpack_archive" and call.keyword("filter") is None:
        yield "COD-010", "unpack_archive without filter", Severity.MEDIUM


def _reflection(call: Call) -> Iterator[_Result]:
    configured = any(_CONFIG_READ.search(origin) for origin in call.origins)
    if (
        call.name.endswith(("hydra.utils.instantiate", "hydra.utils.call", "hydra.utils.get_class")) and configured
    ) or (call.name in {"importlib.import_module", "__import__", "eval", "exec", "pydoc.locate"} and configured):
        yield "COD-008", f"{call.name} of a file's content", None
    if call.name in _RUNNERS and any(_MODEL_SAYS.search(origin) for origin in call.origins):
        yield "COD-015", f"{call.name} of what a model said", None


def _network(call: Call) -> Iterator[_Result]:
    verify = call.keyword("verify") or call.keyword("verify_ssl")
    if (
        (
            verify is not None
            and verify.value is False
            and re.match(r"(?:requests|httpx|aiohttp|urllib3|niquests)\b|.*session", call.name, re.IGNORECASE)
        )
        or call.name == "ssl._create_unverified_context"
        or ((k := call.keyword("cert_reqs")) is not None and k.value == "CERT_NONE")
    ):
        yield "COD-014", "certificates are not checked", None
    host = call.keyword("host") or call.keyword("server_name") or call.keyword("dashboard_host")
    if host is not None and host.value in _PUBLIC and _SERVERS.search(call.name) and not call.keyword("auth"):
        yield "COD-020", f"{call.name} listens on all interfaces", None


def _installs(call: Call) -> Iterator[_Result]:
    if call.name in _RUNNERS - {"eval", "exec"} or call.name.endswith(".system"):
        first = call.arguments[0] if call.arguments else None
        words = " ".join(str(w) for w in first if w is not None) if isinstance(first, tuple) else str(first or "")
        if _INSTALL.search(f" {words} "):
            yield "COD-019", f"packages are installed while the program runs: {printable(words[:80])}", None
    elif call.name in {"pip.main", "pip._internal.main", "pip._internal.cli.main.main"}:
        yield "COD-019", f"{call.name} installs packages while the program runs", None


def _mlflow(call: Call) -> Iterator[_Result]:
    if call.name.startswith("mlflow.") and call.name.endswith("load_model") and call.arguments:
        address = call.arguments[0]
        if isinstance(address, str) and _MOVING.match(address):
            yield "COD-013", f"{printable(address)} can change after approval", None


_CHECKS: Final[tuple[Callable[[Call], Iterator[_Result]], ...]] = (
    _torch, _pickles, _hub, _jobs, _keras, _parsers, _archives, _reflection, _network, _installs, _mlflow,
)  # fmt: skip


def _permissive(subject: SourceSubject) -> Iterator[Finding]:
    """Unpicklers whose `find_class` hands every name on."""
    for name, bases in subject.module.classes.items():
        calls = subject.module.functions.get(f"{name}.find_class")
        if calls is None or not any(base.endswith("Unpickler") for base in bases):
            continue
        source = subject.text
        body = source[source.find("def find_class") :][:2000]
        guarded = "raise" in body or re.search(r"\bif\b[^\n]*\bnot\s+in\b|\bif\b[^\n]*\bin\b", body)
        if not guarded:
            line = source.count("\n", 0, source.find("def find_class")) + 1
            yield in_text("COD-018", subject.location, source, line, "find_class lets every name through")
