"""Pictures by how they look: the hashes that the imagehash library writes, and what scaling and saving anew leave of them."""

from io import BytesIO

import numpy as np
import pytest
from PIL import Image

from weighbridge.datasets.perceptual import NEAR, Unreadable, distance, is_hash, kind_of, looks

# imagehash 4.3.2 on the picture below.
KNOWN = {"phash": "882749b76b52ad5a", "dhash": "fffffffffffef8f3", "ahash": "0307070f1f3f7ef8"}


def picture():
    y, x = np.mgrid[0:96, 0:128]
    channels = [(x * 2) % 256, (y * 2 + x) % 256, ((x - 60) ** 2 + (y - 40) ** 2) // 40 % 256]
    return Image.fromarray(np.stack(channels, -1).astype(np.uint8))


def saved(image, kind="PNG", **options):
    buffer = BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


@pytest.mark.parametrize("kind", KNOWN)
def test_hashes_are_those_of_the_library_that_lists_are_made_with(kind):
    assert looks(saved(picture()), kind) == KNOWN[kind]


@pytest.mark.parametrize("kind", ["phash", "dhash"])
def test_a_picture_that_is_scaled_or_saved_anew_is_near_and_another_is_not(kind):
    assert distance(saved(picture(), "JPEG", quality=70), kind, KNOWN[kind]) <= NEAR
    assert distance(saved(picture().resize((64, 48))), kind, KNOWN[kind]) <= NEAR
    other = Image.fromarray(np.random.default_rng(0).integers(0, 256, (96, 128, 3)).astype(np.uint8))
    assert distance(saved(other), kind, KNOWN[kind]) > NEAR


@pytest.mark.parametrize("data", [b"", b"<html>gone</html>", b"\x89PNG\r\n\x1a\n" + b"\0" * 40, saved(picture())[:200]])
def test_what_is_no_picture_is_said_to_be_none(data):
    with pytest.raises(Unreadable):
        looks(data, "phash")


def test_a_picture_that_claims_too_many_pixels_is_not_unpacked():
    header = bytearray(saved(picture()))
    header[16:24] = (60_000).to_bytes(4) + (60_000).to_bytes(4)
    with pytest.raises(Unreadable):
        looks(bytes(header), "ahash")


def test_columns_and_cells_are_known_by_name_and_form():
    assert [kind_of(name) for name in ("phash", "image_dhash", "perceptual_hash", "average_hash", "sha256", "hash")] == [
        "phash", "dhash", "phash", "ahash", "", "",
    ]  # fmt: skip
    assert is_hash(KNOWN["phash"])
    assert not any(map(is_hash, ("", "12", 7, None, "g" * 16)))
