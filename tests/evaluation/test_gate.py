"""Thresholds, and challenger against champion."""

import pytest

from flowmodel.evaluation.gate import beats_champion, check_gate
from flowmodel.recipes.schema import GateConfig


def _report(kid: float = 0.1, top1: float = 0.97, copies: float | None = 0.02) -> dict:
    unseen = {"count": 20, "copy_ratio": copies} if copies is not None else {"count": 1}
    return {"metrics": {"train": {"kid": kid, "top1_of_all": top1}, "unseen_concept": unseen}}


def test_without_thresholds_everything_passes_and_every_waiver_is_said():
    decision = check_gate(_report(kid=99, top1=0), GateConfig())
    assert decision.passed and len(decision.lines) == 3 and all("waived" in line for line in decision.lines)


@pytest.mark.parametrize("gate", [{"max_kid": 0.1}, {"min_top1": 0.97}, {"max_copy_ratio": 0.02}])
def test_a_threshold_that_is_just_met_passes(gate):
    assert check_gate(_report(), GateConfig(**gate)).passed


@pytest.mark.parametrize("gate", [{"max_kid": 0.09}, {"min_top1": 0.98}, {"max_copy_ratio": 0.01}])
def test_one_broken_threshold_is_enough_and_is_named(gate):
    generous = {"max_kid": 1, "min_top1": 0.1, "max_copy_ratio": 1}
    decision = check_gate(_report(), GateConfig(**generous | gate))
    assert not decision.passed
    assert [line.endswith("NO") for line in decision.lines] == [rule in gate for rule in generous]


def test_what_was_not_measured_breaks_a_threshold_and_no_waiver():
    unmeasured = _report(copies=None)
    assert check_gate(unmeasured, GateConfig()).passed
    decision = check_gate(unmeasured, GateConfig(max_copy_ratio=0.5))
    assert not decision.passed and "not measured" in decision.lines[2]


def test_the_lower_kid_is_champion_and_a_draw_changes_nothing():
    assert beats_champion(_report(0.1), None).passed
    assert beats_champion(_report(0.1), _report(0.2)).passed
    assert not beats_champion(_report(0.2), _report(0.2)).passed
    decision = beats_champion(_report(0.3), _report(0.2))
    assert not decision.passed and decision.lines == ("KID 0.3 is not lower than the champion's 0.2",)
