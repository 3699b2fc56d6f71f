"""Samples in every form that people have them in, and what is said of those that do not fit."""

import pickle

import numpy
import pytest
from PIL import Image

from weighbridge.backdoor.samples import noise, read_samples
from weighbridge.schema import SourceError, UsageError

SHAPE = (3, 6, 6)


def test_a_folder_a_class_gives_labels_in_order_of_names(tmp_path):
    for name, value in (("cat", 255), ("ant", 0)):
        (tmp_path / name).mkdir()
        for number in range(3):
            Image.new("RGB", (12, 9), (value, value, value)).save(tmp_path / name / f"{number}.png")
    found = read_samples(str(tmp_path), SHAPE)

    assert found.images.shape == (6, *SHAPE)
    assert found.labels.tolist() == [0, 0, 0, 1, 1, 1]
    assert found.images[0].max() == 0.0
    assert found.images[-1].min() == 1.0


def test_one_folder_of_images_has_no_labels(tmp_path):
    Image.new("L", (6, 6), 128).save(tmp_path / "a.jpg")
    (tmp_path / "readme.txt").write_text("x")
    found = read_samples(str(tmp_path), SHAPE)
    assert len(found) == 1
    assert found.labels is None


@pytest.mark.parametrize(
    ("array", "top"),
    [
        (numpy.full((4, 3, 6, 6), 255, "uint8"), 1.0),
        (numpy.full((4, 6, 6, 3), 51, "uint8"), 0.2),
        (numpy.full((4, 3, 6, 6), 0.5, "float64"), 0.5),
        (numpy.full((4, 108), 255.0), 1.0),
    ],
)
def test_arrays_in_any_order_become_floats_from_0_to_1(tmp_path, array, top):
    numpy.savez(tmp_path / "s.npz", x=array, y=[0, 1, 0, 1])
    found = read_samples(str(tmp_path / "s.npz"), SHAPE)
    assert found.images.shape == (4, *SHAPE)
    assert found.images.max() == pytest.approx(top)
    assert found.labels.tolist() == [0, 1, 0, 1]


@pytest.mark.parametrize(
    ("arrays", "why"),
    [
        ({"pictures": numpy.zeros((2, 3, 6, 6))}, "holds pictures"),
        ({"x": numpy.zeros((2, 3, 9, 9))}, "takes 3 x 6 x 6"),
        ({"x": numpy.zeros((2, 3, 6, 6)), "y": numpy.zeros(5)}, "2 images and labels"),
        ({"x": numpy.full((2, 3, 6, 6), numpy.nan)}, "no numbers"),
        ({"x": numpy.array([["a"] * 108] * 2)}, "pixels of the type"),
    ],
)
def test_what_does_not_fit_is_said(tmp_path, arrays, why):
    numpy.savez(tmp_path / "s.npz", **arrays)
    with pytest.raises(UsageError, match=why):
        read_samples(str(tmp_path / "s.npz"), SHAPE)


class Fires:
    def __reduce__(self):
        return open, ("fired", "w")


def test_an_array_of_objects_is_refused_and_runs_nothing(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    array = numpy.empty(1, object)
    array[0] = Fires()
    numpy.savez("s.npz", x=array)
    (tmp_path / "p.npy").write_bytes(pickle.dumps(Fires()))
    for name in ("s.npz", "p.npy"):
        with pytest.raises(SourceError, match="no arrays"):
            read_samples(name, SHAPE)
    assert not (tmp_path / "fired").exists()


def test_a_damaged_image_and_an_empty_folder_are_said(tmp_path):
    with pytest.raises(UsageError, match="no images"):
        read_samples(str(tmp_path), SHAPE)
    (tmp_path / "a.png").write_bytes(b"\x89PNG\r\n\x1a\nnonsense")
    with pytest.raises(SourceError, match="no image"):
        read_samples(str(tmp_path), SHAPE)


def test_noise_is_the_same_every_time():
    assert (noise(SHAPE, 4).images == noise(SHAPE, 4).images).all()
