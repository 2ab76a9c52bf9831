"""The shipped weights, exported once a test session by the command; treat the folder as read-only."""

import os
import subprocess
import sys

import pytest

from flowmodel.runtime.model_folder import ModelFolder
from flowmodel.store import PROJECT_ROOT


@pytest.fixture(scope="session")
def exported(tmp_path_factory) -> ModelFolder:
    folder = tmp_path_factory.mktemp("exported")
    command = [sys.executable, "-m", "flowmodel", "export", "pretrained", "--out", str(folder / "icons"), "--zip"]
    environment = os.environ | {"PYTHONPATH": str(PROJECT_ROOT), "FLOWMODEL_STORE": str(folder / "store"), "COLUMNS": "300"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "model pretrained, digest" in done.stdout and "icons.zip" in done.stdout and not done.stderr
    assert sorted(path.name for path in folder.iterdir()) == ["icons", "icons.zip"]
    return ModelFolder.open(folder / "icons")
