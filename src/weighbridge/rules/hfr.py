"""Knows the HFR family: hub repositories and their configuration."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from weighbridge.rules.build import CRITICAL, HIGH, MEDIUM, rule

if TYPE_CHECKING:
    from weighbridge.schema import Rule

HFR: Final[tuple[Rule, ...]] = (
    rule("HFR-001", "configuration brings its own code", HIGH, "X", "CWE-829 AATMF:T13-AT-001",
         what="`auto_map` names classes in Python files of the repository",
         why="with trust_remote_code the loader imports and runs that file", fix="read the file that is named, pin the revision, or use a model that the library knows"),
    rule("HFR-002", "configuration brings code from another repository", CRITICAL, "X", "CVE-2025-66448 CVE-2026-22807 CWE-829",
         what="`auto_map` names a class as owner/repository--file.Class",
         why="the code that runs lies in a repository that was not inspected and is not pinned", fix="refuse the repository, or copy the reviewed file into it"),
    rule("HFR-003", "configuration chooses a kernel from a hub", CRITICAL, "X", "CVE-2026-4372 CWE-829",
         what="an implementation key names owner/repository instead of a built-in implementation",
         why="the loader downloads and runs native or Python code, whatever trust_remote_code says", fix="remove the key, or set it to eager or sdpa"),
    rule("HFR-004", "configuration switches remote code on", CRITICAL, "X", "CVE-2026-5241 CWE-829",
         what="`trust_remote_code` is set inside the artifact",
         why="the decision to run foreign code belongs to the caller, and some loaders take it from here", fix="remove the key"),
    rule("HFR-005", "custom pipeline or generation code", HIGH, "X", "CWE-829",
         what="`custom_pipelines` or a custom_generate folder names Python code of the repository",
         why="pipelines and generate() import and run it", fix="read the code and pin the revision, or remove the entry"),
    rule("HFR-006", "endpoint code beside the model", HIGH, "X", "CWE-829",
         what="handler.py, inference.py or an application file lies in a model repository",
         why="inference endpoints and Spaces run it as it stands", fix="read the code, or serve the weights with code of your own"),
    rule("HFR-007", "code that does harm", CRITICAL, "X", "CWE-506 CWE-94",
         what="Python of the artifact runs decoded or downloaded code, starts commands on import, or opens a shell to somewhere",
         why="importing the module is enough", fix="do not import it; report it to the publisher"),
    rule("HFR-008", "requirements from elsewhere", HIGH, "X", "AML.T0011.001 CWE-829",
         what="a requirements file names URLs, version control, or other package indexes",
         why="installing what the model needs installs what is there today", fix="pin the packages by version and hash from an index you trust"),
    rule("HFR-009", "module list leaves the library", HIGH, "XR", "CWE-470 CWE-22",
         what="modules.json names a class outside sentence_transformers, or a path outside the folder",
         why="the loader imports the class and opens the path", fix="name classes of the library and paths inside the folder"),
    rule("HFR-010", "pipeline component from elsewhere", HIGH, "X", "CWE-829",
         what="model_index.json names a library that is neither diffusers, transformers nor a part of them",
         why="the loader imports it, or a Python file of the repository with that name", fix="name components of the libraries"),
    rule("HFR-011", "configuration leads outside the artifact", MEDIUM, "RN", "CWE-610 CWE-918",
         what="a configuration value is an absolute path, a network share or a URL that the loader opens",
         why="loading reads a file or address of somebody else's choosing", fix="make the value relative to the folder"),
    rule("HFR-012", "configuration value of the wrong kind", MEDIUM, "X", "CWE-915", heuristic=True,
         what="an activation or dtype is not a plain name",
         why="some loaders look the value up with getattr or eval", fix="write a plain name"),
    rule("HFR-014", "instructions that run things", HIGH, "U", "AML.T0011.003 CWE-506", heuristic=True,
         what="the README has people pipe a download into a shell, switch protection off, or open an archive with a password",
         why="this is how malicious repositories get a person to run them", fix="do not follow the instructions"),
    rule("HFR-016", "hidden text or active content in a document", MEDIUM, "UN", "CWE-79 CWE-1007",
         what="a document holds invisible characters, scripts or frames",
         why="what a person sees is not what a browser or a model reads", fix="remove what is shown"),
    rule("HFR-017", "git settings that fetch or filter", MEDIUM, "XN", "CWE-829",
         what="submodules or filters other than Git LFS are set up",
         why="cloning with submodules or filters fetches other repositories or runs commands", fix="clone without submodules; read the settings"),
    rule("HFR-018", "pickled weights only", MEDIUM, "PX", "CWE-502",
         what="a model repository offers pickled weights and no safetensors",
         why="everybody who loads it has to unpickle", fix="ask the publisher for safetensors"),
    rule("HFR-022", "lock without a commit", HIGH, "P", "CWE-494 AML.T0109",
         what="an entry of weighbridge.lock names a hub repository by something else than a 40-digit commit, or without digests",
         why="the name can be moved or taken over, and the lock does not notice", fix="write the lock again with weighbridge lock"),
    rule("HFR-024", "configuration that parsers read differently", MEDIUM, "ED", "CWE-436 CWE-674",
         what="a configuration holds a key twice, comments, a huge number, or is no JSON at all",
         why="a checker and a loader may see different values", fix="write strict JSON"),
)  # fmt: skip
