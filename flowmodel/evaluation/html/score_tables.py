"""The numbers of a report for the page: headlines, rulers from noise to real icons, tables, and the settings as text."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from flowmodel.evaluation.metric_names import CANNOT_TELL, NOTHING, ROWS, TEXTURE, Metric, metric, number, shown
from flowmodel.evaluation.report import BySplit, EvaluationReport, Scores, SplitScores
from flowmodel.recipes.split import Split

SHOWN_SPLITS = (Split.TRAIN, Split.UNSEEN_CONCEPT)  # side by side; the tables of all scores have every split
_RULERS = ("retrieval_top1_all", "kid", "alpha_iou", "caption_probe_top1")
_REACHED = 0.5  # rate that real icons must reach for a score to be meaningful
_WIDEST = 0.25  # interval of KID, as a fraction of the range from real icons to noise


def why_it_cannot_tell(key: str, own: Scores, real: Scores | None, noise: Scores | None) -> str:
    """The reason why a score is not meaningful: real icons do not reach it either, or it is too uncertain; else empty."""
    if real is None or (best := real.get(key)) is None:
        return ""
    named = metric(key)
    if named.is_share and named.better == "higher" and best < _REACHED:
        return f"real icons reach only {named.text(best)} themselves"
    if key == "kid" and noise is not None and None not in (own.kid_low, own.kid_high, noise.kid):
        width, way = (own.kid_high or 0.0) - (own.kid_low or 0.0), (noise.kid or 0.0) - max(best, 0.0)
        if width > _WIDEST * way:
            return f"with so few icons the interval from {named.text(own.kid_low)} to {named.text(own.kid_high)} is too wide"
    return ""


@dataclass(frozen=True)
class Headline:
    """A headline number, with the numbers to compare it with."""

    label: str
    value: str
    beside: str


def headlines(report: EvaluationReport) -> list[Headline]:
    """At most five headlines: recognition, KID, near copies, and the recipe's rules."""
    found = []
    real, noise = report.baselines.real, report.baselines.noise
    for split, key, label, beside in (
        (Split.TRAIN, "retrieval_top1_all", "trained icons recognized", "real icons: {real}"),
        (Split.UNSEEN_CONCEPT, "retrieval_top1_all", "unseen concepts recognized", "real icons: {real}"),
        (Split.UNSEEN_CONCEPT, "kid", "difference from real icons (KID), unseen concepts", "real icons: {real}, noise: {noise}"),
        (Split.UNSEEN_CONCEPT, "near_copy_rate", "near copies, unseen concepts", "new real icons: {real}"),
    ):
        own, named = report.metrics.get(split, Scores()), metric(key)
        if (value := own.get(key)) is None:
            continue
        best, worst = (row.get(split, Scores()) for row in (real, noise))
        doubt = why_it_cannot_tell(key, own, best, worst)
        compared = beside.format(real=named.text(best.get(key)), noise=named.text(worst.get(key)))
        found.append(Headline(label, CANNOT_TELL if doubt else named.text(value), doubt or compared))
    return found


@dataclass(frozen=True)
class Mark:
    """`place` is a fraction of the range from the worst to the best baseline."""

    row: str
    label: str
    value: str
    place: float


@dataclass(frozen=True)
class Ruler:
    """A score between those of noise and real icons; without marks if `doubt` has a reason why it is not meaningful."""

    split: Split
    metric: str
    better: str
    value: str
    doubt: str
    marks: tuple[Mark, ...]
    low: Mark
    high: Mark


def rulers_of(report: EvaluationReport, split: Split) -> list[Ruler]:
    rulers = []
    scores_of = {name: row[split] for name, row in report.baselines.rows.items() if split in row}
    for key in _RULERS:
        own = report.score(split, key)
        values = {name: value for name, scores in scores_of.items() if (value := scores.get(key)) is not None}
        if own is None or not {"real", "noise"} <= values.keys():
            continue
        named, doubt = metric(key), why_it_cannot_tell(key, report.metrics[split], scores_of["real"], scores_of["noise"])
        worst, best = values["noise"], max(values["real"], 0.0)
        span = best - worst
        marks = tuple(
            Mark(row, label, named.text(value), min(1.0, max(0.0, (value - worst) / span if span else 0.0)))
            for row, label, value in (
                *((row, ROWS[row][0], value) for row, value in values.items()),
                ("model", "This model", own),
            )
        )
        by_row = {mark.row: mark for mark in marks}
        between = tuple(mark for mark in marks if mark.row not in ("noise", "real"))
        shown_value = CANNOT_TELL if doubt else named.text(own)
        rulers.append(Ruler(split, named.label, named.better, shown_value, doubt, between, by_row["noise"], by_row["real"]))
    return rulers


@dataclass(frozen=True)
class TableRow:
    label: str
    better: str
    value: str
    detail: str
    is_doubtful: bool
    baselines: tuple[str, ...]


@dataclass(frozen=True)
class Table:
    split: Split
    count: int
    columns: tuple[str, ...]
    rows: tuple[TableRow, ...]


def table_of(report: EvaluationReport, split: Split) -> Table:
    own, spread = report.metrics[split], report.std.get(split, Scores())
    baselines = {name: row[split] for name, row in report.baselines.rows.items() if split in row}
    rows = []
    for named in shown(own.measured):
        doubt = why_it_cannot_tell(named.key, own, baselines.get("real"), baselines.get("noise"))
        detail = f"{CANNOT_TELL}: {doubt}" if doubt else "; ".join(_spread(named, own, spread))
        cells = tuple(named.text(scores.get(named.key)) for scores in baselines.values())
        rows.append(TableRow(named.label, named.better, named.text(own.get(named.key)), detail, bool(doubt), cells))
    return Table(split, own.count, tuple(ROWS[row][0] for row in baselines), tuple(rows))


def _spread(named: Metric, own: SplitScores, spread: Scores) -> Iterator[str]:
    """The deviation between seeds, if it is not 0, and the interval."""
    deviation = spread.get(named.key) or 0.0
    if named.is_share and deviation >= 0.0005:
        yield f"± {100 * deviation:.1f} points"
    elif not named.is_share and deviation >= 1e-4:
        yield f"± {number(deviation)}"
    if named.key == "kid" and own.kid_low is not None:
        yield f"{named.text(own.kid_low)} to {named.text(own.kid_high)}"


@dataclass(frozen=True)
class PairedRow:
    """`cells` are, for each split, the scores of each kind of images, such as samples and real icons."""

    metric: Metric
    cells: tuple[tuple[str, ...], ...]


def shown_splits(report: EvaluationReport) -> list[Split]:
    return [split for split in SHOWN_SPLITS if split in report.metrics]


def texture_rows(report: EvaluationReport) -> list[PairedRow]:
    """The texture scores of samples and real icons; empty if texture was not measured."""
    return _paired((metric.key for metric in TEXTURE), report, report.metrics, report.baselines.real)


_FINISHED = ("kid", "retrieval_top1_all", "retrieval_top5_all", "alpha_iou", "near_copy_rate")


def finisher_rows(report: EvaluationReport) -> list[PairedRow]:
    """The scores before and after a finisher, and of real icons; empty for a model without one."""
    if report.unfinished is None:
        return []
    keys = (*_FINISHED, *(metric.key for metric in TEXTURE))
    return _paired(keys, report, report.unfinished, report.metrics, report.baselines.real)


@dataclass(frozen=True)
class ShapeRow:
    """`cells` are the scores of samples as pixels, of traced samples, and of traced real icons."""

    label: str
    better: str
    cells: tuple[str, str, str]


def shape_rows(report: EvaluationReport) -> list[ShapeRow]:
    """The scores of traced icons; empty if none were traced."""
    if (traced := report.traced) is None:
        return []
    kinds = (traced.pixels, traced.drawn, traced.real)
    rows = []
    for named in (metric("kid"), metric("retrieval_top1_all")):
        pixels, traced_samples, traced_real = (named.text(scores.get(named.key)) for scores in kinds)
        rows.append(ShapeRow(named.label, named.better, (pixels, traced_samples, traced_real)))
    return [*rows, ShapeRow("Paths per icon, median", "neither", (NOTHING, f"{traced.drawn_paths:g}", f"{traced.real_paths:g}"))]


def _paired(keys: Iterable[str], report: EvaluationReport, *kinds: BySplit) -> list[PairedRow]:
    rows, splits = [], shown_splits(report)
    for named in map(metric, keys):
        values = [[kind[split].get(named.key) if split in kind else None for kind in kinds] for split in splits]
        if any(of_split[0] is not None for of_split in values):
            rows.append(PairedRow(named, tuple(tuple(map(named.text, of_split)) for of_split in values)))
    return rows


def title_of(key: str) -> str:
    return f"The column “{ROWS[key][0]}”" if key in ROWS else metric(key).label


def settings_of(report: EvaluationReport, trained_on: str) -> list[tuple[str, str]]:
    # Missing scores are listed next to the scores.
    settings = report.settings.model_dump(exclude={"left_out"}) | {"trained_on_dataset_digest": trained_on}
    return [(key.replace("_", " "), _plain(key, value)) for key, value in sorted(settings.items())]


def _plain(key: str, value: Any) -> str:
    if isinstance(value, Mapping):
        return ", ".join(
            f"{name.label.lower() if isinstance(name, Split) else name.replace('_', ' ')} {_plain(name, v)}"
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
