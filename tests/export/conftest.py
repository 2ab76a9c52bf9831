"""The shipped weights, exported once a test session; treat the folder as read-only."""

import pytest

from flowmodel.export.model_export import export_model
from flowmodel.model.pretrained import pretrained_weights
from flowmodel.runtime.model_folder import ModelFolder


@pytest.fixture(scope="session")
def exported(tmp_path_factory) -> ModelFolder:
    return export_model(pretrained_weights(), tmp_path_factory.mktemp("exported") / "icons")
