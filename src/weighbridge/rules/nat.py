"""Knows the NAT family: native, compiled and other network formats."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from weighbridge.rules.build import CRITICAL, HIGH, MEDIUM, rule

if TYPE_CHECKING:
    from weighbridge.schema import Rule

NAT: Final[tuple[Rule, ...]] = (
    rule("NAT-001", "TensorRT engine", HIGH, "X", "AATMF:T13-AT-008 CWE-829",
         what="a serialised engine, which is native code and can carry plug-in libraries", why="deserialising it runs code for the GPU and, with embedded libraries, for the host", fix="build the engine yourself from ONNX"),
    rule("NAT-002", "configuration that names a library", HIGH, "X", "CWE-829",
         what="a model configuration names a shared library", why="the runtime loads it", fix="remove the entry, or ship libraries of your own"),
    rule("NAT-003", "OpenVINO model that loads or lies", HIGH, "XR", "CWE-611 CWE-22",
         what="the IR names an extension library, or ranges that are no numbers", why="the reader loads the library or reads beyond the weights", fix="convert the model again"),
    rule("NAT-004", "Core ML model with code or links", HIGH, "XR", "CWE-829 CWE-22",
         what="a custom layer or model class, a linked model file, or a package item outside the folder", why="the host program's class runs, or another file is read", fix="ask for a model of built-in layers"),
    rule("NAT-005", "model as a native library", HIGH, "X", "CWE-829",
         what="a model compiled to a shared library or an IREE module", why="loading it runs it", fix="compile it yourself from its source"),
    rule("NAT-006", "Caffe Python layer", CRITICAL, "XR", "CWE-94",
         what="a layer of the type Python, or a source path outside", why="building the network imports the module", fix="refuse the model"),
    rule("NAT-007", "MXNet custom operator", MEDIUM, "X", "CWE-829",
         what="the symbol graph uses a custom operator or names a library", why="code of the host runs for it", fix="ask for a model of built-in operators"),
    rule("NAT-008", "Paddle program that calls Python", HIGH, "X", "CWE-502",
         what="py_func or another operator that calls Python", why="running the program calls it", fix="refuse the model"),
    rule("NAT-009", "compiled Lua in a Torch7 file", HIGH, "X", "CWE-502",
         what="a function is stored as Lua bytecode", why="torch.load brings it to life", fix="refuse the file"),
    rule("NAT-012", "GPU kernel in a model repository", HIGH, "X", "CVE-2026-4372",
         what="kernel source or binary lies beside a model", why="loaders that build or fetch kernels run it", fix="build kernels from reviewed source"),
    rule("NAT-013", "bitstream", MEDIUM, "X", "CWE-829",
         what="a configuration for programmable hardware", why="nobody can read what it does", fix="require provenance from its builder"),
    rule("NAT-014", "WebAssembly or JavaScript in a model", HIGH, "X", "CWE-829",
         what="a module or script lies among the model's files", why="pages and runtimes that load the model run it", fix="remove the file"),
)  # fmt: skip
