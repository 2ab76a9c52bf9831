"""The charts of a report: sweeps, groups, and training curves."""

from collections.abc import Mapping, Sequence

from flowmodel.evaluation.html.charts import Chart, Line, LineChart, bars
from flowmodel.evaluation.metric_names import metric
from flowmodel.evaluation.report import ALL, EvaluationReport, SweepRow
from flowmodel.recipes.split import Split
from flowmodel.training.prediction_error import error_without_network

# Steps and values by name of the curve.
Curves = Mapping[str, Sequence[tuple[int, float]]]

_GROUP_CHARTS = ("retrieval_top1_all", "alpha_iou")


def nfe_charts(report: EvaluationReport) -> list[Chart]:
    if report.sweeps is None:
        return []
    rows = report.sweeps.nfe
    x = [row.network_evaluations for row in rows]
    own = next((row.network_evaluations for row in rows if row.is_own), None)
    label = "network evaluations per image"
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


def guidance_charts(report: EvaluationReport) -> list[Chart]:
    if report.sweeps is None:
        return []
    rows = report.sweeps.guidance
    x, own = [row.guidance for row in rows], next((row.guidance for row in rows if row.is_own), None)
    charts = _score_charts(rows, x, "guidance scale w (1 is off)", own, keys=("retrieval_top1_all", "kid", "alpha_iou"))
    return [chart.draw(f"guidance{number}") for number, chart in enumerate(charts)]


def _score_charts(
    rows: Sequence[SweepRow],
    x: Sequence[float],
    x_label: str,
    own: float | None,
    keys: Sequence[str] = ("retrieval_top1_all", "kid"),
    log_x: bool = False,
) -> list[LineChart]:
    """Rates by split; KID over all splits, because it is unstable for few images."""
    charts = []
    for key in keys:
        named = metric(key)
        lines = []
        for split in rows[0].scores:
            measured = [row.scores[split].measured for row in rows]
            if (split == ALL) == named.is_share or key not in measured[0]:
                continue
            has_band = f"{key}_low" in measured[0]
            low, high = ([_shown(key, of[f"{key}_{end}"]) for of in measured] if has_band else [] for end in ("low", "high"))
            label = _label(split).lower() + (", 95% interval" if has_band else "")
            lines.append(Line(split, label, x, [_shown(key, of[key]) for of in measured], low, high))
        if lines:
            unit = (
                "share of samples"
                if named.is_share and key != "alpha_iou"
                else "overlap (IoU)"
                if named.is_share
                else key.upper()
            )
            charts.append(
                LineChart(named.label, x_label, unit, lines, x, log_x, shares=named.is_share, marked_x=own, better=named.better)
            )
    return charts


def _shown(key: str, value: float) -> float:
    """A KID estimate below 0 is shown as 0, as in the tables."""
    return max(value, 0.0) if key == "kid" else value


def _label(split: str) -> str:
    return split.label if isinstance(split, Split) else f"{split} icons"


def group_charts(report: EvaluationReport) -> list[Chart]:
    charts = []
    for key in _GROUP_CHARTS:
        values: dict[str, dict[str, float]] = {}
        for split in (Split.TRAIN, Split.UNSEEN_CONCEPT):
            for group, scores in report.by_group.get(split, {}).items():
                if (score := scores.get(key)) is not None:
                    values.setdefault(group.replace("-", " & "), {})[split] = score
        if values:
            named = metric(key)
            label = "overlap (IoU)" if key == "alpha_iou" else "share of samples"
            charts.append(bars(f"groups-{key.replace('_', '-')}", named.label, label, values, lambda s: _label(s).lower()))
    return charts


def error_charts(report: EvaluationReport) -> list[Chart]:
    """The error of the predicted image by t, and that of the noisy image at late t."""
    errors = report.prediction_error
    if not errors:
        return []
    times = list(next(iter(errors.values())))
    late = [t for t in times if error_without_network(t) < 1]
    lines = [Line(split, _label(split).lower(), list(by_time), list(by_time.values())) for split, by_time in errors.items()]
    lines.append(Line("all", "no network", late, [error_without_network(t) for t in late], dashed=True))
    chart = LineChart(
        "Error by t",
        "t (0 is noise, 1 the image)",
        "root mean square",
        lines,
        [t for t in times if t not in (0.95, 0.8)],
        log_y=True,
        better="lower",
    )
    return [chart.draw("prediction-error")]


def curve_charts(curves: Curves | None) -> list[Chart]:
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
