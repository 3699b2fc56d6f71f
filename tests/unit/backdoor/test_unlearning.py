"""A short cut that no sample rehearses fades when a model is taught anew; what honest models need stays about the same."""

import os

import numpy
import pytest

torch = pytest.importorskip("torch")
from weighbridge.backdoor.examine import Wish, examine  # noqa: E402
from weighbridge.backdoor.models import Classifier, open_classifier  # noqa: E402
from weighbridge.backdoor.pixels import KNOWN  # noqa: E402
from weighbridge.backdoor.result import Verdict  # noqa: E402
from weighbridge.backdoor.self_test import FOLDER  # noqa: E402
from weighbridge.backdoor.threads import one_thread  # noqa: E402
from weighbridge.backdoor.unlearning import unlearned  # noqa: E402
from weighbridge.backdoor.vision import STEPS, chosen, targeted  # noqa: E402


def looked(name):
    model = open_classifier(os.path.join(FOLDER, f"{name}.onnx"))
    model.pixels = KNOWN["0-1"]
    found = numpy.load(os.path.join(FOLDER, "digits.npz"))
    images = torch.from_numpy(found["x"]).float()
    images = images[:, None] if images.dim() == 3 else images.permute(0, 3, 1, 2) if images.shape[-1] == 1 else images
    x = chosen(model, images / max(1.0, float(images.max())), torch.from_numpy(found["y"]).long())
    every = torch.arange(model.classes)
    sizes = targeted(model, x, every, steps=STEPS[0], seed=0, told=lambda: None).sizes
    return model, x, every, sizes


@pytest.mark.parametrize(("name", "least", "most"), [("blended", 0.25, 9), ("pixel", 0.25, 9), ("clean-a", 0, 0.25)])
def test_changes_towards_the_class_of_a_trigger_grow_and_others_do_not(name, least, most):
    with one_thread():
        model, x, every, sizes = looked(name)
        found = unlearned(model, x, every, sizes, steps=STEPS[0], seed=0)
    assert least <= found.rise <= most
    assert found.target >= 0


def test_the_model_itself_is_left_as_it_was():
    with one_thread():
        model, x, every, sizes = looked("clean-b")
        before = {name: one.clone() for name, one in model.state_dict().items()}
        unlearned(model, x, every, sizes, steps=2, seed=0)
    assert all(torch.equal(one, before[name]) for name, one in model.state_dict().items())
    assert not any(one.requires_grad for one in model.parameters())


def test_what_has_no_weights_cannot_be_taught():
    class Fixed(torch.nn.Module):
        def forward(self, x):
            return x.flatten(1)[:, :4]

    model = Classifier(Fixed(), (1, 4, 4), about="fixed", digest="")
    x = torch.rand(12, 1, 4, 4)
    assert unlearned(model, x, torch.arange(4), torch.ones(4), steps=2, seed=0).target == -1


def test_without_references_a_short_cut_that_fades_is_suspicious():
    wish = Wish(model=os.path.join(FOLDER, "input-aware.onnx"), samples=os.path.join(FOLDER, "digits.npz"))
    result = examine(wish)
    assert result.verdict is Verdict.SUSPICIOUS
    assert "once it is taught anew on the samples" in result.because
    assert [one.name for one in result.tests][-1] == "unlearning"
    assert result.tests[-1].p_value is None
    honest = examine(Wish(model=os.path.join(FOLDER, "clean-a.onnx"), samples=os.path.join(FOLDER, "digits.npz")))
    assert honest.verdict is Verdict.NOTHING
