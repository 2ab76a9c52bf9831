"""The table of runs in MLflow's pages with the columns that matter: a saved view, which MLflow keeps in the experiment's tags."""

import json
import sqlite3

from flowmodel.registry.sqlite import ask, database_of
from flowmodel.store import Store

EXPERIMENT = "flowmodel"
VIEW = "scores"
TRAINING_PAGES = "workflowType=machine_learning"  # by themselves MLflow's pages are those for language models

_COLUMNS = {  # and their widths in pixels, in which their names can be read
    "tags.`decision`": 100,
    "params.`training.steps`": 120,
    "metrics.`evaluation/train/kid`": 160,
    "metrics.`evaluation/unseen_concept/kid`": 220,
    "metrics.`evaluation/train/retrieval_top1_source`": 260,
    "metrics.`evaluation/unseen_concept/retrieval_top5_all`": 290,
    "metrics.`evaluation/unseen_concept/near_copy_rate`": 280,
}


def view_tag() -> tuple[str, str]:
    """Name and value of the experiment's tag that makes the view `VIEW`, in the form of MLflow's page."""
    columns = {"selectedColumns": list(_COLUMNS), "columnOrder": list(_COLUMNS), "columnWidths": _COLUMNS}
    state = columns | {"orderByKey": "attributes.start_time", "orderByAsc": False}
    view = {"name": "Scores", "createdAt": 0, "updatedAt": 0, "state": json.dumps(state)}
    return f"mlflow.sharedViewState.{VIEW}", json.dumps(view)


def runs_page(store: Store) -> str:
    """Where the table of runs is, from the address of the MLflow UI on; the list of experiments where there is no run yet."""
    database = database_of(store.mlflow_uri)
    try:
        found = ask(database, "SELECT experiment_id FROM experiments WHERE name = ?", EXPERIMENT) if database else []
    except sqlite3.Error:
        found = []
    if not found:
        return f"/#/experiments?{TRAINING_PAGES}"
    return f"/#/experiments/{found[0][0]}/runs?viewStateShareKey={VIEW}&{TRAINING_PAGES}"
