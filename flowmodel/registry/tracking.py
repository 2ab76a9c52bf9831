"""The connection to MLflow: where its store is, and one clear line when it can't be used."""

import logging
import os
import re
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import mlflow
from mlflow.exceptions import MlflowException

from flowmodel.errors import FlowmodelError
from flowmodel.store import Store

EXPERIMENT = "flowmodel"

_LOCK_SECONDS = 3.0
# What somebody has set already stays.
_SETTINGS = {
    # By default MLflow asks a server that is down for minutes.
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2",
    "MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR": "1",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "10",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
}

# The second one prints the trace of every database error that it raises as well.
_LOG_LEVELS = {"mlflow": logging.WARNING, "mlflow.store.db.utils": logging.CRITICAL, "alembic": logging.WARNING}


def connect(store: Store) -> mlflow.MlflowClient:
    """Make `store`'s MLflow the one that this process uses, and create database and experiment where they are missing.

    Raises FlowmodelError within seconds when the store is locked, unreachable, or no MLflow database.
    """
    for name, value in _SETTINGS.items():
        os.environ.setdefault(name, value)
    for logger, level in _LOG_LEVELS.items():
        logging.getLogger(logger).setLevel(level)
    if (database := sqlite_file(store)) is not None:
        _require_usable(database, store)
    with readable_errors(store):
        _use(store.mlflow_uri)
        client = mlflow.MlflowClient()
        # Through the fluent interface, because logged models end in its current experiment.
        mlflow.set_experiment(experiment_id=experiment_id(client, store))
        return client


def _use(uri: str) -> None:
    # MLflow also puts the address into MLFLOW_TRACKING_URI; left there, it would be the address of every other store too.
    before = os.environ.get("MLFLOW_TRACKING_URI")
    mlflow.set_tracking_uri(uri)
    if before is None:
        os.environ.pop("MLFLOW_TRACKING_URI", None)


def experiment_id(client: mlflow.MlflowClient, store: Store) -> str:
    """Of the experiment `flowmodel`, made where it is missing and brought back where it was deleted."""
    experiment = client.get_experiment_by_name(EXPERIMENT)
    if experiment is None:
        # A server has its own place for artifacts.
        location = None if is_server(store) else store.mlflow_artifacts.resolve().as_uri()
        return client.create_experiment(EXPERIMENT, artifact_location=location)
    if experiment.lifecycle_stage == "deleted":
        client.restore_experiment(experiment.experiment_id)
    return experiment.experiment_id


def is_server(store: Store) -> bool:
    return store.mlflow_uri.startswith(("http://", "https://"))


def sqlite_file(store: Store) -> Path | None:
    """The database file of a SQLite store; None where the store is something else."""
    scheme, separator, path = store.mlflow_uri.partition(":///")
    return Path(path) if separator and scheme == "sqlite" else None


def _require_usable(database: Path, store: Store) -> None:
    """MLflow would try for minutes, and end with a trace of several libraries."""
    try:
        database.parent.mkdir(parents=True, exist_ok=True)
        with closing(sqlite3.connect(database, timeout=_LOCK_SECONDS)) as connection:
            connection.execute("BEGIN IMMEDIATE")  # the lock that a writer takes
            connection.rollback()
    except (sqlite3.Error, OSError) as error:
        raise _unusable(store, str(error)) from None


@contextmanager
def readable_errors(store: Store) -> Iterator[None]:
    """Turn what MLflow raises into FlowmodelError that names the store."""
    try:
        yield
    except MlflowException as error:
        raise _unusable(store, error.message) from error


def _unusable(store: Store, reason: str) -> FlowmodelError:
    reason = next(iter(str(reason).strip().splitlines()), "")
    for sign, advice in _ADVICE:
        if sign in reason:
            return FlowmodelError(f"MLflow store {shown_uri(store)}: {advice}")
    return FlowmodelError(f"MLflow store {shown_uri(store)}: {reason}")


_ADVICE = (
    ("locked", "locked by another process; wait for it or stop it, then try again"),
    ("not a database", "not a SQLite database; move the file away, and a new one is made"),
    ("unable to open", "can't be opened; check the folder's permissions, or set MLFLOW_TRACKING_URI"),
    ("readonly database", "read-only; check the file's permissions, or set MLFLOW_TRACKING_URI"),
    ("failed with exception", "the server can't be reached; start it, or correct MLFLOW_TRACKING_URI"),
    ("failed with error code", "the server doesn't answer as MLflow; correct MLFLOW_TRACKING_URI"),
)


def shown_uri(store: Store) -> str:
    """The store's address without a password."""
    return re.sub(r"//[^/@]*@", "//", store.mlflow_uri)


def ui_address(store: Store) -> str:
    """Where the MLflow UI is, or will be once `make ui` runs."""
    return store.mlflow_uri.rstrip("/") if is_server(store) else f"http://127.0.0.1:{os.environ.get('MLFLOW_PORT') or 5000}"
