"""`flowmodel evaluate`: scores a model and writes an HTML report."""

import tempfile
from pathlib import Path
from typing import Annotated

import typer

from flowmodel.cli.common import ModelOption, console, resolve
from flowmodel.errors import FlowmodelError


def evaluate(
    model: ModelOption = None,
    seed: Annotated[
        int | None, typer.Option(min=0, help="First of the seeds, as many as the recipe has; default: the recipe's seeds.")
    ] = None,
    out: Annotated[Path, typer.Option(help="The report, one HTML file.", dir_okay=False)] = Path("report.html"),
    json: Annotated[
        Path | None, typer.Option("--json", help="Also write metrics, baselines and settings as JSON.", dir_okay=False)
    ] = None,
    icons: Annotated[int | None, typer.Option(min=2, help="Maximum number of icons per split; default: the recipe's.")] = None,
    sweeps: Annotated[bool, typer.Option(help="Also score other numbers of steps and guidance scales.")] = True,
    sources: Annotated[
        Path | None, typer.Option(help="YAML list of icon sources; default: $FLOWMODEL_SOURCES or the pipeline's.")
    ] = None,
) -> None:
    """Score a model on training and held-out captions, and write an HTML report with its samples."""
    from flowmodel.cli.summary import metrics_table
    from flowmodel.cli.terminal import Stages
    from flowmodel.data.prepare import prepare
    from flowmodel.evaluation.html.page import evaluate_and_report
    from flowmodel.files import write_bytes
    from flowmodel.locks import in_use
    from flowmodel.registry.curves import training_curves
    from flowmodel.registry.tracking import Tracking
    from flowmodel.store import Store

    for path, suffixes in ((out, (".html", ".htm")), (json, (".json",))):
        if path is not None and path.suffix.lower() not in suffixes:
            raise FlowmodelError(f"{path}: choose a name that ends in {suffixes[0]}")
    store = Store.from_environment()
    checkpoint = resolve(store, model)
    recipe = checkpoint.recipe
    config = recipe.evaluation
    if seed is not None:
        config = config.model_copy(update={"seeds": tuple(seed + number for number in range(len(config.seeds)))})
    if icons is not None:
        config = config.model_copy(update={"max_icons": icons})
    # Only the page, the numbers and the cached features are kept.
    with in_use(store), Stages(console) as stages, tempfile.TemporaryDirectory(prefix="flowmodel-") as folder:
        # Recolored copies are used in training only; encoding their captions would take minutes.
        recipe = recipe.model_copy(update={"data": recipe.data.model_copy(update={"recolored": 0.0})})
        dataset = prepare(recipe, store, sources, log=stages)
        curves = training_curves(Tracking.of(store), checkpoint)
        evaluation = evaluate_and_report(
            checkpoint, dataset, Path(folder), out, store.root / "features", config, sweeps, curves, log=stages
        )
        if json is not None:
            write_bytes(json, evaluation.metrics.path.read_bytes())
    console.print(metrics_table(evaluation.report))
    console.print(f"report {out}{f', metrics {json}' if json else ''} (model {checkpoint})", soft_wrap=True)
