"""MLflow: runs that record trainings, and the registry of models. The only room of the library that imports it."""

import os

# MLflow reads these from the environment alone. What somebody has set already stays.
for _name, _value in {
    "MLFLOW_DISABLE_TELEMETRY": "true",  # by default it reports its use to its makers, from its import on
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2",  # by default it asks a server that is down for minutes
    "MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR": "1",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "10",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
}.items():
    os.environ.setdefault(_name, _value)
