"""The gate's rules in a recipe: any score of the report, and earlier names of four rules."""

from typing import get_args

import pytest

from flowmodel.errors import FlowmodelError
from flowmodel.evaluation.report import SCORES
from flowmodel.model.pretrained import pretrained_weights
from flowmodel.recipes import load_recipe, parse_recipe, recipe_names
from flowmodel.recipes.gate import GateConfig, GateRule, Metric
from flowmodel.recipes.split import Split

FORMER = {
    "max_kid": None,
    "min_top1": 0.1,
    "min_alpha_iou": 0.3,
    "max_copy_ratio": None,
    "waived": {"max_copy_ratio": "thirty icons"},
    "compared": ["train", "unseen_concept"],
    "top1_tolerance": 0.02,
    "on_worse": "fail",
}


def test_a_rule_may_be_about_any_score_of_the_report():
    assert get_args(Metric) == SCORES


def test_rules_may_be_about_held_out_icons():
    rule = load_recipe(
        "laptop", ["evaluation.gate.rules=[{metric: caption_probe_top5, split: unseen_style, min: 0.2}]"]
    ).evaluation.gate.rules
    assert rule == (GateRule(metric="caption_probe_top5", split=Split.UNSEEN_STYLE, min=0.2),)


@pytest.mark.parametrize(
    ("rule", "words"),
    [
        ("{metric: kidd, split: train, max: 1}", "rules.0.metric: Input should be 'kid', 'kid_low', "),
        ("{metric: kid, split: trained, max: 1}", "rules.0.split: Input should be 'train', 'validation', "),
        ("{metric: kid, split: train}", "rules.0.min: missing; set min or max, or waived with a reason"),
        ("{metric: kid, split: train, min: 0, max: 1}", "rules.0.min: max is set too; write two rules"),
        ("{metric: kid, split: train, most: 1}", "rules.0.most: unknown field (known: metric, split, min, max, waived)"),
        ("{metric: kid, split: train, max: .nan}", "rules.0.max"),
        ("{metric: kid, split: train, waived: ''}", "rules.0.waived"),
    ],
)
def test_a_wrong_rule_is_named_in_one_line(rule, words):
    with pytest.raises(FlowmodelError) as caught:
        load_recipe("laptop", [f"evaluation.gate.rules=[{rule}]"])
    assert f"evaluation.gate.{words}" in str(caught.value) and "\n" not in str(caught.value)


def test_the_names_of_former_releases_are_read_as_rules():
    gate = GateConfig.model_validate(FORMER)
    assert gate == GateConfig(
        rules=(
            GateRule(metric="retrieval_top1_all", split=Split.TRAIN, min=0.1),
            GateRule(metric="alpha_iou", split=Split.TRAIN, min=0.3),
            GateRule(metric="near_copy_rate", split=Split.UNSEEN_CONCEPT, waived="thirty icons"),
        ),
        on_worse="fail",
    )


def test_the_shipped_weights_header_is_read_as_the_recipe_that_trained_them():
    assert pretrained_weights().recipe.evaluation.gate == load_recipe("pretrained").evaluation.gate


@pytest.mark.parametrize(
    ("former", "words"),
    [
        (
            "min_top1=0.9",
            "min_top1: from an earlier release; write rules: [{metric: retrieval_top1_all, split: train, min: 0.9}]",
        ),
        ("waived={max_kid: none}", "waived: from an earlier release; write the reason as waived into the rule"),
        ("compared=[train]", "compared: from an earlier release; remove it"),
    ],
)
def test_former_names_beside_rules_are_refused_with_the_new_form(former, words):
    with pytest.raises(FlowmodelError) as caught:
        load_recipe("laptop", [f"evaluation.gate.{former}"])
    assert f"evaluation.gate.{words}" in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.parametrize("name", recipe_names())
def test_a_gate_survives_the_header_of_a_checkpoint(name):
    recipe = load_recipe(name)
    assert parse_recipe(recipe.model_dump(mode="json"), "header").evaluation.gate == recipe.evaluation.gate
