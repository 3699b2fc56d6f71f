"""Knows the TCH family: PyTorch containers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from weighbridge.rules.build import CRITICAL, HIGH, INFO, LOW, MEDIUM, rule

if TYPE_CHECKING:
    from weighbridge.schema import Rule

_SAFE = "do not load this file; ask the publisher for safetensors"

TCH: Final[tuple[Rule, ...]] = (
    rule("TCH-001", "dangerous pickle in a checkpoint", CRITICAL, "X", "CWE-502 AATMF:T13-AT-006",
         what="data.pkl of a checkpoint does something dangerous", why="torch.load runs it", fix=_SAFE),
    rule("TCH-002", "unexpected pickle in a checkpoint", HIGH, "X", "CWE-502",
         what="a member that is no regular part of the container is a pickle",
         why="other code paths of the loader, or a second tool, load it", fix=_SAFE),
    rule("TCH-003", "legacy checkpoint", LOW, "X", "CWE-502",
         what="a checkpoint in the tar or multi-pickle layout from before torch 1.6",
         why="these layouts are read by older, less guarded code in torch",
         fix="load it once in a sandbox and save it again with a current torch, or as safetensors"),
    rule("TCH-004", "TorchScript presented as weights", MEDIUM, "XU", "CVE-2025-32434 CWE-502 CWE-94",
         what="the archive holds TorchScript code, and its name promises weights",
         why="torch.load hands it to the JIT, which ignores weights_only before torch 2.6",
         fix="load it with torch.jit.load knowingly, or ask for weights"),
    rule("TCH-005", "TorchScript operator with side effects", HIGH, "WRX", "CWE-94",
         what="the code in the archive calls operators that touch files, processes or Python",
         why="they run when the model is loaded or used", fix="read the operator calls that are shown"),
    rule("TCH-007", "tensor reaches beyond its storage", HIGH, "M", "CVE-2026-24747 CVE-2025-62164 CWE-787",
         what="a storage, its member and the tensors on it disagree about their size, or items are set on no dict",
         why="loaders that trust the claim read or write outside the buffer", fix="refuse the file"),
    rule("TCH-008", "Python source in the container", HIGH, "X", "CWE-829",
         what="a torch.package archive, or Python files in a container that needs none",
         why="the package importer runs that source", fix="review the source that is listed"),
    rule("TCH-009", "native code in the container", CRITICAL, "X", "CVE-2026-4538 CWE-829",
         what="shared objects, device code or C++ source in the container",
         why="AOTInductor loads them into the process", fix="build it yourself from reviewed source"),
    rule("TCH-010", "pickled inputs or constants in a pt2 archive", HIGH, "X", "CWE-502",
         what="a pt2 archive holds pickles that do more than rebuild tensors",
         why="torch.export.load unpickles them", fix="save the program again without sample inputs"),
    rule("TCH-011", "malformed ExecuTorch program", HIGH, "M", "CVE-2025-54950 CVE-2025-30402 CWE-787",
         what="an offset or size in the program points outside the file",
         why="the runtime reads or writes out of bounds", fix="refuse the file"),
    rule("TCH-013", "remote procedure objects", CRITICAL, "X", "CVE-2024-5480 CVE-2024-48063",
         what="the pickle holds objects of torch.distributed.rpc",
         why="they call functions on other machines of the cluster", fix="refuse the file"),
    rule("TCH-014", "trainer state in a release", INFO, "X", "CVE-2026-1839 AATMF:T13-AT-006",
         what="optimizer, scheduler or trainer state lies among the files",
         why="inference does not need it, and resuming a training loads it as a pickle", fix="leave it out of releases"),
    rule("TCH-015", "distributed checkpoint metadata", INFO, "X", "CWE-502 AATMF:T13-AT-006",
         what="a .metadata file of a distributed checkpoint, which is a pickle",
         why="torch.distributed.checkpoint unpickles it", fix="consolidate the checkpoint and save it as safetensors"),
    rule("TCH-016", "storage key with path characters", LOW, "W", "CWE-22",
         what="a storage key or tensor name contains path separators or control characters",
         why="tools that write one file for each tensor leave their folder", fix="refuse the file"),
    rule("TCH-019", "container members contradict each other", LOW, "E", "CWE-20",
         what="byteorder, version or format version is not what torch writes",
         why="the file was not written by torch", fix="save it again with torch"),
    rule("TCH-020", "torch.hub repository", MEDIUM, "X", "CWE-829",
         what="hubconf.py is present", why="torch.hub.load imports and runs it",
         fix="review it, and pin the revision"),
    rule("TCH-018", "torch too old for what it reads", HIGH, "P", "CWE-1395 CVE-2025-32434 CVE-2026-24747", evidence="the version of torch, and a checkpoint in the same tree",
         what="a project that holds torch checkpoints installs a torch whose weights_only=True can be led astray",
         why="before 2.6 a checkpoint runs code in spite of weights_only=True, before 2.10 it corrupts memory", fix="raise torch to 2.10 or later"),
)  # fmt: skip
