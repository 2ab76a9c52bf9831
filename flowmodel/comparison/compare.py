"""Trains the networks of a comparison one after another, scores them, and writes a table and an image."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from typing import Any

from flowmodel.comparison.figure import comparison_figure
from flowmodel.comparison.journal import ComparisonJournal
from flowmodel.comparison.row import Row
from flowmodel.comparison.variants import Variant, variants
from flowmodel.data.dataset import IconDataset
from flowmodel.evaluation.run import evaluate
from flowmodel.evaluation.sample_grid import sample_grid
from flowmodel.files import Artifact, sha256_json, write_json
from flowmodel.images.save import save_image
from flowmodel.locks import working_in
from flowmodel.recipes import Recipe
from flowmodel.recipes.split import Split
from flowmodel.store import Store
from flowmodel.training.loop import train, training_digest, training_folder
from flowmodel.training.observers import TrainingObserver

ASSET = "architecture_comparison"
NOTE = (
    "KID, top-1 and alpha IoU are of trained icons; KID and top-1 of an RGB or grayscale network are against the real icons in "
    "those colors on white. Validation losses can be compared within one color only: they are means over channels."
)


@dataclass(frozen=True)
class Comparison:
    """`table` is the JSON file with `rows` and `settings`, `figure` the PNG."""

    rows: tuple[Row, ...]
    settings: Mapping[str, Any]
    table: Artifact
    figure: Path
    run_url: str


def compare_architectures(
    recipe: Recipe,
    dataset: IconDataset,
    store: Store,
    journal: ComparisonJournal,
    steps: int,
    seeds: int = 1,
    observers: Sequence[TrainingObserver] = (),
    log: Callable[[str], None] = lambda _: None,
) -> Comparison:
    """Train each network for `steps` steps with the recipe's batch size, score its samples, and record everything in `journal`.

    Each training has a folder in the store. The same call resumes an interrupted training and does not repeat a finished one.

    Raises:
        Resumable: a training was interrupted; a checkpoint has been written.
        FlowmodelError: the recipe has no U-Net, its data can't be read, or the journal can't be written.
    """
    chosen = variants(recipe, steps, seeds, dataset.text_width)
    digest = sha256_json([[training_digest(variant.recipe, dataset) for variant in chosen], seeds])
    folder = store.file(ASSET, f"{recipe.name}-{digest[:12]}")
    with working_in(folder):
        journal.begin(folder, f"compare architectures, {recipe.name}")
        try:
            rows, samples = [], {}
            for number, variant in enumerate(chosen, start=1):
                log(f"network {number} of {len(chosen)}: {variant.words}")
                row, samples[variant.slug] = _train_and_score(variant, dataset, store, folder, journal, observers, log)
                rows.append(row)
            settings = _settings(recipe, dataset, steps, chosen)
            table = write_json(
                folder / "comparison.json", {"rows": [asdict(row) for row in rows], "settings": settings, "note": NOTE}
            )
            figure = save_image(comparison_figure(rows, samples, settings, dataset), folder / "comparison.png")
            url = journal.finish(settings, [table, figure], _markdown(rows))
        except BaseException as error:
            journal.fail(error)
            raise
    return Comparison(tuple(rows), settings, Artifact.of(table), figure, url)


def _train_and_score(
    variant: Variant,
    dataset: IconDataset,
    store: Store,
    folder: Path,
    journal: ComparisonJournal,
    observers: Sequence[TrainingObserver],
    log: Callable[[str], None],
) -> tuple[Row, Path]:
    """The network's row, and the path of its samples."""
    training = training_folder(store, variant.recipe, dataset)
    result = train(variant.recipe, dataset, training, [*observers, journal.observer()])
    own = folder / variant.slug
    scored = evaluate(result.checkpoint, dataset, own, store.root / "features", log=log)
    grid = sample_grid(scored.samples, dataset, own / "sample_grid.png")
    recorded = journal.record(result.checkpoint, scored.report, grid.path)
    cost, report = variant.cost(dataset.text_width), scored.report
    speeds = recorded.images_per_second
    row = Row(
        slug=variant.slug,
        network=variant.words,
        color=variant.recipe.data.color,
        parameters=cost.parameters,
        forward_flops=cost.forward_flops,
        images_per_second=median(speeds) if speeds else None,
        validation_loss=report.score(Split.VALIDATION, "loss"),
        kid=report.required(Split.TRAIN, "kid"),
        kid_low=report.required(Split.TRAIN, "kid_low"),
        kid_high=report.required(Split.TRAIN, "kid_high"),
        top1=report.required(Split.TRAIN, "retrieval_top1_all"),
        alpha_iou=report.score(Split.TRAIN, "alpha_iou"),
        run_url=recorded.url,
    )
    log(", ".join(f"{name} {value}" for name, value in row.cells.items()))
    return row, scored.samples


def _settings(recipe: Recipe, dataset: IconDataset, steps: int, chosen: Sequence[Variant]) -> dict[str, Any]:
    first = chosen[0].recipe
    return {
        "recipe": recipe.name,
        "size": recipe.data.size,
        "steps": steps,
        "batch_size": first.training.batch_size,
        "seeds": list(first.evaluation.seeds),
        "solver": first.sampling.solver,
        "solver_steps": first.sampling.steps,
        "guidance": first.sampling.guidance,
        "dataset_digest": dataset.digest,
    }


def _markdown(rows: Sequence[Row]) -> str:
    columns = list(rows[0].cells)
    lines = [columns, ["---"] * len(columns), *(list(row.cells.values()) for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines) + f"\n\n{NOTE}"
