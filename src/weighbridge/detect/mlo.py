"""Knows what is wrong with MLOps descriptors: MLflow, TorchServe, Triton, BentoML, KServe, Ray, compose (MLO)."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

from weighbridge.detect.knowledge import commands as shell
from weighbridge.detect.place import in_document, in_text, leaves
from weighbridge.formats.commands import commands
from weighbridge.formats.document import walk
from weighbridge.rules.finding import finding
from weighbridge.schema import Severity
from weighbridge.schema.patterns import lazy
from weighbridge.schema.text import printable

if TYPE_CHECKING:
    from collections.abc import Iterator

    from weighbridge.detect.subjects import DocumentSubject, LinesSubject, TreeSubject
    from weighbridge.formats.document import Path
    from weighbridge.schema import Finding

_OUTSIDE: Final = lazy(
    r"/|\\\\|[A-Za-z]:[\\/]|(?!runs:|models:|mlflow-artifacts:|s3:|gs:|dbfs:|wasbs:|abfss:|hdfs:|azureml:)[a-z][a-z0-9+.-]+:"
)
_DIGEST: Final = lazy(r"@sha256:[0-9a-f]{64}\Z")
_COMMIT: Final = lazy(r"[0-9a-f]{40}")
_MOVING: Final = lazy(r"\bmodels:/[^/\s@\"']+(?:@\w+|/(?:latest|[A-Z]\w+))\b")
_SERVICES: Final = lazy(
    r"\b(?:mlflow (?:server|ui)|ray start|jupyter[\w -]*|ollama serve|vllm(?: serve|\.entrypoints)|tensorboard|tritonserver|label-studio|airflow|prefect server|zenml|minio|torchserve|text-generation-launcher|sglang)\b",
    re.IGNORECASE,
)
_IMAGES: Final = lazy(
    r"(?:^|/)(?:mlflow|ray|jupyter|ollama|vllm|label-studio|airflow|minio|tritonserver|text-generation-inference|sglang|qdrant|chroma|redis|mongo|elasticsearch)\b",
    re.IGNORECASE,
)
_AUTHENTICATED: Final = lazy(
    r"--(?:basic-auth|app-name[= ]basic-auth|api-key|ServerApp\.password|redis-password|auth)\b|VLLM_API_KEY|OLLAMA_API_KEY|IdentityProvider",
    re.IGNORECASE,
)
_NO_TOKEN: Final = lazy(
    r"(?:NotebookApp|ServerApp|IdentityProvider)\.(?:token|password)=(?:['\"]{2}|\s|$)|--disable-auth|AUTH_ENABLED=false",
    re.IGNORECASE,
)
_DEFAULT_LOGIN: Final = frozenset(
    {"minioadmin", "admin", "password", "changeme", "airflow", "postgres", "root", "guest", "mlflow"}
)
_METADATA_SERVICE: Final = lazy(r"169\.254\.169\.254|metadata\.google\.internal|100\.100\.100\.200|fd00:ec2::254")
_CONVERTS: Final = lazy(
    r"\b(?:convert\w*|quantize\w*|llama-quantize|mergekit[\w-]*|optimum-cli|export_onnx|onnxruntime\.quantization|convert_hf_to_gguf)\b",
    re.IGNORECASE,
)
_PATHS: Final = frozenset({"artifact_path", "path", "uri", "source", "model_path", "data", "pickled_model"})
_TRACKING: Final = lazy(
    r"(?:webhook|callback|tracking|telemetry|report|notify|registry)_?(?:uri|url|endpoint|host)?\Z", re.IGNORECASE
)
_MODEL_MOUNT: Final = lazy(r"model|checkpoint|\bhf\b|huggingface|weights|\.cache", re.IGNORECASE)


def detect_mlmodel(subject: DocumentSubject) -> Iterator[Finding]:
    """`MLmodel`."""
    root = subject.document.root
    flavors = root.get("flavors") if isinstance(root, dict) else None
    if not isinstance(flavors, dict):
        return
    for name, flavor in flavors.items():
        for key, value in flavor.items() if isinstance(flavor, dict) else ():
            yield from _flavor(subject, name, key, value)
    for path, key, value in walk(root):
        if key in _PATHS and isinstance(value, str) and (leaves(value) or _OUTSIDE.match(value)):
            yield in_document("MLO-003", subject, path, key, value, "a path leaves the model")


def _flavor(subject: DocumentSubject, name: str, key: str, value: Any) -> Iterator[Finding]:
    path: Path = (((), "flavors"), name)
    if key == "loader_module" and isinstance(value, str):
        if not value.startswith("mlflow."):
            yield in_document("MLO-001", subject, path, key, value, f"the model is loaded by {printable(value)}")
        elif value == "mlflow.pyfunc.model":
            yield in_document(
                "MLO-001",
                subject,
                path,
                key,
                value,
                "a pickled Python class answers for the model",
                severity=Severity.HIGH,
            )
    elif key == "python_model" and isinstance(value, (str, dict)):
        yield in_document(
            "MLO-001", subject, path, key, value, "a pickled Python class answers for the model", severity=Severity.HIGH
        )
    elif key in {"code", "model_code_path"} and isinstance(value, str) and value:
        severity = None if _OUTSIDE.match(value) or ".." in value else Severity.HIGH
        yield in_document(
            "MLO-001", subject, path, key, value, "code of the model's own is imported", severity=severity
        )


def detect_environment(subject: DocumentSubject) -> Iterator[Finding]:
    """`conda.yaml` and `python_env.yaml`."""
    for path, key, value in walk(subject.document.roots):
        if not isinstance(value, str):
            continue
        doing = (
            shell.installs_from_elsewhere(f"pip install {value}") if "://" in value or value.startswith("--") else ""
        )
        channel = (
            "channels" in str(path)
            and "://" in value
            and not re.match(r"https://(?:conda\.anaconda\.org|repo\.anaconda\.com)/", value)
        )
        if doing or channel:
            yield in_document("MLO-002", subject, path, key, value, "the environment installs from elsewhere")


def detect_archive_manifest(subject: DocumentSubject) -> Iterator[Finding]:
    """The manifest of a TorchServe archive."""
    root = subject.document.root
    model = root.get("model") if isinstance(root, dict) else None
    handler = model.get("handler") if isinstance(model, dict) else None
    builtin = {
        "image_classifier",
        "text_classifier",
        "object_detector",
        "image_segmenter",
        "text_to_speech_synthesizer",
    }
    if isinstance(handler, str) and handler not in builtin:
        yield in_document(
            "MLO-004", subject, ((), "model"), "handler", handler, f"the server imports {printable(handler)}"
        )
    requirements = model.get("requirementsFile") if isinstance(model, dict) else None
    if requirements:
        yield in_document(
            "MLO-004",
            subject,
            ((), "model"),
            "requirementsFile",
            requirements,
            "the archive brings its own requirements",
            severity=Severity.MEDIUM,
        )


def detect_settings(subject: LinesSubject) -> Iterator[Finding]:
    """`config.properties` of TorchServe and `config.pbtxt` of Triton."""
    if subject.name == "config.properties":
        for number, line in enumerate(subject.text.split("\n"), 1):
            if re.match(r"\s*(?:inference|management|metrics)_address\s*=\s*https?://0\.0\.0\.0", line):
                severity = None if "management" in line else Severity.MEDIUM
                yield in_text(
                    "MLO-004",
                    subject.location,
                    subject.text,
                    number,
                    "an interface listens everywhere",
                    severity=severity,
                )
            elif re.match(r"\s*allowed_urls\s*=\s*.*(?:\.\*|^\*|https?\(s\)\?://\.\*)", line):
                yield in_text("MLO-004", subject.location, subject.text, number, "models may come from any address")
    elif subject.name.endswith("config.pbtxt"):
        for number, line in enumerate(subject.text.split("\n"), 1):
            if re.search(r"\bbackend\s*:\s*\"python\"", line):
                yield in_text("MLO-005", subject.location, subject.text, number, "the Python backend runs model.py")
            elif re.search(
                r"EXECUTION_ENV_PATH|default_model_filename\s*:\s*\"[^\"]*\.so\"|platform\s*:\s*\"custom\"", line
            ):
                yield in_text(
                    "MLO-005", subject.location, subject.text, number, "a packed environment or library is loaded"
                )
            elif re.search(r"\"[^\"]*\.\./[^\"]*\"", line):
                yield in_text("MLO-005", subject.location, subject.text, number, "a path leaves the model")


def detect_serving(subject: DocumentSubject) -> Iterator[Finding]:
    """KServe, Seldon, BentoML, Ray: what is served comes from where, and in which version."""
    for path, key, value in walk(subject.document.roots):
        if not isinstance(value, str):
            if key == "pip" and isinstance(value, list):
                odd = [item for item in value if isinstance(item, str) and ("://" in item or "git+" in item)]
                if odd:
                    yield in_document("MLO-006", subject, path, key, odd[0], "packages come from an address")
            continue
        if key in {"storageUri", "modelUri"} and not _DIGEST.search(value) and not _COMMIT.search(value):
            remote = "://" in value and not value.startswith(("pvc:", "file:"))
            if remote:
                yield in_document("MLO-006", subject, path, key, value, "the model's address has no digest")
        elif key in {"working_dir", "py_modules"} and "://" in value and not _COMMIT.search(value):
            yield in_document("MLO-006", subject, path, key, value, "the code that runs comes from an address")
        match = _MOVING.search(value)
        if match:
            yield in_document("MLO-010", subject, path, key, value, f"{printable(match[0])} can change after approval")


def detect_exposure(subject: DocumentSubject) -> Iterator[Finding]:
    """Services of compose files and manifests: who can reach them, with which flags, and who may write their models."""
    for path, key, value in walk(subject.document.roots):
        if key in {"command", "args", "entrypoint", "cmd"} and isinstance(value, (str, list)):
            text = value if isinstance(value, str) else " ".join(map(str, value))
            yield from _launch(subject, path, key, text)
        elif isinstance(value, str) and _METADATA_SERVICE.search(value):
            yield in_document("MLO-013", subject, path, key, value, "the address of a cloud's metadata service")
        elif (
            isinstance(key, str)
            and _TRACKING.search(key)
            and isinstance(value, str)
            and re.match(r"http://(?!localhost|127\.|[\w-]+(?::\d+)?(?:/|$))", value)
        ):
            yield in_document("MLO-013", subject, path, key, value, "data is sent over plain HTTP")
        elif isinstance(key, str) and re.search(r"PASSWORD|PASS|SECRET", key) and value in _DEFAULT_LOGIN:
            yield in_document("MLO-007", subject, path, key, value, f"{key} is the default")
        elif key == "volumes" and isinstance(value, list):
            yield from _volumes(subject, path, value)
        elif key == "ports" and isinstance(value, list):
            yield from _ports(subject, path, value)


def _launch(subject: DocumentSubject, path: Path, key: object, text: str) -> Iterator[Finding]:
    if shell.REMOTE_CODE.search(text):
        yield in_document("MLO-015", subject, path, key, text, "the server trusts remote code")
    elif re.search(r"--enable-prompt-embeds|--allow-pickle|--disable-safe-unpickle|--load-format[= ]pt\b", text):
        yield in_document("MLO-015", subject, path, key, text, "the server accepts unsafe formats")
    exposed = shell.PUBLIC_BIND.search(text) and _SERVICES.search(text)
    if (exposed and not _AUTHENTICATED.search(text)) or _NO_TOKEN.search(text):
        yield in_document(
            "MLO-007", subject, path, key, text, "a service without authentication listens on all interfaces"
        )
    for command in commands(text):
        if shell.fetches_and_runs(command.text):
            yield in_document("MLO-008", subject, path, key, text, "a step fetches and runs something")
            return


def _volumes(subject: DocumentSubject, path: Path, volumes: list[Any]) -> Iterator[Finding]:
    for item in volumes:
        if isinstance(item, str):
            source, _, rest = item.partition(":")
            shared = source.startswith(("/", "~", "$")) and _MODEL_MOUNT.search(rest.split(":")[0])
            if shared and not rest.endswith(":ro") and ":ro," not in rest:
                yield in_document(
                    "MLO-016", subject, path, "volumes", item, "a folder of models on the host is writable"
                )


def _ports(subject: DocumentSubject, path: Path, ports: list[Any]) -> Iterator[Finding]:
    image = next(
        (line for line in subject.text.split("\n") if re.match(r"\s*image:", line) and _IMAGES.search(line)), ""
    )
    for port in ports:
        if isinstance(port, str) and port.startswith("0.0.0.0:") and image:
            yield in_document("MLO-007", subject, path, "ports", port, "a service is published on all interfaces")


def detect_pipeline(subject: DocumentSubject) -> Iterator[Finding]:
    """Steps of pipelines that fetch and run (Argo, Kubeflow, DVC, ZenML)."""
    for path, key, value in walk(subject.document.roots):
        if (
            key in {"cmd", "script", "source", "run"}
            and isinstance(value, str)
            and (doing := shell.fetches_and_runs(value))
        ):
            yield in_document("MLO-008", subject, path, key, value, f"a step {doing}")


def detect_conversion(subject: DocumentSubject) -> Iterator[Finding]:
    """Jobs that convert, merge or quantise models, with secrets within their reach."""
    for path, key, value in walk(subject.document.roots):
        if not isinstance(value, dict) or not isinstance(value.get("command", value.get("args")), (list, str)):
            continue
        words = f"{value.get('command', '')} {value.get('args', '')}"
        secrets = (
            [item for item in value.get("env", []) if "secretKeyRef" in str(item)]
            if isinstance(value.get("env"), list)
            else []
        )
        if _CONVERTS.search(words) and (secrets or "secretRef" in str(value.get("envFrom", ""))):
            yield in_document("MLO-012", subject, path, key, words, "a job that loads foreign models can read secrets")


def detect_package(subject: TreeSubject) -> Iterator[Finding]:
    """A model archive with an entry script, as SageMaker and others unpack it."""
    if subject.format == "folder":
        return
    for entry in subject.entries:
        if re.fullmatch(r"(?:\./)?code/(?:inference|train|predictor|entry_point|serve)\.py", entry.name):
            yield finding("MLO-009", subject.place(entry.name), "a script that the service runs")


def detect_script(subject: LinesSubject) -> Iterator[Finding]:
    """Launch scripts."""
    for command in commands(subject.text):
        if shell.REMOTE_CODE.search(command.text):
            yield in_text("MLO-015", subject.location, subject.text, command.line, "the server trusts remote code")
        exposed = shell.PUBLIC_BIND.search(command.text) and _SERVICES.search(command.text)
        if exposed and not _AUTHENTICATED.search(command.text):
            yield in_text(
                "MLO-007",
                subject.location,
                subject.text,
                command.line,
                "a service without authentication listens on all interfaces",
            )
