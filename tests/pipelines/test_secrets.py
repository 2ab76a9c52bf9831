"""A secret that MLflow needs is kept and printed nowhere."""

import base64
import os
import shutil
import subprocess
import sys
from pathlib import Path
from urllib.parse import quote

import pytest

from flowmodel.store import PROJECT_ROOT
from tests.mlflow_server import MlflowServer
from tests.pipelines.nursery import log_of

pytestmark = pytest.mark.slow

USER, PASSWORD, TOKEN = "planted-user", "planted:p@ssword", "planted-token"
# The user's name is not a secret: MLflow records who logged a run.
SECRETS = {PASSWORD, quote(PASSWORD, safe=""), "p@ssword", TOKEN, base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()}


def _found_in(content: bytes) -> list[str]:
    return [secret for secret in SECRETS if secret.encode() in content]


@pytest.mark.timeout(900)
def test_credentials_in_the_address_of_mlflow_and_in_the_environment_are_nowhere(
    project, shared_nursery, empty_database, tmp_path
):
    database = Path(shutil.copy(empty_database, tmp_path / "server.db"))
    server = MlflowServer(database, tmp_path / "server")
    host = server.address.removeprefix("http://")
    secrets = {
        "MLFLOW_TRACKING_URI": f"http://{USER}:{quote(PASSWORD, safe='')}@{host}",
        "MLFLOW_TRACKING_TOKEN": TOKEN,
        "AWS_SECRET_ACCESS_KEY": TOKEN,
    }

    with server:
        code, said = shared_nursery.run(project.store, secrets)
        assert code == 0 and server.address in said, said  # the link to the curves
    assert shared_nursery.run(project.store, secrets)[0] != 0  # the server is gone
    sample = [sys.executable, "-m", "flowmodel", "sample", "pizza", "--out", str(tmp_path / "pizza.png")]
    done = subprocess.run(sample, cwd=PROJECT_ROOT, env=os.environ | secrets, capture_output=True, check=False)
    assert done.returncode == 2
    printed = done.stdout + done.stderr + log_of(project.store).read_bytes()
    assert _found_in(printed) == [] and server.address.encode() in printed

    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert len(files) > 50 and {database, project.store.root / "dagster" / "history" / "runs.db"} <= set(files)
    assert [(path, found) for path in files if (found := _found_in(path.read_bytes()))] == []
