"""Knows the GGF family: GGUF, its predecessors, llamafile and Ollama."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from weighbridge.rules.build import CRITICAL, HIGH, LOW, MEDIUM, rule

if TYPE_CHECKING:
    from weighbridge.schema import Rule

GGF: Final[tuple[Rule, ...]] = (
    rule("GGF-001", "impossible counts", HIGH, "MD", "CVE-2024-21836 CWE-190",
         what="the header claims more keys or tensors than fit into the file", why="readers allocate the claim or overflow", fix="refuse the file"),
    rule("GGF-002", "impossible string", HIGH, "M", "CVE-2024-23496 CVE-2025-66960",
         what="a string is longer than what is left of the file", why="readers overflow or read beyond the buffer", fix="refuse the file"),
    rule("GGF-003", "impossible array", HIGH, "MD", "CWE-190 CWE-770",
         what="an array's type, length or nesting cannot be", why="readers overflow, or loop for years", fix="refuse the file"),
    rule("GGF-004", "impossible shape", HIGH, "M", "CVE-2025-53630 CVE-2026-27940 CVE-2026-33298",
         what="a tensor has too many dimensions, an empty one, or more elements than 64 bits count", why="the size wraps around, and a small buffer is filled with a large tensor", fix="refuse the file"),
    rule("GGF-005", "tensor outside its place", HIGH, "MR", "CVE-2026-7482 CWE-125",
         what="a tensor is misaligned, overlaps another, or reaches beyond the file", why="servers read memory that is not the model's", fix="refuse the file"),
    rule("GGF-006", "unknown tensor type", MEDIUM, "M", "CWE-20",
         what="a tensor type is not known, or a row is no whole number of blocks", why="sizes are computed wrongly", fix="convert the model again"),
    rule("GGF-007", "tokenizer that contradicts itself", MEDIUM, "MB", "CVE-2025-49847",
         what="the tables of the tokenizer have different lengths, or a special id does not exist", why="readers index one by the other", fix="convert the model again"),
    rule("GGF-008", "key that occurs twice or is odd", MEDIUM, "E", "CWE-436",
         what="a key is repeated, or holds characters the format does not allow", why="readers disagree on its value", fix="convert the model again"),
    rule("GGF-009", "chat template that does harm", CRITICAL, "XB", "CVE-2024-34359 CVE-2026-5760 AML.T0018.003",
         what="a chat template among the keys reaches Python internals, or injects text", why="servers render it for every request", fix="replace the template by that of the base model"),
    rule("GGF-010", "no word on where it comes from", LOW, "P", "AATMF:T13-AT-005",
         what="name, licence, author, source and base model are all missing", why="nobody can tell what was converted", fix="convert with metadata"),
    rule("GGF-012", "split model with missing parts", LOW, "E", "CWE-345",
         what="a part of a split model is missing", why="what was inspected is not the model", fix="fetch all parts"),
    rule("GGF-013", "odd version or byte order", LOW, "E", "CWE-436",
         what="the file is big-endian or of an old version", why="few readers were tested with it", fix="convert the model again"),
    rule("GGF-014", "not a model", MEDIUM, "B", "AML.T0018",
         what="general.type says adapter, control vector or something else", why="it changes another model's behaviour", fix="treat it as an adapter"),
    rule("GGF-015", "second format inside", HIGH, "EX", "CWE-506",
         what="the GGUF file is also a zip or another format", why="another program reads that one", fix="refuse the file"),
    rule("GGF-016", "model that is a program", CRITICAL, "X", "AML.T0018.002 CWE-506",
         what="a llamafile: an executable with the model inside", why="starting the model starts the program", fix="take the GGUF file and run it with your own llama.cpp"),
    rule("GGF-017", "digest that is a path", CRITICAL, "WX", "CVE-2024-37032 CWE-22",
         what="a digest of an Ollama manifest is not sha256 and 64 hexadecimal digits", why="servers use it as a file name", fix="refuse the manifest"),
    rule("GGF-018", "Modelfile that leads elsewhere", HIGH, "BN", "CWE-829 AML.T0018.003",
         what="FROM or ADAPTER names a path outside or a foreign registry, or the prompt carries hidden instructions", why="building the model fetches it, and everybody who talks to it is steered", fix="name local files and review the prompt"),
    rule("GGF-019", "container from before GGUF", MEDIUM, "M", "CWE-1104",
         what="a ggml, ggmf, ggjt or ggla file", why="its readers are no longer maintained", fix="ask for GGUF"),
    rule("GGF-020", "reader too old for GGUF", HIGH, "P", "CWE-1395 CVE-2024-34359 CVE-2026-5760", evidence="the version of the reader, and a GGUF file in the same tree",
         what="a project that holds GGUF files installs a reader with a known weakness in reading them",
         why="chat templates of such files run code in those versions", fix="raise the reader to the release that is named"),
)  # fmt: skip
