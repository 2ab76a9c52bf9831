"""A model that has passed the gate goes into the registry."""

import time

import dagster as dg

from flowmodel.data.dataset import IconDataset
from flowmodel.files import Artifact, write_json
from pipelines.automation import on_changed_data
from pipelines.failures import readable_failures
from pipelines.reporting import materialised, table
from pipelines.resources import RecipeResource, StoreResource


@dg.asset(
    group_name="release",
    kinds={"mlflow"},
    automation_condition=on_changed_data,
)
@readable_failures()
def registered_model(
    context: dg.AssetExecutionContext,
    store: StoreResource,
    recipe: RecipeResource,
    flow_checkpoint: Artifact,
    evaluation: Artifact,
    sample_grid: Artifact,
    icon_dataset: IconDataset,
) -> dg.MaterializeResult[Artifact]:
    """The checkpoint as a version of the MLflow model `flowmodel`: challenger, and champion where the gate says so."""
    from flowmodel.evaluation.report import EvaluationReport
    from flowmodel.model.checkpoint import Checkpoint
    from flowmodel.registry.models import register

    started = time.perf_counter()
    files = store.open()
    registered = register(
        files,
        Checkpoint.open(flow_checkpoint.path, flow_checkpoint.digest),
        EvaluationReport.read(evaluation.path),
        sample_grid.path,
        icon_dataset,
        recipe.load().evaluation.gate,
        log=context.log.info,
    )
    decision = registered.decision
    context.log.info(f"version {registered.version} is {' and '.join(registered.aliases)}: {decision.reason}")
    record = {
        "name": registered.name,
        "version": registered.version,
        "aliases": registered.aliases,
        "run_id": registered.run_id,
        "decision": {"outcome": decision.outcome, "reason": decision.reason, "champion": decision.champion},
        "rules": decision.records,
        "checkpoint": str(flow_checkpoint.path),
        "metrics": str(evaluation.path),
        "grid": str(sample_grid.path),
    }
    return materialised(
        Artifact.of(write_json(files.released, record)),
        started,
        model=registered.name,
        version=registered.version,
        aliases=", ".join(registered.aliases),
        decision=decision.reason,
        rules=table(decision.records),
        mlflow_run=dg.MetadataValue.url(registered.run_url),
    )
