"""A saved view of MLflow's table of runs with the most important columns. MLflow keeps it in the experiment's tags."""

import json
import sqlite3

from flowmodel.registry.sqlite import ask, database_of
from flowmodel.store import Store

EXPERIMENT = "flowmodel"
VIEW = "scores"
TRAINING_PAGES = "workflowType=machine_learning"  # by default MLflow shows its pages for language models

_COLUMNS = {  # with widths in pixels that fit their names
    "tags.`decision`": 100,
    "params.`training.steps`": 120,
    "metrics.`evaluation/train/kid`": 160,
    "metrics.`evaluation/unseen_concept/kid`": 220,
    "metrics.`evaluation/train/retrieval_top1_source`": 260,
    "metrics.`evaluation/unseen_concept/retrieval_top5_all`": 290,
    "metrics.`evaluation/unseen_concept/near_copy_rate`": 280,
}


def view_tag() -> tuple[str, str]:
    """Name and value of the experiment's tag that defines the view `VIEW`, in MLflow's format."""
    columns = {"selectedColumns": list(_COLUMNS), "columnOrder": list(_COLUMNS), "columnWidths": _COLUMNS}
    state = columns | {"orderByKey": "attributes.start_time", "orderByAsc": False}
    view = {"name": "Scores", "createdAt": 0, "updatedAt": 0, "state": json.dumps(state)}
    return f"mlflow.sharedViewState.{VIEW}", json.dumps(view)


def runs_page(store: Store) -> str:
    """The path of the table of runs in the MLflow UI, or of the list of experiments if there is no run yet."""
    database = database_of(store.mlflow_uri)
    try:
        found = ask(database, "SELECT experiment_id FROM experiments WHERE name = ?", EXPERIMENT) if database else []
    except sqlite3.Error:
        found = []
    if not found:
        return f"/#/experiments?{TRAINING_PAGES}"
    return f"/#/experiments/{found[0][0]}/runs?viewStateShareKey={VIEW}&{TRAINING_PAGES}"
