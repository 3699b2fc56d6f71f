"""One bad and one benign sample for each rule, as folders of files (`{path: bytes}`).

The benign sample is a near miss: the same kind of file, without the attack.
"""

from __future__ import annotations

import gzip
import io
import json
import lzma
import pickle
import struct
import zipfile
import zlib

from tests.corpus import binaries, datasets, dependencies, lineage, monitoring, operations, packages, repositories, runs
from tests.corpus import techniques as t
from tests.corpus.assemble import COMMAND, Call, Raw, call, name, short, stack_name, stream, value

PLAIN = pickle.dumps({"a": [1, 2.5, "x"]})
CODE = {"model.pkl": t.plain()}
DATA = {"model.pkl": PLAIN}
TORCH = t.torch_zip(pickle.dumps({}, 2))
ONE = '{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}'
SAFE = t._safetensors(ONE, 4)
ELF = b"\x7fELF\x02\x01\x01" + b"\x00" * 60


def named(wanted: str) -> dict[str, bytes]:
    """A sample of the technique corpus."""
    found = _techniques()[wanted]
    return {found.file: found.data}


def _techniques(cache={}):
    if not cache:
        for maker in (t.gadget_samples(),):
            cache.update({sample.id: sample for sample in maker})
        for identifier, data in t.forms():
            cache[f"D-{identifier}"] = t.Sample(id=identifier, group="D", file="model.pkl", data=data)
        for identifier, data, _ in t.broken():
            cache[f"E-{identifier}"] = t.Sample(id=identifier, group="E", file="model.pkl", data=data)
        for identifier, file, data, _, _ in t.containers():
            cache[f"F-{identifier}"] = t.Sample(id=identifier, group="F", file=file, data=data)
    return cache


def storage(items=10, key="0", kind="FloatStorage", shape=(10,), stride=(1,), offset=0, size=40):
    """A checkpoint with one tensor, as torch writes it, with every number free to lie."""
    identifier = Raw(value(("storage", name("torch", kind), key, "cpu", items)) + b"Q")
    tensor = call(
        "torch._utils._rebuild_tensor_v2", identifier, offset, shape, stride, False, call("collections.OrderedDict")
    )
    return t.torch_zip(stream({"w": tensor}, protocol=2), [(f"data/{key}", b"\x00" * size)])


def nested_zip(depth):
    data = t.zip_bytes([("a.txt", b"x")], root="")
    for _ in range(depth):
        data = t.zip_bytes([("inner.zip", data)], root="")
    return data


def bomb():
    return gzip.compress(b"\x00" * (300 << 20), 9)


def many_members(count):
    return t.zip_bytes([(f"{number}.txt", b"") for number in range(count)], root="")


def device_tar():
    import tarfile

    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        info = tarfile.TarInfo("device")
        info.type = tarfile.CHRTYPE
        archive.addfile(info)
    return buffer.getvalue()


def deep_path_zip(depth):
    return t.zip_bytes([("/".join("a" * 1 for _ in range(depth)) + "/x.txt", b"x")], root="")


def odd_method():
    data = bytearray(t.zip_bytes([("a.bin", b"hello")], root=""))
    for signature, at in ((b"PK\x03\x04", 8), (b"PK\x01\x02", 10)):
        struct.pack_into("<H", data, data.find(signature) + at, 98)
    return bytes(data)


def overlapping():
    data = bytearray(t.zip_bytes([("a.txt", b"hello"), ("b.txt", b"world")], root=""))
    second = data.find(b"PK\x01\x02", data.find(b"PK\x01\x02") + 4)
    first_header = struct.unpack_from("<I", data, data.find(b"PK\x01\x02") + 42)[0]
    struct.pack_into("<I", data, second + 42, first_header)
    return bytes(data)


def laugh(levels):
    body = b"]" + b"\x94"
    for _ in range(levels):
        body += b"0" if False else b""
    parts = [b"\x80\x04]q\x00"]
    for level in range(levels):
        parts.append(b"](h" + bytes([level]) + b"h" + bytes([level]) + b"eq" + bytes([level + 1]))
    return b"".join(parts) + b"."


def executorch(root):
    return struct.pack("<I", root) + b"ET12" + b"\x00" * 60


def good_executorch():
    # A root table at 16 whose field table lies at 8.
    body = bytearray(64)
    struct.pack_into("<I", body, 0, 16)
    body[4:8] = b"ET12"
    struct.pack_into("<i", body, 16, 8)
    return bytes(body)


def npz_with(member, data):
    return t.zip_bytes([("a.npy", t._npy(t._numpy().arange(3))), (member, data)], root="")


def npy_claim(shape):
    return t._npy_header(f"{{'descr': '<f8', 'fortran_order': False, 'shape': {shape}, }}") + b"\x00" * 24


def npy_fields(count):
    descr = "[" + ",".join(f"('f{n}','<f4')" for n in range(count)) + "]"
    text = f"{{'descr': {descr}, 'fortran_order': False, 'shape': (0,), }}\n"
    return b"\x93NUMPY\x02\x00" + struct.pack("<I", len(text)) + text.encode()


def flax(*parts):
    return b"".join(parts)


ARRAY = b"\xc7\x12\x01\x93\x91\x01\xa7float32\xc4\x04\x00\x00\x00\x00"
TREE = (
    b"\x81\xa1a"
    b"\xc7"
    + bytes([len(b"\x93\x91\x01\xa7float32\xc4\x04\x00\x00\x00\x00")])
    + b"\x01"
    + b"\x93\x91\x01\xa7float32\xc4\x04\x00\x00\x00\x00"
)
HEX = b"hf_" + b"aBcDeFgHiJkLmNoPqRsTuVwXyZaBcDeFgH"
KEY = b"-----BEGIN RSA PRIVATE KEY-----\n" + b"MIIEowIBAAKCAQEAwJ8vZq3pX1nY7b2kQmT5sR9uLdFhCgVjWoEyBtNzKxIaPlOm\n" * 3


def torchscript(code, file):
    return {
        file: t.zip_bytes(
            [
                ("data.pkl", pickle.dumps({}, 2)),
                ("constants.pkl", pickle.dumps((), 2)),
                ("code/__torch__.py", code),
                ("version", b"3\n"),
            ]
        )
    }


def torch_package(python):
    members = [(".data/extern_modules", b"os\n"), (".data/version", b"1"), (".data/python_version", b"3.11")]
    return {"package.pt": t.zip_bytes([*members, *([("pkg/__init__.py", b"x = 1\n")] if python else [])])}


def skops(module, cls, loader):
    return {"model.skops": t._skops({"__class__": cls, "__module__": module, "__loader__": loader, "content": {}})}


def pt2(members):
    return {
        "model.pt2": t.zip_bytes(
            [("archive_format", b"pt2"), ("version", b"1"), ("models/model.json", b"{}"), *members], root="m"
        )
    }


def clean_pickle_text():
    return pickle.dumps({"a": 1}, 0)


LAMBDA = json.dumps(
    {
        "class_name": "Sequential",
        "config": {"layers": [{"class_name": "Lambda", "config": {"function": ["4wAA", None, None]}}]},
    }
).encode()
DENSE = json.dumps({"class_name": "Sequential", "config": {"layers": [{"class_name": "Dense", "config": {}}]}}).encode()
GOOD_INDEX = json.dumps({"weight_map": {"a": "model-00001-of-00001.safetensors"}}).encode()
BAD_INDEX = json.dumps({"weight_map": {"a": "../../etc/passwd"}}).encode()

# rule -> (bad, benign); a sample is a folder of files. A third part holds options for the scan.
SAMPLES: dict[str, tuple] = {
    "SCN-001": ({"config.json": t.plain()}, {"config.json": b'{"a": 1}'}),
    "SCN-002": ({"model.pkl": PLAIN[:-4]}, DATA),
    "SCN-003": (lambda: named("F-pickle-zip-polyglot"), DATA),
    "SCN-004": ({"model.pkl": PLAIN + b"\x00" * 500}, DATA),
    "SCN-005": ({"a.zip": nested_zip(12)}, {"a.zip": nested_zip(3)}),
    "SCN-006": ({"a.zip": t._flags(t.zip_bytes([("a.bin", b"\x01\x9c\x02\xf3" * 9)], root=""), 1, central=True)}, {"a.zip": t.zip_bytes([("a.txt", b"x")], root="")}),
    "SCN-007": ({"model.pkl": pickle.dumps(list(range(5000)))}, DATA, {"limits": {"opcodes": 1000}}),
    "SCN-008": ({"lib.so": ELF}, {"lib.txt": b"ELF"}),
    "SCN-010": ("link", DATA),
    "SCN-011": ({"model.safetensors": b"version https://git-lfs.github.com/spec/v1\noid sha256:" + b"0" * 64 + b"\nsize 5\n"}, {"model.safetensors": SAFE}),
    "SCN-012": ("claims", {"a.zip": t.zip_bytes([("a.txt", b"x")], root="")}),
    "SCN-013": ({"model\u202egpj.pkl": PLAIN}, DATA),
    "SCN-014": ({"a.zip": t.zip_bytes([("A.txt", b"x"), ("a.txt", b"y")], root="")}, {"a.zip": t.zip_bytes([("a.txt", b"x"), ("b.txt", b"y")], root="")}),
    "SCN-016": ({"model-00001-of-00002.safetensors": SAFE, "x.txt": b"x"}, {"model-00001-of-00001.safetensors": SAFE, "x.txt": b"x"}),
    "SCN-017": ("changing", DATA),
    "ARC-001": (lambda: named("F-path-traversal"), {"a.zip": t.zip_bytes([("a/b.txt", b"x")], root="")}),
    "ARC-002": (lambda: named("F-tar-symlink-escape"), {"a.tar": t._tar([("a.txt", b"x")])}),
    "ARC-003": (lambda: {"model.pkl.gz": bomb()}, {"model.pkl.gz": gzip.compress(PLAIN)}),
    "ARC-004": (lambda: named("F-bad-crc"), {"model.pt": TORCH}),
    "ARC-005": (lambda: named("F-duplicate-bad-last"), {"model.pt": TORCH}),
    "ARC-006": (lambda: {"a.zip": overlapping()}, {"a.zip": t.zip_bytes([("a.txt", b"x"), ("b.txt", b"y")], root="")}),
    "ARC-007": (lambda: named("F-torch-prefix"), {"model.pt": TORCH}),
    "ARC-008": (lambda: named("F-7z-in-pt"), {"model.pt": TORCH}),
    "ARC-009": (lambda: named("F-flag-1-both"), {"model.pt": TORCH}),
    "ARC-010": (lambda: {"a.tar": device_tar()}, {"a.tar": t._tar([("a.txt", b"x")])}),
    "ARC-011": ({"a.zip": many_members(60)}, {"a.zip": many_members(3)}, {"limits": {"members": 50}}),
    "ARC-012": (lambda: {"a.zip": odd_method()}, {"a.zip": t.zip_bytes([("a.txt", b"x")], root="")}),
    "PKL-001": (CODE, DATA),
    "PKL-002": (lambda: named("C-evil_package.run"), DATA),
    "PKL-003": (lambda: named("B-pkgutil.resolve_name"), {"model.pkl": stream(call("operator.itemgetter", 1))}),
    "PKL-004": (lambda: named("C-joblib.load"), DATA),
    "PKL-005": (lambda: named("C-pip.main"), DATA),
    "PKL-006": (lambda: named("B-builtins.open"), DATA),
    "PKL-007": (lambda: named("D-build-dict-on-class"), {"model.pkl": pickle.dumps(__import__("argparse").Namespace(a=1))}),
    "PKL-008": ({"model.pkl": b"\x80\x02\x82\xf0."}, DATA),
    "PKL-009": ({"model.pkl": b"\x80\x02U\x03abcQ."}, {"model.pt": storage()}),
    "PKL-010": (lambda: named("E-second-pickle"), {"log.pkl": PLAIN + PLAIN}),
    "PKL-011": (lambda: named("E-bad-opcode-4"), {"model.pkl": PLAIN}),
    "PKL-012": (lambda: named("E-hex-int-4"), {"model.pkl": pickle.dumps([True, 7, 2**70], 0)}),
    "PKL-013": ({"notes.txt": t.plain(0)}, {"notes.txt": b"cats\ndogs\n"}),
    "PKL-014": (lambda: named("B-test.support.script_helper.assert_python_ok"), DATA),
    "PKL-015": ({"model.pkl": pickle.dumps({"blob": t.plain()})}, {"model.pkl": pickle.dumps({"blob": PLAIN})}),
    "PKL-016": ({"model.pkl": laugh(40)}, {"model.pkl": laugh(3)}),
    "PKL-017": (lambda: named("D-name-by-rot13"), DATA),
    "PKL-018": ({"model.pkl": stream(call("somewhere.models.Net"))}, {"model.pkl": stream(call("collections.OrderedDict"))}),
    "PKL-019": ({"model.safetensors": SAFE, "vocab.pkl": PLAIN}, {"model.safetensors": SAFE, "vocab.txt": b"a\n"}),
    "TCH-001": ({"model.pt": t.torch_zip()}, {"model.pt": TORCH}),
    "TCH-002": (lambda: named("F-second-pickle-member"), {"model.pt": TORCH}),
    "TCH-003": (lambda: {"model.pt": t._legacy({"a": 1})}, {"model.pt": TORCH}),
    "TCH-004": (torchscript(b"def forward(self, x):\n  return x\n", "pytorch_model.bin"), torchscript(b"def forward(self, x):\n  return x\n", "scripted.pt")),
    "TCH-005": (lambda: named("F-torchscript-from-file"), torchscript(b"def forward(self, x):\n  return torch.relu(x)\n", "scripted.pt")),
    "TCH-007": ({"model.pt": storage(shape=(1000,))}, {"model.pt": storage()}),
    "TCH-008": (torch_package(python=True), torch_package(python=False)),
    "TCH-009": (lambda: named("F-pt2-native"), pt2([])),
    "TCH-010": (pt2([("data/sample_inputs/model.pkl", t.plain())]), pt2([("data/sample_inputs/model.pkl", PLAIN)])),
    "TCH-011": ({"model.pte": executorch(5000)}, {"model.pte": good_executorch()}),
    "TCH-013": (lambda: named("C-torch.distributed.rpc.internal._internal_rpc_pickler.deserialize"), DATA),
    "TCH-014": ({"optimizer.pt": TORCH}, {"model.pt": TORCH}),
    "TCH-015": ({"ckpt/.metadata": PLAIN, "ckpt/a.txt": b"x"}, {"ckpt/metadata.txt": b"x", "ckpt/a.txt": b"x"}),
    "TCH-016": ({"model.pt": storage(key="../0")}, {"model.pt": storage()}),
    "TCH-019": (
        {"model.pt": t.zip_bytes([("data.pkl", pickle.dumps({}, 2)), ("byteorder", b"sideways"), ("version", b"3\n")])},
        {"model.pt": TORCH},
    ),
    "TCH-020": ({"hubconf.py": b"dependencies = []\n"}, {"setup.py": b"x = 1\n"}),
    "JBL-001": (lambda: named("F-joblib-after-array"), lambda: {"model.joblib": t._joblib([t._numpy().arange(9)])}),
    "JBL-002": (lambda: named("F-joblib-object-array"), lambda: {"model.joblib": t._joblib([t._numpy().array(["a", None], object)])}),
    "JBL-003": (lambda: named("F-cloudpickle-function"), DATA),
    "JBL-004": ({"model.pkl": stream([name("somewhere", "helper")])}, {"model.pkl": stream([name("math", "sqrt")])}),
    "JBL-005": (skops("os", "system", "OperatorFuncNode"), skops("operator", "itemgetter", "OperatorFuncNode")),
    "JBL-006": (lambda: named("F-skops-not-zip"), skops("builtins", "dict", "DictNode")),
    "JBL-007": (skops("somewhere", "Thing", "ObjectNode"), skops("builtins", "dict", "DictNode")),
    "NPY-001": (lambda: {"a.npy": t._npy(t._numpy().array(["x", None], object))}, lambda: {"a.npy": t._npy(t._numpy().arange(3))}),
    "NPY-002": (lambda: named("F-npy-header-code"), lambda: {"a.npy": t._npy(t._numpy().arange(3))}),
    "NPY-003": ({"a.npy": npy_claim("(1000000000,)")}, {"a.npy": npy_claim("(3,)")}),
    "NPY-004": (lambda: {"a.npz": npz_with("b.txt", b"x")}, lambda: {"a.npz": npz_with("b.npy", t._npy(t._numpy().arange(2)))}),
    "NPY-005": ({"a.npy": npy_fields(2000)}, {"a.npy": npy_fields(5)}),
    "NPY-006": ({"a.npy": t.plain()}, lambda: {"a.npy": t._npy(t._numpy().arange(3))}),
    "STN-001": ({"m.safetensors": struct.pack("<Q", 90_000_000) + b'{"a' + b" " * 50}, {"m.safetensors": SAFE}),
    "STN-002": ({"m.safetensors": t._safetensors(" " + ONE, 4)}, {"m.safetensors": SAFE}),
    "STN-003": (lambda: named("F-safetensors-duplicate"), {"m.safetensors": SAFE}),
    "STN-004": (lambda: named("F-safetensors-overlap"), {"m.safetensors": SAFE}),
    "STN-005": ({"m.safetensors": t._safetensors(ONE, 400)}, {"m.safetensors": SAFE}),
    "STN-006": (lambda: named("F-safetensors-size-lie"), {"m.safetensors": SAFE}),
    "STN-007": ({"m.safetensors": t._safetensors(ONE.replace("F32", "Q77"), 4)}, {"m.safetensors": SAFE}),
    "STN-008": (lambda: named("F-safetensors-code"), {"m.safetensors": t._safetensors('{"__metadata__":{"format":"pt"},' + ONE[1:], 4)}),
    "STN-009": (lambda: named("F-safetensors-tail-zip"), {"m.safetensors": SAFE}),
    "STN-010": ({"m.safetensors": t._safetensors(ONE.replace('"a"', '"../a"'), 4)}, {"m.safetensors": SAFE}),
    "STN-011": ({"model.safetensors.index.json": BAD_INDEX}, {"model.safetensors.index.json": GOOD_INDEX}),
    "STN-012": ("twin", {"model.safetensors": SAFE, "x.txt": b"x"}),
    "STN-014": ({"m.safetensors": t.plain()}, {"m.safetensors": SAFE}),
    "JAX-001": (lambda: named("F-flax-ext"), {"flax_model.msgpack": TREE}),
    "JAX-002": ({"flax_model.msgpack": TREE + b"\xc0\xc0"}, {"flax_model.msgpack": TREE}),
    "JAX-003": (lambda: named("F-flax-object"), {"flax_model.msgpack": TREE}),
    "JAX-004": ({"flax_model.msgpack": b"\x91" * 5000 + b"\xc0"}, {"flax_model.msgpack": TREE}),
    "JAX-005": (
        {"_METADATA": json.dumps({"tree": {"kvstore": {"driver": "file", "path": "/etc/passwd"}}}).encode()},
        {"_METADATA": json.dumps({"tree": {"kvstore": {"driver": "file", "path": "params"}}}).encode()},
    ),
    "JAX-006": (
        {"_METADATA": json.dumps({"a": {"value_type": "evil.handlers.Run"}}).encode()},
        {"_METADATA": json.dumps({"a": {"value_type": "jax.Array"}}).encode()},
    ),
    "SEC-001": ({"notes.txt": b"token " + HEX + b"\n"}, {"notes.txt": b"token hf_xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx\n"}),
    "SEC-002": ({"key.txt": KEY}, {"key.txt": b"-----BEGIN PUBLIC KEY-----\nMIIB\n"}),
    "SEC-010": ({"a.txt": b"WEIGHBRIDGE-SELF-TEST-7d1f0b1e"}, {"a.txt": b"hello"}),
}  # fmt: skip
for part in (datasets, repositories, operations, binaries, lineage, packages, dependencies, runs, monitoring):
    SAMPLES.update(part.SAMPLES)
SPECIAL = {"link", "onnx-link", "claims", "twin", "changing"}


def claims():
    """A zip whose directory claims terabytes in one deflated member."""
    data = bytearray(t.zip_bytes([("a.bin", b"x")], root="", method=zipfile.ZIP_DEFLATED))
    at = data.find(b"PK\x01\x02")
    extra = struct.pack("<HHQQ", 1, 16, 1 << 46, 3)
    size = struct.unpack_from("<H", data, at + 30)[0]
    name_length = struct.unpack_from("<H", data, at + 28)[0]
    struct.pack_into("<I", data, at + 24, 0xFFFFFFFF)
    struct.pack_into("<I", data, at + 20, 0xFFFFFFFF)
    struct.pack_into("<H", data, at + 30, size + len(extra))
    data[at + 46 + name_length : at + 46 + name_length] = extra
    end = data.rfind(b"PK\x05\x06")
    struct.pack_into("<I", data, end + 12, struct.unpack_from("<I", data, end + 12)[0] + len(extra))
    return {"a.zip": bytes(data)}


def twin():
    return {"model.safetensors": SAFE, "model.bin": storage(key="7")}


def files_of(sample):
    """The files of a sample, built."""
    if sample == "claims":
        return claims()
    if sample == "twin":
        return twin()
    return sample() if callable(sample) else sample


__all__ = ["COMMAND", "SAMPLES", "SPECIAL", "Call", "files_of", "lzma", "short", "stack_name", "zlib"]
