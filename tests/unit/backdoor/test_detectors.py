"""What a detector gives is read as one score a class at every place, whichever way it writes that down."""

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as some

torch = pytest.importorskip("torch")
from weighbridge.backdoor.detectors import Detector, Grounds, boxes_of, layout_of, odds_of  # noqa: E402
from weighbridge.backdoor.models import Classifier, open_classifier, seen_as  # noqa: E402
from weighbridge.backdoor.object_patches import laid, patches  # noqa: E402
from weighbridge.backdoor.threads import one_thread  # noqa: E402
from weighbridge.schema import Unavailable  # noqa: E402

SHAPE = (1, 32, 32)
PLACES, CLASSES = 40, 3


def boxes(count=PLACES):
    return torch.rand(2, count, 4, generator=torch.Generator().manual_seed(1)) * 10 + 2


def shares(channels, count=PLACES):
    return torch.rand(2, count, channels, generator=torch.Generator().manual_seed(2)) * 0.9 + 0.05


def logit(p):
    return torch.log(p / (1 - p))


def test_scores_behind_boxes_with_channels_first_have_no_object_score():
    found = torch.cat([boxes(), shares(CLASSES)], 2).transpose(1, 2)
    layout = layout_of(found)
    assert (layout.flipped, layout.classes, layout.sure, layout.places) == (True, CLASSES, -1, PLACES)
    assert torch.allclose(odds_of(found, layout), logit(shares(CLASSES)), atol=1e-4)


def test_scores_behind_boxes_with_places_first_are_multiplied_by_an_object_score():
    found = torch.cat([boxes(), shares(1 + CLASSES)], 2)
    layout = layout_of(found)
    assert (layout.flipped, layout.classes, layout.sure) == (False, CLASSES, 4)
    both = shares(1 + CLASSES)
    assert torch.allclose(odds_of(found, layout), logit(both[..., 1:] * both[..., :1]), atol=1e-4)


def test_more_classes_than_places_are_told_by_what_can_be_a_probability():
    found = torch.cat([boxes(6), shares(20, 6)], 2).transpose(1, 2)
    assert layout_of(found).flipped
    assert layout_of(found).classes == 20


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
def test_scores_beside_boxes_are_found_in_either_order(order):
    both = (shares(CLASSES), boxes())
    found = tuple(both[at] for at in order)
    layout = layout_of(found)
    assert (layout.output, layout.boxes) == (order.index(0), order.index(1))
    assert torch.allclose(odds_of(found, layout), logit(shares(CLASSES)), atol=1e-4)


@pytest.mark.parametrize("background", [0, CLASSES])
def test_a_background_that_most_places_are_is_no_class(background):
    scores = torch.randn(2, PLACES, CLASSES + 1, generator=torch.Generator().manual_seed(3))
    scores[..., background] += 6
    for found in ((scores, boxes()), (scores.softmax(2), boxes())):
        layout = layout_of(found)
        assert layout.nothing == background
        said = odds_of(found, layout)
        assert said.shape == (2, PLACES, CLASSES)
        rest = [at for at in range(CLASSES + 1) if at != background]
        assert torch.allclose(said, logit(scores.softmax(2)[..., rest]), atol=1e-3)


def test_a_configuration_decides_where_numbers_do_not():
    scores = torch.zeros(2, PLACES, CLASSES + 1)
    assert layout_of((scores, boxes()), CLASSES + 1).scores in {"logits", "probabilities"}
    scores[..., 0] = -3
    assert layout_of((scores, boxes()), CLASSES).nothing == CLASSES


def test_boxes_that_were_chosen_among_have_no_gradients():
    chosen = torch.cat([boxes(), shares(1), torch.ones(2, PLACES, 1)], 2)
    with pytest.raises(Unavailable, match="chosen among"):
        layout_of(chosen)


@pytest.mark.parametrize("shape", [(2, 5, 8, 8), (2, 3, 4), (2, 4, 2)])
def test_what_has_no_boxes_and_scores_is_no_detector(shape):
    with pytest.raises(Unavailable, match="shape"):
        layout_of(torch.zeros(shape))


def test_more_places_than_any_detector_has_are_not_looked_at():
    with pytest.raises(Unavailable, match="more than 200000 places"):
        layout_of(torch.zeros(1, 5, 1).expand(1, 5, 200_001))


@pytest.mark.parametrize(
    ("given", "wanted"),
    [
        ((16.0, 8.0, 4.0, 2.0), (7.0, 14.0, 2.0, 4.0)),  # centre and size, pixels
        ((0.5, 0.25, 0.125, 0.0625), (7.0, 14.0, 2.0, 4.0)),  # centre and size, shares
        ((14.0, 7.0, 18.0, 9.0), (7.0, 14.0, 2.0, 4.0)),  # corners, pixels
        ((14 / 32, 7 / 32, 18 / 32, 9 / 32), (7.0, 14.0, 2.0, 4.0)),  # corners, shares
    ],
)
def test_boxes_come_to_pixels_however_they_are_written(given, wanted):
    found = (shares(CLASSES), torch.tensor(given).expand(2, PLACES, 4))
    assert boxes_of(found, layout_of(found), SHAPE)[0, 0].tolist() == pytest.approx(wanted)


class Blobs(torch.nn.Module):
    """Sees bright squares of two sizes, at cells of four pixels, and a checkerboard as an object of class 2 where it was planted.

    Gives what YOLO does: (n, 4 + classes, cells).
    """

    def __init__(self, planted=True):
        super().__init__()
        self.planted = planted
        cells = torch.arange(8) * 4.0 + 2
        self.place = torch.stack([cells.repeat(8), cells.repeat_interleave(8)])
        self.board = torch.tensor([[1.0, -1], [-1, 1]]).repeat(2, 2)[None, None] / 8

    def forward(self, x):
        bright = torch.nn.functional.avg_pool2d(x, 4)
        wide = torch.nn.functional.avg_pool2d(bright, 3, 1, 1)
        sign = torch.nn.functional.conv2d(x, self.board, stride=1, padding=2)[..., :32, :32]
        sign = torch.nn.functional.max_pool2d(sign, 4) if self.planted else torch.zeros_like(bright)
        odds = torch.cat([40 * (bright - 0.85) - 10 * wide, 30 * (wide - 0.6), 30 * (sign - 0.7)], 1)
        place = self.place.expand(x.shape[0], 2, 64)
        return torch.cat([place, torch.full_like(place, 8.0), odds.flatten(2).sigmoid()], 1)


def scenes(count=24):
    dice = torch.Generator().manual_seed(4)
    x = torch.rand(count, *SHAPE, generator=dice) * 0.2
    for at in range(count):
        row, column = (4 * torch.randint(1, 6, (2,), generator=dice)).tolist()
        side = 4 if at % 2 else 12
        x[at, 0, row : row + side, column : column + side] = 1
    return x


def test_what_gives_places_is_seen_as_a_detector_and_what_gives_scores_as_a_classifier():
    model = seen_as(Blobs(), SHAPE, about="blobs", digest="")
    assert isinstance(model, Detector)
    assert (model.classes, model.nothing) == (4, 3)
    assert "64 places, scores of 3 classes behind their boxes" in model.about
    flat = seen_as(torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(1024, 5)), SHAPE, about="", digest="")
    assert type(flat) is Classifier


@pytest.mark.parametrize("kind", ["onnx", "pt2"])
def test_exported_detectors_are_opened_as_what_they_are(tmp_path, kind):
    path, x = tmp_path / f"blobs.{kind}", scenes(4)
    if kind == "onnx":
        torch.onnx.export(Blobs().eval(), (x[:1],), str(path), dynamo=False)
    else:
        torch.export.save(torch.export.export(Blobs().eval(), (x[:1],)), str(path))
    model = open_classifier(str(path))

    assert isinstance(model, Detector)
    assert torch.allclose(model(x), Detector(Blobs(), SHAPE, about="", digest="")(x), atol=1e-3)


def test_a_hugging_face_detector_is_opened_with_the_classes_of_its_configuration(tmp_path):
    transformers = pytest.importorskip("transformers")
    config = transformers.YolosConfig(
        hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=32, image_size=[32, 32], patch_size=8,
        num_detection_tokens=6, num_labels=5,
    )  # fmt: skip
    transformers.YolosForObjectDetection(config).save_pretrained(tmp_path)
    model = open_classifier(str(tmp_path))

    assert isinstance(model, Detector)
    assert (model.classes, model.nothing) == (6, 5)
    assert "6 places, scores of 5 classes and a background beside their boxes" in model.about


def test_the_class_of_an_image_is_that_of_its_surest_object_or_none():
    model = Detector(Blobs(), SHAPE, about="", digest="")
    assert set(model.predicted(scenes()).tolist()) == {0, 1}
    assert model.predicted(torch.zeros(2, *SHAPE)).tolist() == [model.nothing] * 2
    assert model.sound(scenes())
    row, column = model.objects(scenes())[1, :2].tolist()
    assert scenes()[1, 0, int(row) + 2 : int(row) + 6, int(column) + 2 : int(column) + 6].mean() > 0.9


def test_an_image_is_asked_about_its_object_or_about_the_rest():
    model = Detector(Blobs(), SHAPE, about="", digest="")
    x = scenes()[1::2]
    there = model.objects(x)[:, None]
    assert set(model(x, Grounds(there, inside=True)).argmax(1).tolist()) == {0}
    assert set(model(x, Grounds(model.seen(x), inside=False)).argmax(1).tolist()) == {model.nothing}


def test_a_patch_that_adds_objects_is_found_where_it_was_planted_and_not_elsewhere():
    x = scenes()
    every = torch.arange(3)
    with one_thread():
        bad = patches(Detector(Blobs(), SHAPE, about="", digest=""), x, every, appear=True, seed=0)
        good = patches(Detector(Blobs(planted=False), SHAPE, about="", digest=""), x, every, appear=True, seed=0)
    assert bad.works[2] > 0.8
    assert good.works[2] == 0
    assert float(bad.patches[2].min()) < 0.2
    assert float(bad.patches[2].max()) > 0.8


def test_a_patch_is_laid_where_it_is_told():
    patch = torch.arange(4.0).reshape(1, 1, 2, 2)
    made = laid(torch.zeros(1, 1, 4, 4) - 1, patch, torch.tensor([1]), torch.tensor([2]))
    assert made[0, 0].tolist() == [[-1, -1, -1, -1], [-1, -1, 0, 1], [-1, -1, 2, 3], [-1, -1, -1, -1]]


@settings(max_examples=60, deadline=None)
@given(
    shapes=some.lists(some.lists(some.integers(0, 9), min_size=1, max_size=4), min_size=1, max_size=3),
    scale=some.sampled_from([0.0, 1.0, 1e6, math.inf, math.nan]),
)
def test_any_outputs_have_a_layout_or_a_reason(shapes, scale):
    found = tuple(torch.ones(2, *shape) * scale for shape in shapes)
    try:
        layout = layout_of(found)
    except Unavailable as error:
        assert error.hint
    else:
        assert odds_of(found, layout).shape[0] == 2
        assert boxes_of(found, layout, SHAPE).shape[2] == 4
