"""A person's choice of the champion, regardless of the gate's decision.

All changes of MLflow's SQLite file are one transaction, and MLflow, whose import takes seconds, is not needed. A server, a locked
file, another schema, or artifacts that are elsewhere are left to MLflow.
"""

import sqlite3
from contextlib import closing

from flowmodel.errors import FlowmodelError
from flowmodel.registry.lookup import registered_checkpoint
from flowmodel.registry.names import CHALLENGER, CHAMPION, GIVEN, MODEL_NAME, ROLLED_BACK, rolled_back_at
from flowmodel.registry.sqlite import database_of
from flowmodel.registry.versions import registered_versions
from flowmodel.store import Store, shown_uri

_LOCK_SECONDS = 1.0
_WORKSPACE = "default"  # of MLflow, which has no other one unless its server is configured for it


def set_champion(store: Store, version: str) -> str | None:
    """Make `version` the champion and return the previous champion's number.

    The previous champion is marked as rolled back, so that it doesn't become champion again when the pipeline finds the same
    training again.

    Raises:
        FlowmodelError: there is no such version, its checkpoint is missing, or MLflow can't be used.
    """
    numbers = [row.version for row in registered_versions(store)]
    if version not in numbers:
        where = shown_uri(store.mlflow_uri)
        raise FlowmodelError(f"version '{version}': not in MLflow store {where}; there are {', '.join(numbers)}")
    database = database_of(store.mlflow_uri)
    if database is not None and registered_checkpoint(store, MODEL_NAME, None, version) is not None:
        try:
            with closing(sqlite3.connect(database, timeout=_LOCK_SECONDS, isolation_level=None)) as connection:
                return _choose(connection, version, set(numbers))
        except sqlite3.Error:  # nothing is committed
            pass
    from flowmodel.registry.champion import set_champion_by_mlflow

    return set_champion_by_mlflow(store, version)


def _choose(connection: sqlite3.Connection, version: str, numbers: set[str]) -> str | None:
    """Raises sqlite3.Error, with the file unchanged, if MLflow should do it."""
    ask = connection.execute
    ask("BEGIN IMMEDIATE")
    if ask("SELECT workspace FROM registered_models WHERE name = ?", (MODEL_NAME,)).fetchall() != [(_WORKSPACE,)]:
        raise sqlite3.DataError("another workspace")
    aliases = {
        alias: str(number)
        for alias, number in ask("SELECT alias, version FROM registered_model_aliases WHERE name = ?", (MODEL_NAME,))
    }
    tags = dict(ask("SELECT key, value FROM registered_model_tags WHERE name = ?", (MODEL_NAME,)).fetchall())
    before = aliases.get(CHAMPION)
    for replaced in ({before, tags.get(GIVEN + CHAMPION)} & numbers) - {version}:
        tag = (MODEL_NAME, replaced, ROLLED_BACK, rolled_back_at(), _WORKSPACE)
        ask("INSERT OR REPLACE INTO model_version_tags (name, version, key, value, workspace) VALUES (?, ?, ?, ?, ?)", tag)
    row = (MODEL_NAME, CHAMPION, version, _WORKSPACE)
    ask("INSERT OR REPLACE INTO registered_model_aliases (name, alias, version, workspace) VALUES (?, ?, ?, ?)", row)
    row = (MODEL_NAME, GIVEN + CHAMPION, version, _WORKSPACE)
    ask("INSERT OR REPLACE INTO registered_model_tags (name, key, value, workspace) VALUES (?, ?, ?, ?)", row)
    if aliases.get(CHALLENGER) == version:
        ask("DELETE FROM registered_model_aliases WHERE name = ? AND alias = ?", (MODEL_NAME, CHALLENGER))
        ask("DELETE FROM registered_model_tags WHERE name = ? AND key = ?", (MODEL_NAME, GIVEN + CHALLENGER))
    ask("DELETE FROM model_version_tags WHERE name = ? AND version = ? AND key = ?", (MODEL_NAME, version, ROLLED_BACK))
    ask("COMMIT")
    return before if before in numbers else None
