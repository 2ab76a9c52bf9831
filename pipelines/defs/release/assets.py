"""The gate's decision about a model, and its registration."""

import time

import dagster as dg

from flowmodel.data.dataset import IconDataset
from flowmodel.files import Artifact, write_json
from pipelines.automation import on_changed_data
from pipelines.failures import readable_failures
from pipelines.reporting import link, materialized, rules_table
from pipelines.resources import StoreResource


# Neither asset uses the run's recipe, because the gate is that of the recipe that trained the checkpoint.
@dg.asset(group_name="5_release", kinds={"mlflow", "json"}, automation_condition=on_changed_data)
@readable_failures()
def gate_decision(
    context: dg.AssetExecutionContext,
    store: StoreResource,
    finisher: Artifact,
    evaluation: Artifact,
    icon_dataset: IconDataset,
) -> dg.MaterializeResult[Artifact]:
    """The decision, refused, challenger or champion, with its numbers; made once, against the current champion."""
    from flowmodel.evaluation.report import EvaluationReport
    from flowmodel.model.checkpoint import Checkpoint
    from flowmodel.registry.deciding import decide_on
    from flowmodel.registry.tracking import Tracking

    started = time.perf_counter()
    files = store.open()
    decision = decide_on(
        Tracking.of(files),
        Checkpoint.open(finisher.path, finisher.digest),
        EvaluationReport.read(evaluation.path),
        evaluation.digest,
        icon_dataset,
        log=context.log.info,
    )
    for note in decision.notes:
        context.log.warning(note)
    context.log.info(f"{decision.outcome}: {decision.reason}")
    return materialized(
        decision.write(files.root / "gate_decision"),
        started,
        outcome=decision.outcome,
        reason=decision.reason,
        compared_with=f"version {decision.champion}" if decision.champion else "no champion",
        **({"notes": "; ".join(decision.notes)} if decision.notes else {}),
        rules=rules_table(decision.records),
    )


@dg.asset(group_name="5_release", kinds={"mlflow"}, automation_condition=on_changed_data)
@readable_failures()
def registered_model(
    context: dg.AssetExecutionContext,
    store: StoreResource,
    finisher: Artifact,
    evaluation: Artifact,
    sample_grid: Artifact,
    gate_decision: Artifact,
) -> dg.MaterializeResult[Artifact]:
    """The checkpoint as a version of the MLflow model `flowmodel`, challenger or champion according to the gate's decision."""
    from flowmodel.evaluation.report import EvaluationReport
    from flowmodel.model.checkpoint import Checkpoint
    from flowmodel.registry.releasing import register
    from flowmodel.registry.tracking import Tracking
    from flowmodel.release.decision import Decision

    started = time.perf_counter()
    files = store.open()
    registered = register(
        Tracking.of(files),
        Checkpoint.open(finisher.path, finisher.digest),
        EvaluationReport.read(evaluation.path),
        evaluation.digest,
        Decision.read(gate_decision.path),
    )
    decision, aliases = registered.decision, " and ".join(registered.aliases) or "without alias"
    context.log.info(f"version {registered.version} is {aliases}: {decision.reason}")
    record = {
        "name": registered.name,
        "version": registered.version,
        "aliases": registered.aliases,
        "run_id": registered.run_id,
        "decision": {"outcome": decision.outcome, "reason": decision.reason, "champion": decision.champion},
        "rules": decision.records,
        "checkpoint": files.relative(finisher.path),
        "metrics": files.relative(evaluation.path),
        "grid": files.relative(sample_grid.path),
    }
    return materialized(
        Artifact.of(write_json(files.released, record)),
        started,
        version=registered.version,
        aliases=", ".join(registered.aliases),
        decision=decision.reason,
        mlflow_run=link("the run in MLflow", registered.run_url),
        model=registered.name,
        rules=rules_table(decision.records),
    )
