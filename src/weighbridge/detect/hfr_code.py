"""Knows Python that does harm: on import, by decoding or downloading what it runs, by opening a shell (HFR-007)."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from msgspec.structs import replace

from weighbridge.detect.knowledge import commands as shell
from weighbridge.detect.place import in_text
from weighbridge.formats.python_source import COMPUTED, reachable
from weighbridge.rules.finding import finding
from weighbridge.schema import Severity
from weighbridge.schema.patterns import lazy
from weighbridge.schema.text import printable

if TYPE_CHECKING:
    from collections.abc import Iterator

    from weighbridge.detect.subjects import RepositorySubject, SourceSubject
    from weighbridge.formats.python_source import Call
    from weighbridge.schema import Finding

_RUNS: Final = frozenset(
    {
        "exec",
        "eval",
        "builtins.exec",
        "builtins.eval",
        "compile",
        "builtins.compile",
        "types.FunctionType",
    }
)
_COMMANDS: Final = lazy(
    r"(?:os\.(?:system|popen|exec\w+|spawn\w+|startfile)|subprocess\.\w+|pty\.spawn|commands\.getoutput|asyncio\.create_subprocess_\w+)\Z"
)
_DECODES: Final = lazy(
    r"(?:base64\.\w*decode\w*|codecs\.decode|zlib\.decompress|lzma\.decompress|bz2\.decompress|bytes\.fromhex|binascii\.(?:unhexlify|a2b_\w+)|marshal\.loads|\.fromhex)\Z"
)
_FETCHES: Final = lazy(
    r"(?:urllib\.request\.(?:urlopen|urlretrieve|Request)|urllib2\.urlopen|requests\.(?:get|post|request)|requests\.Session|httpx\.\w+|http\.client\.HTTPS?Connection|aiohttp\.\w+|wget\.download)(?:\(\))?"
)
_SOCKET: Final = lazy(r"socket\.(?:socket|create_connection)(?:\(\))?")
_ENVIRONMENT: Final = lazy(r"os\.(?:environ|getenv)\b")
_SECRET_FILES: Final = lazy(
    r"(?:\.ssh/|id_rsa|\.aws/credentials|\.netrc|\.docker/config|\.kube/config|Login Data|wallet\.dat|\.gnupg|huggingface/token|/etc/shadow)"
)
_ENDPOINTS: Final = lazy(r"(?:^|/)(?:handler|inference|app|server|predict|serve)\.py\Z")
_SETUP: Final = frozenset({"setup.py", "conftest.py"})


def detect_harm(subject: SourceSubject) -> Iterator[Finding]:
    """What a module does to whoever imports it, and what it does anywhere that no model needs."""
    import_scopes = {id(call) for call in subject.module.at_import}
    seen: set[int] = set()
    for call in subject.module.calls:
        found = _harm(call, on_import=id(call) in import_scopes and not subject.notebook)
        if found and call.line not in seen:
            seen.add(call.line)
            message, severity = found
            yield in_text("HFR-007", subject.location, subject.text, call.line, message, severity=severity)
    yield from _shells(subject, seen)
    yield from _steals(subject)


def _harm(call: Call, *, on_import: bool) -> tuple[str, Severity | None] | None:
    decoded = next((origin for origin in call.origins if _DECODES.search(origin)), "")
    fetched = next((origin for origin in call.origins if _FETCHES.search(origin)), "")
    when = " on import" if on_import else ""
    if call.name.endswith(COMPUTED):
        owner = call.name.partition(".")[0]
        doubt = Severity.MEDIUM if owner in {"builtins", "sys"} else Severity.HIGH
        return f"a function of {owner} is chosen by a name that is put together{when}", doubt
    if call.name in _RUNS and (decoded or fetched):
        severity = Severity.HIGH if call.name == "types.FunctionType" else None
        return f"{call.name} runs what {decoded or fetched} gives{when}", severity
    if _COMMANDS.match(call.name):
        text = _words(call)
        doing = shell.fetches_and_runs(text)
        if doing:
            return f"a command {doing}{when}: {printable(text[:100])}", None
        if decoded or fetched:
            return f"a command made by {decoded or fetched} is run{when}", None
        if on_import and text and not _harmless_command(text):
            return f"a command is run on import: {printable(text[:100])}", Severity.HIGH
    if on_import and call.name in {"exec", "eval", "builtins.exec", "builtins.eval"} and call.arguments[:1] == (None,):
        return f"{call.name} of a computed text on import", Severity.MEDIUM
    return None


def _words(call: Call) -> str:
    first = call.arguments[0] if call.arguments else None
    if isinstance(first, tuple):
        return " ".join(str(word) for word in first if word is not None)
    return " ".join(str(a) for a in call.arguments if isinstance(a, str))


def _harmless_command(text: str) -> bool:
    """Commands that ask for a version or a list, as build files and version modules do on import."""
    return bool(
        re.match(
            r"\s*(?:git (?:rev-parse|describe|log|status)|\S+ (?:--version|-V|-v)\b|nvidia-smi|nvcc|uname|which |where |lscpu|rocm|xcrun|pkg-config|llvm-config|ldconfig)",
            text,
        )
    )


def _shells(subject: SourceSubject, seen: set[int]) -> Iterator[Finding]:
    calls = subject.module.calls
    sockets = [call for call in calls if _SOCKET.match(call.name)]
    duplicated = [call for call in calls if call.name in {"os.dup2", "pty.spawn"}]
    if sockets and duplicated and duplicated[0].line not in seen:
        message = "a socket becomes the standard streams of a shell"
        yield in_text("HFR-007", subject.location, subject.text, duplicated[0].line, message)
    for text in subject.module.texts:
        if text.line not in seen and shell.REVERSE_SHELL.search(text.value):
            seen.add(text.line)
            yield in_text(
                "HFR-007", subject.location, subject.text, text.line, "a string opens a shell to another machine"
            )


def _steals(subject: SourceSubject) -> Iterator[Finding]:
    """Files of secrets, or the whole environment, in a module that also sends."""
    calls = subject.module.calls
    sends = [
        c
        for c in calls
        if re.search(
            r"requests\.(?:post|put|get|request)\Z|urlopen\Z|\.sendall\Z|http\.client|httpx\.(?:post|get|put)", c.name
        )
    ]
    if not sends:
        return
    whole = [
        c
        for c in sends
        if any(_ENVIRONMENT.search(o) for o in c.origins)
        or any(k.name in {"json", "data", "params", "files"} and not k.constant for k in c.keywords)
    ]
    dumps = [
        c
        for c in calls
        if c.name in {"os.environ.items", "os.environ.copy"}
        or (c.name == "dict" and c.arguments == (None,) and "environ" in _line(subject, c))
    ]
    files = [t for t in subject.module.texts if _SECRET_FILES.search(t.value)]
    if files and whole:
        message = f"{printable(files[0].value[:60])} is read in a module that sends data"
        yield in_text("HFR-007", subject.location, subject.text, files[0].line, message)
    elif dumps and whole:
        message = "the environment is collected in a module that sends data"
        yield in_text("HFR-007", subject.location, subject.text, dumps[0].line, message)


def _line(subject: SourceSubject, call: Call) -> str:
    lines = subject.text.split("\n", call.line)
    return lines[call.line - 1] if call.line <= len(lines) else ""


def detect_package(subject: RepositorySubject) -> Iterator[Finding]:
    """Functions of one module that importing another one of the folder calls."""
    found = {name: module for name, module in subject.of("python") if " » " not in name and name.endswith(".py")}
    risky = [name for name, module in found.items() if module.calls]
    if not risky or len(found) < 2:
        return
    modules = {name[:-3].replace("/", "."): module for name, module in found.items()}
    together = reachable(modules)
    for name in sorted(risky):
        dotted = name[:-3].replace("/", ".")
        alone = reachable({dotted: modules[dotted]})[dotted]
        for call in modules[dotted].calls:
            if call.scope in together[dotted] - alone and (harm := _harm(call, on_import=True)):
                place = replace(subject.place(name), line=call.line)
                message = f"{harm[0]}, through a call of {call.scope} from another module"
                yield finding("HFR-007", place, message, severity=harm[1])


def detect_repository(subject: RepositorySubject) -> Iterator[Finding]:
    """Code, safe formats and hooks of a folder that is a model repository."""
    here = {name for name in subject.names if "/" not in name}
    if not ({"config.json", "model_index.json", "modules.json", "adapter_config.json"} & here):
        return
    python = {name: value for name, value in subject.of("python") if " » " not in name}
    for name in sorted(python):
        if _ENDPOINTS.search(name) and "/" not in name:
            yield finding("HFR-006", subject.place(name), "code that an inference endpoint or Space runs")
        if name == "custom_generate/generate.py":
            yield finding("HFR-005", subject.place(name), "code that generate() runs")
        if name == "hubconf.py":
            yield finding("HFR-006", subject.place(name), "code that torch.hub runs")
    pickled = sorted(
        n
        for n in here
        if re.fullmatch(r"(?:pytorch_model|diffusion_pytorch_model|model)[\w.-]*\.(?:bin|pt|pth|ckpt)", n)
    )
    safe = any(name.endswith((".safetensors", ".gguf", ".onnx", ".h5", ".msgpack")) for name in here)
    if pickled and not safe:
        yield finding("HFR-018", subject.place(pickled[0]), "the weights come as pickles and in no safe format")
    yield from _missing_code(subject, here)


def _missing_code(subject: RepositorySubject, here: set[str]) -> Iterator[Finding]:
    """`auto_map` that names a file which is not there: it would come from elsewhere, or was not inspected."""
    for name, config in subject.of("config"):
        mapping = config.get("auto_map") if isinstance(config, dict) and "/" not in name else None
        for value in mapping.values() if isinstance(mapping, dict) else ():
            for target in value if isinstance(value, list) else [value]:
                if isinstance(target, str) and "--" not in target:
                    file = f"{target.partition('.')[0]}.py"
                    if file not in here:
                        message = f"auto_map names {printable(file)}, which is not in the repository"
                        yield finding("HFR-001", subject.place(name), message)
                        return
