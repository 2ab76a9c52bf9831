"""Applies a recipe's rules to a report. Pure functions, for the gate and for the page, which shows the outcome in advance."""

from typing import Literal

from pydantic import BaseModel, ConfigDict

from flowmodel.evaluation.metric_names import Metric, percent
from flowmodel.evaluation.metric_names import metric as metric_named
from flowmodel.evaluation.report import EvaluationReport, Scores
from flowmodel.recipes.gate import GateConfig, GateRule


class Rule(BaseModel):
    """A comparison of a score with a limit.

    Attributes:
        icons: a split, or the icons of the comparison with the champion.
        value: the model's score, or its difference from the champion's; None if it was not measured.
        low, high: ends of the difference's 95% interval; None against the recipe.
        limit: limit of the value, or of the worse end of its interval; None if there is none.
        kept: whether the rule is satisfied; None if it is waived or can't be applied.
        words: the rule as a sentence.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    metric: str
    icons: str
    against: Literal["recipe", "champion"]
    value: float | None
    limit: float | None
    kept: bool | None
    words: str
    low: float | None = None
    high: float | None = None


def recipe_rules(report: EvaluationReport, gate: GateConfig) -> tuple[Rule, ...]:
    """Apply the recipe's rules to the report. A waived rule is not applied, and repeats the recipe's reason."""
    return tuple(recipe_rule(report, rule) for rule in gate.rules)


def share_of_copies(scores: Scores) -> tuple[str, float | None]:
    """The metric of copies among a split's samples, and its value; None if it was not measured.

    It is `near_copy_rate`, whose threshold is calibrated: a model trained on 13 icons until it could generate nothing else had
    84% near copies for unseen captions, but no copies by the fixed ratio of feature distances. If there are too few real icons
    for the calibration, it is the larger of the two fixed criteria, by features and by pixels.
    """
    if scores.near_copy_rate is not None:
        return "near_copy_rate", scores.near_copy_rate
    fixed = (scores.copy_rate, scores.copy_rate_pixels)
    return "copy_rate", max((share for share in fixed if share is not None), default=None)


def recipe_rule(report: EvaluationReport, rule: GateRule) -> Rule:
    """One rule of :func:`recipe_rules`."""
    scores = report.metrics.get(rule.split, Scores())
    metric, value = share_of_copies(scores) if rule.metric == "near_copy_rate" else (rule.metric, scores.get(rule.metric))
    named = metric_named(rule.metric if value is None else metric)
    measured = f"{rule.split.label}, {named.within_sentence}: {'not measured' if value is None else named.text(value)}"

    def result(kept: bool | None, words: str) -> Rule:
        return Rule(
            metric=rule.metric,
            icons=rule.split,
            against="recipe",
            value=value,
            limit=rule.limit,
            kept=kept,
            words=f"{measured}, {words}",
        )

    bound = "" if rule.limit is None else f"must be at {'most' if rule.min is None else 'least'} {_limit(named, rule.limit)}"
    if rule.waived is not None:
        return result(None, f"{bound}{', but ' if bound else ''}the recipe waives that rule, because {rule.waived}")
    if rule.metric in ("alpha_iou", "alpha_error") and report.settings.color != "rgba":
        return result(None, f"{bound}; not applied, because the model has no transparency ({report.settings.color})")
    kept = value is not None and rule.limit is not None and (value <= rule.limit if rule.min is None else value >= rule.limit)
    return result(kept, f"{bound}: {'yes' if kept else 'NO'}")


def _limit(named: Metric, limit: float) -> str:
    """The value as written in a recipe."""
    return percent(limit) if named.is_share else f"{limit:g}"
