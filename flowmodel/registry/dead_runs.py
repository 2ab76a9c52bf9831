"""MLflow runs of trainings whose process no longer exists, for example after `kill -9` or a power cut.

MLflow would show them as running forever.
"""

import sqlite3

from flowmodel.errors import FlowmodelError
from flowmodel.files import read_json
from flowmodel.locks import somebody_works_in
from flowmodel.registry.names import RUN_FILE
from flowmodel.registry.sqlite import ask, database_of
from flowmodel.store import Store

_RUNNING = "SELECT 1 FROM runs WHERE status = 'RUNNING' LIMIT 1"


def close_dead_runs(store: Store) -> list[str]:
    """Mark dead runs of trainings and comparisons in `store` as killed; returns their ids.

    Their unsent metrics are sent first. A training that is resumed later continues in the same run. Nothing is done if MLflow
    can't be used.
    """
    records = [*store.trainings.glob(f"*/{RUN_FILE}"), *store.root.glob(f"architecture_comparison/*/{RUN_FILE}")]
    idle = [record for record in records if not somebody_works_in(record.parent)]
    if not idle or not _may_have_running(store):
        return []
    from flowmodel.registry.outbox import deliver
    from flowmodel.registry.runs import TrainingRun
    from flowmodel.registry.tracking import Tracking

    tracking, closed = Tracking.of(store), []
    for record in idle:
        try:
            run_id = read_json(record)["run_id"]
            with tracking.errors():
                found = tracking.client.get_run(run_id)
            if found.info.status != "RUNNING" or found.info.lifecycle_stage != "active":
                continue
            run = TrainingRun(tracking, run_id, found.info.experiment_id)
            deliver(run, record.parent)
            with tracking.errors():
                if tracking.client.get_run(run_id).info.status != "RUNNING":
                    continue  # its last unsent entries
            run.set_status("KILLED")
        except FlowmodelError:
            continue
        closed.append(run_id)
    return closed


def _may_have_running(store: Store) -> bool:
    """A SQLite file is read without importing MLflow."""
    database = database_of(store.mlflow_uri)
    if database is None:
        return True
    try:
        return database.exists() and bool(ask(database, _RUNNING))
    except sqlite3.Error:
        return True
