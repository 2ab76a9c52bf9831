"""The gate, before the registry: who may be registered, and who replaces the champion (docs/deployment.md)."""

import dagster as dg

from flowmodel.data.dataset import IconDataset
from flowmodel.files import Artifact
from pipelines.failures import readable_failures
from pipelines.reporting import table
from pipelines.resources import RecipeResource, StoreResource


# A failed check of severity WARN doesn't stop what follows, though the check is blocking: a model that is only worse than the
# champion goes on to the registry, as challenger.
@dg.asset_check(
    asset="evaluation",
    additional_ins={name: dg.AssetIn(name) for name in ("flow_checkpoint", "icon_dataset")},
    blocking=True,
    description="The thresholds of the recipe's evaluation.gate are kept (else nothing is registered), and the model is not "
    "worse than the champion (else it is registered as challenger only).",
)
@readable_failures()
def beats_champion(
    context: dg.AssetCheckExecutionContext,
    store: StoreResource,
    recipe: RecipeResource,
    evaluation: Artifact,
    flow_checkpoint: Artifact,
    icon_dataset: IconDataset,
) -> dg.AssetCheckResult:
    from flowmodel.evaluation.report import EvaluationReport
    from flowmodel.model.checkpoint import Checkpoint
    from flowmodel.registry.champion import decide_on

    decision = decide_on(
        store.open(),
        Checkpoint.open(flow_checkpoint.path, flow_checkpoint.digest),
        EvaluationReport.read(evaluation.path),
        icon_dataset,
        recipe.load().evaluation.gate,
        log=context.log.info,
    )
    return dg.AssetCheckResult(
        passed=decision.outcome == "champion",
        severity=dg.AssetCheckSeverity.ERROR if decision.outcome == "refused" else dg.AssetCheckSeverity.WARN,
        description=f"{decision.outcome}: {decision.reason}",
        metadata={
            "outcome": decision.outcome,
            "reason": decision.reason,
            "compared_with": f"version {decision.champion}" if decision.champion else "no champion",
            "rules": table(decision.records),
        },
    )
