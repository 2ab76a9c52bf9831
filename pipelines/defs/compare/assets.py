"""What the network's architecture is worth, measured."""

import time

import dagster as dg
from pydantic import Field

from flowmodel.data.dataset import IconDataset
from flowmodel.files import Artifact
from pipelines.failures import readable_failures
from pipelines.reporting import materialised, picture, table
from pipelines.resources import RecipeResource, StoreResource


class ComparisonBudget(dg.Config):
    steps: int = Field(400, ge=10, description="Training steps of each network, of the recipe's batch size.")
    seeds: int = Field(1, ge=1, description="How many of the recipe's evaluation seeds are drawn; scores are means over them.")


# Without an automation condition: five trainings begin only when somebody asks.
@dg.asset(group_name="compare", kinds={"pytorch", "mlflow"}, pool="accelerator")
@readable_failures()
def architecture_comparison(
    context: dg.AssetExecutionContext,
    config: ComparisonBudget,
    store: StoreResource,
    recipe: RecipeResource,
    icon_dataset: IconDataset,
) -> dg.MaterializeResult[Artifact]:
    """Greyscale CNN, RGB and RGBA U-Net, U-Net without attention and DiT under the same budget: a table and a picture.

    An interrupted comparison resumes where it was; networks that were trained already are not trained again.
    """
    from PIL import Image

    from flowmodel.comparison.compare import NOTE, compare_architectures
    from pipelines.progress import ProgressLog

    started = time.perf_counter()
    origin = {"dagster_run_id": context.run.run_id, "dagster_asset_key": context.asset_key.to_user_string()}
    result = compare_architectures(
        recipe.load(),
        icon_dataset,
        store.open(),
        config.steps,
        config.seeds,
        observers=[ProgressLog(context.log)],
        tags=origin,
        log=context.log.info,
    )
    with Image.open(result.picture) as image:
        return materialised(
            result.table,
            started,
            networks=table([row.cells for row in result.rows]),
            drawn=picture(image),
            note=NOTE,
            steps=config.steps,
            mlflow_run=dg.MetadataValue.url(result.run_url),
        )
