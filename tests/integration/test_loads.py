"""What libraries really save loads inside the sandbox: no attempts, no limit, and the numbers are those of the library."""

from __future__ import annotations

import os
import pickle

import joblib
import numpy as np
import pytest
import torch

from tests.corpus.runs import ISOLATED
from weighbridge.inspection.loading import load
from weighbridge.schema import Severity

os.environ.setdefault("KERAS_BACKEND", "torch")
CHANCE = np.random.default_rng(0)
DATA, LABELS = CHANCE.normal(size=(60, 8)), CHANCE.integers(0, 3, 60)


def pickled(value, path):
    path.write_bytes(pickle.dumps(value))


def forest(path):
    from sklearn.ensemble import RandomForestClassifier

    made = RandomForestClassifier(5, random_state=0).fit(DATA, LABELS)
    joblib.dump(made, path)
    return {"classes_": made.classes_, "estimators_.0.classes_": made.estimators_[0].classes_}


def boosted(path):
    from sklearn.ensemble import HistGradientBoostingClassifier

    made = HistGradientBoostingClassifier(max_iter=2, random_state=0).fit(DATA, LABELS)
    joblib.dump(made, path, compress=3)
    return {"classes_": made.classes_}


def pipeline(path):
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    made = make_pipeline(StandardScaler(), LogisticRegression()).fit(DATA, LABELS)
    pickled(made, path)
    return {"steps.0.1.mean_": made[0].mean_, "steps.1.1.coef_": made[1].coef_}


def xgboost(path):
    from xgboost import XGBClassifier

    made = XGBClassifier(n_estimators=2).fit(DATA, LABELS)
    pickled(made, path)
    return {"_Booster.ubj": np.frombuffer(bytes(made.get_booster().save_raw("ubj")), "u1")}


def lightgbm(path):
    from lightgbm import LGBMClassifier

    made = LGBMClassifier(n_estimators=2, verbose=-1).fit(DATA, LABELS)
    joblib.dump(made, path)
    return {"_Booster.text": np.frombuffer(made.booster_.model_to_string().encode(), "u1")}


def keras(path):
    import keras

    made = keras.Sequential([keras.layers.Input((3,)), keras.layers.Dense(4)])
    made.save(path)
    # The name of the model is not a part of the path in every form.
    return {weight.path.removeprefix("sequential/").partition("/")[2]: weight.numpy() for weight in made.weights}


def state(path):
    made = {"a": torch.randn(3, 4), "half": torch.randn(5).half(), "turned": torch.arange(6.0).reshape(2, 3).T}
    torch.save(made, path)
    return {name: tensor.contiguous().numpy() for name, tensor in made.items()}


def module(path):
    made = torch.nn.Sequential(torch.nn.Linear(4, 3), torch.nn.BatchNorm1d(3))
    torch.save(made, path)
    return {name: tensor.numpy() for name, tensor in made.state_dict().items()}


def script(path):
    made = torch.jit.script(torch.nn.Linear(2, 3))
    torch.jit.save(made, path)
    return {name: tensor.numpy() for name, tensor in made.state_dict().items()}


def arrays(path):
    made = {"x": CHANCE.normal(size=(4, 5)), "y": [np.asfortranarray(np.arange(6).reshape(2, 3))]}
    pickled(made, path)
    return {"x": made["x"], "y.0": made["y"][0]}


def archive(path):
    np.savez(path, a=DATA)
    return {"a": DATA}


FILES = {
    "state.pt": state, "module.pt": module, "script.pt": script, "forest.joblib": forest, "boosted.joblib": boosted,
    "pipeline.pkl": pipeline, "xgboost.pkl": xgboost, "lightgbm.joblib": lightgbm, "model.keras": keras, "model.h5": keras,
    "arrays.pkl": arrays, "arrays.npz": archive,
}  # fmt: skip


@ISOLATED
@pytest.mark.parametrize("name", FILES)
def test_a_benign_file_loads_with_the_same_numbers_and_without_a_finding(tmp_path, name):
    wanted = FILES[name](tmp_path / name)
    with load(str(tmp_path / name)) as found:
        assert (found.error, found.limit) == ("", "")
        assert {
            one.rule for one in found.report.findings if one.severity in {Severity.CRITICAL, Severity.HIGH}
        } == set()
        assert not any(one.rule.startswith("RUN") for one in found.report.findings)
        for wanted_path, array in wanted.items():
            path = next(one for one in found.tensors if one == wanted_path or one.endswith(f"/{wanted_path}"))
            assert found.tensors[path][1] == array.shape
            assert found.read(path) == np.ascontiguousarray(array).tobytes()
