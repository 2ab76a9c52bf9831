"""Records trainings as MLflow runs and keeps the model registry. No other package of the library imports MLflow."""

import os

# MLflow reads these from the environment only. Values that are already set are kept.
for _name, _value in {
    "MLFLOW_DISABLE_TELEMETRY": "true",  # by default MLflow sends usage data as soon as it is imported
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2",  # by default MLflow retries an unreachable server for minutes
    "MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR": "1",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "10",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
}.items():
    os.environ.setdefault(_name, _value)
