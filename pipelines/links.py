"""Links from Dagster to MLflow. They lead to MLflow's current port, including links that Dagster stored in earlier runs."""

import os
import re
import sqlite3
from contextlib import closing, suppress
from pathlib import Path

from flowmodel.files import write_bytes
from flowmodel.store import Store

_LINK = re.compile(r"http://127\.0\.0\.1:\d+/(?=#/experiments/|get-artifact\?)")
_SECONDS = 3.0
_TEXTS = (("event_logs", "event"), ("asset_keys", "last_materialization"))


def lead_to(store: Store, port: int) -> None:
    """Record `port` as MLflow's current port on this machine, and correct the links in Dagster's event log.

    An event log that a run is writing to is left for the next time. Event logs outside SQLite are not changed.
    """
    record, history = store.mlflow_port_file, Path(os.environ["DAGSTER_HOME"]) / "history" / "runs"
    since = record.stat().st_mtime if record.exists() and store.mlflow_port == port else 0.0
    for database in sorted(history.glob("*.db")):
        if database.stat().st_mtime >= since:
            with suppress(sqlite3.Error):
                _correct(database, f"http://127.0.0.1:{port}/")
    write_bytes(record, f"{port}\n".encode())


def _correct(database: Path, address: str) -> None:
    with closing(sqlite3.connect(database, timeout=_SECONDS)) as connection, connection:
        connection.create_function("corrected", 1, lambda text: _LINK.sub(address, text), deterministic=True)
        there = {name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
        for table, column in _TEXTS:
            if table in there:
                found = f"{column} LIKE '%http://127.0.0.1:%' AND {column} <> corrected({column})"
                connection.execute(f"UPDATE {table} SET {column} = corrected({column}) WHERE {found}")
