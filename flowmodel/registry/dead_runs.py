"""MLflow runs of trainings whose process is gone, as after `kill -9` or a power cut.

MLflow would show them as running for ever.
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
    """Mark the runs of trainings and comparisons in `store` that nobody works on as killed; returns their ids.

    What they had not told MLflow yet is sent before. A training that is continued later goes on in the same run. Nothing is done
    where MLflow can't be asked.
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
                    continue  # what it had said last
            run.set_status("KILLED")
        except FlowmodelError:
            continue
        closed.append(run_id)
    return closed


def _may_have_running(store: Store) -> bool:
    """Answered without importing MLflow where it is a SQLite file."""
    database = database_of(store.mlflow_uri)
    if database is None:
        return True
    try:
        return database.exists() and bool(ask(database, _RUNNING))
    except sqlite3.Error:
        return True
