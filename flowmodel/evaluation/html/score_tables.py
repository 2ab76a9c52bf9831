"""The numbers of a report for the page: rulers from noise to real icons, tables, and the settings as text."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from flowmodel.evaluation.html.metric_names import NOTHING, ROWS, TEXTURE, Metric, metric, number, shown
from flowmodel.evaluation.report import EvaluationReport, Scores
from flowmodel.recipes.split import Split

_HEADLINES = ("retrieval_top1_all", "caption_probe_top1", "kid", "alpha_iou")


@dataclass(frozen=True)
class Mark:
    """`place` is a share of the way from the worst to the best of the baselines."""

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


def rulers_of(report: EvaluationReport, split: Split) -> list[Ruler]:
    rulers = []
    for key in _HEADLINES:
        own = report.score(split, key)
        of_rows = {name: row[split].get(key) for name, row in report.baselines.rows.items() if split in row}
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


@dataclass(frozen=True)
class TableRow:
    label: str
    better: str
    value: str
    detail: str
    baselines: tuple[str, ...]


@dataclass(frozen=True)
class Table:
    split: Split
    count: int
    columns: tuple[str, ...]
    rows: tuple[TableRow, ...]


def table_of(report: EvaluationReport, split: Split) -> Table:
    own, spread = report.metrics[split].measured, report.std.get(split, Scores())
    baselines = {name: row[split] for name, row in report.baselines.rows.items() if split in row}
    rows = []
    for named in shown(own):
        detail = []
        if (deviation := spread.get(named.key)) is not None:
            detail.append(f"± {100 * deviation:.1f} points" if named.is_share else f"± {number(deviation)}")
        if f"{named.key}_low" in own:
            detail.append(f"{named.text(own[f'{named.key}_low'])} to {named.text(own[f'{named.key}_high'])}")
        cells = tuple(named.text(scores.get(named.key)) for scores in baselines.values())
        rows.append(TableRow(named.label, named.better, named.text(own[named.key]), "; ".join(detail), cells))
    return Table(split, report.metrics[split].count, tuple(ROWS[row][0] for row in baselines), tuple(rows))


@dataclass(frozen=True)
class TextureRow:
    """`pairs` are what the drawings of each split have, and what the same real icons have."""

    metric: Metric
    pairs: tuple[tuple[str, str], ...]


def texture_rows(report: EvaluationReport) -> list[TextureRow]:
    """The texture scores of every split; empty where no texture was measured."""
    rows = []
    for named in TEXTURE:
        both = [(own.get(named.key), report.baselines.real[split].get(named.key)) for split, own in report.metrics.items()]
        if any(drawn is not None for drawn, _ in both):
            rows.append(TextureRow(named, tuple((named.text(drawn), named.text(real)) for drawn, real in both)))
    return rows


_FINISHED = ("kid", "retrieval_top1_all", "retrieval_top5_all", "alpha_iou", "near_copy_rate", "authentic_rate")


@dataclass(frozen=True)
class FinisherRow:
    """`triples` are, for each split, what the drawings have before and after the finisher, and what real icons have."""

    metric: Metric
    triples: tuple[tuple[str, str, str], ...]


def finisher_rows(report: EvaluationReport) -> list[FinisherRow]:
    """The scores that a finisher may change; empty of a model without one."""
    before = report.unfinished
    if before is None:
        return []
    rows = []
    for key in (*_FINISHED, *(named.key for named in TEXTURE)):
        named, real = metric(key), report.baselines.real
        scores = [(before[split].get(key), own.get(key), real[split].get(key)) for split, own in report.metrics.items()]
        if any(own is not None for _, own, _ in scores):
            rows.append(FinisherRow(named, tuple((named.text(a), named.text(b), named.text(c)) for a, b, c in scores)))
    return rows


def title_of(key: str) -> str:
    return f"The baseline {ROWS[key][0].lower()}" if key in ROWS else metric(key).label


def settings_of(report: EvaluationReport, trained_on: str) -> list[tuple[str, str]]:
    # What was left out is said beside the scores.
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
