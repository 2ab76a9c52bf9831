"""The report as one self-contained HTML file, with all images inside and without scripts."""

from collections.abc import Callable
from pathlib import Path

import yaml
from jinja2 import Environment, PackageLoader, StrictUndefined
from PIL import Image

from flowmodel.data.dataset import IconDataset
from flowmodel.evaluation.html import words
from flowmodel.evaluation.html.report_charts import Curves, curve_charts, error_charts, group_charts, guidance_charts, nfe_charts
from flowmodel.evaluation.html.score_tables import (
    finisher_rows,
    headlines,
    rulers_of,
    settings_of,
    shape_rows,
    shown_splits,
    table_of,
    texture_rows,
    title_of,
)
from flowmodel.evaluation.html.tiles import Tiles, data_uri
from flowmodel.evaluation.metric_names import ROWS, shown
from flowmodel.evaluation.report import EvaluationReport
from flowmodel.evaluation.rules import recipe_rules
from flowmodel.evaluation.run import Evaluation, evaluate
from flowmodel.evaluation.samples import Samples, load_samples
from flowmodel.evaluation.sweeps import ANSWER_SOLVER, ANSWER_STEPS
from flowmodel.files import Artifact, write_bytes
from flowmodel.images.animation import write_animation
from flowmodel.images.save import png_bytes
from flowmodel.model.checkpoint import Checkpoint
from flowmodel.model.generator import Generator
from flowmodel.recipes.schema import EvaluationConfig
from flowmodel.recipes.split import Split

REPORT_FILE, ANIMATION_FILE = "report.html", "trajectory.png"
TRAINED_TILES, HELD_OUT_TILES, CLOSEST_TILES, SHAPE_TILES, ANIMATED, ANIMATED_UNSEEN = 24, 12, 12, 8, 9, 3


def evaluate_and_report(
    checkpoint: Checkpoint,
    dataset: IconDataset,
    folder: Path,
    out: Path,
    cache: Path,
    config: EvaluationConfig | None = None,
    with_sweeps: bool = True,
    curves: Curves | None = None,
    log: Callable[[str], None] = lambda _: None,
    probe: Path | None = None,
) -> Evaluation:
    """:func:`evaluate` with its files in `folder`, and the report as `out`. Raises FlowmodelError as that does."""
    evaluation = evaluate(checkpoint, dataset, folder, cache, config=config, with_sweeps=with_sweeps, log=log, probe=probe)
    log("writing the report")
    animation = animate(checkpoint, load_samples(evaluation.samples), folder / ANIMATION_FILE)
    write_report(out, evaluation, checkpoint, animation, curves)
    return evaluation


def animate(checkpoint: Checkpoint, samples: Samples, out: Path) -> Path:
    """Noise becoming some of the icons of `samples`."""
    generator = Generator.load(checkpoint)
    prompts = [samples.prompts[n] for n in _animated(samples)]
    return write_animation(generator.trajectory(prompts, samples.seeds[0]).states_SBCHW.numpy(), out, columns=3).path


def write_report(
    out: Path,
    evaluation: Evaluation,
    checkpoint: Checkpoint,
    animation: Path | None = None,
    curves: Curves | None = None,
) -> Artifact:
    """Write the report of `evaluation`, an evaluation of `checkpoint`, as one HTML file.

    Args:
        animation: animation of a few prompts, by :func:`flowmodel.images.animation.write_animation`.
        curves: curves of the training, if they were recorded.

    Raises FlowmodelError when the checkpoint or the samples can't be read.
    """
    report, header, recipe = evaluation.report, checkpoint.header, checkpoint.recipe
    samples, real = load_samples(evaluation.samples), evaluation.real
    thresholds = report.settings.thresholds
    near = thresholds.near_copy.features if thresholds.near_copy else thresholds.copy_distance_ratio
    tiles = Tiles(samples, evaluation.features, real, real.rows(real.known(header.seen_ids)), near)
    rulers = [*rulers_of(report, Split.TRAIN), *rulers_of(report, Split.UNSEEN_CONCEPT)]
    # Concepts that were not in the training come first.
    held_out = [split for split in report.metrics if split != Split.TRAIN]
    held_out.sort(key=lambda split: split != Split.UNSEEN_CONCEPT)
    environment = Environment(
        loader=PackageLoader("flowmodel.evaluation.html"),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=StrictUndefined,
    )
    page = environment.get_template("report.html.jinja").render(
        title=f"{recipe.name}: how good is it?",
        recipe=recipe,
        seeds=report.settings.seeds,
        seed=samples.seeds[0],
        quality=words.quality(report),
        headlines=headlines(report),
        rules=recipe_rules(report, recipe.evaluation.gate),
        memorization=words.memorization(report, recipe),
        texture=words.texture(report),
        texture_rows=texture_rows(report),
        splits=shown_splits(report),
        errors=error_charts(report),
        warning=words.other_data(report, header.dataset_digest),
        finisher_rows=finisher_rows(report),
        shape_rows=shape_rows(report),
        traced_count=report.traced.count if report.traced else 0,
        shapes=tiles.as_shapes(Split.TRAIN, SHAPE_TILES) if report.traced else [],
        rulers=rulers,
        marked={mark.row for ruler in rulers if not ruler.doubt for mark in ruler.marks},
        animation=data_uri(animation.read_bytes()) if animation else None,
        still=_last_frame(animation) if animation else None,
        animated=[samples.prompts[n] for n in _animated(samples)],
        animated_unseen=sum(samples.splits[n] != Split.TRAIN for n in _animated(samples)),
        trained=tiles.beside_real(Split.TRAIN, TRAINED_TILES),
        held_out={split: tiles.beside_nearest(split, HELD_OUT_TILES) for split in held_out},
        near=near,
        closest=tiles.closest(CLOSEST_TILES),
        rows=ROWS,
        nfe=nfe_charts(report),
        guidance=guidance_charts(report),
        groups=group_charts(report),
        curves=curve_charts(curves),
        validation_loss=words.validation_loss(curves),
        tables=[table_of(report, split) for split in report.metrics],
        meanings=[m for m in shown({name for scores in report.metrics.values() for name in scores.measured}) if m.meaning],
        left_out=_left_out(report, curves),
        settings=settings_of(report, header.dataset_digest),
        recipe_yaml=yaml.safe_dump(recipe.model_dump(mode="json"), sort_keys=False, allow_unicode=True),
        answer=f"{ANSWER_STEPS} {ANSWER_SOLVER} steps",
    )
    return Artifact.of(write_bytes(out, page.encode()))


def _left_out(report: EvaluationReport, curves: Curves | None) -> list[tuple[str, str]]:
    """The missing parts of the page, with reasons."""
    left_out = [(title_of(key), reason) for key, reason in report.settings.left_out.items()]
    if report.sweeps is None:
        left_out.append(("Steps and guidance", "this evaluation was made without sweeps"))
    if not curves:
        left_out.append(("Training curves", "MLflow has no run of this training"))
    return left_out


def _animated(samples: Samples) -> list[int]:
    """Choose samples for an animation: mostly training icons, and some unseen concepts."""
    numbers: list[int] = []
    for split, count in ((Split.TRAIN, ANIMATED - ANIMATED_UNSEEN), (Split.UNSEEN_CONCEPT, ANIMATED_UNSEEN)):
        own = samples.of_split(split)
        numbers += own[:: max(1, len(own) // count)][:count]
    return numbers


def _last_frame(animation: Path) -> str:
    with Image.open(animation) as frames:
        frames.seek(getattr(frames, "n_frames", 1) - 1)
        return data_uri(png_bytes(frames.convert("RGBA")))
