"""The registered versions for `flowmodel champion`.

MLflow's SQLite file is read without MLflow, whose import takes seconds. If that fails, or for a server, MLflow is used.
"""

import json
import sqlite3
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from flowmodel.errors import FlowmodelError
from flowmodel.files import read_json
from flowmodel.registry.names import DECISION, MODEL_NAME, REASON, ROLLED_BACK, decision_file
from flowmodel.registry.sqlite import ask, current_path, database_of, is_of_the_store, local_path
from flowmodel.store import Store, shown_uri

_DELETED = "Deleted_Internal"  # the stage of a deleted version


@dataclass(frozen=True)
class VersionRow:
    """A registered version for display. `tags` are MLflow's; `registered` is the local date and time."""

    version: str
    aliases: tuple[str, ...]
    registered: str
    tags: Mapping[str, str]
    run_id: str

    @property
    def verdict(self) -> str:
        """The verdict of the gate, or of a person after it, in a word or two."""
        return "rolled back" if ROLLED_BACK in self.tags else self.tags.get(DECISION, "-")


def registered_versions(store: Store) -> list[VersionRow]:
    """All versions of the model, oldest first. Raises FlowmodelError when there is none, or MLflow can't be used."""
    database = database_of(store.mlflow_uri)
    rows = None if database is None else _of_database(database)
    if rows is None:
        rows = _of_mlflow(store)
    if not rows:
        raise FlowmodelError(f"MLflow store {shown_uri(store.mlflow_uri)}: no model is registered yet; run `make quickstart`")
    return sorted(rows, key=lambda row: int(row.version))


def _of_database(database: Path) -> list[VersionRow] | None:
    """None if the file is locked, not a database, or has another schema; the caller then asks MLflow."""
    try:
        database.stat()
        found = ask(
            database,
            "SELECT version, creation_time, run_id FROM model_versions WHERE name = ? AND current_stage IS NOT ?",
            MODEL_NAME,
            _DELETED,
        )
        aliases = ask(database, "SELECT alias, version FROM registered_model_aliases WHERE name = ?", MODEL_NAME)
        tags = ask(database, "SELECT version, key, value FROM model_version_tags WHERE name = ?", MODEL_NAME)
    except FileNotFoundError:
        return []
    except (sqlite3.Error, OSError):
        return None
    return [
        _row(number, created, aliases, {key: value for version, key, value in tags if version == number}, run_id)
        for number, created, run_id in found
    ]


def _of_mlflow(store: Store) -> list[VersionRow]:
    from flowmodel.registry.references import versions_of
    from flowmodel.registry.tracking import NotFound, Tracking

    tracking = Tracking.of(store)
    try:
        found = versions_of(tracking, MODEL_NAME)
        with tracking.errors():
            aliases = tracking.reader.get_registered_model(MODEL_NAME).aliases
    except NotFound:  # no database, or no model
        return []
    return [_row(v.version, v.creation_timestamp, aliases.items(), dict(v.tags), v.run_id) for v in found]


def decided(store: Store, row: VersionRow) -> tuple[str, list[str]]:
    """The gate's reason for its decision on a version, and its rules, one sentence each.

    Raises FlowmodelError when the decision can't be found, or MLflow can't be used.
    """
    if REASON in row.tags:  # from an earlier release
        return row.tags[REASON], [rule["in words"] for rule in json.loads(row.tags.get("decision_rules") or "[]")]
    values = _values_on_this_machine(store, row)
    if values is None:
        from flowmodel.registry.runs import logged_values
        from flowmodel.registry.tracking import Tracking

        values = logged_values(Tracking.of(store), row.run_id, decision_file(row.version))
    return values["reason"], [rule["words"] for rule in values["rules"]]


def _values_on_this_machine(store: Store, row: VersionRow) -> Mapping[str, Any] | None:
    """The decision's artifact, found through MLflow's database, or None if the caller should ask MLflow."""
    database = database_of(store.mlflow_uri)
    if database is None:
        return None
    try:
        [(address,)] = ask(database, "SELECT artifact_uri FROM runs WHERE run_uuid = ?", row.run_id)
        is_own = is_of_the_store(database, store)
        folder = current_path(address, store.mlflow_artifacts.resolve()) if is_own else local_path(address)
        return read_json(folder / decision_file(row.version)) if folder else None
    except (sqlite3.Error, ValueError, FlowmodelError):
        return None


def _row(
    number: int | str, created: int, aliases: Iterable[tuple[str, int | str]], tags: Mapping[str, str], run_id: str | None
) -> VersionRow:
    return VersionRow(
        version=str(number),
        aliases=tuple(sorted(alias for alias, of in aliases if str(of) == str(number))),
        registered=time.strftime("%Y-%m-%d %H:%M", time.localtime(created / 1000)),
        tags=tags,
        run_id=run_id or "",
    )
