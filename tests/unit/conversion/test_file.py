"""One file into safetensors: bit for bit what the library itself would load, and nothing of the file is executed."""

from __future__ import annotations

import hashlib
import io
import os
import pickle
import random
import struct
import tarfile

import h5py
import joblib
import ml_dtypes  # noqa: F401  # registers bfloat16 with numpy, for msgpack samples
import msgpack
import numpy as np
import pytest
import safetensors.numpy
import safetensors.torch
import torch

from tests.fuzz.mutate import mutated
from weighbridge.conversion import convert_file
from weighbridge.schema import LimitExceeded, MalformedInput, SourceError, UsageError, WeighbridgeError

SHARED = torch.arange(24.0)
DTYPES = (
    torch.float64, torch.float32, torch.float16, torch.bfloat16, torch.int64, torch.int32, torch.int16, torch.int8, torch.uint8,
    torch.bool, torch.complex64, torch.uint16, torch.uint32, torch.uint64, torch.float8_e4m3fn, torch.float8_e5m2,
    torch.float8_e4m3fnuz, torch.float8_e5m2fnuz,
)  # fmt: skip


def typed(dtype):
    unsigned = {torch.uint16, torch.uint32, torch.uint64}
    return torch.arange(6).to(dtype) if dtype in unsigned else torch.arange(6).float().to(dtype).reshape(2, 3)


TENSORS = {
    "plain": SHARED[:12].reshape(3, 4),
    "turned": SHARED.reshape(4, 6).T,
    "tail": SHARED[20:],
    "expanded": torch.ones(3, 1).expand(3, 5),
    "permuted": torch.arange(120.0).reshape(2, 3, 4, 5).permute(3, 1, 0, 2),
    "stepped": torch.arange(100)[::7],
    "scalar": torch.tensor(7),
    "empty": torch.zeros(0, 3),
    "parameter": torch.nn.Parameter(torch.ones(2)),
    "buffer": torch.nn.Buffer(torch.ones(2)),
    **{f"type {str(dtype)[6:]}": typed(dtype) for dtype in DTYPES},
}
FORMS = {
    "zip": {},
    "protocol 3": {"pickle_protocol": 3},
    "protocol 4": {"pickle_protocol": 4},
    "protocol 5": {"pickle_protocol": 5},
    "legacy": {"_use_new_zipfile_serialization": False},
}
ARRAYS = {"x": np.arange(6.0).reshape(2, 3), "deep": [np.ones(4, "f4"), np.asfortranarray(np.arange(12).reshape(3, 4))]}


def converted(folder, name, **more):
    return convert_file(str(folder / name), str(folder / "out.safetensors"), overwrite=True, **more)


def same(left, right):
    if not left.numel() or not left.dim():
        return left.shape == right.shape and left.dtype == right.dtype and left.tolist() == right.tolist()
    raw = left.detach().contiguous().view(torch.uint8)
    return left.shape == right.shape and left.dtype == right.dtype and raw.equal(right.view(torch.uint8))


@pytest.mark.parametrize("form", FORMS)
def test_every_tensor_is_bit_for_bit_the_same(tmp_path, form):
    torch.save({"state": TENSORS, "again": TENSORS["plain"], "epoch": 3}, tmp_path / "a.pt", **FORMS[form])
    made = converted(tmp_path, "a.pt")
    found = safetensors.torch.load_file(tmp_path / "out.safetensors")
    assert set(found) == {f"state.{name}" for name in TENSORS}
    assert [name for name, tensor in TENSORS.items() if not same(tensor, found[f"state.{name}"])] == []
    assert made.aliases == {"again": "state.plain"}
    assert made.left == (("epoch", "3"),)


def test_both_digests_are_those_of_the_files(tmp_path):
    torch.save(TENSORS, tmp_path / "a.pt")
    made = converted(tmp_path, "a.pt")
    for name, digest in (("a.pt", made.source_sha256), ("out.safetensors", made.output_sha256)):
        assert hashlib.sha256((tmp_path / name).read_bytes()).hexdigest() == digest


def test_the_same_input_gives_the_same_output(tmp_path):
    (tmp_path / "a.pkl").write_bytes(pickle.dumps(ARRAYS))
    assert converted(tmp_path, "a.pkl").output_sha256 == converted(tmp_path, "a.pkl").output_sha256


def test_a_whole_module_converts_by_its_parameter_paths(tmp_path):
    module = torch.nn.Sequential(torch.nn.Linear(2, 3), torch.nn.BatchNorm1d(3))
    torch.save(module, tmp_path / "m.pt")
    converted(tmp_path, "m.pt")
    found = safetensors.torch.load_file(tmp_path / "out.safetensors")
    assert all(torch.equal(found[name], tensor) for name, tensor in module.state_dict().items())


def test_tied_weights_are_written_once_and_noted_where_a_loader_finds_them(tmp_path):
    tensor = torch.randn(64, 64)
    torch.save({"embed": tensor, "head": tensor}, tmp_path / "a.pt")
    made = converted(tmp_path, "a.pt")
    assert made.output_size < 64 * 64 * 4 + 400
    with safetensors.safe_open(tmp_path / "out.safetensors", "pt") as file:
        assert file.metadata() == {"format": "pt", "head": "embed"}


def test_quantised_and_sparse_tensors_are_written_as_their_parts(tmp_path):
    quantised = torch.quantize_per_tensor(torch.tensor([1.0, 2.0]), 0.5, 1, torch.qint8)
    channels = torch.quantize_per_channel(torch.ones(3, 2), torch.ones(3), torch.zeros(3), 0, torch.qint8)
    sparse = torch.sparse_coo_tensor([[0, 2]], [1.0, 2.0], (3,)).coalesce()
    torch.save({"q": quantised, "c": channels, "s": sparse, "r": torch.eye(3).to_sparse_csr()}, tmp_path / "a.pt")
    converted(tmp_path, "a.pt")
    found = safetensors.torch.load_file(tmp_path / "out.safetensors")
    assert (found["q.int_repr"].tolist(), found["q.scale"].item(), found["q.zero_point"].item()) == ([3, 5], 0.5, 1)
    assert (found["c.scales"].tolist(), found["c.axis"].item()) == ([1, 1, 1], 0)
    again = torch.sparse_coo_tensor(found["s.indices"], found["s.values"], found["s.size"].tolist())
    assert torch.equal(again.to_dense(), sparse.to_dense())
    assert found["r.crow_indices"].tolist() == [0, 1, 2, 3]


REFUSED = {
    "double complex": (torch.ones(2, dtype=torch.complex128), "ComplexDoubleStorage has no form in safetensors"),
    "conjugate": (torch.ones(2, dtype=torch.complex64).conj(), "a conjugate or negative mark"),
    "meta": (torch.ones(2, device="meta"), "no bytes"),
    "four bits": (torch.quantize_per_channel(torch.ones(2, 2), torch.ones(2), torch.zeros(2), 0, torch.quint4x2), "QUInt4x2"),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_proved_is_refused_by_name_and_nothing_is_left_behind(tmp_path, name):
    tensor, why = REFUSED[name]
    torch.save({"good": torch.ones(2), "odd": tensor}, tmp_path / "a.pt")
    with pytest.raises(MalformedInput, match=f"odd: .*{why}"):
        converted(tmp_path, "a.pt")
    assert os.listdir(tmp_path) == ["a.pt"]
    made = converted(tmp_path, "a.pt", partial=True)
    assert set(made.tensors) == {"good"}
    assert [one[0] for one in made.refused] == ["odd"]


@pytest.mark.parametrize("protocol", range(6))
def test_arrays_in_pickles_of_every_protocol(tmp_path, protocol):
    (tmp_path / "a.pkl").write_bytes(pickle.dumps(ARRAYS, protocol))
    converted(tmp_path, "a.pkl")
    found = safetensors.numpy.load_file(tmp_path / "out.safetensors")
    assert all((found[name] == value).all() for name, value in flat(ARRAYS).items())


def flat(table):
    return {"x": table["x"], "deep.0": table["deep"][0], "deep.1": table["deep"][1]}


@pytest.mark.parametrize("compress", [0, "zlib", "gzip", "bz2", "xz", "lzma"])
def test_joblib_files_with_their_arrays_between_the_opcodes(tmp_path, compress):
    objects = {**ARRAYS, "objects": np.array([{}, 1], dtype=object), "behind": np.ones(3)}
    joblib.dump(objects, tmp_path / "a.joblib", compress=(compress, 3) if compress else 0)
    made = converted(tmp_path, "a.joblib", partial=True)
    found = safetensors.numpy.load_file(tmp_path / "out.safetensors")
    assert all((found[name] == value).all() for name, value in {**flat(ARRAYS), "behind": objects["behind"]}.items())
    assert made.refused == (("objects", "its items are no plain numbers"),)


def test_npy_and_npz(tmp_path):
    np.save(tmp_path / "a.npy", ARRAYS["deep"][1])
    assert converted(tmp_path, "a.npy").tensors == {"array": ("I64", (3, 4))}
    assert (safetensors.numpy.load_file(tmp_path / "out.safetensors")["array"] == ARRAYS["deep"][1]).all()
    for save in (np.savez, np.savez_compressed):
        save(tmp_path / "a.npz", x=ARRAYS["x"])
        converted(tmp_path, "a.npz")
        assert (safetensors.numpy.load_file(tmp_path / "out.safetensors")["x"] == ARRAYS["x"]).all()


def test_flax_msgpack(tmp_path):
    def leaf(array):
        return msgpack.ExtType(1, msgpack.packb((array.shape, array.dtype.name, array.tobytes()), use_bin_type=True))

    table = {
        "dense": {"kernel": leaf(np.arange(6, dtype="f4").reshape(2, 3)), "half": leaf(np.ones(300, "bfloat16"))},
        "step": 3,
    }
    (tmp_path / "a.msgpack").write_bytes(msgpack.packb(table))
    made = converted(tmp_path, "a.msgpack")
    found = safetensors.torch.load_file(tmp_path / "out.safetensors")
    assert found["dense.kernel"].tolist() == [[0, 1, 2], [3, 4, 5]]
    assert (found["dense.half"].dtype, found["dense.half"].sum().item()) == (torch.bfloat16, 300)
    assert made.left == (("step", "no array"),)


def test_keras_h5_and_archives(tmp_path):
    os.environ.setdefault("KERAS_BACKEND", "torch")
    import keras

    model = keras.Sequential([keras.layers.Input((3,)), keras.layers.Dense(4)])
    wanted = sorted(weight.numpy().tobytes() for weight in model.weights)
    for name in ("a.h5", "a.keras", "a.weights.h5"):
        (model.save_weights if "weights" in name else model.save)(tmp_path / name)
        converted(tmp_path, name)
        found = safetensors.numpy.load_file(tmp_path / "out.safetensors")
        assert sorted(array.tobytes() for array in found.values()) == wanted


def test_hdf5_datasets_that_lie_in_pieces_or_elsewhere_are_refused_by_name(tmp_path):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file.create_dataset("good", data=np.ones(3, "f4"))
        file.create_dataset("pieces", data=np.ones((64, 64)), chunks=(8, 8))
        file.create_dataset("far", (16,), dtype="u1", external=[("/etc/hostname", 0, 16)])
        file["link"] = h5py.ExternalLink("/tmp/other.h5", "/x")
    made = converted(tmp_path, "a.h5", partial=True)
    assert set(made.tensors) == {"good"}
    assert {name: why[:20] for name, why in made.refused} == {
        "pieces": "it is stored in chun", "far": "its bytes are in ano", "link": "it is a external lin",
    }  # fmt: skip


def tar_checkpoint(path, tensors):
    """What torch 0.1 wrote, by the code of its own legacy reader (`torch.serialization._legacy_load`, legacy_load)."""
    storages, listed, told = io.BytesIO(), io.BytesIO(), {}
    pickle.dump(len(tensors), storages, 2)
    pickle.dump(len(tensors), listed, 2)
    for number, (name, tensor) in enumerate(tensors.items()):
        storage = tensor.untyped_storage()
        kind = {torch.float32: "FloatStorage", torch.int64: "LongStorage"}[tensor.dtype]
        _global(storages, (number, "cpu"), kind)
        storages.write(struct.pack("<q", len(storage) // tensor.element_size()) + bytes(storage))
        _global(listed, (100 + number, number), kind.replace("Storage", "Tensor"))
        listed.write(struct.pack("<i4x", tensor.dim()) + struct.pack(f"<{tensor.dim()}q", *tensor.shape))
        listed.write(struct.pack(f"<{tensor.dim()}q", *tensor.stride()) + struct.pack("<q", tensor.storage_offset()))
        told[name] = 100 + number
    pickle.dump([], storages, 2)

    class Table(pickle.Pickler):
        def persistent_id(self, value):
            return value[1] if isinstance(value, tuple) and value[:1] == ("tensor",) else None

    body = io.BytesIO()
    Table(body, 2).dump({name: ("tensor", key) for name, key in told.items()})
    system = pickle.dumps(
        {"protocol_version": 1000, "little_endian": True, "type_sizes": {"short": 2, "int": 4, "long": 4}}, 2
    )
    with tarfile.open(path, "w") as tar:
        for name, data in (
            ("sys_info", system),
            ("pickle", body.getvalue()),
            ("tensors", listed.getvalue()),
            ("storages", storages.getvalue()),
        ):
            entry = tarfile.TarInfo(name)
            entry.size = len(data)
            tar.addfile(entry, io.BytesIO(data))


def _global(out, numbers, kind):
    """A tuple of two numbers or texts and a class of torch, in protocol 2."""
    first, second = (pickle.dumps(one, 2)[2:-1] for one in numbers)
    order = first + second + b"ctorch\n" + kind.encode() + b"\n"
    out.write(b"\x80\x02" + order + b"\x87.")


def test_the_tar_of_torch_0_1_as_torch_itself_reads_it(tmp_path):
    tensors = {"a": torch.arange(6.0).reshape(2, 3), "t": torch.arange(8).reshape(2, 4).T}
    tar_checkpoint(tmp_path / "a.tar", tensors)
    theirs = torch.load(tmp_path / "a.tar", weights_only=False)
    converted(tmp_path, "a.tar")
    ours = safetensors.torch.load_file(tmp_path / "out.safetensors")
    assert all(torch.equal(ours[name], theirs[name]) and torch.equal(ours[name], tensors[name]) for name in tensors)


class Runs:
    def __reduce__(self):
        return os.mkdir, ("ran",)


def test_code_in_the_file_is_left_behind_and_named(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    torch.save({"a": torch.ones(2), "b": Runs()}, tmp_path / "a.pt")
    made = converted(tmp_path, "a.pt")
    assert made.left == (("b", "made by posix.mkdir"),)
    assert not (tmp_path / "ran").exists()


def test_a_view_that_blows_up_is_ended(tmp_path):
    torch.save({"a": torch.ones(1).expand(1 << 20, 1 << 12)}, tmp_path / "a.pt")
    with pytest.raises(LimitExceeded, match="the tensors come to 17179869184 bytes"):
        converted(tmp_path, "a.pt")
    assert os.listdir(tmp_path) == ["a.pt"]


def test_an_output_that_is_there_is_kept(tmp_path):
    torch.save(TENSORS, tmp_path / "a.pt")
    (tmp_path / "out.safetensors").write_text("mine")
    with pytest.raises(UsageError, match="exists already"):
        convert_file(str(tmp_path / "a.pt"), str(tmp_path / "out.safetensors"))
    assert (tmp_path / "out.safetensors").read_text() == "mine"


def test_a_file_that_changes_meanwhile_is_refused(tmp_path, monkeypatch):
    torch.save(TENSORS, tmp_path / "a.pt")
    from weighbridge.conversion import file

    write = file.write

    def meanwhile(*given):
        os.utime(tmp_path / "a.pt", (1, 1))
        return write(*given)

    monkeypatch.setattr(file, "write", meanwhile)
    with pytest.raises(SourceError, match="changed while it was converted"):
        converted(tmp_path, "a.pt")
    assert os.listdir(tmp_path) == ["a.pt"]


@pytest.mark.parametrize("form", ["zip", "legacy", "pickle", "joblib", "tar"])
def test_mutated_files_are_converted_or_refused_and_never_crash(tmp_path, form):
    if form in FORMS:
        torch.save({"a": SHARED.reshape(4, 6).T, "b": torch.ones(3)}, tmp_path / "a.pt", **FORMS[form])
    elif form == "tar":
        tar_checkpoint(tmp_path / "a.pt", {"a": torch.ones(3)})
    else:
        (joblib.dump if form == "joblib" else lambda value, path: path.write_bytes(pickle.dumps(value)))(
            ARRAYS, tmp_path / "a.pt"
        )
    data = (tmp_path / "a.pt").read_bytes()
    chance = random.Random(form)
    for _ in range(150):
        (tmp_path / "a.pt").write_bytes(bytes(mutated(chance, data)))
        try:
            made = converted(tmp_path, "a.pt", partial=True)
        except WeighbridgeError:
            continue
        assert set(made.tensors) == set(safetensors.safe_open(tmp_path / "out.safetensors", "np").keys())
