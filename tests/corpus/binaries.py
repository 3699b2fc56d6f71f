"""Bad and benign samples of binary model formats, written by the real libraries where there is one."""

from __future__ import annotations

import io
import json
import os
import struct
import tempfile
import zipfile
from functools import cache

import numpy as np


def pb(number, value):
    """One protobuf field: bytes and texts as length-delimited, integers as varints."""
    if isinstance(value, int):
        return varint(number << 3) + varint(value & 0xFFFFFFFFFFFFFFFF)
    data = value.encode() if isinstance(value, str) else value
    return varint(number << 3 | 2) + varint(len(data)) + data


def varint(value):
    out = b""
    while True:
        out += bytes([value & 127 | (128 if value > 127 else 0)])
        value >>= 7
        if not value:
            return out


# ONNX


@cache
def onnx_model(nodes=None, inputs=1, domain="", functions=(), **more):
    import onnx
    from onnx import TensorProto, helper

    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 4])
    y = helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 4])
    weight = helper.make_tensor("w", TensorProto.FLOAT, [4, 4], np.ones(16, "float32").tobytes(), raw=True)
    made = [helper.make_node("MatMul", ["x", "w"], ["y"])] if nodes is None else nodes()
    graph = helper.make_graph(made, "g", [x], [y], [weight])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], functions=[f() for f in functions])
    for change in more.get("changes", ()):
        change(model)
    del onnx, inputs, domain
    return model.SerializeToString()


def node(kind, inputs=("x",), outputs=("y",), **more):
    def make():
        from onnx import helper

        return [helper.make_node(kind, list(inputs), list(outputs), **more)]

    return make


def external(**entries):
    def change(model):
        tensor = model.graph.initializer[0]
        tensor.ClearField("raw_data")
        tensor.data_location = 1
        for key, value in entries.items():
            tensor.external_data.add(key=key, value=value)

    return change


def shadow():
    from onnx import helper

    return helper.make_function(
        "", "Relu", ["a"], ["b"], [helper.make_node("Neg", ["a"], ["b"])], [helper.make_opsetid("", 21)]
    )


def own_function():
    from onnx import helper

    return helper.make_function(
        "mine", "Act", ["a"], ["b"], [helper.make_node("Relu", ["a"], ["b"])], [helper.make_opsetid("", 21)]
    )


def backdoor():
    from onnx import TensorProto, helper

    return [
        helper.make_node("Constant", [], ["t"], value=helper.make_tensor("t", TensorProto.FLOAT, [], [9.0])),
        helper.make_node(
            "Constant", [], ["evil"], value=helper.make_tensor("e", TensorProto.FLOAT, [1, 4], [1, 0, 0, 0])
        ),
        helper.make_node("MatMul", ["x", "w"], ["z"]),
        helper.make_node("ReduceMax", ["x"], ["m"], keepdims=0),
        helper.make_node("Greater", ["m", "t"], ["c"]),
        helper.make_node("Where", ["c", "evil", "z"], ["y"]),
    ]


def mask():
    from onnx import TensorProto, helper

    return [
        helper.make_node("Constant", [], ["t"], value=helper.make_tensor("t", TensorProto.FLOAT, [], [0.0])),
        helper.make_node("Equal", ["x", "t"], ["c"]),
        helper.make_node("Where", ["c", "t", "x"], ["m"]),
        helper.make_node("MatMul", ["m", "w"], ["y"]),
    ]


def loop(trips):
    def make():
        from onnx import TensorProto, helper

        body = helper.make_graph(
            [helper.make_node("Identity", ["cond_in"], ["cond_out"])],
            "b",
            [
                helper.make_tensor_value_info("i", TensorProto.INT64, []),
                helper.make_tensor_value_info("cond_in", TensorProto.BOOL, []),
            ],
            [helper.make_tensor_value_info("cond_out", TensorProto.BOOL, [])],
        )
        deep = helper.make_node("Loop", ["", ""], [], body=body)
        for _ in range(trips):
            inner = helper.make_graph([deep], "b", body.input, body.output)
            deep = helper.make_node("Loop", ["", ""], [], body=inner)
        return [deep]

    return make


def short_tensor(model):
    model.graph.initializer[0].raw_data = b"1234"


def note(model):
    model.metadata_props.add(key="loader", value="__import__('os').system('id')")


def onnx_zip(name):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr(name, onnx_model())
    return {"data.zip": buffer.getvalue()}


def ort(problem=False):
    import flatbuffers

    b = flatbuffers.Builder(256)
    op, domain = b.CreateString("Relu"), b.CreateString("")
    b.StartObject(12)
    b.PrependUOffsetTRelativeSlot(2, domain, 0)
    b.PrependUOffsetTRelativeSlot(5, op, 0)
    one = b.EndObject()
    b.StartVector(4, 1, 4)
    b.PrependUOffsetTRelative(one)
    nodes = b.EndVector()
    b.StartObject(9)
    b.PrependUOffsetTRelativeSlot(2, nodes, 0)
    graph = b.EndObject()
    b.StartObject(10)
    b.PrependUOffsetTRelativeSlot(7, graph, 0)
    model = b.EndObject()
    version = b.CreateString("6")
    b.StartObject(4)
    b.PrependUOffsetTRelativeSlot(0, version, 0)
    if not problem:
        b.PrependUOffsetTRelativeSlot(1, model, 0)
    b.Finish(b.EndObject(), b"ORTM")
    return bytes(b.Output())


def m(**kwargs):
    return {"model.onnx": onnx_model(**kwargs)}


ONX = {
    "ONX-001": (
        lambda: m(changes=(external(location="../../etc/passwd"),)),
        lambda: m(changes=(external(location="model.onnx_data"),)),
    ),
    "ONX-002": (lambda: m(changes=(external(location="train.py"),)), lambda: m(changes=(external(location="w.data"),))),
    "ONX-003": ("onnx-link", lambda: {**m(changes=(external(location="w.data"),)), "w.data": bytes(64)}),
    "ONX-004": (
        lambda: {**m(changes=(external(location="w.data", offset="0", length="4096"),)), "w.data": bytes(64)},
        lambda: {**m(changes=(external(location="w.data", offset="0", length="64"),)), "w.data": bytes(64)},
    ),
    "ONX-005": (
        lambda: m(nodes=node("Evil", domain="evil.ops")),
        lambda: m(nodes=node("Act", domain="mine"), functions=(own_function,)),
    ),
    "ONX-006": (
        lambda: m(nodes=node("PythonOp", domain="com.microsoft")),
        lambda: m(nodes=node("Gelu", domain="com.microsoft")),
    ),
    "ONX-007": (
        lambda: m(nodes=node("EPContext", domain="com.microsoft", embed_mode=0, ep_cache_context="../engine.bin")),
        m,
    ),
    "ONX-008": (lambda: m(nodes=node("MyPlugin", domain="trt.plugins")), m),
    "ONX-009": (lambda: m(nodes=backdoor), lambda: m(nodes=mask)),
    "ONX-010": (
        lambda: m(nodes=node("Relu"), functions=(shadow,)),
        lambda: m(nodes=node("Act", domain="mine"), functions=(own_function,)),
    ),
    "ONX-011": (lambda: m(nodes=loop(20)), lambda: m(nodes=loop(1))),
    "ONX-012": (lambda: m(changes=(short_tensor,)), m),
    "ONX-013": (lambda: m(changes=(note,)), m),
    "ONX-016": (lambda: onnx_zip("../../model.onnx"), lambda: onnx_zip("model.onnx")),
    "ONX-017": (lambda: {"a.ort": ort(problem=True)}, lambda: {"a.ort": ort()}),
}

# TensorFlow


def attr(key, **value):
    parts = b"".join(pb({"s": 2, "i": 3, "type": 6, "tensor": 8}[kind], data) for kind, data in value.items())
    return pb(5, pb(1, key) + pb(2, parts))


def op(name, kind, *inputs, attributes=b""):
    return pb(1, name) + pb(2, kind) + b"".join(pb(3, i) for i in inputs) + attributes


def const(name, *texts):
    return op(name, "Const", attributes=attr("value", tensor=pb(1, 7) + b"".join(pb(8, t) for t in texts)))


def graph(*nodes, functions=()):
    library = b"".join(pb(1, pb(1, pb(1, name)) + b"".join(pb(3, n) for n in body)) for name, body in functions)
    return b"".join(pb(1, n) for n in nodes) + (pb(2, library) if functions else b"") + pb(4, pb(1, 1882))


def meta(body, assets=(), tags=("serve",), objects=b""):
    info = b"".join(pb(4, tag) for tag in tags) + pb(5, "2.21.0")
    extra = b"".join(pb(6, pb(1, pb(1, "t:0")) + pb(2, name)) for name in assets)
    return (
        pb(1, info)
        + pb(2, body)
        + pb(5, pb(1, "serving_default") + pb(2, b""))
        + extra
        + (pb(7, objects) if objects else b"")
    )


def saved(*metas):
    return {"saved_model.pb": pb(1, 1) + b"".join(pb(2, one) for one in metas)}


X, W = op("x", "Placeholder"), op("w", "VarHandleOp")
PLAIN = graph(X, W, op("y", "MatMul", "x", "w"))
LAMBDA = json.dumps(
    {
        "class_name": "Lambda",
        "config": {"name": "l", "function": {"class_name": "__lambda__", "config": {"code": "4wA="}}},
    }
)


def table(*entries):
    """A checkpoint index: one data block and one index block, uncompressed."""

    def block(items):
        body = b"".join(varint(0) + varint(len(k)) + varint(len(v)) + k + v for k, v in items)
        return body + struct.pack("<II", 0, 1) + b"\x00" + b"\x00" * 4

    first = block([(b"", pb(1, 1)), *entries])
    second = block([(b"z", varint(0) + varint(len(first) - 5))])
    footer = varint(0) + varint(0) + varint(len(first)) + varint(len(second) - 5)
    return first + second + footer.ljust(40, b"\x00") + bytes.fromhex("57fb808b247547db")


def bundle(size, offset=0):
    entry = pb(1, 1) + pb(2, pb(2, pb(1, 4))) + (pb(4, offset) if offset else b"") + pb(5, size)
    return {"ckpt.index": table((b"w", entry)), "ckpt.data-00000-of-00001": bytes(range(16))}


@cache
def tflite(custom="", buffer=16, shape=(4,), index=0):
    import flatbuffers

    b = flatbuffers.Builder(512)

    def vector(items, width, prepend):
        b.StartVector(width, len(items), width)
        for item in reversed(items):
            prepend(item)
        return b.EndVector()

    def table_of(count, **slots):
        b.StartObject(count)
        for slot, (kind, value, default) in slots.items():
            getattr(b, f"Prepend{kind}Slot")(int(slot[1:]), value, default)
        return b.EndObject()

    data = vector([0] * buffer, 1, b.PrependByte)
    buffers = [table_of(3), table_of(3, _0=("UOffsetTRelative", data, 0))]
    buffers = vector(buffers, 4, b.PrependUOffsetTRelative)
    dims = vector(list(shape), 4, b.PrependInt32)
    name = b.CreateString("t")
    tensor = table_of(4, _0=("UOffsetTRelative", dims, 0), _2=("Uint32", 1, 0), _3=("UOffsetTRelative", name, 0))
    tensors = vector([tensor], 4, b.PrependUOffsetTRelative)
    ends = vector([0], 4, b.PrependInt32)
    one = table_of(3, _0=("Uint32", index, 0), _1=("UOffsetTRelative", ends, 0), _2=("UOffsetTRelative", ends, 0))
    operators = vector([one], 4, b.PrependUOffsetTRelative)
    part = table_of(
        4,
        _0=("UOffsetTRelative", tensors, 0),
        _1=("UOffsetTRelative", ends, 0),
        _2=("UOffsetTRelative", ends, 0),
        _3=("UOffsetTRelative", operators, 0),
    )
    graphs = vector([part], 4, b.PrependUOffsetTRelative)
    text = b.CreateString(custom)
    code = table_of(
        4, _0=("Int8", 32 if custom else 19, 0), _1=("UOffsetTRelative", text, 0), _3=("Int32", 32 if custom else 19, 0)
    )
    codes = vector([code], 4, b.PrependUOffsetTRelative)
    model = table_of(
        5,
        _0=("Uint32", 3, 0),
        _1=("UOffsetTRelative", codes, 0),
        _2=("UOffsetTRelative", graphs, 0),
        _4=("UOffsetTRelative", buffers, 0),
    )
    b.Finish(model, b"TFL3")
    return bytes(b.Output())


def zipped(data, name="labels.txt"):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr(name, "a\n")
    return data + buffer.getvalue()


def tfjs(path):
    return {
        "model.json": json.dumps({"modelTopology": {}, "weightsManifest": [{"paths": [path], "weights": []}]}).encode()
    }


TF_BACKDOOR = graph(
    X, W, const("k", "a"), op("c", "Equal", "x", "k"), op("z", "MatMul", "x", "w"), op("y", "SelectV2", "c", "k", "z")
)
TFL = {
    "TFL-001": (saved(meta(graph(const("f", "/etc/passwd"), op("r", "ReadFile", "f")))), saved(meta(PLAIN))),
    "TFL-002": (saved(meta(graph(X, functions=[("f", [op("p", "PyFunc", "x")])]))), saved(meta(PLAIN))),
    "TFL-003": (saved(meta(graph(const("f", "/root/.ssh/x"), op("s", "SaveV2", "f")))), saved(meta(graph(const("f", "_temp/part"), op("s", "SaveV2", "f"))))),
    "TFL-004": (saved(meta(graph(const("f", "http://evil.example/a"), op("d", "TFRecordDataset", "f")))), saved(meta(graph(const("f", "a.tfrecord"), op("d", "TFRecordDataset", "f"))))),
    "TFL-005": (saved(meta(graph(op("e", "EvilCustomOp")))), saved(meta(PLAIN))),
    "TFL-006": (saved(meta(PLAIN, assets=["../../etc/passwd"])), saved(meta(PLAIN, assets=["vocab.txt"]))),
    "TFL-007": (saved(meta(PLAIN), meta(PLAIN, tags=("train",))), saved(meta(PLAIN))),
    "TFL-008": (saved(meta(TF_BACKDOOR)), saved(meta(graph(X, W, const("k", "a"), op("c", "Equal", "x", "k"), op("s", "SelectV2", "c", "k", "x"), op("y", "MatMul", "s", "w"))))),
    "TFL-009": ({"frozen.pb": graph(const("f", "/etc/passwd"), op("r", "ReadFile", "f"))}, {"frozen.pb": PLAIN}),
    "TFL-010": (bundle(4096), bundle(16)),
    "TFL-011": (lambda: {"a.tflite": tflite("EvilOp")}, lambda: {"a.tflite": tflite()}),
    "TFL-012": (lambda: {"a.tflite": tflite(index=7)}, lambda: {"a.tflite": tflite()}),
    "TFL-013": (lambda: {"a.tflite": zipped(tflite())}, lambda: {"a.tflite": tflite()}),
    "TFL-014": (tfjs("https://evil.example/w.bin"), tfjs("group1-shard1of1.bin")),
}  # fmt: skip

# Keras and HDF5


def layer(name, config=None, module="keras.layers", **more):
    return {"module": module, "class_name": name, "config": config or {"name": "a"}, "registered_name": None, **more}


def keras(*layers, members=(), **more):
    config = {
        "module": "keras",
        "class_name": "Sequential",
        "config": {"name": "s", "layers": list(layers)},
        "registered_name": "Sequential",
        **more,
    }
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("metadata.json", json.dumps({"keras_version": "3.15.1", "date_saved": "2026-01-01"}))
        archive.writestr("config.json", json.dumps(config))
        archive.writestr("model.weights.h5", hdf5())
        for name in members:
            archive.writestr(name, "x")
    return {"model.keras": buffer.getvalue()}


@cache
def hdf5(what="", **attributes):
    import h5py

    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "a.h5")
        with h5py.File(path, "w", libver="latest" if what == "dense" else "earliest") as file:
            group = file.create_group("layers/dense")
            group.create_dataset("vars", data=np.arange(8, dtype="float32"))
            if what == "external":
                file.create_dataset("stolen", (16,), dtype="u1", external=[("/etc/hostname", 0, 16)])
            elif what == "link":
                file["out"] = h5py.ExternalLink("/tmp/other.h5", "/x")
            elif what == "virtual":
                layout = h5py.VirtualLayout(shape=(4,), dtype="f4")
                layout[:] = h5py.VirtualSource("/tmp/other.h5", "x", shape=(4,))
                file.create_virtual_dataset("v", layout)
            elif what == "bomb":
                file.create_dataset("huge", (1 << 24, 1 << 24), dtype="f8", chunks=(1024, 1024))
            elif what == "dense":
                for number in range(60):
                    group.create_dataset(f"d{number:03}", data=np.arange(2))
                file["out"] = h5py.ExternalLink("/tmp/other.h5", "/x")
            for key, value in attributes.items():
                file.attrs[key] = np.frombuffer(value, dtype="u1") if isinstance(value, bytes) else value
        with open(path, "rb") as file:
            return file.read()


def h5(*layers):
    config = json.dumps({"class_name": "Sequential", "config": {"name": "s", "layers": list(layers)}})
    return {"model.h5": hdf5(model_config=config)}


DENSE = layer("Dense", {"name": "d", "units": 4, "activation": "relu"})
LAMBDA_LAYER = layer("Lambda", {"name": "l", "function": {"class_name": "__lambda__", "config": {"code": "4wA="}}})
KRS = {
    "KRS-001": (lambda: keras(LAMBDA_LAYER), lambda: keras(DENSE)),
    "KRS-002": (lambda: keras(layer("system", "id", module="os")), lambda: keras(DENSE)),
    "KRS-003": (
        lambda: keras(layer("function", "get_file", module="keras.utils")),
        lambda: keras(layer("function", "relu", module="keras.activations")),
    ),
    "KRS-004": (lambda: h5(LAMBDA_LAYER), lambda: h5(DENSE)),
    "KRS-005": (lambda: keras(layer("TorchModuleWrapper")), lambda: keras(DENSE)),
    "KRS-006": (
        lambda: keras(layer("StringLookup", {"name": "s", "vocabulary": "/etc/passwd"})),
        lambda: keras(layer("StringLookup", {"name": "s", "vocabulary": ["a", "b"]})),
    ),
    "KRS-007": (lambda: {"w.h5": hdf5("external")}, lambda: {"w.h5": hdf5()}),
    "KRS-008": (lambda: {"w.h5": hdf5("link")}, lambda: {"w.h5": hdf5()}),
    "KRS-009": (lambda: {"w.h5": hdf5("virtual")}, lambda: {"w.h5": hdf5()}),
    "KRS-010": (lambda: {"w.h5": hdf5("bomb")}, lambda: {"w.h5": hdf5()}),
    "KRS-011": (
        lambda: {"w.h5": hdf5(state=b"\x80\x04\x95\x05\x00\x00\x00\x00\x00\x00\x00}\x94.")},
        lambda: {"w.h5": hdf5(state=b"plain")},
    ),
    "KRS-012": (
        lambda: keras(DENSE, members=["run.py"]),
        lambda: keras(DENSE, members=["assets/layers/s/vocabulary.txt"]),
    ),
    "KRS-013": (
        lambda: keras(DENSE, compile_config={"loss": layer("Loss", module="evil.losses")}),
        lambda: keras(DENSE, compile_config={"loss": layer("MeanSquaredError", module="keras.losses")}),
    ),
    "KRS-015": (
        {"model.yaml": b"class_name: Sequential\nconfig: !!python/object/apply:os.system [id]\nkeras_version: 2.4.0\n"},
        {"model.yaml": b"class_name: Sequential\nconfig: {name: s}\nkeras_version: 2.4.0\n"},
    ),
    "KRS-016": (
        {"keras_metadata.pb": pb(1, pb(2, 1) + pb(3, "root") + pb(4, "_tf_keras_layer") + pb(5, LAMBDA))},
        {
            "keras_metadata.pb": pb(
                1, pb(2, 1) + pb(3, "root") + pb(4, "_tf_keras_layer") + pb(5, '{"class_name": "Dense", "config": {}}')
            )
        },
    ),
}

# GGUF


@cache
def gguf(template="", kind="", tokens=3, scores=3, provenance=True, **more):
    import gguf as library

    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "a.gguf")
        writer = library.GGUFWriter(path, "llama")
        if provenance:
            writer.add_name("tiny")
        if kind:
            writer.add_type(kind)
        if template:
            writer.add_chat_template(template)
        writer.add_token_list([f"t{n}" for n in range(tokens)])
        writer.add_token_scores([0.0] * scores)
        if more.get("eos") is not None:
            writer.add_eos_token_id(more["eos"])
        writer.add_tensor("w", np.ones((4, 8), dtype="float32"))
        writer.add_tensor("v", np.ones((8,), dtype="float32"))
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_tensors_to_file()
        writer.close()
        with open(path, "rb") as file:
            return file.read()


def patched(change):
    data = bytearray(gguf())
    change(data)
    return {"a.gguf": bytes(data)}


def put(form, value, after=b"", at=0):
    def change(data):
        place = data.find(after) + len(after) if after else 0
        struct.pack_into(form, data, place + at, value)

    return change


def twice(data):
    # general.name is renamed to the key before it, which has the same length once a character is added.
    data[data.find(b"general.name") : data.find(b"general.name") + 12] = b"general.nam\x01"


GOOD_GGUF = lambda: {"a.gguf": gguf()}  # noqa: E731
TENSOR_V = b"\x01\x00\x00\x00\x00\x00\x00\x00v"
GGF = {
    "GGF-001": (lambda: patched(put("<Q", 1 << 50, at=8)), GOOD_GGUF),
    "GGF-002": (lambda: patched(put("<Q", 1 << 60, after=b"general.architecture\x08\x00\x00\x00")), GOOD_GGUF),
    "GGF-003": (lambda: patched(put("<Q", 1 << 50, after=b"tokenizer.ggml.scores\x09\x00\x00\x00\x06\x00\x00\x00")), GOOD_GGUF),
    "GGF-004": (lambda: patched(put("<Q", 1 << 63, after=TENSOR_V + b"\x01\x00\x00\x00")), GOOD_GGUF),
    "GGF-005": (lambda: patched(put("<Q", 1 << 40, after=TENSOR_V + b"\x01\x00\x00\x00", at=12)), GOOD_GGUF),
    "GGF-006": (lambda: patched(put("<I", 4000, after=TENSOR_V + b"\x01\x00\x00\x00", at=8)), GOOD_GGUF),
    "GGF-007": (lambda: {"a.gguf": gguf(scores=2)}, lambda: {"a.gguf": gguf(eos=2)}),
    "GGF-008": (lambda: patched(twice), GOOD_GGUF),
    "GGF-009": (lambda: {"a.gguf": gguf("{{ ''.__class__.__mro__ }}")}, lambda: {"a.gguf": gguf("{% for m in messages %}{{ m.content }}{% endfor %}")}),
    "GGF-010": (lambda: {"a.gguf": gguf(provenance=False)}, GOOD_GGUF),
    "GGF-012": (lambda: {"m-00001-of-00002.gguf": gguf(), "x.txt": b"x"}, lambda: {"m-00001-of-00002.gguf": gguf(), "m-00002-of-00002.gguf": gguf()}),
    "GGF-013": (lambda: patched(put("<I", 1, at=4)), GOOD_GGUF),
    "GGF-014": (lambda: {"a.gguf": gguf(kind="controlvector")}, lambda: {"a.gguf": gguf(kind="model")}),
    "GGF-015": (lambda: {"a.gguf": zipped(gguf())}, GOOD_GGUF),
    "GGF-016": ({"a.llamafile": b"MZqFpD='\n\n" + bytes(118)}, GOOD_GGUF),
    "GGF-017": (
        {"latest": json.dumps({"schemaVersion": 2, "layers": [{"mediaType": "application/vnd.ollama.image.model", "digest": "../../../etc/x"}]}).encode()},
        {"latest": json.dumps({"schemaVersion": 2, "layers": [{"mediaType": "application/vnd.ollama.image.model", "digest": "sha256:" + "0" * 64}]}).encode()},
    ),
    "GGF-018": ({"Modelfile": b"FROM https://evil.example/a.gguf\nPARAMETER temperature 1\n"}, {"Modelfile": b"FROM ./a.gguf\nPARAMETER temperature 1\n"}),
    "GGF-019": ({"ggml-model.bin": b"lmgg" + bytes(60)}, GOOD_GGUF),
}  # fmt: skip

# Native and other formats


def coreml(*layers):
    network = b"".join(pb(1, pb(1, "l") + pb(2, "x") + pb(3, "y") + body) for body in layers)
    return {"a.mlmodel": pb(1, 4) + pb(2, pb(1, pb(1, "x"))) + pb(500, network)}


def paddle(kind):
    block = pb(1, 0) + pb(2, (1 << 64) - 1) + pb(4, pb(3, kind))
    return {"a.pdmodel": pb(1, block) + pb(4, pb(1, 0))}


def ir(attributes):
    return {
        "model.xml": f'<?xml version="1.0"?>\n<net name="n" version="11"><layers><layer id="0" name="a" type="Parameter" version="opset1"><data {attributes}/></layer></layers></net>\n'.encode()
    }


def prototxt(kind):
    return {"net.prototxt": f'name: "n"\nlayer {{\n  name: "a"\n  type: "{kind}"\n}}\n'.encode()}


def torch7(code=b""):
    head = struct.pack("<iii", 4, 1, 3) + b"V 1" + struct.pack("<i", 13) + b"nn.Sequential"
    return {"a.t7": head + struct.pack("<iiid", 3, 2, 0, 1.0) + code}


ELF = b"\x7fELF\x02\x01\x01" + bytes(57)
NAT = {
    "NAT-001": ({"a.engine": b"ftrt" + bytes(60)}, {"a.txt": b"an engine\n"}),
    "NAT-002": ({"config.json": b'{"plugins": ["./libevil.so"]}'}, {"config.json": b'{"plugins": ["gpt"]}'}),
    "NAT-003": (ir('library="evil.so"'), ir('shape="1,3" element_type="f32" offset="0" size="12"')),
    "NAT-004": (coreml(pb(500, pb(10, "EvilLayer"))), coreml(pb(130, b""))),
    "NAT-005": ({"model/deploy_lib.so": ELF, "model/x.txt": b"x"}, {"model/x.txt": b"x", "model/y.txt": b"y"}),
    "NAT-006": (prototxt("Python"), prototxt("Convolution")),
    "NAT-007": (
        {
            "m-symbol.json": json.dumps(
                {"nodes": [{"op": "Custom", "name": "a", "inputs": []}], "arg_nodes": [], "heads": []}
            ).encode()
        },
        {
            "m-symbol.json": json.dumps(
                {"nodes": [{"op": "Convolution", "name": "a", "inputs": []}], "arg_nodes": [], "heads": []}
            ).encode()
        },
    ),
    "NAT-008": (paddle("py_func"), paddle("matmul")),
    "NAT-009": (torch7(b"\x1bLua\x51\x00"), torch7()),
    "NAT-012": (
        {"config.json": b'{"model_type": "a"}', "kernel.cu": b"__global__ void a() {}\n"},
        {"config.json": b'{"model_type": "a"}', "notes.txt": b"x"},
    ),
    "NAT-013": ({"a.xclbin": b"xclbin2\x00" + bytes(60)}, {"a.txt": b"x"}),
    "NAT-014": ({"a.wasm": b"\x00asm\x01\x00\x00\x00"}, {"a.txt": b"x"}),
}

# Classical models


@cache
def lightgbm_text():
    import lightgbm

    data = lightgbm.Dataset(np.random.default_rng(0).normal(size=(80, 3)), label=np.arange(80) % 2, free_raw_data=False)
    model = lightgbm.train({"objective": "binary", "num_leaves": 4, "verbose": -1, "min_data_in_leaf": 2}, data, 2)
    return model.model_to_string().encode()


@cache
def xgboost_model(form):
    import xgboost

    rows = np.random.default_rng(0).normal(size=(60, 3))
    model = xgboost.train({"max_depth": 2, "nthread": 1}, xgboost.DMatrix(rows, label=np.arange(60) % 2), 2)
    return bytes(model.save_raw(form))


def xgboost_bad():
    document = json.loads(xgboost_model("json"))
    tree = document["learner"]["gradient_booster"]["model"]["trees"][0]
    tree["left_children"][0] = 1 << 30
    return {"a.json": json.dumps(document).encode()}


@cache
def catboost_model():
    import catboost

    rows = np.random.default_rng(0).normal(size=(40, 3))
    model = catboost.CatBoostClassifier(iterations=2, depth=2, verbose=False, allow_writing_files=False, thread_count=1)
    model.fit(rows, np.arange(40) % 2)
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "a.cbm")
        model.save_model(path)
        with open(path, "rb") as file:
            return file.read()


def longer(data):
    return data[:4] + struct.pack("<I", 1 << 30) + data[8:]


@cache
def rds():
    import rdata

    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "a.rds")
        rdata.write_rds(path, {"a": np.arange(3.0), "b": ["x", "y"]}, compression=None)
        with open(path, "rb") as file:
            return file.read()


def promise():
    head = b"X\n" + struct.pack(">iii", 2, 0x40300, 0x20300)
    null = struct.pack(">i", 254)
    return head + struct.pack(">i", 5) + null + struct.pack(">i", 6) + null + null


def java(name):
    return {"a.model": b"\xac\xed\x00\x05sr\x00" + bytes([len(name)]) + name.encode() + bytes(8) + b"\x02\x00\x00xp"}


@cache
def matlab():
    import scipy.io

    buffer = io.BytesIO()
    scipy.io.savemat(buffer, {"a": np.arange(4.0)})
    return buffer.getvalue()


def matlab_opaque():
    body = struct.pack("<IIII", 6, 8, 17, 0) + bytes(16)
    return {"a.mat": matlab()[:128] + struct.pack("<II", 14, len(body)) + body}


def bson(tag):
    body = b"\x02tag\x00" + struct.pack("<I", len(tag) + 1) + tag.encode() + b"\x00"
    return {"a.bson": struct.pack("<I", len(body) + 5) + body + b"\x00"}


def mojo(*names):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name in ("model.ini", "trees/t00_000.bin", *names):
            archive.writestr(name, "[info]\n")
    return {"a.zip": buffer.getvalue()}


def fasttext(words):
    return {
        "a.ftz": struct.pack("<ii12id", 793712314, 12, *([10] * 12), 0.1)
        + struct.pack("<iii", words, words, 0)
        + b"word\x00"
        + bytes(40)
    }


PMML = '<?xml version="1.0"?>\n{}<PMML version="4.4"><Header/>{}</PMML>\n'
SPACY = '[nlp]\nlang = "en"\npipeline = ["ner"]\n\n[components.ner.model]\n@architectures = "{}"\n'
CML = {
    "CML-001": (xgboost_bad, lambda: {"a.json": xgboost_model("json"), "a.ubj": xgboost_model("ubj")}),
    "CML-002": (
        lambda: {"a.txt": lightgbm_text().replace(b"left_child=", b"left_child=999999 ")},
        lambda: {"a.txt": lightgbm_text()},
    ),
    "CML-003": (lambda: {"a.cbm": longer(catboost_model())}, lambda: {"a.cbm": catboost_model()}),
    "CML-004": (
        {"a.pmml": PMML.format('<!DOCTYPE p [<!ENTITY x SYSTEM "file:///etc/passwd">]>\n', "").encode()},
        {"a.pmml": PMML.format("", "<DataDictionary/>").encode()},
    ),
    "CML-006": ({"a.rds": promise()}, lambda: {"a.rds": rds()}),
    "CML-007": (java("org.apache.commons.collections.functors.InvokerTransformer"), {"a.txt": b"x"}),
    "CML-008": (
        {"Gbm.java": b"import hex.genmodel.GenModel;\npublic class Gbm extends GenModel {}\n"},
        {"Plain.java": b"public class Plain {}\n"},
    ),
    "CML-009": (matlab_opaque, lambda: {"a.mat": matlab()}),
    "CML-010": (bson("jl_anonymous"), bson("array")),
    "CML-011": ({"a.bin": b"\x00\x01\x00\x00\x00\xff\xff\xff\xff\x01\x00\x00\x00" + bytes(40)}, {"a.txt": b"x"}),
    "CML-012": (
        {"config.cfg": SPACY.format("evil_pack.Tagger").encode()},
        {"config.cfg": SPACY.format("spacy.TransitionBasedParser.v2").encode()},
    ),
    "CML-013": (fasttext(1 << 28), fasttext(1)),
}
MLIR = "module {{\n  %0 = stablehlo.custom_call @{}(%arg0) : (tensor<f32>) -> tensor<f32>\n}}\n"
JAX = {
    "JAX-007": (
        {"a.mlir": MLIR.format("xla_ffi_python_cpu_callback").encode()},
        {"a.mlir": MLIR.format("Sharding").encode()},
    )
}
SAMPLES = {**JAX, **ONX, **TFL, **KRS, **GGF, **NAT, **CML}
