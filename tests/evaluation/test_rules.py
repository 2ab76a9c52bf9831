"""The results of a recipe's rules on reports with known numbers."""

from flowmodel.evaluation.report import EvaluationReport, Scores
from flowmodel.evaluation.rules import Rule, recipe_rules, share_of_copies
from flowmodel.recipes.gate import GateConfig
from tests.reports import report_of


def _report(color: str = "rgba", **unseen: float) -> EvaluationReport:
    return report_of({"train": {"kid": 0.1}, "unseen_concept": {"kid": 0.4} | unseen}, color=color)


def _judged(report: EvaluationReport, **rule) -> Rule:
    (judged,) = recipe_rules(report, GateConfig(rules=[rule]))
    return judged


def test_a_waived_limit_is_reported_and_not_requested():
    rule = _judged(_report(), metric="kid", split="train", max=0.01, waived="a test")
    assert rule.kept is None and rule.limit == 0.01
    assert rule.words.endswith("must be at most 0.01, but the recipe waives that rule, because a test")


def test_a_model_without_transparency_needs_no_silhouettes():
    rule = _judged(_report(color="rgb"), metric="alpha_iou", split="train", min=0.5)
    assert rule.kept is None and "has no transparency (rgb)" in rule.words
    assert _judged(_report(), metric="alpha_iou", split="train", min=0.5).kept is False


def test_copies_are_reported_by_the_calibrated_threshold_and_without_one_by_the_stricter_fixed_criterion():
    assert share_of_copies(Scores(near_copy_rate=0.8, copy_rate=0.0, copy_rate_pixels=0.4)) == ("near_copy_rate", 0.8)
    assert share_of_copies(Scores(copy_rate=0.0, copy_rate_pixels=0.4)) == ("copy_rate", 0.4)
    assert share_of_copies(Scores(kid=1.0)) == ("copy_rate", None)
    few_icons = _report(copy_rate=0.4)
    rule = _judged(few_icons, metric="near_copy_rate", split="unseen_concept", max=0.3)
    assert rule.kept is False and rule.value == 0.4
