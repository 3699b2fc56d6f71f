"""Knows what a parsed JSON, YAML or TOML document is for: by its shape, and by the name that its loader asks for."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Callable

_HUB: Final = frozenset({"config.json", "configuration.json", "params.json", "model_index.json", "modules.json"})
_HUB_ENDINGS: Final = ("_config.json", "_config.yaml", "processor.json", "special_tokens_map.json")
# Tables of servers of the Model Context Protocol; `servers` is theirs only in files that are called so.
_MCP: Final = frozenset({"mcpServers", "mcp_servers", "context_servers"})
SERVER_TABLES: Final = ("mcpServers", "mcp_servers", "servers", "context_servers")
_AGENT_NAMES: Final = frozenset(
    {
        "settings.json",
        "settings.local.json",
        "tasks.json",
        "devcontainer.json",
        "launch.json",
        "hooks.json",
        "extensions.json",
    }
)


def _has(*keys: str) -> Callable[[str, dict[str, Any]], bool]:
    return lambda _, root: all(key in root for key in keys)


def _named(*names: str) -> Callable[[str, dict[str, Any]], bool]:
    return lambda name, _: name.rsplit("/", 1)[-1] in names


def _is_hub(name: str, _: dict[str, Any]) -> bool:
    last = name.rsplit("/", 1)[-1]
    return last in _HUB or last.endswith(_HUB_ENDINGS)


def _is_keras(name: str, root: dict[str, Any]) -> bool:
    shape = isinstance(root.get("class_name"), str) and isinstance(root.get("config"), (dict, list))
    return shape or "keras_version" in root or (name.endswith("config.json") and "registered_name" in root)


def _is_tokenizer(_: str, root: dict[str, Any]) -> bool:
    model = root.get("model")
    return isinstance(model, dict) and ("added_tokens" in root or "vocab" in model) and "normalizer" in root


def _is_workflow(name: str, root: dict[str, Any]) -> bool:
    jobs = isinstance(root.get("jobs"), dict) and ("on" in root or "true" in root)
    return jobs or ".gitlab-ci" in name or (".github/workflows/" in name and "jobs" in root) or _is_action(root)


def _is_action(root: dict[str, Any]) -> bool:
    runs = root.get("runs")
    return isinstance(runs, dict) and "using" in runs


def _is_merge(_: str, root: dict[str, Any]) -> bool:
    return "merge_method" in root or ("slices" in root and "dtype" in root)


def _is_agent(name: str, root: dict[str, Any]) -> bool:
    last = name.rsplit("/", 1)[-1]
    return bool(_MCP & root.keys()) or last in _AGENT_NAMES or (
        last in {"mcp.json", ".mcp.json", "server.json"} and bool({"servers", "mcpServers", "packages", "tools"} & root.keys())
    )  # fmt: skip


# Each role with the test for it. A document may have several.
_ROLES: Final[tuple[tuple[str, Callable[[str, dict[str, Any]], bool]], ...]] = (
    ("hub", _is_hub),
    ("keras", _is_keras),
    ("tokenizer", _is_tokenizer),
    ("tfjs", lambda _, root: "weightsManifest" in root or "modelTopology" in root),
    ("notebook", lambda name, root: bool({"cells", "worksheets"} & root.keys()) and ("nbformat" in root or name.endswith(".ipynb"))),
    ("mlmodel", lambda name, root: "flavors" in root or name.endswith("MLmodel")),
    ("adapter", lambda name, root: "peft_type" in root or name.endswith("adapter_config.json")),
    ("xgboost", _has("learner", "version")),
    ("mxnet", _has("nodes", "arg_nodes", "heads")),
    ("oci", lambda _, root: root.get("schemaVersion") == 2 or "imageLayoutVersion" in root),
    ("workflow", _is_workflow),
    ("compose", lambda _, root: isinstance(root.get("services"), dict)),
    ("kubernetes", _has("apiVersion", "kind")),
    ("kustomize", lambda name, root: "kustomization" in name.lower() or root.get("kind") == "Kustomization"),
    ("helm", _named("Chart.yaml", "requirements.yaml")),
    ("merge", _is_merge),
    ("agent", _is_agent),
    ("package", _named("package.json")),
    ("conda", lambda _, root: isinstance(root.get("dependencies"), list) and ("channels" in root or "name" in root)),
    ("dvc", lambda name, root: name.endswith(("dvc.yaml", "dvc.lock", ".dvc")) or ("stages" in root and "jobs" not in root)),
    ("precommit", _named(".pre-commit-config.yaml")),
    ("mar", lambda name, root: "MAR-INF" in name or ("model" in root and "archiverVersion" in root)),
    ("bento", lambda name, _: name.rsplit("/", 1)[-1] in {"bentofile.yaml", "bento.yaml", "bentoml.yaml"}),
    ("ray", lambda _, root: "runtime_env" in root or "applications" in root),
    ("comfy", lambda _, root: _comfy(root)),
    ("coreml-package", lambda _, root: "itemInfoEntries" in root),
    ("oauth", lambda _, root: "authorization_endpoint" in root or "authorization_servers" in root),
    ("a2a", lambda name, root: name.endswith(("agent.json", "agent-card.json")) and "skills" in root),
    ("launcher", lambda _, root: bool({"base_model", "model_name_or_path", "trainer", "recipe"} & root.keys())),
    ("serving", lambda _, root: bool({"allowed_urls", "inference_address", "server", "serve"} & root.keys())),
    ("h2o", _has("algo", "escape_domain_values")),
)  # fmt: skip


def roles(name: str, root: object) -> tuple[str, ...]:
    """The roles of a document called `name`; none for what is no table."""
    if isinstance(root, list):
        first = root[0] if root and isinstance(root[0], dict) else {}
        if name.endswith("modules.json") and "type" in first:
            return ("hub",)
        return ("oci",) if "Layers" in first or "RepoTags" in first else ()
    if not isinstance(root, dict):
        return ()
    return tuple(role for role, holds in _ROLES if holds(name, root))


def _comfy(root: dict[str, Any]) -> bool:
    nodes = root.get("nodes")
    if isinstance(nodes, list) and "links" in root:
        return True
    return any(isinstance(value, dict) and "class_type" in value for value in list(root.values())[:3])
