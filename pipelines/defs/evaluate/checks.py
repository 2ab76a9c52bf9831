"""The gate, before the registry: who may be registered, and who replaces the champion (docs/deployment.md)."""

import dagster as dg

from flowmodel.files import Artifact, read_json
from pipelines.failures import readable_failures
from pipelines.reporting import table
from pipelines.resources import RecipeResource, StoreResource
from pipelines.training_inputs import ins


# A failed check of severity WARN doesn't stop what follows, though the check is blocking: a model that is only worse than the
# champion goes on to the registry, as challenger.
@dg.asset_check(
    asset="evaluation",
    additional_ins=ins("flow_checkpoint"),
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
    normalised: Artifact,
    tensors: Artifact,
    captions: Artifact,
    embeddings: Artifact,
    splits: Artifact,
) -> dg.AssetCheckResult:
    from flowmodel.data.dataset import TrainingInputs
    from flowmodel.model.checkpoint import Checkpoint
    from flowmodel.registry.champion import decide_on

    decision = decide_on(
        store.open(),
        Checkpoint.open(flow_checkpoint.path, flow_checkpoint.digest),
        read_json(evaluation.path),
        TrainingInputs(normalised, tensors, captions, embeddings, splits),
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
