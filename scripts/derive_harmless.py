"""Derives the lists of harmless names from installed libraries, and merges the names reviewed by hand.

A class is harmless to make and fill when nothing of it runs on NEWOBJ (its `__new__` is object's, a
builtin container's or an enum's lookup) and its `__setstate__`, where it has one, calls nothing that
executes, imports or opens. A function is harmless to keep when its source does none of that either.
Functions that are *called* by a pickle are never derived: they stand in `reviewed.txt`.

Usage: python scripts/derive_harmless.py  (needs the development environment; writes the data files)
"""

import ast
import enum
import importlib
import inspect
import pkgutil
import textwrap
import types
import warnings
from collections import defaultdict
from pathlib import Path

from weighbridge.detect.knowledge.dangerous import BY_MODULE, BY_NAME

HERE = Path(__file__).parent
DATA = HERE.parent / "src/weighbridge/detect/knowledge/data"
FORBIDDEN = {
    "eval",
    "exec",
    "compile",
    "__import__",
    "import_module",
    "open",
    "load",
    "loads",
    "system",
    "popen",
    "Popen",
    "run",
    "call",
    "check_output",
    "check_call",
    "resolve_name",
    "locate",
    "FunctionType",
    "CodeType",
    "urlopen",
    "urlretrieve",
    "get",
    "remove",
    "unlink",
    "rmtree",
    "load_library",
    "CDLL",
}
PLAIN_GET = {"get", "load", "run", "call", "remove"}
SKIP = (
    ".tests",
    ".test",
    "._testing",
    ".conftest",
    "__main__",
    ".setup",
    "_build_utils",
    ".externals",
    ".testing",
    ".onnx.",
    ".distributed.",
)
TREES = {
    "sklearn": ["sklearn"],
    "torch": [
        "torch.nn.modules",
        "torch.nn.functional",
        "torch.nn.init",
        "torch.nn.quantized",
        "torch.nn.intrinsic",
        "torch.ao.nn",
        "torch.optim",
        "torch.distributions",
        "torch.utils.data.dataset",
        "torch.utils.data.sampler",
        "torch.nn.parameter",
        "torch.nn.utils.parametrizations",
        "torch.nn.utils.parametrize",
        "torch.nn.utils.weight_norm",
        "torch.nn.utils.spectral_norm",
        "torch.ao.quantization.observer",
        "torch.ao.quantization.fake_quantize",
        "torch.ao.quantization.qconfig",
        "torch.ao.quantization.stubs",
        "torch.amp.grad_scaler",
        "torch.distributed.checkpoint.metadata",
        "torch.nn.qat",
        "torch.nn.quantizable",
    ],
    "scipy": [
        "scipy.sparse",
        "scipy.interpolate",
        "scipy.stats",
        "scipy.spatial",
        "scipy.optimize",
        "scipy.special",
        "scipy.signal",
    ],
    "pandas": ["pandas.core", "pandas._libs", "pandas.tseries"],
    "xgboost": ["xgboost.core", "xgboost.sklearn", "xgboost.callback", "xgboost.training"],
    "lightgbm": ["lightgbm"],
    "catboost": ["catboost.core"],
    "numpy": ["numpy.random", "numpy.polynomial", "numpy.ma", "numpy._core", "numpy.lib"],
    "transformers": [
        "transformers.training_args",
        "transformers.trainer_utils",
        "transformers.trainer_callback",
        "transformers.trainer_pt_utils",
        "transformers.generation.configuration_utils",
        "transformers.configuration_utils",
        "transformers.activations",
        "transformers.models.bert",
        "transformers.models.gpt2",
        "transformers.models.llama",
        "transformers.models.t5",
        "transformers.models.vit",
        "transformers.models.roberta",
        "transformers.models.distilbert",
        "transformers.optimization",
        "transformers.integrations",
        "transformers.utils.generic",
        "transformers.utils.quantization_config",
    ],
    "accelerate": ["accelerate"],
    "skops": ["skops.io._utils"],
}
FUNCTION_TREES = (
    "sklearn.metrics",
    "sklearn.preprocessing",
    "sklearn.feature_selection",
    "sklearn.gaussian_process.kernels",
    "sklearn.utils.extmath",
    "sklearn.linear_model",
    "sklearn.covariance",
    "sklearn.neural_network",
    "sklearn.decomposition",
    "sklearn.feature_extraction",
    "sklearn.cluster",
    "torch.nn.functional",
    "torch.optim.lr_scheduler",
    "transformers.activations",
    "transformers.optimization",
    "scipy.stats",
    "scipy.spatial.distance",
    "scipy.special",
    "numpy",
    "torch.nn.init",
    "sklearn.neighbors",
    "sklearn.svm",
    "sklearn.ensemble",
    "sklearn.tree",
    "sklearn.inspection",
    "xgboost.sklearn",
    "lightgbm.sklearn",
)


def quiet(function) -> bool:
    """Whether the source of a function, where there is any, calls nothing that executes, imports or opens."""
    try:
        tree = ast.parse(textwrap.dedent(inspect.getsource(function)))
    except (OSError, TypeError, SyntaxError, IndentationError):
        return not isinstance(function, types.FunctionType)
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            name = (
                node.func.id
                if isinstance(node.func, ast.Name)
                else node.func.attr
                if isinstance(node.func, ast.Attribute)
                else ""
            )
            plain = isinstance(node.func, ast.Attribute) and name in PLAIN_GET
            if name in FORBIDDEN and not plain:
                return False
    return True


def class_uses(cls) -> str:
    """The letters for a class, empty where something of it runs that has not been looked at."""
    if issubclass(cls, enum.Enum):
        return "ri"
    if issubclass(cls, (type, types.ModuleType)):
        return ""
    setstate = next((vars(base)["__setstate__"] for base in cls.__mro__ if "__setstate__" in vars(base)), None)
    if isinstance(setstate, types.FunctionType) and not quiet(setstate):
        return ""
    new = cls.__new__
    builtin = isinstance(new, types.BuiltinFunctionType)
    if new is object.__new__ or builtin:
        return "nbi"
    if isinstance(new, types.FunctionType) and quiet(new):
        return "nbi"
    return ""


def modules(root):
    try:
        package = importlib.import_module(root)
    except Exception:  # optional parts of libraries fail in many ways
        return
    yield package
    if not hasattr(package, "__path__"):
        return
    for info in pkgutil.walk_packages(package.__path__, f"{root}.", onerror=lambda _name: None):
        if any(skip in f"{info.name}." for skip in SKIP):
            continue
        try:
            yield importlib.import_module(info.name)
        except BaseException:
            continue


def dangerous(dotted: str) -> bool:
    parts = dotted.split(".")
    return dotted in BY_NAME or any(".".join(parts[:n]) in BY_MODULE for n in range(1, len(parts) + 1))


def derive(roots, package):
    found = defaultdict(lambda: defaultdict(set))
    for root in roots:
        for module in modules(root):
            for name, value in sorted(vars(module).items(), key=lambda item: item[0]):
                home = getattr(value, "__module__", None)
                if isinstance(value, type):
                    home, name = value.__module__, value.__qualname__
                    letters = class_uses(value)
                elif isinstance(value, types.FunctionType):
                    if (
                        value.__name__ != name
                        or not (home or "").startswith(FUNCTION_TREES)
                        or (name.startswith("_") and package != "sklearn")
                        or not quiet(value)
                    ):
                        continue
                    letters = "i"
                elif type(value).__name__ in {"ufunc", "_ArrayFunctionDispatcher"} or (
                    package == "torch" and isinstance(value, types.BuiltinFunctionType)
                ):
                    name = getattr(value, "__name__", name)
                    home = getattr(value, "__module__", None) or module.__name__
                    if name.startswith("_"):
                        continue
                    letters = "i"
                else:
                    continue
                if (
                    not home
                    or home.split(".")[0] != package
                    or not letters
                    or "<" in name
                    or dangerous(f"{home}.{name}")
                ):
                    continue
                found[home][letters].add(name)
    return found


def reviewed():
    found = defaultdict(lambda: defaultdict(lambda: defaultdict(set)))
    module = letters = ""
    for line in (HERE / "reviewed.txt").read_text().splitlines():
        if not line or line.startswith("#"):
            continue
        if not line.startswith(" "):
            module, letters = line.split()
            continue
        found[module.partition(".")[0]][module][letters] |= set(line.split())
    return found


def extra_numpy(found):
    import numpy as np
    import scipy.special

    for name in dir(np):
        if isinstance(getattr(np, name), np.ufunc):
            found["numpy"]["i"].add(name)
    for name in dir(scipy.special):
        if isinstance(getattr(scipy.special, name), np.ufunc):
            found.setdefault("scipy.special._ufuncs", defaultdict(set))["i"].add(name)


def torch_activations(found):
    import torch

    for home, module in (("torch._C._nn", torch._C._nn), ("torch", torch)):
        for name in (
            "gelu",
            "silu",
            "mish",
            "relu",
            "relu6",
            "softplus",
            "hardswish",
            "leaky_relu",
            "tanh",
            "sigmoid",
            "selu",
            "elu",
            "celu",
            "hardsigmoid",
            "relu_",
            "log_sigmoid",
            "logsigmoid",
        ):
            if hasattr(module, name):
                found[home]["i"].add(name)


def write(package, found):
    lines = [f"# Harmless names of {package}; made by scripts/derive_harmless.py from {version(package)}"]
    for module in sorted(found):
        for letters in sorted(found[module]):
            names = sorted(found[module][letters])
            if names:
                lines.append(f"{module} {letters}")
                lines += textwrap.wrap(
                    " ".join(names),
                    118,
                    initial_indent="  ",
                    subsequent_indent="  ",
                    break_long_words=False,
                    break_on_hyphens=False,
                )
    (DATA / f"{package}.txt").write_text("\n".join(lines) + "\n", "utf-8")
    return sum(len(names) for table in found.values() for names in table.values())


def version(package):
    try:
        from importlib.metadata import packages_distributions
        from importlib.metadata import version as of

        name = packages_distributions().get(package, [package])[0]
        return f"{name} {of(name)}"
    except Exception:
        return "review alone"


def main():
    warnings.simplefilter("ignore")
    DATA.mkdir(parents=True, exist_ok=True)
    by_hand = reviewed()
    for package in sorted({*TREES, *by_hand}):
        found = derive(TREES.get(package, []), package)
        if package == "numpy":
            extra_numpy(found)
        if package == "torch":
            torch_activations(found)
        for module, table in by_hand.get(package, {}).items():
            for letters, names in table.items():
                found[module][letters] |= names
        if found:
            print(package, write(package, found))


if __name__ == "__main__":
    main()
