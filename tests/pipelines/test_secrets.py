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

pytestmark = pytest.mark.slow

USER, PASSWORD, TOKEN = "planted-user", "planted:p@ssword", "planted-token"
# The user's name is not a secret: MLflow records who logged a run.
SECRETS = {PASSWORD, quote(PASSWORD, safe=""), "p@ssword", TOKEN, base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()}


def _found_in(content: bytes) -> list[str]:
    return [secret for secret in SECRETS if secret.encode() in content]


@pytest.mark.timeout(900)
def test_credentials_in_the_address_of_mlflow_and_in_the_environment_are_nowhere(project, empty_database, tmp_path):
    database = Path(shutil.copy(empty_database, tmp_path / "server.db"))
    server = MlflowServer(database, tmp_path / "server")
    host = server.address.removeprefix("http://")
    environment = {name: value for name, value in os.environ.items() if name != "DAGSTER_HOME"} | {
        "MLFLOW_TRACKING_URI": f"http://{USER}:{quote(PASSWORD, safe='')}@{host}",
        "MLFLOW_TRACKING_TOKEN": TOKEN,
        "AWS_SECRET_ACCESS_KEY": TOKEN,
    }

    def run(module: str, *arguments: str) -> subprocess.CompletedProcess[bytes]:
        command = [sys.executable, "-m", module, *arguments]
        done = subprocess.run(command, cwd=PROJECT_ROOT, env=environment, capture_output=True, check=False)
        assert _found_in(done.stdout + done.stderr) == []
        return done

    with server:
        done = run("pipelines.run")
        assert done.returncode == 0, done.stdout.decode() + done.stderr.decode()
        assert server.address.encode() in done.stdout  # the link to the curves
    assert run("pipelines.run").returncode != 0  # the server is gone
    assert run("flowmodel", "sample", "pizza", "--out", str(tmp_path / "pizza.png")).returncode == 2

    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert len(files) > 50 and {database, project.store.root / "dagster" / "history" / "runs.db"} <= set(files)
    assert [(path, found) for path in files if (found := _found_in(path.read_bytes()))] == []
