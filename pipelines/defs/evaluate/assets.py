"""The evaluation of the trained network, its sample grid, and the caption probe."""

import time

import dagster as dg

from flowmodel.data.dataset import IconDataset
from flowmodel.files import Artifact
from pipelines.automation import on_changed_data
from pipelines.failures import readable_failures
from pipelines.reporting import headline_scores, link, materialized, metrics_table, table, thumbnail
from pipelines.resources import RecipeResource, StoreResource


@dg.asset(group_name="4_evaluate", kinds={"pytorch"}, automation_condition=on_changed_data)
@readable_failures()
def caption_probe(
    context: dg.AssetExecutionContext, store: StoreResource, recipe: RecipeResource, icon_dataset: IconDataset
) -> dg.MaterializeResult[Artifact]:
    """Measures whether an image shows its caption; trained contrastively on real icons alone, once per data set."""
    from flowmodel.evaluation.caption_probe import caption_probe_of

    started = time.perf_counter()
    cache, color = store.open().root / "features", recipe.load().data.color
    result = caption_probe_of(icon_dataset, cache, color, log=context.log.info)
    quality = [{"icons": str(split)} | shares.model_dump() for split, shares in result.quality.items()]
    return materialized(result.artifact, started, quality_on_held_out_icons=table(quality))


def _out(description: str, kinds: set[str]) -> dg.AssetOut:
    return dg.AssetOut(group_name="4_evaluate", description=description, kinds=kinds, automation_condition=on_changed_data)


# One step for both, because both use the same samples. Both come before the gate, so that the samples of a refused model are
# visible.
@dg.multi_asset(
    outs={
        "evaluation": _out("KID, retrieval and copy rate, each with the score of real icons.", {"pytorch", "json"}),
        "sample_grid": _out("Samples next to the real icons, for training and held-out captions.", {"python", "png"}),
    },
)
@readable_failures()
def evaluation(
    context: dg.AssetExecutionContext,
    store: StoreResource,
    finisher: Artifact,
    icon_dataset: IconDataset,
    caption_probe: Artifact,
) -> tuple[dg.MaterializeResult[Artifact], dg.MaterializeResult[Artifact]]:
    from PIL import Image

    from flowmodel.evaluation.html.page import REPORT_FILE, evaluate_and_report
    from flowmodel.evaluation.sample_grid import sample_grid
    from flowmodel.model.checkpoint import Checkpoint
    from flowmodel.recipes.split import Split
    from flowmodel.registry.curves import training_curves
    from flowmodel.registry.models import record_evaluation
    from flowmodel.registry.runs import EVALUATION, GRID_PREVIEW
    from flowmodel.registry.tracking import Tracking

    started = time.perf_counter()
    files = store.open()
    checkpoint = Checkpoint.open(finisher.path, finisher.digest)
    training = checkpoint.path.parent.name
    folder = files.file("evaluation", training)
    page = folder / REPORT_FILE
    tracking = Tracking.of(files)
    curves = training_curves(tracking, checkpoint)
    result = evaluate_and_report(
        checkpoint,
        icon_dataset,
        folder,
        page,
        files.root / "features",
        curves=curves,
        log=context.log.info,
        probe=caption_probe.path,
    )
    trained = result.report.metrics[Split.TRAIN]
    context.log.info(f"KID {trained.kid:.4g}, right icon nearest among all: {trained.retrieval_top1_all:.1%} of {trained.count}")
    evaluated = time.perf_counter()
    grid = sample_grid(result.samples, icon_dataset, files.file("sample_grid", f"{training}.png"))
    run = record_evaluation(tracking, checkpoint, result.report, grid.path, icon_dataset, page=page).run

    # Loaded from MLflow and visible without a click, unlike a thumbnail in the event log, which exceeds Dagster's limit.
    preview = dg.MetadataValue.md(f"![samples next to the real icons]({run.artifact_address(f'{EVALUATION}/{GRID_PREVIEW}')})")
    links = {
        "report": link("the report", run.artifact_url(f"{EVALUATION}/{REPORT_FILE}")),
        "mlflow_run": link("the run in MLflow", run.url),
    }
    with Image.open(grid.path) as image:
        small = {"grid thumbnail": thumbnail(image)}
    files_of_both = {"report_file": dg.MetadataValue.path(page)}
    metrics = {"metrics": metrics_table(result.report)}
    scores = headline_scores(result.report)
    return (
        materialized(result.metrics, started, "evaluation", grid=preview, **scores, **links, **metrics, **files_of_both),
        materialized(grid, evaluated, "sample_grid", grid=preview, **links, **small, **files_of_both),
    )
