"""The SQLite file in which MLflow keeps a store's runs and models: whether it can be used, and where its artifacts are.

MLflow records absolute addresses of artifacts. Those of a store's own database lie in `mlflow/artifacts` of that store, wherever
it has been moved to: whoever reads finds them there (:func:`current_path`), and whoever writes corrects the records first
(:func:`prepare`), so that MLflow's own pages and functions find them as well. Needs no MLflow.
"""

import sqlite3
from contextlib import closing, suppress
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit
from urllib.request import url2pathname

from flowmodel.store import Store

_LOCK_SECONDS = 3.0
_ASK_SECONDS = 0.2  # then MLflow is asked instead
_ARTIFACTS = ("mlflow", "artifacts")
_ADDRESSES = (
    ("experiments", "artifact_location"),
    ("runs", "artifact_uri"),
    ("logged_models", "artifact_location"),
    ("model_versions", "source"),
    ("model_versions", "storage_location"),
)


def database_of(uri: str) -> Path | None:
    """The file of MLflow's SQLite database at `uri`; None where that is something else."""
    scheme, separator, path = uri.partition(":///")
    return Path(path) if separator and scheme == "sqlite" else None


def is_of_the_store(database: Path, store: Store) -> bool:
    """Does it lie in the store, so that it moves with it? Elsewhere it may be the one of several stores."""
    return database.resolve().is_relative_to(store.root.resolve())


def correct_addresses(store: Store) -> None:
    """Lead MLflow to the artifacts of a store that was moved, before a server of its own begins to read them.

    Where that can't be done now, because the store can't be written or somebody else writes, whoever writes next does it.
    """
    database = database_of(store.mlflow_uri)
    if database is not None and database.exists() and is_of_the_store(database, store):
        with suppress(sqlite3.Error, OSError):
            prepare(database, store.mlflow_artifacts.resolve())


def read_only_uri(database: Path) -> str:
    """SQLAlchemy's address of the file, opened so that nothing can be written."""
    # Quoted twice, because SQLAlchemy takes it apart before SQLite does.
    path = str(database).replace("%", "%2525").replace("?", "%253F").replace("#", "%2523")
    # With the driver's name, because MLflow makes the folders of what begins with `sqlite:///`.
    return f"sqlite+pysqlite:///file:{path}?mode=ro&uri=true"


def require_readable(database: Path) -> None:
    """Raises sqlite3.Error within seconds where MLflow would try for minutes. Writes nothing, takes no lock of a writer."""
    with closing(sqlite3.connect(read_only(database), uri=True, timeout=_LOCK_SECONDS)) as connection:
        connection.execute("SELECT count(*) FROM sqlite_master").fetchone()


def read_only(database: Path) -> str:
    """SQLite's own address of the file, opened so that nothing can be written."""
    path = str(database).replace("%", "%25").replace("?", "%3F").replace("#", "%23")
    return f"file:{path}?mode=ro"


def prepare(database: Path, artifacts: Path | None = None) -> None:
    """Make sure that the file can be written, and that its records of artifacts lead to the folder `artifacts`, if it is given.

    Raises sqlite3.Error or OSError within seconds where that can't be done.
    """
    database.parent.mkdir(parents=True, exist_ok=True)
    with closing(sqlite3.connect(database, timeout=_LOCK_SECONDS, isolation_level=None)) as connection:
        connection.execute("BEGIN IMMEDIATE")  # the lock that a writer takes
        if artifacts and connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'logged_models'").fetchone():
            _lead_to(connection, artifacts.as_uri())
        connection.execute("COMMIT")


def _lead_to(connection: sqlite3.Connection, now: str) -> None:
    """Replace the beginning of every address in an experiment that ended in `mlflow/artifacts`, as this project makes them."""
    recorded = connection.execute("SELECT DISTINCT artifact_location FROM experiments").fetchall()
    moved = (before for (before,) in recorded if before and before != now and is_of_a_store(before))
    for before in moved:
        for table, column in _ADDRESSES:
            connection.execute(
                f"UPDATE {table} SET {column} = ? || substr({column}, ?) WHERE {column} = ? OR substr({column}, 1, ?) = ?",
                (now, len(before) + 1, before, len(before) + 1, f"{before}/"),
            )


def is_of_a_store(location: str) -> bool:
    """Is this the address of a folder where a store of this project keeps artifacts?"""
    path = local_path(location)
    return path is not None and path.parts[-2:] == _ARTIFACTS


def local_path(address: str) -> Path | None:
    """The folder of a `file:` address or a plain path; None of anything else."""
    parts = urlsplit(address)
    if parts.scheme == "file":
        return Path(url2pathname(parts.path))
    return Path(unquote(address)) if address.startswith("/") else None


def current_path(address: str, artifacts: Path) -> Path | None:
    """Where what was recorded under `address` lies now, if `artifacts` is where its store keeps artifacts; None if not on this
    machine.
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
    """The rows of the answer, read without waiting for a file that is locked. Raises sqlite3.Error where there is none."""
    with closing(sqlite3.connect(read_only(database), uri=True, timeout=_ASK_SECONDS)) as connection:
        return connection.execute(query, values).fetchall()
