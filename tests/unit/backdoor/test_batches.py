"""A program that was exported for a fixed number of images gives the same for any number of them."""

import copy
import io

import pytest

torch = pytest.importorskip("torch")
from tests.unit.backdoor.test_onnx_net import Bytes  # noqa: E402
from weighbridge.backdoor.batches import way_of  # noqa: E402
from weighbridge.backdoor.models import Classifier  # noqa: E402
from weighbridge.backdoor.onnx_net import OnnxNet  # noqa: E402
from weighbridge.formats.onnx_program import read_program  # noqa: E402

SHAPE = (3, 8, 8)


class Single(torch.nn.Module):
    """Its export writes down the number of images: `view` takes it from the example."""

    def __init__(self):
        super().__init__()
        self.first, self.last = torch.nn.Conv2d(3, 4, 3), torch.nn.Linear(144, 5)

    def forward(self, x):
        return self.last(torch.relu(self.first(x)).view(x.shape[0], 144))


def program(count):
    torch.manual_seed(0)
    net, file = Single().eval(), io.BytesIO()
    torch.onnx.export(net, (torch.rand(count, *SHAPE),), file, dynamo=False)
    return net, read_program(Bytes(file.getvalue()))


@pytest.mark.parametrize("count", [1, 4])
def test_an_export_of_a_fixed_batch_is_run_on_any_number_of_images(count):
    net, made = program(count)
    assert made.inputs[0].dims[0] == count
    x = torch.rand(7, *SHAPE)
    assert torch.allclose(OnnxNet(made)(x), net(x), atol=1e-5)


def test_gradients_flow_through_it_and_it_is_a_classifier():
    net, made = program(1)
    model = Classifier(OnnxNet(made), SHAPE, about="", digest="")
    assert model.classes == 5
    x = torch.rand(3, *SHAPE, requires_grad=True)
    ours = torch.autograd.grad(model(x).square().sum(), x)[0]
    theirs = torch.autograd.grad(net(x).square().sum(), x)[0]
    assert torch.allclose(ours, theirs, atol=1e-5)


def test_what_depends_on_other_images_is_given_as_many_as_it_wants():
    def counts(x):
        return (x - x[:1] * 0 + x.shape[0],)

    assert torch.equal(way_of(counts, 2, (3,))(counts, 2, torch.zeros(5, 3))[0], torch.full((5, 3), 2.0))


def test_what_cannot_be_mapped_is_run_one_by_one():
    def odd(x):
        return (x.reshape(1, 3) * (2.0 if float(x.sum()) > 0 else 1.0),)

    x = torch.tensor([[1.0, 1, 1], [-1, -1, -1], [2, 2, 2]])
    assert way_of(odd, 1, (3,))(odd, 1, x)[0].tolist() == [[2, 2, 2], [-1, -1, -1], [4, 4, 4]]


@pytest.mark.parametrize("count", [1, 4])
def test_a_copy_runs_its_own_weights(count):
    """Unlearning teaches a copy: it has to be the copy that changes."""
    made = OnnxNet(program(count)[1])
    x = torch.rand(5, *SHAPE)
    before = made(x)
    other = copy.deepcopy(made)
    for one in other.buffers():
        if one.is_floating_point():
            one.zero_()
    assert torch.equal(other(x), torch.zeros(5, 5))
    assert torch.equal(made(x), before)
