"""The comparison of network architectures, an experiment apart from the main pipeline.

It is a job of one op and not a materializable asset, so that *Materialize all* makes a generator and nothing else. It prepares
its data set itself with the library's steps. If it used the assets, which belong to the deployment's recipe, they would count
as changed data and start a new training of the generator.
"""

from typing import Any

import dagster as dg
from pydantic import Field

from pipelines.defs.jobs import CONSOLE
from pipelines.failures import readable_failures
from pipelines.reporting import link, table, thumbnail
from pipelines.resources import RecipeResource, StoreResource

# Reported by the job alone; the catalog shows it with its history.
architecture_comparison = dg.AssetSpec(
    "architecture_comparison",
    group_name="6_compare",
    kinds={"pytorch", "mlflow"},
    description="Grayscale CNN, RGB and RGBA U-Net, U-Net without attention and DiT under the same budget: a table and an "
    "image. Made by the job compare_architectures.",
)


class ComparisonBudget(dg.Config):
    steps: int = Field(400, ge=10, description="Training steps of each network, with the recipe's batch size.")
    seeds: int = Field(1, ge=1, description="Number of the recipe's evaluation seeds to use; scores are averaged over them.")


@dg.op(name="architecture_comparison", out=dg.Out(dg.Nothing), pool="accelerator")
@readable_failures()
def compare_networks(
    context: dg.OpExecutionContext, config: ComparisonBudget, store: StoreResource, recipe: RecipeResource
) -> None:
    """Train and compare the networks. An interrupted comparison resumes, and finished networks are not trained again."""
    from PIL import Image

    from flowmodel.comparison.compare import NOTE
    from flowmodel.comparison.compare import compare_architectures as compare
    from flowmodel.data.prepare import prepare
    from flowmodel.registry.comparison_run import MlflowComparison
    from flowmodel.registry.origin import ENTRY_POINT
    from flowmodel.registry.tracking import Tracking
    from pipelines.progress import ProgressLog

    files, chosen = store.open(), recipe.load()
    dataset = prepare(chosen, files, log=context.log.info)
    origin = {
        "dagster_run_id": context.run_id,
        "dagster_asset_key": architecture_comparison.key.to_user_string(),
        ENTRY_POINT: f"dagster job {context.job_name}",
    }
    result = compare(
        chosen,
        dataset,
        files,
        MlflowComparison(Tracking.of(files), dataset, origin),
        config.steps,
        config.seeds,
        observers=[ProgressLog(context.log)],
        log=context.log.info,
    )
    with Image.open(result.figure) as image:
        metadata: dict[str, Any] = {
            "networks": table([row.cells for row in result.rows]),
            "samples": thumbnail(image),
            "samples file": dg.MetadataValue.path(result.figure),
            "note": NOTE,
            "steps": config.steps,
            "path": dg.MetadataValue.path(result.table.path),
            "mlflow_run": link("the run in MLflow", result.run_url),
        }
    version = {"dagster/data_version": result.table.digest}
    context.log_event(dg.AssetMaterialization(architecture_comparison.key, metadata=metadata, tags=version))


@dg.job(
    description="Five networks on the same budget, with a table and an image. Recipe `from_scratch`, or the run configuration's.",
    config={
        "loggers": CONSOLE,
        # Not the deployment's recipe, because `quickstart` begins with the shipped weights, which fit no other network.
        "resources": {"recipe": {"config": {"name": "from_scratch"}}},
    },
)
def compare_architectures() -> None:
    compare_networks()
