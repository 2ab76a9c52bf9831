"""The job that completes an icon set, apart from the main pipeline.

It is a job of one op and not an asset that can be materialized, because the set and the missing names belong to a run and not to
the deployment.
"""

from pathlib import Path

import dagster as dg
from pydantic import Field

from pipelines.defs.jobs import CONSOLE
from pipelines.failures import readable_failures
from pipelines.reporting import table, thumbnail
from pipelines.resources import RecipeResource, StoreResource

completed_icon_set = dg.AssetSpec(
    "completed_icon_set",
    group_name="7_complete",
    kinds={"pytorch"},
    description="Samples of missing icons in the style of a set, made by the job complete_icon_set.",
)


class MissingIcons(dg.Config):
    icons: str = Field(description="Folder of the icons, or a YAML list of sources.")
    names: list[str] = Field(min_length=1, description="Names of the missing icons.")
    out: str = Field(description="Folder for the PNGs, the SVGs and a contact sheet.")
    count: int = Field(4, ge=1, le=16, description="Samples per name.")
    register_model: bool = Field(False, description="Whether the model is evaluated and registered in MLflow too.")


@dg.op(name="completed_icon_set", out=dg.Out(dg.Nothing), pool="accelerator")
@readable_failures()
def draw_missing_icons(
    context: dg.OpExecutionContext, config: MissingIcons, store: StoreResource, recipe: RecipeResource
) -> None:
    """Complete an icon set. An interrupted training resumes, and a finished training on the same icons is not repeated."""
    from PIL import Image

    from flowmodel.completion.complete import complete_set
    from pipelines.progress import ProgressLog

    files, log = store.open(), context.log.info
    completed = complete_set(
        Path(config.icons),
        config.names,
        Path(config.out),
        files,
        recipe.load(),
        config.count,
        observers=[ProgressLog(context.log)],
        log=log,
    )
    metadata: dict[str, dg.MetadataValue | int | str] = {}
    with Image.open(completed.sheet) as image:
        metadata["samples"] = thumbnail(image)
    metadata |= {
        "contact_sheet": dg.MetadataValue.path(completed.sheet),
        "names": len(completed.names),
        "near_copies": sum(drawing.near_copy_of is not None for drawing in completed.drawings),
        "files": table(
            [{"name": each.name, "file": each.stem, "near copy of": each.near_copy_of or ""} for each in completed.drawings]
        ),
    }
    if config.register_model:
        from flowmodel.registry.full_release import evaluate_and_register
        from flowmodel.registry.tracking import Tracking

        registered = evaluate_and_register(Tracking.of(files), completed.checkpoint, completed.dataset, log)
        metadata |= {"version": registered.version, "decision": registered.decision.reason}
    metadata |= {"trained_now": int(completed.trained_now), "checkpoint": dg.MetadataValue.path(completed.checkpoint.path)}
    context.log_event(dg.AssetMaterialization(completed_icon_set.key, metadata=metadata))


@dg.job(
    description="Fine-tunes on an icon set and samples its missing icons. The recipe is `finetune`, or the run configuration's.",
    # The Launchpad shows an example to edit.
    config={
        "loggers": CONSOLE,
        "ops": {"completed_icon_set": {"config": {"icons": "my-icons", "names": ["paper plane"], "out": "my-icons-completed"}}},
        "resources": {"recipe": {"config": {"name": "finetune"}}},
    },
)
def complete_icon_set() -> None:
    draw_missing_icons()
