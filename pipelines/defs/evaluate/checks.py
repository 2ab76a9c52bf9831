"""The gate: a model that doesn't keep its recipe's thresholds is not registered."""

import dagster as dg

from flowmodel.files import Artifact, read_json
from pipelines.failures import readable_failures
from pipelines.resources import RecipeResource


@dg.asset_check(asset="evaluation", blocking=True, description="The metrics keep the thresholds of the recipe's evaluation.gate.")
@readable_failures()
def gate(recipe: RecipeResource, evaluation: Artifact) -> dg.AssetCheckResult:
    from flowmodel.evaluation.gate import check_gate

    decision = check_gate(read_json(evaluation.path), recipe.load().evaluation.gate)
    return dg.AssetCheckResult(passed=decision.passed, description="; ".join(decision.lines))
