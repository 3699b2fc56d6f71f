"""ONNX programs run as data: the same numbers as the library gives, gradients, and hostile files that hurt nobody."""

import io
import warnings

import msgspec
import numpy
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from weighbridge.backdoor.models import open_classifier
from weighbridge.backdoor.onnx_net import OnnxNet
from weighbridge.formats.onnx_program import Constant, read_program
from weighbridge.schema import LimitExceeded, Unavailable, WeighbridgeError


class Bytes:
    def __init__(self, data):
        self._data, self.size = data, len(data)

    def read(self, offset, length):
        return self._data[offset : offset + length]


def exported(net, shape, **more):
    file = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(net.eval(), (torch.rand(2, *shape),), file, dynamo=False, **more)
    return file.getvalue()


class Shuffled(nn.Module):
    """What exporters make of attention and of shapes that are computed."""

    def __init__(self):
        super().__init__()
        self.first, self.normal, self.last = nn.Linear(12, 12), nn.LayerNorm(12), nn.Linear(12, 5)

    def forward(self, x):
        x = x.flatten(2).transpose(1, 2)[:, :, :3]
        x = torch.cat([x, x.mean(1, keepdim=True).expand_as(x), x.abs().sqrt(), x.clamp(0.1, 0.9)], -1)
        weights = torch.softmax(self.first(x) @ x.transpose(1, 2) / 3.0, -1)
        x = self.normal(weights @ x)
        return self.last(nn.functional.gelu(x.reshape(x.shape[0], -1, 12)).mean(1))


NETS = {
    "convolutions": nn.Sequential(nn.Conv2d(3, 8, 3, 2, 1, groups=1), nn.BatchNorm2d(8), nn.SiLU(), nn.Conv2d(8, 8, 3, padding=1, groups=8), nn.Hardswish(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 4)),
    "pools": nn.Sequential(nn.MaxPool2d(3, 2, 1), nn.AvgPool2d(2), nn.Upsample(scale_factor=2), nn.LeakyReLU(0.2), nn.ReflectionPad2d(1), nn.Flatten(), nn.Linear(108, 4)),
    "norms": nn.Sequential(nn.Conv2d(3, 4, 3), nn.GroupNorm(2, 4), nn.ELU(), nn.InstanceNorm2d(4), nn.PReLU(), nn.Flatten(), nn.Linear(144, 4), nn.Softmax(1)),
    "attention": Shuffled(),
}  # fmt: skip


@pytest.mark.parametrize("name", sorted(NETS))
def test_a_program_gives_the_numbers_of_the_net_and_of_the_library(name):
    import onnxruntime

    torch.manual_seed(1)
    net, x = NETS[name].eval(), torch.rand(2, 3, 8, 8)
    data = exported(net, (3, 8, 8), opset_version=17)
    ours = OnnxNet(read_program(Bytes(data))).eval()
    session = onnxruntime.InferenceSession(data, providers=["CPUExecutionProvider"])

    assert torch.allclose(ours(x), net(x), atol=1e-4)
    theirs = session.run(None, {session.get_inputs()[0].name: x.numpy()})[0]
    assert numpy.allclose(ours(x).detach().numpy(), theirs, atol=1e-4)


def test_gradients_flow_to_the_pixels():
    ours = OnnxNet(read_program(Bytes(exported(NETS["convolutions"], (3, 8, 8)))))
    x = torch.rand(2, 3, 8, 8, requires_grad=True)
    ours(x).sum().backward()

    assert float(x.grad.abs().sum()) > 0


@pytest.mark.parametrize("dims", [{"x": {0: "n"}}, {}])
def test_any_number_of_images_passes_also_where_the_export_fixed_it(tmp_path, dims):
    net = nn.Sequential(nn.Conv2d(1, 2, 3, padding=1), nn.ReLU(), nn.Flatten(), nn.Linear(128, 3))
    (tmp_path / "m.onnx").write_bytes(exported(net, (1, 8, 8), input_names=["x"], dynamic_axes=dims))

    model = open_classifier(str(tmp_path / "m.onnx"))
    assert (model.shape, model.classes) == ((1, 8, 8), 3)
    assert model(torch.rand(7, 1, 8, 8)).shape == (7, 3)


def test_an_operation_that_is_not_known_is_named():
    net = nn.Sequential(nn.Flatten(), nn.Linear(192, 4))
    data = exported(net, (3, 8, 8)).replace(b"Flatten", b"Flatfoo")
    with pytest.raises(Unavailable, match="uses Flatfoo"):
        OnnxNet(read_program(Bytes(data)))


class Grown(nn.Module):
    """Takes one pixel and makes as many of it as is said."""

    def __init__(self, times):
        super().__init__()
        self.times = times

    def forward(self, x):
        return x.flatten(1).repeat(1, self.times).sum(1, keepdim=True).expand(-1, 3)


def test_a_hostile_shape_takes_no_memory():
    program = read_program(Bytes(exported(Grown(3), (1, 8, 8))))
    OnnxNet(program)(torch.rand(2, 1, 8, 8))
    step = next(one for one in program.steps if one.op == "Tile")
    huge = Constant(7, (2,), (1).to_bytes(8, "little") + (1 << 40).to_bytes(8, "little"))
    program.constants["huge"] = huge
    steps = tuple(
        msgspec.structs.replace(one, inputs=(one.inputs[0], "huge")) if one is step else one for one in program.steps
    )
    with pytest.raises(LimitExceeded, match="numbers"):
        OnnxNet(msgspec.structs.replace(program, steps=steps))(torch.rand(2, 1, 8, 8))


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_a_damaged_program_is_an_error_in_words_and_no_other(data):
    whole = bytearray(exported(nn.Sequential(nn.Conv2d(1, 2, 3), nn.Flatten(), nn.Linear(72, 3)), (1, 8, 8)))
    for _ in range(data.draw(st.integers(1, 6))):
        whole[data.draw(st.integers(0, len(whole) - 1))] = data.draw(st.integers(0, 255))
    try:
        read_program(Bytes(bytes(whole)))
        read_program(Bytes(bytes(whole[: data.draw(st.integers(0, len(whole)))])))
    except WeighbridgeError:
        pass
