"""Knows the COD family: unsafe use of models in one's own code."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from weighbridge.rules.build import HIGH, MEDIUM, rule

if TYPE_CHECKING:
    from weighbridge.schema import Rule

COD: Final[tuple[Rule, ...]] = (
    rule("COD-001", "torch.load that may unpickle", HIGH, "X", "CWE-502",
         what="torch.load is called without weights_only=True", why="any pickle in the file runs where the default is off or was switched off", fix="torch.load(path, weights_only=True), or safetensors.torch.load_file", surface="libraries"),
    rule("COD-002", "pickle load", HIGH, "X", "CWE-502",
         what="pickle, dill, joblib, pandas.read_pickle or a relative is called", why="loading a pickle runs it", fix="store data as JSON, Parquet, safetensors or skops", surface="libraries"),
    rule("COD-003", "remote code trusted", HIGH, "X", "CWE-829",
         what="trust_remote_code=True", why="code of the repository runs in your process", fix="remove the argument, or vendor the reviewed code and pin the revision", surface="libraries"),
    rule("COD-004", "model without a revision", MEDIUM, "P", "CWE-494 AML.T0109",
         what="a hub download names no 40-digit commit", why="the name can be moved, taken over or changed", fix='add revision="<commit>"', surface="libraries"),
    rule("COD-005", "Keras safe mode off", HIGH, "X", "CVE-2024-3660",
         what="safe_mode=False, enable_unsafe_deserialization, or a legacy .h5 file is loaded", why="Lambda layers run", fix="load a .keras file with safe_mode", surface="libraries"),
    rule("COD-006", "NumPy unpickles", MEDIUM, "X", "CVE-2019-6446",
         what="numpy.load(allow_pickle=True)", why="object arrays are pickles", fix="store plain arrays and remove the argument", surface="libraries"),
    rule("COD-007", "torch.hub from a branch", HIGH, "X", "CWE-829",
         what="torch.hub.load takes code from a repository without a commit, or skips the question of trust", why="hubconf.py of that day runs", fix="vendor the code, or name a commit", surface="libraries"),
    rule("COD-008", "call chosen by a configuration", HIGH, "X", "CVE-2025-23304 CWE-470", heuristic=True,
         what="hydra.instantiate, importlib or eval is fed from a file of the artifact", why="the artifact chooses what is called", fix="look the name up in a table of your own", surface="libraries"),
    rule("COD-009", "unsafe parser", HIGH, "X", "CWE-502 CWE-611 CWE-1336",
         what="yaml.load with an unsafe loader, an XML parser that resolves entities, or Jinja without a sandbox on foreign text", why="the text runs code or reads files", fix="yaml.safe_load, defusedxml, jinja2.sandbox.ImmutableSandboxedEnvironment", surface="libraries"),
    rule("COD-010", "archive unpacked without a filter", HIGH, "W", "CWE-22",
         what="extractall without filter", why="members can leave the folder", fix='tar.extractall(path, filter="data")', surface="libraries"),
    rule("COD-011", "vector store that unpickles", HIGH, "X", "CWE-502",
         what="allow_dangerous_deserialization=True", why="the index is a pickle", fix="rebuild the index from its texts", surface="libraries"),
    rule("COD-012", "native operators loaded", MEDIUM, "XR", "CWE-829",
         what="register_custom_ops_library, torch.ops.load_library or onnx.hub with silent=True", why="a shared library runs on load", fix="load libraries you built", surface="libraries"),
    rule("COD-013", "MLflow model by alias", MEDIUM, "XP", "CVE-2024-37054",
         what="mlflow loads a model by stage, alias or latest", why="the alias moves, and pyfunc models run code", fix="name a version and check its digest", surface="libraries"),
    rule("COD-014", "transport without protection", MEDIUM, "N", "CWE-295",
         what="certificate checks are off, or a model comes over plain HTTP", why="anybody on the way replaces it", fix="use https and verify", surface="libraries"),
    rule("COD-015", "model output executed", HIGH, "X", "CWE-94", heuristic=True,
         what="eval, exec or a shell gets what a model said", why="a prompt becomes a command", fix="parse the output as data", surface="libraries"),
    rule("COD-017", "secret in the source", HIGH, "S", "CWE-798",
         what="a string of the program is a hub, cloud or model-service token", why="everybody who reads the source can use it", fix="revoke it, and read it from the environment or a vault", surface="libraries"),
    rule("COD-018", "unpickler opened up", HIGH, "X", "CWE-502",
         what="add_safe_globals gets dangerous names, or find_class lets everything through", why="the allowlist no longer is one", fix="allow exact classes only", surface="libraries"),
    rule("COD-019", "packages installed at run time", HIGH, "X", "AML.T0011.001",
         what="the code runs pip, conda or npm", why="what is installed is decided when it runs", fix="declare the dependency and lock it", surface="libraries"),
    rule("COD-020", "model server open to everybody", MEDIUM, "X", "CWE-306",
         what="a server is started on all interfaces", why="these servers run code for whoever reaches them", fix='host="127.0.0.1", with authentication in front', surface="libraries"),
)  # fmt: skip
