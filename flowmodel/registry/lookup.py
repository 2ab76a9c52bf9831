"""Looks up a registered model in MLflow's SQLite file without MLflow, whose import takes longer than sampling an icon.

In any unusual case (another schema, a locked file, missing artifacts), the caller asks MLflow instead, which finds the cause.
"""

import sqlite3

import yaml

from flowmodel.model.checkpoint import Checkpoint
from flowmodel.registry.sqlite import ask, current_path, database_of, is_of_the_store, local_path
from flowmodel.store import Store

_VERSION = "SELECT coalesce(nullif(storage_location, ''), source) FROM model_versions WHERE name = ? AND version = "
_BY_ALIAS = _VERSION + "(SELECT version FROM registered_model_aliases WHERE name = model_versions.name AND alias = ?)"


def has_model(store: Store, name: str) -> bool | None:
    """Whether a model `name` is registered in the store's SQLite file of MLflow, or None if the caller should ask MLflow."""
    database = database_of(store.mlflow_uri)
    if database is None:
        return None
    try:
        database.stat()
        return bool(ask(database, "SELECT 1 FROM registered_models WHERE name = ?", name))
    except FileNotFoundError:
        return False
    except (sqlite3.Error, OSError):
        return None


def registered_checkpoint(store: Store, name: str, alias: str | None, number: str | None) -> Checkpoint | None:
    """The checkpoint of the version with that alias or number, or None if the caller should ask MLflow.

    Raises FlowmodelError when the file is not a checkpoint of this project.
    """
    database = database_of(store.mlflow_uri)
    if database is None:
        return None
    try:
        found = ask(database, _BY_ALIAS, name, alias) if alias else ask(database, _VERSION + "?", name, str(number))
        [(address,)] = found
        is_own = is_of_the_store(database, store)
        folder = current_path(address, store.mlflow_artifacts.resolve()) if is_own else local_path(address)
        if folder is None:
            return None
        description = yaml.safe_load((folder / "MLmodel").read_text(encoding="utf-8"))
        path = folder / description["flavors"]["python_function"]["artifacts"]["checkpoint"]["path"]
        path.open("rb").close()
    except (sqlite3.Error, ValueError, OSError, yaml.YAMLError, KeyError, TypeError):
        return None
    return Checkpoint.open(path)
