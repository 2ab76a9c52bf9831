"""The report that a person reads: one HTML file that shows itself, with every picture inside and no script."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from jinja2 import Environment, PackageLoader, StrictUndefined
from PIL import Image

from flowmodel.data.dataset import IconDataset
from flowmodel.evaluation.html import words
from flowmodel.evaluation.html.charts import Chart, Line, LineChart, bars
from flowmodel.evaluation.html.metric_names import NOTHING, ROWS, metric, number, shown
from flowmodel.evaluation.html.pictures import Tiles, data_uri
from flowmodel.evaluation.report import ALL, EvaluationReport, Scores, SweepRow
from flowmodel.evaluation.run import Evaluation, evaluate
from flowmodel.evaluation.samples import Samples, load_samples
from flowmodel.evaluation.sweeps import ANSWER_SOLVER, ANSWER_STEPS
from flowmodel.files import Artifact, write_bytes
from flowmodel.images.save import png_bytes
from flowmodel.model.animation import draw_animation
from flowmodel.model.checkpoint import Checkpoint
from flowmodel.model.generator import Generator
from flowmodel.recipes.schema import EvaluationConfig
from flowmodel.recipes.split import Split

REPORT_FILE, ANIMATION_FILE = "report.html", "trajectory.png"
TRAINED_TILES, HELD_OUT_TILES, CLOSEST_TILES, ANIMATED, ANIMATED_UNSEEN = 24, 10, 10, 9, 3

# Steps and values by name of the curve.
Curves = Mapping[str, Sequence[tuple[int, float]]]

_HEADLINES = ("top1_of_all", "judge_top1", "kid", "alpha_iou")
_GROUP_CHARTS = ("top1_of_all", "judge_top1", "alpha_iou")


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
) -> Evaluation:
    """:func:`evaluate` with its files in `folder`, and the report as `out`. Raises FlowmodelError as that does."""
    evaluation = evaluate(checkpoint, dataset, folder, cache, config=config, with_sweeps=with_sweeps, log=log)
    log("writing the report")
    animation = animate(checkpoint, load_samples(evaluation.samples), folder / ANIMATION_FILE)
    write_report(out, evaluation, checkpoint, animation, curves)
    return evaluation


def animate(checkpoint: Checkpoint, samples: Samples, out: Path) -> Path:
    """Noise becoming some of the icons of `samples`."""
    generator = Generator.load(checkpoint)
    prompts = [samples.prompts[n] for n in _animated(samples)]
    return draw_animation(generator, prompts, out, samples.seeds[0], columns=3).path


def write_report(
    out: Path,
    evaluation: Evaluation,
    checkpoint: Checkpoint,
    animation: Path | None = None,
    curves: Curves | None = None,
) -> Artifact:
    """Write the report of `evaluation`, which is of `checkpoint`, as one HTML file.

    Args:
        animation: of a few prompts, by `trajectory.draw_animation`.
        curves: of the training, where something has recorded them.

    Raises FlowmodelError when the checkpoint or the samples can't be read.
    """
    report, header, recipe = evaluation.report, checkpoint.header, checkpoint.recipe
    samples, real = load_samples(evaluation.samples), evaluation.real
    thresholds = report.settings.thresholds
    near = thresholds.near.features if thresholds.near else thresholds.copy_ratio
    tiles = Tiles(samples, evaluation.features, real, real.rows(real.known(header.seen_ids)), near)
    rulers = [*_rulers(report, Split.TRAIN), *_rulers(report, Split.UNSEEN_CONCEPT)]
    held_out = [split for split in report.metrics if split != Split.TRAIN]
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
        memorisation=words.memorisation(report, recipe),
        warning=words.other_data(report, header.dataset_digest),
        rulers=rulers,
        marked={mark.row for ruler in rulers for mark in ruler.marks},
        animation=data_uri(animation.read_bytes()) if animation else None,
        still=_last_frame(animation) if animation else None,
        animated=[(samples.prompts[n], samples.splits[n] != Split.TRAIN) for n in _animated(samples)],
        trained=tiles.beside_real(Split.TRAIN, TRAINED_TILES),
        held_out={split: tiles.beside_nearest(split, HELD_OUT_TILES) for split in held_out},
        near=near,
        closest=tiles.closest(CLOSEST_TILES),
        rows=ROWS,
        nfe=_nfe_charts(report),
        guidance=_guidance_charts(report),
        groups=_group_charts(report),
        curves=_curve_charts(curves),
        tables=[_table(report, split) for split in report.metrics],
        meanings=[m for m in shown({name for scores in report.metrics.values() for name in scores.measured}) if m.meaning],
        left_out=[(_title(key), reason) for key, reason in report.settings.left_out.items()],
        settings=_settings(report, header.dataset_digest),
        recipe_yaml=yaml.safe_dump(header.recipe, sort_keys=False, allow_unicode=True),
        answer=f"{ANSWER_STEPS} {ANSWER_SOLVER} steps",
    )
    return Artifact.of(write_bytes(out, page.encode()))


def _animated(samples: Samples) -> list[int]:
    """Which samples an animation shows: mostly trained icons, and some that the model has never seen."""
    numbers: list[int] = []
    for split, count in ((Split.TRAIN, ANIMATED - ANIMATED_UNSEEN), (Split.UNSEEN_CONCEPT, ANIMATED_UNSEEN)):
        own = samples.of_split(split)
        numbers += own[:: max(1, len(own) // count)][:count]
    return numbers


def _last_frame(animation: Path) -> str:
    with Image.open(animation) as frames:
        frames.seek(getattr(frames, "n_frames", 1) - 1)
        return data_uri(png_bytes(frames.convert("RGBA")))


@dataclass(frozen=True)
class Mark:
    """`place` is a share of the way from the worst to the best of the reference rows."""

    row: str
    label: str
    value: str
    place: float


@dataclass(frozen=True)
class Ruler:
    """One score between what noise and what real icons have."""

    split: Split
    metric: str
    better: str
    value: str
    marks: tuple[Mark, ...]
    low: Mark
    high: Mark


def _rulers(report: EvaluationReport, split: Split) -> list[Ruler]:
    rulers = []
    for key in _HEADLINES:
        own = report.score(split, key)
        of_rows = {name: row[split].get(key) for name, row in report.reference.rows.items() if split in row}
        values = {name: value for name, value in of_rows.items() if value is not None}
        if own is None or not {"real", "noise"} <= values.keys():
            continue
        worst, best = values["noise"], values["real"]
        named, span = metric(key), best - worst
        marks = tuple(
            Mark(row, label, named.text(value), min(1.0, max(0.0, (value - worst) / span if span else 0.0)))
            for row, label, value in (
                *((row, ROWS[row][0], value) for row, value in values.items()),
                ("model", "This model", own),
            )
        )
        by_row = {mark.row: mark for mark in marks}
        between = tuple(mark for mark in marks if mark.row not in ("noise", "real"))
        rulers.append(Ruler(split, named.label, named.better, named.text(own), between, by_row["noise"], by_row["real"]))
    return rulers


def _nfe_charts(report: EvaluationReport) -> list[Chart]:
    if report.sweeps is None:
        return []
    rows = report.sweeps.nfe
    x = [row.network_evaluations for row in rows]
    own = next((row.network_evaluations for row in rows if row.is_own), None)
    label = "network evaluations a picture"
    distances = Line("all", "all icons", x, [100 * row.distance for row in rows])
    charts = [
        LineChart(
            "Distance from the exact answer",
            label,
            "% of a pixel's range",
            [distances],
            x,
            True,
            True,
            marked_x=own,
            better="lower",
        )
    ]
    charts += _score_charts(rows, x, label, own, log_x=True)
    return [chart.draw(f"nfe{number}") for number, chart in enumerate(charts)]


def _guidance_charts(report: EvaluationReport) -> list[Chart]:
    if report.sweeps is None:
        return []
    rows = report.sweeps.guidance
    x, own = [row.guidance for row in rows], next((row.guidance for row in rows if row.is_own), None)
    charts = _score_charts(rows, x, "guidance scale w (1 is off)", own, keys=("top1_of_all", "kid", "alpha_iou"))
    return [chart.draw(f"guidance{number}") for number, chart in enumerate(charts)]


def _score_charts(
    rows: Sequence[SweepRow],
    x: Sequence[float],
    x_label: str,
    own: float | None,
    keys: Sequence[str] = ("top1_of_all", "kid"),
    log_x: bool = False,
) -> list[LineChart]:
    """Shares by split; KID of all together, because it is unsteady on few pictures."""
    charts = []
    for key in keys:
        named = metric(key)
        lines = []
        for split in rows[0].scores:
            measured = [row.scores[split].measured for row in rows]
            if (split == ALL) == named.is_share or key not in measured[0]:
                continue
            has_band = f"{key}_low" in measured[0]
            low, high = ([of[f"{key}_{end}"] for of in measured] if has_band else [] for end in ("low", "high"))
            label = _label(split).lower() + (", 95% interval" if has_band else "")
            lines.append(Line(split, label, x, [of[key] for of in measured], low, high))
        if lines:
            unit = (
                "share of drawings"
                if named.is_share and key != "alpha_iou"
                else "overlap (IoU)"
                if named.is_share
                else key.upper()
            )
            charts.append(
                LineChart(named.label, x_label, unit, lines, x, log_x, shares=named.is_share, marked_x=own, better=named.better)
            )
    return charts


def _label(split: str) -> str:
    return split.label if isinstance(split, Split) else f"{split} icons"


def _group_charts(report: EvaluationReport) -> list[Chart]:
    charts = []
    for key in _GROUP_CHARTS:
        values: dict[str, dict[str, float]] = {}
        for split in (Split.TRAIN, Split.UNSEEN_CONCEPT):
            for group, scores in report.groups.get(split, {}).items():
                if (score := scores.get(key)) is not None:
                    values.setdefault(group.replace("-", " & "), {})[split] = score
        if values:
            named = metric(key)
            label = "overlap (IoU)" if key == "alpha_iou" else "share of drawings"
            charts.append(bars(f"groups-{key.replace('_', '-')}", named.label, label, values, lambda s: _label(s).lower()))
    return charts


def _curve_charts(curves: Curves | None) -> list[Chart]:
    names = {
        "training/loss": ("all", "batches"),
        "validation/train_loss": (Split.TRAIN, "trained icons"),
        "validation/loss": (Split.VALIDATION, "validation icons"),
    }
    lines = [
        Line(name, label, [step for step, _ in points], [value for _, value in points], markers=len(points) < 2)
        for key, (name, label) in names.items()
        if (points := [point for point in (curves or {}).get(key, ()) if point[1] > 0])
    ]
    if not lines:
        return []
    return [LineChart("Loss", "training steps", "loss", lines, log_y=True, better="lower").draw("curves")]


@dataclass(frozen=True)
class TableRow:
    label: str
    better: str
    value: str
    detail: str
    references: tuple[str, ...]


@dataclass(frozen=True)
class Table:
    split: Split
    count: int
    columns: tuple[str, ...]
    rows: tuple[TableRow, ...]


def _table(report: EvaluationReport, split: Split) -> Table:
    own, spread = report.metrics[split].measured, report.spread.get(split, Scores())
    reference = {name: row[split] for name, row in report.reference.rows.items() if split in row}
    rows = []
    for named in shown(own):
        detail = []
        if (deviation := spread.get(named.key)) is not None:
            detail.append(f"± {100 * deviation:.1f} points" if named.is_share else f"± {number(deviation)}")
        if f"{named.key}_low" in own:
            detail.append(f"{named.text(own[f'{named.key}_low'])} to {named.text(own[f'{named.key}_high'])}")
        cells = tuple(named.text(scores.get(named.key)) for scores in reference.values())
        rows.append(TableRow(named.label, named.better, named.text(own[named.key]), "; ".join(detail), cells))
    return Table(split, report.metrics[split].count, tuple(ROWS[row][0] for row in reference), tuple(rows))


def _title(key: str) -> str:
    return f"The reference {ROWS[key][0].lower()}" if key in ROWS else metric(key).label


def _settings(report: EvaluationReport, trained_on: str) -> list[tuple[str, str]]:
    # What was left out is said beside the scores.
    settings = report.settings.model_dump(exclude={"left_out"}) | {"trained_on_dataset_digest": trained_on}
    return [(key.replace("_", " "), _plain(key, value)) for key, value in sorted(settings.items())]


def _plain(key: str, value: Any) -> str:
    if isinstance(value, Mapping):
        return ", ".join(
            f"{_label(name).lower() if isinstance(name, Split) else name.replace('_', ' ')} {_plain(name, v)}"
            for name, v in value.items()
        )
    if isinstance(value, (list, tuple)):
        return ", ".join(_plain("", each) for each in value)
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int) and "seed" not in key and value >= 10_000:
        return f"{value:,}"
    if isinstance(value, float):
        return f"{value:,.0f}" if key == "count" else number(value)
    return NOTHING if value is None else str(value)
