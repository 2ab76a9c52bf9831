"""Thresholds, and challenger against champion, on reports whose numbers are known."""

import json

import pytest

from flowmodel.evaluation.report import EvaluationReport, Scores
from flowmodel.recipes import load_recipe
from flowmodel.recipes.schema import GateConfig
from flowmodel.release.gate import Champion, champion_rules, decide, share_of_copies, threshold_rules
from tests.reports import changed, report_of

GENEROUS = {"max_kid": 1.0, "min_top1": 0.1, "min_alpha_iou": 0.1, "max_copy_ratio": 1.0}


def _report(unseen: dict | None = None, colour: str = "rgba", **trained: float) -> EvaluationReport:
    train = {"kid": 0.10, "kid_low": 0.08, "kid_high": 0.12, "top1_of_all": 0.97, "judge_top1": 0.90, "alpha_iou": 0.8} | trained
    held_out = {"kid": 0.40, "kid_low": 0.35, "kid_high": 0.45, "top1_of_all": 0.20, "judge_top1": 0.10, "near_share": 0.05}
    if unseen is not None:
        held_out |= unseen
    return report_of({"train": train, "unseen_concept": held_out}, colour=colour)


def _champion(**trained: float) -> Champion:
    return Champion("7", _report(**trained), colour="rgba")


def test_without_thresholds_everything_passes_and_every_missing_one_is_said():
    decision = decide(_report(kid=99, top1_of_all=0), GateConfig(), None)
    assert decision.outcome == "champion" and decision.reason.startswith("there is no champion yet")
    assert [rule.kept for rule in decision.rules] == [None] * 4
    assert all(f"the recipe sets no {rule.name}" in rule.words for rule in decision.rules)


@pytest.mark.parametrize("gate", [{"max_kid": 0.1}, {"min_top1": 0.97}, {"min_alpha_iou": 0.8}, {"max_copy_ratio": 0.05}])
def test_a_threshold_that_is_just_met_is_kept(gate):
    assert decide(_report(), GateConfig(**gate), None).outcome == "champion"


@pytest.mark.parametrize("gate", [{"max_kid": 0.09}, {"min_top1": 0.98}, {"min_alpha_iou": 0.81}, {"max_copy_ratio": 0.04}])
def test_one_broken_threshold_is_enough_and_is_named(gate):
    decision = decide(_report(), GateConfig(**GENEROUS | gate), None)
    assert decision.outcome == "refused"
    assert {rule.name for rule in decision.rules if rule.kept is False} == gate.keys()
    (broken,) = (rule for rule in decision.rules if rule.kept is False)
    assert broken.words in decision.reason and broken.words.endswith("NO") and broken.limit == gate[broken.name]


def test_what_was_not_measured_breaks_a_threshold():
    report = changed(_report(), {"metrics.unseen_concept": None})
    assert decide(report, GateConfig(), None).outcome == "champion"
    decision = decide(report, GateConfig(max_copy_ratio=0.5), None)
    assert decision.outcome == "refused" and "unseen concepts: not measured" in decision.reason


def test_a_waiver_is_said_with_its_reason_in_the_decision():
    gate = load_recipe("quickstart").evaluation.gate
    decision = decide(_report({"near_share": 1.0}), gate, None)
    (waived,) = (rule for rule in decision.rules if rule.name == "max_copy_ratio")
    assert decision.outcome == "champion" and waived.kept is None and waived.value == 1.0
    assert "the recipe waives max_copy_ratio, because this recipe is meant to memorise its 200 icons" in waived.words
    assert waived.words in decision.lines


def test_a_model_that_draws_no_transparency_is_not_asked_for_silhouettes():
    report = changed(_report(colour="rgb"), {"metrics.train.alpha_iou": None})
    (rule,) = (rule for rule in threshold_rules(report, GateConfig(min_alpha_iou=0.5)) if rule.name == "min_alpha_iou")
    assert rule.kept is None and "draws no transparency (rgb)" in rule.words


def test_copies_are_told_by_the_calibrated_threshold_and_without_one_by_the_stricter_fixed_criterion():
    assert share_of_copies(Scores(near_share=0.8, copy_ratio=0.0, copy_ratio_pixels=0.4)) == ("near_share", 0.8)
    assert share_of_copies(Scores(copy_ratio=0.0, copy_ratio_pixels=0.4)) == ("copy_ratio", 0.4)
    assert share_of_copies(Scores(kid=1.0)) == ("copy_ratio", None)


def test_a_model_that_is_worse_in_nothing_replaces_the_champion():
    decision = decide(_report(kid=0.09), GateConfig(), _champion())
    assert (decision.outcome, decision.champion) == ("champion", "7")
    assert decision.reason == "nothing is worse than the champion's, version 7"
    assert {(rule.split, rule.name) for rule in decision.rules if rule.against == "champion"} == {
        (split, metric) for split in ("train", "unseen_concept") for metric in ("kid", "top1_of_all", "judge_top1")
    }


@pytest.mark.parametrize(
    ("scores", "outcome"),
    [
        ({"kid": 0.12}, "champion"),  # the end of the champion's interval
        ({"kid": 0.1201}, "challenger"),
        ({"top1_of_all": 0.95}, "champion"),  # the tolerance of 0.02
        ({"top1_of_all": 0.949}, "challenger"),
        ({"judge_top1": 0.88}, "champion"),
        ({"judge_top1": 0.87}, "challenger"),
        ({"unseen": {"kid": 0.46}}, "challenger"),
        ({"unseen": {"top1_of_all": 0.1}}, "challenger"),
    ],
)
def test_worse_begins_beyond_the_confidence_interval_and_the_tolerance(scores, outcome):
    decision = decide(_report(**scores), GateConfig(), _champion())
    assert decision.outcome == outcome
    if outcome == "challenger":
        assert decision.reason.startswith("worse than the champion, version 7: ") and "WORSE" in decision.reason


def test_the_recipe_says_which_icons_are_compared_and_how_strictly():
    worse_on_unseen = _report({"kid": 9.0})
    assert decide(worse_on_unseen, GateConfig(compared=("train",)), _champion()).outcome == "champion"
    less = _report(top1_of_all=0.96)
    assert decide(less, GateConfig(top1_tolerance=0.0), _champion()).outcome == "challenger"


def test_what_one_of_both_was_not_scored_on_decides_nothing():
    rules = champion_rules(_report(), _report(), GateConfig(compared=("unseen_tone",)))
    assert len(rules) == 3 and all(rule.kept is None and "nothing to compare" in rule.words for rule in rules)


def test_thresholds_come_before_the_champion():
    decision = decide(_report(kid=0.01), GateConfig(min_top1=0.99), _champion(kid=5))
    assert decision.outcome == "refused" and all(rule.against == "recipe" for rule in decision.rules)


def test_a_champion_that_cannot_be_scored_is_replaced_and_why_is_said():
    decision = decide(_report(kid=99), GateConfig(), Champion("7", None, "its checkpoint is gone"))
    assert decision.outcome == "champion" and decision.reason == "replaces the champion, version 7: its checkpoint is gone"


def test_models_of_different_colours_are_not_compared():
    decision = decide(_report(colour="rgb"), GateConfig(), _champion())
    assert decision.outcome == "challenger" and "draws rgb, the champion, version 7, draws rgba" in decision.reason
    assert "flowmodel champion set" in decision.reason


def test_a_decision_can_be_read_as_table_markdown_and_json():
    decision = decide(_report(kid=0.5), GateConfig(max_kid=1.0, waived={"min_top1": "a test"}), _champion())
    rows = {(row["against"], row["rule"], row["icons"]): row for row in decision.records}
    assert rows["recipe", "max_kid", "train"] | {"in words": ""} == {
        "against": "recipe", "rule": "max_kid", "icons": "train", "value": "0.5", "limit": "1", "outcome": "kept", "in words": ""
    }  # fmt: skip
    assert rows["recipe", "min_top1", "train"]["outcome"] == "says nothing"
    assert rows["champion", "kid", "train"]["outcome"] == "BROKEN" and rows["champion", "kid", "train"]["limit"] == "0.12"
    lines = decision.markdown.splitlines()
    assert lines[0].startswith("**challenger**: worse than the champion, version 7") and len(lines) == 4 + len(decision.rules)
    assert "| champion | kid | train | 0.5 | 0.12 | BROKEN |" in lines
    assert json.loads(json.dumps(decision.as_json()))["outcome"] == "challenger"
