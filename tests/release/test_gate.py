"""The recipe's rules, and challenger against champion, on reports and comparisons with known numbers."""

import pytest

from flowmodel.errors import FlowmodelError
from flowmodel.evaluation.report import EvaluationReport
from flowmodel.recipes import load_recipe
from flowmodel.recipes.gate import GateConfig
from flowmodel.release.decision import Decision
from flowmodel.release.differences import Comparison, Difference
from flowmodel.release.gate import Champion, comparison_rules, decide
from tests.reports import changed, report_of

DIGEST = "d" * 64
EQUAL = {"kid": (0.5, 0.5, 0.0, 0.0), "retrieval": (0.6, 0.6, 0.0, 0.0), "caption_probe": (0.7, 0.7, 0.0, 0.0)}


def _report(unseen: dict | None = None, color: str = "rgba", **trained: float) -> EvaluationReport:
    train = {
        "kid": 0.10,
        "kid_low": 0.08,
        "kid_high": 0.12,
        "retrieval_top1_all": 0.97,
        "caption_probe_top1": 0.90,
        "alpha_iou": 0.8,
    } | trained
    held_out = {"kid": 0.40, "retrieval_top1_all": 0.20, "near_copy_rate": 0.05} | (unseen or {})
    return report_of({"train": train, "unseen_concept": held_out}, color=color)


def _gate(*rules: tuple, **fields) -> GateConfig:
    """Rules as (metric, split, bound, value)."""
    return GateConfig(rules=[{"metric": m, "split": split, bound: value} for m, split, bound, value in rules], **fields)


def _champion(**scores: tuple[float, float, float, float]) -> Champion:
    """Version 7; for a score the challenger's, the champion's, and the ends of the difference's interval."""
    values = EQUAL | scores
    return Champion("7", Comparison(40, tuple(Difference(name, name, name == "kid", *values[name]) for name in EQUAL)))


def _decide(report: EvaluationReport, gate: GateConfig, champion: Champion | None = None) -> Decision:
    return decide(report, DIGEST, gate, champion)


def test_without_rules_and_champion_everything_passes():
    decision = _decide(_report(kid=99, retrieval_top1_all=0), GateConfig())
    assert decision.outcome == "champion" and decision.reason.startswith("there is no champion") and decision.rules == ()


@pytest.mark.parametrize(
    ("rule", "outcome"),
    [
        (("kid", "train", "max", 0.10), "champion"),
        (("kid", "train", "max", 0.09), "refused"),
        (("retrieval_top1_all", "train", "min", 0.97), "champion"),
        (("retrieval_top1_all", "train", "min", 0.98), "refused"),
        (("near_copy_rate", "unseen_concept", "max", 0.05), "champion"),
        (("near_copy_rate", "unseen_concept", "max", 0.04), "refused"),
        (("kid", "unseen_concept", "max", 0.39), "refused"),
        (("kid_high", "train", "max", 0.11), "refused"),
    ],
)
def test_a_rule_is_kept_up_to_its_limit_and_one_that_is_broken_is_enough(rule, outcome):
    harmless = ("caption_probe_top1", "train", "min", 0.1)
    decision = _decide(_report(), _gate(harmless, rule))
    assert decision.outcome == outcome
    first, second = decision.rules
    assert first.kept is True and second.kept is (outcome == "champion") and second.limit == rule[3]
    if outcome == "refused":
        assert second.words in decision.reason and second.words.endswith("NO") and first.words not in decision.reason


def test_what_was_not_measured_breaks_a_rule():
    report = changed(_report(), {"metrics.unseen_concept": None})
    decision = _decide(report, _gate(("near_copy_rate", "unseen_concept", "max", 0.5)))
    assert decision.outcome == "refused" and "Unseen concepts, near copies: not measured" in decision.reason


def test_a_waiver_is_in_the_decision_with_its_reason():
    decision = _decide(_report({"near_copy_rate": 1.0}), load_recipe("quickstart").evaluation.gate)
    (waived,) = (rule for rule in decision.rules if rule.metric == "near_copy_rate")
    assert decision.outcome == "champion" and waived.kept is None and waived.value == 1.0
    assert "the recipe waives that rule, because this recipe is meant to memorize its 200 icons" in waived.words
    assert waived.words in decision.lines


def test_a_model_that_is_shown_to_be_worse_in_nothing_replaces_the_champion():
    decision = _decide(_report(), GateConfig(), _champion())
    assert (decision.outcome, decision.champion) == ("champion", "7")
    assert decision.reason == "no score is worse than the champion's (version 7)"
    assert [(rule.metric, rule.against, rule.kept) for rule in decision.rules] == [
        (metric, "champion", True) for metric in ("kid", "retrieval", "caption_probe")
    ]


@pytest.mark.parametrize(
    ("scores", "outcome"),
    [
        ({"kid": (0.50, 0.50, -0.05, 0.05)}, "champion"),  # a tenth of the champion's KID
        ({"kid": (0.50, 0.50, -0.05, 0.051)}, "challenger"),  # equal on average, but it may be worse
        ({"kid": (0.40, 0.50, -0.15, 0.0)}, "champion"),
        ({"kid": (0.01, -0.01, 0.0, 0.02)}, "challenger"),  # the champion's is as good as can be
        ({"retrieval": (0.6, 0.6, -0.1, 0.1)}, "champion"),
        ({"retrieval": (0.6, 0.6, -0.11, 0.2)}, "challenger"),
        ({"caption_probe": (0.4, 0.7, -0.4, -0.2)}, "challenger"),
    ],
)
def test_the_worse_end_of_the_interval_must_be_within_the_tolerance(scores, outcome):
    decision = _decide(_report(), GateConfig(), _champion(**scores))
    assert decision.outcome == outcome
    if outcome == "challenger":
        assert decision.reason.startswith("not shown to be as good as the champion, version 7: ") and decision.conclusive
        assert decision.reason.endswith("NOT SHOWN")


def test_the_recipe_sets_the_tolerance():
    slightly_worse = _champion(caption_probe=(0.68, 0.7, -0.05, 0.01))
    assert _decide(_report(), GateConfig(tolerance=0.05), slightly_worse).outcome == "champion"
    assert _decide(_report(), GateConfig(tolerance=0.04), slightly_worse).outcome == "challenger"


def test_rules_come_before_the_champion():
    decision = _decide(_report(), _gate(("retrieval_top1_all", "train", "min", 0.99)), _champion(kid=(0.1, 5.0, -5.0, -4.0)))
    assert decision.outcome == "refused" and all(rule.against == "recipe" for rule in decision.rules)


def test_a_failed_comparison_leaves_the_model_challenger():
    decision = _decide(_report(), GateConfig(), Champion("7", why_not="its checkpoint is gone"))
    assert decision.outcome == "challenger" and not decision.conclusive
    assert decision.reason == (
        "can't be compared with the champion, version 7: its checkpoint is gone; choose by hand with `flowmodel champion set`"
    )


def test_a_decision_can_be_read_as_table_and_markdown():
    gate = GateConfig(
        rules=[
            {"metric": "kid", "split": "train", "max": 1.0},
            {"metric": "retrieval_top1_all", "split": "train", "waived": "a test"},
        ]
    )
    decision = _decide(_report(kid=0.5), gate, _champion(kid=(0.9, 0.5, 0.2, 0.6)))
    rows = {(row["against"], row["metric"]): row for row in decision.records}
    assert rows["recipe", "KID"] | {"in words": ""} == {
        "against": "recipe", "metric": "KID", "icons": "Trained icons",
        "value": "0.500", "limit": "1.00", "outcome": "kept", "in words": "",
    }  # fmt: skip
    assert rows["recipe", "Recognition among all icons"]["outcome"] == "not judged"
    assert rows["champion", "KID"]["outcome"] == "BROKEN" and rows["champion", "KID"]["value"] == "0.400 (0.200 to 0.600)"
    lines = decision.markdown.splitlines()
    assert lines[0].startswith("**challenger**: not shown to be as good as the champion") and len(lines) == 4 + len(
        decision.rules
    )
    assert "| champion | KID | unseen by both | 0.400 (0.200 to 0.600) | 0.0500 | BROKEN |" in lines


def test_a_decision_is_a_file_named_by_its_content_and_is_read_back(tmp_path):
    decision = _decide(_report(), load_recipe("laptop").evaluation.gate, _champion())
    file = decision.write(tmp_path)
    assert Decision.read(file.path) == decision and decision.write(tmp_path) == file
    other = decision.instead("challenger", "somebody said so")
    assert other.write(tmp_path).path != file.path and Decision.read(file.path) == decision
    file.path.write_text('{"outcome": "champion"}')
    with pytest.raises(FlowmodelError, match="not a decision of this release's gate"):
        Decision.read(file.path)


def test_the_gate_of_a_decision_survives_its_file(tmp_path):
    gate = load_recipe("quickstart").evaluation.gate
    assert Decision.read(_decide(_report(), gate).write(tmp_path).path).gate == gate


def test_comparison_rules_name_icons_and_numbers():
    rules = comparison_rules(_champion(kid=(0.4, 0.5, -0.2, 0.01)).comparison, GateConfig())
    assert rules[0].words == (
        "kid of 40 held-out icons that neither was trained on: 0.400, the champion's 0.500; the difference "
        "of \N{MINUS SIGN}0.100 has the 95% interval \N{MINUS SIGN}0.200 to 0.0100, which must not reach above 0.0500: not worse"
    )
