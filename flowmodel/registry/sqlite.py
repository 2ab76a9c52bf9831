"""MLflow's SQLite file with a store's runs and models: whether it can be used, and where its artifacts are.

MLflow records absolute addresses of artifacts. The artifacts of a store's own database are in the store's folder
`mlflow/artifacts`, even after the store was moved. Readers resolve addresses to it (:func:`current_path`), and writers correct
the records first (:func:`prepare`), so that MLflow's own pages and functions find the artifacts as well. MLflow is not
imported.
"""

import sqlite3
from contextlib import closing, suppress
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit
from urllib.request import url2pathname

from flowmodel.store import Store

_LOCK_SECONDS = 3.0
_ASK_SECONDS = 0.2  # after this, MLflow is asked instead
_ARTIFACTS = ("mlflow", "artifacts")
_ADDRESSES = (
    ("experiments", "artifact_location"),
    ("runs", "artifact_uri"),
    ("logged_models", "artifact_location"),
    ("model_versions", "source"),
    ("model_versions", "storage_location"),
)


def database_of(uri: str) -> Path | None:
    """The file of MLflow's SQLite database at `uri`, or None for any other URI."""
    scheme, separator, path = uri.partition(":///")
    return Path(path) if separator and scheme == "sqlite" else None


def is_of_the_store(database: Path, store: Store) -> bool:
    """Whether the database is in the store and moves with it. A database elsewhere may belong to several stores."""
    return database.resolve().is_relative_to(store.root.resolve())


def correct_addresses(store: Store) -> None:
    """Correct the artifact addresses of a store that was moved, before an MLflow server reads them.

    If the store is read-only or locked, the next writer does it.
    """
    database = database_of(store.mlflow_uri)
    if database is not None and database.exists() and is_of_the_store(database, store):
        with suppress(sqlite3.Error, OSError):
            prepare(database, store.mlflow_artifacts.resolve())


def read_only_uri(database: Path) -> str:
    """SQLAlchemy's read-only address of the file."""
    # Quoted twice, because SQLAlchemy parses it before SQLite does.
    path = str(database).replace("%", "%2525").replace("?", "%253F").replace("#", "%2523")
    # With the driver's name, because MLflow creates the folders of addresses that begin with `sqlite:///`.
    return f"sqlite+pysqlite:///file:{path}?mode=ro&uri=true"


def require_readable(database: Path) -> None:
    """Raise sqlite3.Error within seconds if the file can't be read, where MLflow would retry for minutes. Takes no write lock."""
    with closing(sqlite3.connect(read_only(database), uri=True, timeout=_LOCK_SECONDS)) as connection:
        connection.execute("SELECT count(*) FROM sqlite_master").fetchone()


def read_only(database: Path) -> str:
    """SQLite's own read-only address of the file."""
    path = str(database).replace("%", "%25").replace("?", "%3F").replace("#", "%23")
    return f"file:{path}?mode=ro"


def prepare(database: Path, artifacts: Path | None = None) -> None:
    """Make sure that the file can be written, and that its artifact addresses lead to the folder `artifacts`, if given.

    Raises sqlite3.Error or OSError within seconds if that fails.
    """
    database.parent.mkdir(parents=True, exist_ok=True)
    with closing(sqlite3.connect(database, timeout=_LOCK_SECONDS, isolation_level=None)) as connection:
        connection.execute("BEGIN IMMEDIATE")  # takes the write lock
        if artifacts and connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'logged_models'").fetchone():
            _lead_to(connection, artifacts.as_uri())
        connection.execute("COMMIT")


def _lead_to(connection: sqlite3.Connection, now: str) -> None:
    """Replace the beginning of every address in experiments whose location ends in `mlflow/artifacts`, as this project's do."""
    recorded = connection.execute("SELECT DISTINCT artifact_location FROM experiments").fetchall()
    moved = (before for (before,) in recorded if before and before != now and is_of_a_store(before))
    for before in moved:
        for table, column in _ADDRESSES:
            connection.execute(
                f"UPDATE {table} SET {column} = ? || substr({column}, ?) WHERE {column} = ? OR substr({column}, 1, ?) = ?",
                (now, len(before) + 1, before, len(before) + 1, f"{before}/"),
            )


def is_of_a_store(location: str) -> bool:
    """Whether this is the address of the artifact folder of one of this project's stores."""
    path = local_path(location)
    return path is not None and path.parts[-2:] == _ARTIFACTS


def local_path(address: str) -> Path | None:
    """The folder of a `file:` address or a plain path, or None for anything else."""
    parts = urlsplit(address)
    if parts.scheme == "file":
        return Path(url2pathname(parts.path))
    return Path(unquote(address)) if address.startswith("/") else None


def current_path(address: str, artifacts: Path) -> Path | None:
    """The current path of an artifact that was recorded as `address`, if `artifacts` is its store's artifact folder; None if
    the address is not on this machine.

    """
    path = local_path(address)
    if path is None:
        return None
    parts = path.parts
    for end in range(len(parts), 1, -1):
        if parts[end - 2 : end] == _ARTIFACTS:
            return artifacts.joinpath(*parts[end:])
    return path


def ask(database: Path, query: str, *values: str) -> list[Any]:
    """The result of a query, without waiting for a locked file. Raises sqlite3.Error if the query fails."""
    with closing(sqlite3.connect(read_only(database), uri=True, timeout=_ASK_SECONDS)) as connection:
        return connection.execute(query, values).fetchall()
