"""What stands in datasets of HDF5 files, against h5py, in the layouts that its versions write."""

import zlib

import h5py
import numpy
import pytest
from hypothesis import given
from hypothesis import strategies as st

from weighbridge.formats.hdf5 import read_hdf5
from weighbridge.formats.hdf5_data import Hdf5Array
from weighbridge.formats.hdf5_rows import PICTURES, ROWS, Hdf5Rows, held, labelled_arrays
from weighbridge.schema import LimitExceeded, MalformedInput, Unavailable, WeighbridgeError
from weighbridge.source import BytesBlob
from weighbridge.source.blob import FileBlob

MANY = 103
DICE = numpy.random.default_rng(0)
PICTURE = DICE.integers(0, 255, (MANY, 9, 7, 3), dtype="u1")
LABELS = DICE.integers(0, 5, MANY)
TEXTS = [f"text {at} é" * (at % 7) for at in range(MANY)]
VERSIONS = ["earliest", "v108", "v110", "latest"]


def arrays(path):
    blob = FileBlob(str(path))
    facts = read_hdf5(blob)
    return {one.path: Hdf5Array(blob, facts, one) for one in facts.datasets}


def test_rows_in_one_piece_in_pieces_and_packed_are_those_that_h5py_wrote(tmp_path):
    ways = {
        "one piece": {},
        "pieces": {"chunks": True},
        "packed": {"compression": "gzip"},
        "shuffled": {"compression": "gzip", "shuffle": True},
        "a single piece": {"chunks": "all", "compression": "gzip"},
    }
    for version in VERSIONS:
        path = tmp_path / f"{version}.h5"
        with h5py.File(path, "w", libver=(version, "latest")) as file:
            for way, options in ways.items():
                for name, data in (("x", PICTURE), ("y", LABELS.astype(">i4")), ("flags", LABELS > 2), ("t", TEXTS)):
                    shape = numpy.shape(data)
                    chosen = {**options, "chunks": shape} if options.get("chunks") == "all" else options
                    file.create_dataset(f"{way}/{name}", data=data, **chosen)
        found = arrays(path)
        for way in ways:
            assert numpy.array_equal(found[f"/{way}/x"].rows(10, 95), PICTURE[10:95]), (version, way)
            assert numpy.array_equal(found[f"/{way}/y"].rows(0, 200), LABELS), (version, way)
            assert numpy.array_equal(found[f"/{way}/flags"].rows(50, 60), LABELS[50:60] > 2), (version, way)
            assert found[f"/{way}/t"].rows(10, 95) == TEXTS[10:95], (version, way)


def test_a_checksum_is_taken_off_and_pieces_that_were_never_written_are_zeros(tmp_path):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file.create_dataset("sum", data=LABELS, fletcher32=True, chunks=(10,))
        some = file.create_dataset("some", (MANY,), dtype="i4", chunks=(10,))
        some[20:30] = 7
        file.create_dataset("fixed", data=numpy.array([b"one", b"three"]))
    found = arrays(tmp_path / "a.h5")
    assert numpy.array_equal(found["/sum"].rows(0, MANY), LABELS)
    assert found["/some"].rows(15, 25).tolist() == [0] * 5 + [7] * 5
    assert found["/fixed"].rows(0, 2) == ["one", "three"]


def test_many_pieces_of_the_newest_layout_stand_in_pages(tmp_path):
    with h5py.File(tmp_path / "a.h5", "w", libver="latest") as file:
        file.create_dataset("y", data=numpy.arange(5000), chunks=(2,), compression="gzip")
    assert arrays(tmp_path / "a.h5")["/y"].rows(4000, 4010).tolist() == list(range(4000, 4010))


def test_what_is_not_read_is_said(tmp_path):
    with h5py.File(tmp_path / "a.h5", "w", libver="latest") as file:
        file.create_dataset("growing", data=LABELS, maxshape=(None,))
        file.create_dataset("lzf", data=LABELS, compression="lzf")
        file.create_dataset("pairs", data=numpy.zeros(4, dtype=[("a", "i4"), ("b", "f4")]))
    blob = FileBlob(str(tmp_path / "a.h5"))
    facts = read_hdf5(blob)
    for one in facts.datasets:
        with pytest.raises(Unavailable):
            Hdf5Array(blob, facts, one)


def test_a_piece_that_unpacks_to_more_than_its_shape_is_refused(tmp_path):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        data = file.create_dataset("y", (10,), dtype="i4", chunks=(10,), compression="gzip")
        data.id.write_direct_chunk((0,), zlib.compress(bytes(1 << 20)))
    with pytest.raises(LimitExceeded, match="unpacks to more"):
        arrays(tmp_path / "a.h5")["/y"].rows(0, 10)
    with h5py.File(tmp_path / "b.h5", "w") as file:
        data = file.create_dataset("y", (10,), dtype="i4", chunks=(10,), compression="gzip")
        data.id.write_direct_chunk((0,), zlib.compress(bytes(8)))
    with pytest.raises(MalformedInput, match="8 bytes"):
        arrays(tmp_path / "b.h5")["/y"].rows(0, 10)


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    path = tmp_path_factory.mktemp("hdf5") / "small.h5"
    with h5py.File(path, "w") as file:
        file.create_dataset("y", data=LABELS, chunks=(20,), compression="gzip")
        file.create_dataset("t", data=TEXTS[:9])
    return path.read_bytes()


@given(st.lists(st.tuples(st.integers(0, 1 << 16), st.integers(0, 255)), max_size=6))
def test_hostile_bytes_are_read_or_refused(small, changes):
    data = bytearray(small)
    for at, value in changes:
        data[at % len(data)] = value
    blob = BytesBlob(bytes(data))
    try:
        facts = read_hdf5(blob)
        for one in facts.datasets:
            array = Hdf5Array(blob, facts, one)
            asked = min(len(array), 1000)
            assert len(array.rows(0, asked)) in {asked, 1}
    except WeighbridgeError:
        return


def test_a_file_is_rows_pictures_or_weights_by_what_is_in_it(tmp_path):
    with h5py.File(tmp_path / "rows.h5", "w") as file:
        file["text"], file["label"], file["points"] = TEXTS, LABELS, DICE.random((MANY, 2))
        file["other"] = DICE.random((5, 5, 5))
    with h5py.File(tmp_path / "pictures.h5", "w") as file:
        file["train_set_x"], file["train_set_y"] = PICTURE, LABELS
    with h5py.File(tmp_path / "weights.h5", "w") as file:
        file.attrs["layer_names"] = [b"dense"]
        file["dense/kernel"], file["dense/bias"] = DICE.random((4, 3)), DICE.random(3)
    (tmp_path / "broken.h5").write_bytes(b"\x89HDF\r\n\x1a\n")
    assert [held(str(tmp_path / f"{name}.h5")) for name in ("rows", "pictures", "weights", "broken")] == [
        ROWS,
        PICTURES,
        "",
        "",
    ]
    rows = Hdf5Rows(str(tmp_path / "rows.h5"))
    batch = next(rows.batches())
    assert list(batch.columns) == ["label", "points 0", "points 1", "text"]
    assert batch.columns["text"] == TEXTS
    assert rows.notes == ["not read as columns: other"]
    assert set(labelled_arrays(str(tmp_path / "pictures.h5"))) == {"train_set_x", "train_set_y"}


def test_rows_that_were_never_written_do_not_go_on_for_ever(tmp_path):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file.create_dataset("y", (1 << 40,), dtype="i4", chunks=(1000,))
        file.create_dataset("x", (1 << 40, 8, 8), dtype="u1", chunks=(1000, 8, 8))
    with pytest.raises(LimitExceeded, match="are claimed"):
        next(Hdf5Rows(str(tmp_path / "a.h5")).batches())
    with pytest.raises(LimitExceeded, match="more bytes"):
        labelled_arrays(str(tmp_path / "a.h5"))
