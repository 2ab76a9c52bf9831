"""Sweeps over steps and guidance on a real model."""

import pytest
import torch

from flowmodel.evaluation.sweeps import GUIDANCE, STEPS, distance


def test_a_distance_is_a_share_of_a_pixels_range():
    black, white = torch.zeros(2, 4, 3, 3, dtype=torch.uint8), torch.full((2, 4, 3, 3), 255, dtype=torch.uint8)
    assert distance(black, black) == 0 and distance(black, white) == 1
    half = black.clone()
    half[0] = 255
    assert distance(black, half) == pytest.approx(0.5**0.5)


def _both(tiny_report):
    sweeps = tiny_report.evaluation.report.sweeps
    return sweeps.nfe, sweeps.guidance


def _both(tiny_report):
    sweeps = tiny_report.evaluation.report.sweeps
    return sweeps.nfe, sweeps.guidance


def test_more_steps_come_nearer_to_the_answer(tiny_report):
    rows = tiny_report.evaluation.report.sweeps.nfe
    assert [row.steps for row in rows] == list(STEPS)  # the recipe's 2 is among them
    assert [row.network_evaluations for row in rows] == [2 * steps for steps in STEPS]
    distances = [row.distance for row in rows]
    assert distances[0] > distances[2] > distances[-1] and distances[-1] < 0.05


def test_guidance_is_tried_around_the_recipes_own(tiny_report):
    sweeps = tiny_report.evaluation.report.sweeps
    assert [row.guidance for row in sweeps.guidance] == list(GUIDANCE)
    assert [row.network_evaluations for row in sweeps.guidance] == [2, 4, 4, 4, 4, 4]  # guidance 1 is off
    own = [next(row for row in rows if row.is_own) for rows in _both(tiny_report)]
    assert own[0].scores == own[1].scores


def test_every_row_has_scores_of_all_and_of_each_split(tiny_report):
    for rows in _both(tiny_report):
        for row in rows:
            assert row.scores.keys() == {"all", "train", "unseen_concept"}
            assert all(0 <= scores.retrieval_top1_all <= 1 for scores in row.scores.values())
            of_all = row.scores["all"]
            assert of_all.kid_low < of_all.kid < of_all.kid_high
