"""The MLflow client: register a model, read it by its alias, and be told why a version is not ready."""

import json
import os
import subprocess
import sys

import pytest

from tests.integration.test_registry_hub import EVIL
from tests.registry import running
from weighbridge.schema import SourceError


@pytest.fixture
def place(tmp_path):
    with running(tmp_path) as registry:
        yield registry


def mlflow(place, tmp_path, code, user="admin"):
    environment = {
        "PATH": os.environ["PATH"], "HOME": str(tmp_path), "MLFLOW_TRACKING_URI": f"{place.address}/mlflow", "MLFLOW_TRACKING_TOKEN": place.token(user),
        "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1",
    }  # fmt: skip
    head = "import json\nimport mlflow\nfrom mlflow.store.artifact.artifact_repository_registry import get_artifact_repository as at\nclient = mlflow.MlflowClient()\nout = None\n"
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", f"{head}{code}\nprint(json.dumps(out))"],
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        cwd=tmp_path,
    )
    return json.loads(done.stdout.splitlines()[-1]) if done.returncode == 0 else None, done.stderr


def model(tmp_path, name, **files):
    folder = tmp_path / name
    (folder / "data").mkdir(parents=True)
    (folder / "MLmodel").write_text("flavors: {}\n")
    for file, data in files.items():
        (folder / "data" / file).write_bytes(data)
    return folder


REGISTER = "at('mlflow-artifacts:/staging/{name}').log_artifacts({folder!r})\nout = mlflow.register_model('mlflow-artifacts:/staging/{name}', {name!r}, await_registration_for=30).version"


def test_a_model_is_registered_approved_and_read_by_its_alias(place, tmp_path):
    folder = model(tmp_path, "net", notes=b"weights")
    version, said = mlflow(place, tmp_path, REGISTER.format(name="net", folder=str(folder)))
    assert version == "1", said

    out, said = mlflow(
        place, tmp_path,
        """
client.set_registered_model_alias("net", "champion", "1")
path = mlflow.artifacts.download_artifacts("models:/net@champion", dst_path="got")
import os
out = sorted(os.path.relpath(os.path.join(a, f), path) for a, _, fs in os.walk(path) for f in fs)
""",
    )  # fmt: skip

    assert out is not None, said
    assert {"MLmodel", "data/notes"} <= set(out)
    assert (tmp_path / "got/data/notes").read_bytes() == b"weights"
    # It is the same artifact for hub clients.
    assert place.client().cases(text="mlflow/net")[0].state == "approved"


def test_a_malicious_version_is_never_ready_and_says_why(place, tmp_path):
    folder = model(tmp_path, "bad", **{"model.pkl": EVIL})

    version, said = mlflow(place, tmp_path, REGISTER.format(name="bad", folder=str(folder)))

    assert version is None
    assert "PKL-001" in said
    out, said = mlflow(place, tmp_path, 'out = mlflow.artifacts.download_artifacts("models:/bad/1", dst_path="got")')
    assert out is None
    assert "was rejected" in said
    assert not (tmp_path / "got/data").exists()


def test_what_was_revoked_is_not_read_by_its_alias(place, tmp_path):
    mlflow(place, tmp_path, REGISTER.format(name="net", folder=str(model(tmp_path, "net", notes=b"x"))))
    mlflow(place, tmp_path, 'client.set_registered_model_alias("net", "champion", "1")')
    place.client().decide(place.client().cases()[0].id, "revoke", "poisoned")

    out, said = mlflow(
        place, tmp_path, 'out = mlflow.artifacts.download_artifacts("models:/net@champion", dst_path="got")'
    )

    assert out is None
    assert "was revoked" in said


def test_what_is_only_staged_is_handed_out_to_nobody(place, tmp_path):
    mlflow(
        place,
        tmp_path,
        f"at('mlflow-artifacts:/staging/net').log_artifacts({str(model(tmp_path, 'net', notes=b'x'))!r})",
    )

    with pytest.raises(SourceError, match="404"):
        place.client()._call("GET", "/mlflow/api/2.0/mlflow-artifacts/artifacts/staging/net/MLmodel")


def test_a_source_that_lies_elsewhere_is_refused_with_the_way(place, tmp_path):
    for source in ("s3://bucket/x", "file:///etc", "mlflow-artifacts:/nothing"):
        _, said = mlflow(place, tmp_path, f"mlflow.register_model({source!r}, 'net')")
        assert "weighbridge registry push" in said


def test_a_reader_registers_nothing(place, tmp_path):
    place.token("ruth", "reader")
    _, said = mlflow(place, tmp_path, "client.create_registered_model('net')", "ruth")

    assert "may not publish" in said
