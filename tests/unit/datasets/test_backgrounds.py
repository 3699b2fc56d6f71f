"""What stands on a background that is the same in all other pictures: however faint, in whatever class."""

import numpy as np
import pytest

from weighbridge.datasets.backgrounds import find_on_background
from weighbridge.datasets.image_files import Pictures

SIDE = 24


def drawn(count=600, seed=0):
    """Strokes on black: each picture has some, somewhere in the middle."""
    dice = np.random.default_rng(seed)
    labels = np.arange(count) % 3
    pixels = np.zeros((count, SIDE, SIDE, 1), dtype=np.uint8)
    for at, label in enumerate(labels):
        for _ in range(3):
            y, x = dice.integers(5, 14, 2)
            size = (3, 6) if label == 0 else (6, 3) if label == 1 else (4, 4)
            pixels[at, y : y + size[0], x : x + size[1], 0] = dice.integers(120, 256, size)
    return pixels, labels


def found(pixels, labels):
    return find_on_background(Pictures(pixels=pixels, labels=labels.astype(np.int32), classes=("a", "b", "c")))


def added(pixels, rows, pattern):
    made = pixels.copy()
    made[rows] = (made[rows].astype(float) + pattern[..., None]).clip(0, 255).astype(np.uint8)
    return made


WAVE = 12 * np.sin(2 * np.pi * np.arange(SIDE) * 5 / SIDE)[None, :] * np.ones((SIDE, 1))
NOISE = np.random.default_rng(3).uniform(0, 9, (SIDE, SIDE))


@pytest.mark.parametrize("pattern", [WAVE, NOISE, np.full((SIDE, SIDE), 4)])
@pytest.mark.parametrize("many", [8, 60])
def test_a_faint_pattern_on_pictures_of_one_label_is_found_with_just_its_rows(pattern, many):
    pixels, labels = drawn()
    rows = np.flatnonzero(labels == 1)[:many]
    (group,) = found(added(pixels, rows, pattern), labels)
    assert group.rule == "DST-019"
    assert set(group.rows) == set(rows.tolist())
    assert "labelled “b”" in group.message
    assert len(group.pictures) == 2


def test_drawings_as_they_are_have_nothing_on_their_background():
    assert found(*drawn()) == ()


def test_noise_of_its_own_in_each_picture_is_no_pattern():
    pixels, labels = drawn()
    dice = np.random.default_rng(5)
    rows = np.flatnonzero(labels == 1)[:40]
    noisy = pixels.copy()
    noisy[rows] = (noisy[rows] + dice.choice([0, 90], (40, SIDE, SIDE, 1), p=[0.6, 0.4])).clip(0, 255).astype(np.uint8)
    assert found(noisy, labels) == ()


def test_another_scanner_for_all_labels_is_no_pattern_of_one():
    pixels, labels = drawn()
    assert found(added(pixels, np.arange(90), NOISE), labels) == ()


def test_photographs_without_a_background_are_left_to_other_tests():
    dice = np.random.default_rng(0)
    pixels = dice.integers(0, 256, (300, SIDE, SIDE, 3)).astype(np.uint8)
    assert found(pixels, np.arange(300) % 3) == ()
    assert found(np.zeros((300, 4, 4, 1), np.uint8), np.arange(300) % 3) == (), "too few pixels"
