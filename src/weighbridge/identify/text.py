"""Knows the kinds of text. Text has no signature: what a loader goes by is the name, so the name decides here too.

Where the content says more than the name (XML, a tree model, a notebook), the content decides.
"""

from __future__ import annotations

import re
from typing import Final

_HEAD: Final = 2048
_BY_ENDING: Final[tuple[tuple[tuple[str, ...], str], ...]] = (
    ((".ipynb",), "notebook"),
    ((".json", ".webmanifest", ".mcp"), "json"),
    ((".jsonl", ".ndjson"), "lines of json"),
    ((".yaml", ".yml"), "yaml"),
    ((".toml",), "toml"),
    ((".py", ".pyi", ".pyw"), "python"),
    ((".jinja", ".jinja2", ".j2"), "template"),
    ((".md", ".markdown", ".mdc", ".rst", ".mdx"), "prose"),
    ((".sh", ".bash", ".zsh", ".ps1", ".bat", ".cmd", ".command"), "shell"),
    ((".dockerfile",), "dockerfile"),
    ((".prototxt", ".pbtxt", ".config"), "prototxt"),
    ((".pmml", ".xml", ".html", ".htm", ".svg"), "xml"),
    ((".cfg", ".ini", ".conf", ".properties"), "ini"),
    ((".java",), "java"),
    ((".cu", ".cuh", ".ptx", ".cl", ".metal"), "kernel"),
    ((".js", ".mjs", ".cjs", ".ts"), "javascript"),
    ((".lua",), "lua"),
    ((".mlir",), "mlir"),
    ((".pth",), "path file"),
)
_BY_NAME: Final[dict[str, str]] = {
    "mlmodel": "yaml", "conda.lock": "yaml", ".cursorrules": "prose", ".windsurfrules": "prose", ".clinerules": "prose",
    ".goosehints": "prose", "makefile": "shell", "gnumakefile": "shell", "justfile": "shell", "modelfile": "modelfile",
    "containerfile": "dockerfile", "dockerfile": "dockerfile", ".gitattributes": "git", ".gitmodules": "git",
    "llms.txt": "prose", "skill.md": "prose", ".clang-format": "yaml", "dvc.lock": "yaml",
}  # fmt: skip
_BY_CONTENT: Final[tuple[tuple[re.Pattern[bytes], str], ...]] = (
    (re.compile(rb"\s*(?:<\?xml\b|<!DOCTYPE\s|<PMML\b|<net\b|<svg\b|<html\b)", re.IGNORECASE), "xml"),
    (re.compile(rb"tree\r?\nversion="), "lightgbm"),
    (re.compile(rb"#!\S*(?:/|env\s+)python"), "python"),
    (re.compile(rb"#!\S*(?:/|env\s+)(?:ba|z|da|k)?sh\b"), "shell"),
    (re.compile(rb"#!\S*(?:/|env\s+(?:-S\s+)?)(?:node|bun|deno)\b"), "javascript"),
    (re.compile(rb"4\s*\n\d+\s*\n3\s*\nV \d+\n"), "torch7"),
    (re.compile(rb"7767517\s*\n"), "ncnn"),
    (re.compile(rb"(?:RDA[23]\n|RDX[23]\n)?A\n\d+\n\d+\n\d+\n"), "rds text"),
)  # fmt: skip
_DOCKERFILE: Final = re.compile(r"(?:dockerfile|containerfile)(?:[._-].*)?\Z|.*\.(?:dockerfile|containerfile)\Z")
_MODELFILE: Final = re.compile(rb"(?:^|\n)\s*FROM\s+\S+[\s\S]*?\n\s*(?:TEMPLATE|SYSTEM|PARAMETER|ADAPTER)\s")


def text_kind(name: str, head: bytes, found: str) -> str:
    """What kind of text a member is, from its name, its first bytes, and what it was identified as."""
    head = head[:_HEAD]
    for pattern, kind in _BY_CONTENT:
        if pattern.match(head.removeprefix(b"\xef\xbb\xbf")):
            return kind
    last = name.rsplit("/", 1)[-1].lower()
    if last in _BY_NAME:
        return _BY_NAME[last]
    if _DOCKERFILE.match(last):
        return "dockerfile"
    if last.startswith("modelfile") or (not last.endswith((".md", ".py")) and _MODELFILE.search(head)):
        return "modelfile"
    for endings, kind in _BY_ENDING:
        if last.endswith(endings):
            return kind
    return "json" if found == "json" else "text"
