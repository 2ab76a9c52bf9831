"""MLflow: runs that record trainings, and the registry of models."""

import os

# MLflow reads this when it is imported: by default it reports its use to its makers.
os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
