"""The part of an evaluation that MLflow shows: headline scores as metrics, and the run's description. metrics.json has
everything.
"""

from flowmodel.evaluation.metric_names import METRICS
from flowmodel.evaluation.report import EvaluationReport
from flowmodel.registry.runs import EVALUATION

HEADLINES = ("kid", "retrieval_top1_source", "retrieval_top5_all", "near_copy_rate")
_SHARPNESS = ("flat_share", "edge_sharpness", "half_transparent")  # of the first split, with one row for real icons


def headline_metrics(report: EvaluationReport) -> dict[str, float]:
    """Scores by name, such as `evaluation/train/kid`: at most 23, the most important four first."""
    found: dict[str, float] = {}
    for number, (split, scores) in enumerate(report.metrics.items()):
        names = HEADLINES + (_SHARPNESS if number == 0 else ())
        found |= {f"{EVALUATION}/{split}/{name}": scores.measured[name] for name in names if name in scores.measured}
    return found


def description(report: EvaluationReport, grid: str, page: str | None) -> str:
    """Markdown for the run's page: a table of the headline scores with those of real icons, the sample grid, and a link to the
    report.

    Args:
        grid: address of the image.
        page: address of the HTML report, or None if there is none.
    """
    settings, real = report.settings, report.baselines.real
    names = [name for name in HEADLINES if any(name in scores.measured for scores in report.metrics.values())]
    rows = [["", *(METRICS[name].label for name in names)]]
    for split, scores in report.metrics.items():
        cells = []
        for name in names:
            ceiling = real[split].measured.get(name) if split in real else None
            cells.append(f"{METRICS[name].text(scores.measured.get(name))} ({METRICS[name].text(ceiling)})")
        rows.append([f"{split.label}, {scores.count}", *cells])
    table = [f"| {' | '.join(row)} |" for row in rows]
    table.insert(1, "|---" * len(rows[0]) + "|")
    lines = [
        f"Recipe `{settings.recipe}`, {settings.training_steps:,} steps, {settings.parameters / 1e6:.2f} million parameters. "
        "In parentheses: real icons.",
        "\n".join(table),
        f"![Samples]({grid})",
    ]
    if page:
        lines.append(f"[Report]({page})")
    return "\n\n".join(lines)
