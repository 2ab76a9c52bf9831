"""Reports with known numbers: that of the shipped weights with other scores."""

from collections.abc import Mapping
from typing import Any

from flowmodel.evaluation.report import SCHEMA_VERSION, EvaluationReport
from flowmodel.files import read_json
from flowmodel.store import PROJECT_ROOT

ScoresBySplit = Mapping[str, Mapping[str, float]]


def report_of(metrics: ScoresBySplit, real: ScoresBySplit | None = None, noise: ScoresBySplit | None = None, **settings: Any):
    """A report with these scores, by split and name, and nothing else measured."""
    values = read_json(PROJECT_ROOT / "data" / "pretrained" / "metrics.json")
    return EvaluationReport.parse(
        {
            "schema_version": SCHEMA_VERSION,
            "metrics": _counted(metrics),
            "std": {},
            "by_group": {},
            "baselines": {"real": _counted(real or {}), "noise": _counted(noise or {})},
            "settings": values["settings"] | settings,
        },
        "test",
    )


def _counted(by_split: ScoresBySplit) -> dict[str, dict[str, float]]:
    return {split: {"count": 20} | dict(scores) for split, scores in by_split.items()}


def changed(report: EvaluationReport, changes: Mapping[str, Any]) -> EvaluationReport:
    """The report with other values at the dotted paths, such as `metrics.train.kid`; None takes one out."""
    values = report.as_json()
    for path, value in changes.items():
        *sections, last = path.split(".")
        section = values
        for name in sections:
            section = section[name]
        if value is None:
            del section[last]
        else:
            section[last] = value
    return EvaluationReport.parse(values, "test")
