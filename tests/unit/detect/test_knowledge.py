"""Three grades of knowledge: by exact name, by use, by arguments."""

from __future__ import annotations

import pytest

from weighbridge.detect.knowledge import Knowledge, Standing, Use
from weighbridge.detect.knowledge.arguments import complaint
from weighbridge.detect.knowledge.dangerous import BY_MODULE, BY_NAME
from weighbridge.formats.pickle import Items, Made, Name
from weighbridge.schema import Severity

KNOWN = Knowledge()


def grade(dotted, use=Use.CALL):
    return KNOWN.grade(Name(*dotted.rsplit(".", 1)), use)


@pytest.mark.parametrize(
    "dotted",
    [
        "os.system",
        "posix.system",
        "builtins.eval",
        "__builtin__.eval",
        "numpy.f2py.crackfortran.myeval",
        "torch.hub.load",
        "sklearn.utils._joblib.load",
        "pickle.loads",
        "copy_reg.add_extension",
    ],
)
@pytest.mark.parametrize("use", Use)
def test_dangerous_in_every_use(dotted, use):
    assert grade(dotted, use).standing is Standing.DANGEROUS


@pytest.mark.parametrize(
    "dotted",
    [
        "collections.OrderedDict",
        "numpy.dtype",
        "datetime.date",
        "torch._utils._rebuild_tensor_v2",
        "__builtin__.set",
        "__builtin__.long",
    ],
)
def test_harmless_when_called(dotted):
    assert grade(dotted).standing is Standing.HARMLESS


def test_a_class_may_be_made_and_filled_and_not_called():
    assert grade("torch.nn.modules.linear.Linear", Use.NEW).standing is Standing.HARMLESS
    assert grade("torch.nn.modules.linear.Linear", Use.BUILD).standing is Standing.HARMLESS
    assert grade("torch.nn.modules.linear.Linear", Use.CALL).standing is Standing.UNKNOWN


@pytest.mark.parametrize(
    ("module", "name"),
    [
        ("torch", "os.system"),
        ("collections", "_sys.modules"),
        ("numpy", "__builtins__"),
        ("joblib", "os"),
        ("torch._utils", "_rebuild_tensor_v2.__globals__"),
    ],
)
def test_attribute_chains_are_indirect_gadgets(module, name):
    assert KNOWN.grade(Name(module, name), Use.REFERENCE).rule == "PKL-003"


def test_the_unknown_is_never_silent():
    assert grade("somewhere.make").standing is Standing.UNKNOWN
    assert grade("somewhere.make").severity is Severity.MEDIUM
    assert grade("torch.nn.functional.secret").severity is Severity.HIGH
    assert grade("colorsys.rgb_to_hsv").severity is Severity.HIGH


def test_own_names_are_vouched_for_exactly():
    knowledge = Knowledge(frozenset({"acme.Net"}))
    assert knowledge.grade(Name("acme", "Net"), Use.CALL).standing is Standing.HARMLESS
    assert knowledge.grade(Name("acme", "Nets"), Use.CALL).standing is Standing.UNKNOWN


def test_no_name_is_both_harmless_and_dangerous():
    from pathlib import Path

    from weighbridge.detect.knowledge.grades import _DATA, _package

    harmless = {name: letters for path in Path(_DATA).glob("*.txt") for name, letters in _package(path.stem).items()}
    checked = {name for name, letters in harmless.items() if "?" in letters}
    assert (harmless.keys() & BY_NAME.keys()) - checked <= {
        "functools.partial",
        "operator.attrgetter",
        "builtins.type",
        "builtins.print",
        "builtins.sorted",
        "builtins.max",
        "builtins.min",
    }
    assert len(harmless) > 4000
    assert "os" in BY_MODULE


def called(dotted, *arguments):
    return complaint(Name(*dotted.rsplit(".", 1)), Items("tuple", arguments, len(arguments)), KNOWN)


INSTANCE = Made(Name("torch.nn.modules.linear", "Linear"), Items("tuple", (), 0))


@pytest.mark.parametrize(
    ("dotted", "arguments"),
    [
        ("builtins.getattr", (INSTANCE, "forward")),
        ("builtins.type", (None,)),
        ("builtins.bytearray", (100,)),
        ("operator.attrgetter", ("a.b",)),
        ("copyreg._reconstructor", (Name("torch.nn.modules.linear", "Linear"), Name("builtins", "object"), None)),
        (
            "torch._tensor._rebuild_from_type_v2",
            (Name("torch._utils", "_rebuild_tensor_v2"), Name("torch", "Tensor"), Items("tuple", (), 0), None),
        ),
    ],
)
def test_arguments_that_real_files_have(dotted, arguments):
    assert called(dotted, *arguments) is None


@pytest.mark.parametrize(
    ("dotted", "arguments"),
    [
        ("builtins.getattr", (Name("os", "path"), "os")),
        ("builtins.getattr", (INSTANCE, "__class__")),
        ("builtins.getattr", (INSTANCE, INSTANCE)),
        ("builtins.type", ("X", Items("tuple", (), 0), Items("dict", (), 0))),
        ("builtins.bytearray", (2**33,)),
        ("operator.attrgetter", ("__class__.__base__",)),
        ("copyreg._reconstructor", (Name("os", "system"), Name("builtins", "object"), None)),
        (
            "torch._tensor._rebuild_from_type_v2",
            (Name("os", "system"), Name("torch", "Tensor"), Items("tuple", ("id",), 1), None),
        ),
    ],
)
def test_arguments_that_turn_them_into_gadgets(dotted, arguments):
    assert called(dotted, *arguments).standing is Standing.DANGEROUS
