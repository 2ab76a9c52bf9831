"""Every store here has an MLflow of its own."""

import pytest


@pytest.fixture(scope="package", autouse=True)
def _no_other_mlflow():
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("MLFLOW_TRACKING_URI", raising=False)
        yield
