"""Says after registering whether the new version is champion; the recipe decides whether the run fails if it isn't."""

import dagster as dg

from flowmodel.files import Artifact, read_json
from pipelines.failures import readable_failures
from pipelines.reporting import table
from pipelines.resources import RecipeResource


@dg.asset_check(
    asset="registered_model",
    blocking=True,
    description="The registered version is the champion. If not, the run succeeds with a warning, or fails, as the recipe's "
    "evaluation.gate.on_worse says.",
)
@readable_failures()
def is_champion(recipe: RecipeResource, registered_model: Artifact) -> dg.AssetCheckResult:
    record = read_json(registered_model.path)
    fails = recipe.load().evaluation.gate.on_worse == "fail"
    return dg.AssetCheckResult(
        passed="champion" in record["aliases"],
        severity=dg.AssetCheckSeverity.ERROR if fails else dg.AssetCheckSeverity.WARN,
        description=f"version {record['version']} is {' and '.join(record['aliases'])}: {record['decision']['reason']}",
        metadata={"version": record["version"], "aliases": ", ".join(record["aliases"]), "rules": table(record["rules"])},
    )
