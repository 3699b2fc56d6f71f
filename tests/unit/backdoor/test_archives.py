"""Models in archives run as data: the numbers of the framework that saved them, and hostile ones that hurt nobody."""

import json
import os
import zipfile

import numpy
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch import nn

from tests.unit.backdoor.test_onnx_net import NETS
from weighbridge.backdoor.architectures import _ResNet
from weighbridge.backdoor.models import open_classifier
from weighbridge.schema import LimitExceeded, Unavailable, WeighbridgeError

os.environ.setdefault("KERAS_BACKEND", "torch")


def exported(path, net, shape, *, fixed=False):
    sizes = None if fixed else ({0: torch.export.Dim("batch")},)
    program = torch.export.export(net.eval(), (torch.rand(4, *shape),), dynamic_shapes=sizes)
    torch.export.save(program, path)
    return str(path)


def rewritten(path, target, change):
    """A copy of an archive with one JSON document or its bytes changed."""
    with zipfile.ZipFile(path) as old, zipfile.ZipFile(target, "w") as new:
        for name in old.namelist():
            new.writestr(name, change(name, old.read(name)))
    return str(target)


def program(change):
    """A change of the program of a pt2 archive."""

    def applied(name, data):
        if not name.endswith("models/model.json"):
            return data
        document = json.loads(data)
        change(document["graph_module"]["graph"])
        return json.dumps(document)

    return applied


@pytest.mark.parametrize("fixed", [False, True])
@pytest.mark.parametrize("name", sorted(NETS))
def test_a_torch_export_program_gives_the_numbers_of_its_net(tmp_path, name, fixed):
    torch.manual_seed(1)
    net, x = NETS[name].eval(), torch.rand(7, 3, 8, 8, requires_grad=True)
    ours = open_classifier(exported(tmp_path / "m.pt2", net, (3, 8, 8), fixed=fixed))
    made, wanted = ours(x), net(x)
    wanted = wanted.log() if name == "norms" else wanted

    assert (ours.shape, ours.classes) == ((3, 8, 8), wanted.shape[1])
    assert torch.allclose(made, wanted, atol=1e-4)
    made.sum().backward()
    assert float(x.grad.abs().sum()) > 0


SMALL = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(144, 4))


def test_a_program_that_calls_something_else_trains_or_writes_into_its_weights_is_refused(tmp_path):
    path = exported(tmp_path / "m.pt2", SMALL, (3, 8, 8))

    def calls(target):
        return program(lambda graph: graph["nodes"][1].update(target=target))

    for at, target in enumerate(
        ["torch.ops.aten.from_file.default", "os.system", "torch.ops.aten.relu.__class__", "torch.ops.mine.run.default"]
    ):
        with pytest.raises(Unavailable):
            open_classifier(rewritten(path, tmp_path / f"{at}.pt2", calls(target)))

    def writes(graph):
        graph["nodes"][1].update(target="torch.ops.aten.relu_.default")
        graph["nodes"][1]["inputs"][0]["arg"]["as_tensor"]["name"] = graph["nodes"][0]["inputs"][1]["arg"]["as_tensor"][
            "name"
        ]

    with pytest.raises(Unavailable, match="its own weights"):
        open_classifier(rewritten(path, tmp_path / "w.pt2", program(writes)))
    trained = nn.Sequential(nn.Conv2d(3, 4, 3), nn.Dropout(), nn.Flatten(), nn.Linear(144, 4)).train()
    torch.export.save(torch.export.export(trained, (torch.rand(4, 3, 8, 8),)), tmp_path / "t.pt2")
    with pytest.raises(Unavailable, match="while it trains"):
        open_classifier(str(tmp_path / "t.pt2"))


def test_what_would_take_the_memory_is_refused_before_it_is_made(tmp_path):
    class Grows(nn.Module):
        def forward(self, x):
            return nn.functional.interpolate(x.mean((2, 3), keepdim=True), scale_factor=2.0).flatten(1)

    def grow(graph):
        for node in graph["nodes"]:
            for one in node["inputs"]:
                if one["name"] == "scale_factors":
                    one["arg"]["as_floats"] = [1e5, 1e5]

    path = exported(tmp_path / "m.pt2", Grows(), (3, 8, 8), fixed=True)
    with pytest.raises((LimitExceeded, Unavailable)):
        open_classifier(rewritten(path, tmp_path / "g.pt2", program(grow)))


def test_weights_that_are_pickled_or_missing_are_refused(tmp_path):
    path = exported(tmp_path / "m.pt2", SMALL, (3, 8, 8))

    def pickled(name, data):
        if not name.endswith("weights_config.json"):
            return data
        document = json.loads(data)
        next(iter(document["config"].values()))["use_pickle"] = True
        return json.dumps(document)

    with pytest.raises(Unavailable, match="pickle"):
        open_classifier(rewritten(path, tmp_path / "p.pt2", pickled))
    with pytest.raises(Unavailable, match="reaches beyond"):
        open_classifier(
            rewritten(path, tmp_path / "s.pt2", lambda name, data: data[:8] if name.endswith("weight_0") else data)
        )


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    folder = tmp_path_factory.mktemp("archives")
    return exported(folder / "m.pt2", SMALL, (3, 8, 8)), folder


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.integers(0, 1 << 16), st.integers(0, 255), st.sampled_from(["model.json", "config.json"]))
def test_hostile_programs_are_run_or_refused(saved, at, value, ending):
    path, folder = saved

    def changed(name, data):
        if not name.endswith(ending):
            return data
        made = bytearray(data)
        made[at % len(made)] = value
        return bytes(made)

    try:
        open_classifier(rewritten(path, folder / "hostile.pt2", changed))
    except WeighbridgeError:
        return


def keras_nets():
    import keras
    from keras import layers

    given = keras.Input((9, 8, 3))
    x = layers.Rescaling(2.0, offset=0.1)(given)
    x = layers.Conv2D(8, 3, padding="same", activation="relu")(x)
    y = layers.BatchNormalization()(layers.Conv2D(8, 3, padding="same", dilation_rate=2)(x))
    x = layers.MaxPooling2D(3, 2, padding="same")(layers.Add()([x, y]))
    x = layers.DepthwiseConv2D(3, depth_multiplier=2)(x)
    a = layers.AveragePooling2D(2, padding="same")(layers.SeparableConv2D(6, 3, strides=2, padding="same")(x))
    a = layers.ReLU(6.0)(layers.ZeroPadding2D(((1, 0), (0, 1)))(layers.UpSampling2D()(a)))
    a = layers.GlobalMaxPooling2D()(layers.Dense(4, activation="gelu")(a))
    joined = layers.Concatenate()([layers.GlobalAveragePooling2D()(x), a])
    functional = keras.Model(given, layers.Dense(5, activation="softmax")(joined))
    chain = keras.Sequential(
        [
            keras.Input((16, 16, 1)), layers.Conv2D(4, 3, activation="relu"), layers.MaxPooling2D(), layers.Conv2D(4, 3, groups=2),
            layers.LeakyReLU(), layers.Dropout(0.3), layers.Flatten(), layers.Dense(10), layers.LayerNormalization(), layers.Softmax(),
        ]
    )  # fmt: skip
    return functional, chain


def test_a_keras_archive_gives_the_numbers_of_its_model(tmp_path):
    dice = numpy.random.default_rng(0)
    for number, net in enumerate(keras_nets()):
        for layer in net.layers:
            drawn = [
                dice.random(one.shape) + 0.1 if "variance" in one.path else dice.normal(0, 0.3, one.shape)
                for one in layer.weights
            ]
            layer.set_weights(drawn)
        net.save(tmp_path / f"{number}.keras")
        ours = open_classifier(str(tmp_path / f"{number}.keras"))
        x = torch.rand(3, *ours.shape)
        theirs = torch.as_tensor(numpy.asarray(net.predict(x.permute(0, 2, 3, 1).numpy(), verbose=0)))
        assert torch.allclose(ours(x).exp(), theirs, atol=1e-4)


def test_keras_layers_that_are_code_or_grow_without_bound_are_refused(tmp_path):
    path = tmp_path / "m.keras"
    keras_nets()[1].save(path)

    def layer(change):
        def applied(name, data):
            if name != "config.json":
                return data
            document = json.loads(data)
            change(document["config"]["layers"])
            return json.dumps(document)

        return applied

    def refused(name, change, said):
        with pytest.raises((Unavailable, LimitExceeded), match=said):
            open_classifier(rewritten(path, tmp_path / f"{name}.keras", layer(change)))

    refused("lambda", lambda layers: layers[1].update(class_name="Lambda"), "Lambda")
    refused("activation", lambda layers: layers[1]["config"].update(activation="eval"), "activation eval")
    refused("zero", lambda layers: layers[2]["config"].update(strides=[0, 0]), "does not run")
    refused(
        "grown",
        lambda layers: layers.insert(1, {"class_name": "UpSampling2D", "config": {"name": "u", "size": [9999, 9999]}}),
        "numbers",
    )
    refused("shape", lambda layers: layers[0]["config"].update(batch_shape=[None, 4]), "batch x height")


ODD = st.sampled_from([None, -1, 0, 1e9, 10**12, "x", [], {}, [0, 0], True])


def put(document, path, value):
    """A value somewhere in a document: each number chooses where to go on."""
    for number in path:
        keys = (
            list(document) if isinstance(document, dict) else range(len(document)) if isinstance(document, list) else []
        )
        if not keys:
            return
        key = list(keys)[number % len(keys)]
        if number == path[-1] or not isinstance(document[key], (dict, list)):
            document[key] = value
            return
        document = document[key]


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.lists(st.integers(0, 1000), min_size=2, max_size=9, unique=True), ODD, st.sampled_from(["m.pt2", "m.keras"]))
def test_documents_of_another_shape_are_run_or_refused(saved, path, value, which):
    source, folder = saved
    if which == "m.keras":
        source = folder / which
        if not source.exists():
            keras_nets()[0].save(source)

    def changed(name, data):
        if not name.endswith(("model.json", "weights_config.json")) and name != "config.json":
            return data
        document = json.loads(data)
        put(document, path, value)
        return json.dumps(document)

    try:
        open_classifier(rewritten(source, folder / f"odd-{which}", changed))
    except WeighbridgeError:
        return


def test_checkpoints_go_through_the_converter(tmp_path):
    def convolution(*shape):
        return torch.rand(shape)

    shapes = {
        "conv1.weight": convolution(4, 3, 3, 3), "layer1.0.conv1.weight": convolution(4, 4, 3, 3),
        "layer1.0.conv2.weight": convolution(4, 4, 3, 3), "fc.weight": convolution(5, 4),
    }  # fmt: skip
    net = _ResNet(shapes)
    state = {f"module.{name}": one for name, one in net.state_dict().items()}
    torch.save({"state_dict": state, "epoch": 3}, tmp_path / "m.pt")
    ours = open_classifier(str(tmp_path / "m.pt"))
    x = torch.rand(2, 3, 32, 32)

    assert torch.allclose(ours(x), net.eval()(x), atol=1e-5)
    assert "neither run nor tested" in ours.about
