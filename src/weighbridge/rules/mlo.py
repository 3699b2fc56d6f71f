"""Knows the MLO family: MLOps descriptors and services."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from weighbridge.rules.build import CRITICAL, HIGH, MEDIUM, rule

if TYPE_CHECKING:
    from weighbridge.schema import Rule

MLO: Final[tuple[Rule, ...]] = (
    rule("MLO-001", "MLflow model that runs code", CRITICAL, "X", "CVE-2024-37054 CVE-2024-37060 CWE-502",
         what="MLmodel names a loader module, a pickled Python model, or a code folder outside MLflow",
         why="mlflow.pyfunc.load_model imports or unpickles it", fix="log the model with a flavour that needs no code, or read the code", surface="mlops"),
    rule("MLO-002", "environment from elsewhere", HIGH, "X", "CWE-494",
         what="the environment of a model package installs from URLs, version control or other indexes",
         why="serving the model installs what is there today", fix="pin versions and hashes from an index you trust", surface="mlops"),
    rule("MLO-003", "artifact path that leaves the model", HIGH, "RW", "CVE-2023-1177 CWE-22",
         what="an artifact or source path is absolute, holds `..` or another scheme",
         why="the tracking server or loader follows it", fix="make the path relative to the model", surface="mlops"),
    rule("MLO-004", "TorchServe archive with its own handler", HIGH, "X", "CVE-2023-43654",
         what="a model archive names Python to run, or its server settings allow any address",
         why="the server imports the handler, or fetches what anybody names", fix="read the handler; list the allowed addresses", surface="mlops"),
    rule("MLO-005", "Triton model that runs code", HIGH, "X", "CVE-2025-23319 CWE-829",
         what="a model configuration uses the Python backend, a packed environment or a shared library",
         why="the server runs it in its own process", fix="read the code, or use a backend for model formats", surface="mlops"),
    rule("MLO-006", "deployment of something unpinned", HIGH, "XP", "CWE-494 CWE-829",
         what="a serving manifest names a model address, package or image without a digest",
         why="each start fetches what is there then", fix="pin by digest or commit", surface="mlops"),
    rule("MLO-007", "service open to everybody", HIGH, "X", "CVE-2023-48022 CWE-306 CWE-1188",
         what="a manifest starts a model service on all interfaces without authentication, or with default credentials",
         why="these services run code for whoever reaches them", fix="bind to the loopback interface and put authentication in front", surface="mlops"),
    rule("MLO-008", "pipeline step with a shell", HIGH, "XS", "CWE-78",
         what="a pipeline step fetches and runs something",
         why="the step runs with the rights of the pipeline", fix="put the step's code into a pinned image", surface="mlops"),
    rule("MLO-009", "entry script of a training or inference service", HIGH, "X", "CWE-829",
         what="a model package brings code/inference.py, or a job takes its source_dir from an address", why="the service runs the script with its own role", fix="read the script, or serve the model with code of your own", surface="mlops"),
    rule("MLO-010", "reference that moves", HIGH, "P", "CWE-494",
         what="a model is referred to by a stage or alias such as latest or Production",
         why="what it means can change after it was approved", fix="refer to a version or digest", surface="mlops"),
    rule("MLO-012", "conversion job with secrets", HIGH, "PX", "AATMF:T13-AT-008",
         what="a job that converts, merges or quantises models has secrets mounted", why="the job loads foreign files, and what they run reads the secrets", fix="run it without secrets and network, and record the digests of input and output", surface="mlops"),
    rule("MLO-013", "tracking address that is foreign or plain", MEDIUM, "NS", "CVE-2026-64849 CWE-918",
         what="a webhook or tracking address is plain HTTP or an address of a private network's metadata service",
         why="data leaves, or credentials are fetched", fix="use an address of your own, with TLS", surface="mlops"),
    rule("MLO-015", "server started with unsafe flags", HIGH, "X", "CVE-2025-62164 CWE-829",
         what="launch arguments trust remote code or accept unsafe formats",
         why="whoever chooses the model runs code in the server", fix="remove the flag", surface="mlops"),
    rule("MLO-016", "model volume that is writable", HIGH, "WB", "CWE-276",
         what="a shared cache or model volume is mounted for writing into a serving container",
         why="one tenant replaces the model of all", fix="mount it read-only", surface="mlops"),
    rule("MLO-014", "inference server with a known weakness", HIGH, "PX", "CWE-1395 CVE-2025-32444 CVE-2026-5760", evidence="the version, and the first release without it",
         what="a project installs a version of an inference server that can be taken over from outside",
         why="servers of models are reached by everybody who may ask the model", fix="raise it to the release that is named", surface="mlops"),
)  # fmt: skip
