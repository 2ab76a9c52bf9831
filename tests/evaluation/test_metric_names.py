"""Labels and formatted values instead of keys and floats."""

import pytest

from flowmodel.evaluation.metric_names import METRICS, NOTHING, UNSHOWN, metric, number, percent, shown
from flowmodel.evaluation.report import SCORES


@pytest.mark.parametrize(
    ("share", "text"),
    [
        (0, "0%"),
        (1, "100%"),
        (0.5, "50%"),
        (0.0449, "4.5%"),
        (0.996, "99.6%"),
        (0.1, "10%"),
        (0.9994, "99.9%"),
        (0.9999, "> 99.9%"),
        (1e-9, "< 0.1%"),
    ],
)
def test_a_share_has_a_decimal_where_it_matters(share, text):
    assert percent(share) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0, "0"),
        (1.5, "1.50"),
        (123.4, "123"),
        (98765.4, "98,765"),
        (0.0123, "0.0123"),
        (-2.5, "\N{MINUS SIGN}2.50"),
        (1.3e-8, "< 0.0001"),
        (-1.3e-8, "> \N{MINUS SIGN}0.0001"),
        (999.7, "1,000"),
    ],
)
def test_a_number_has_three_digits_and_no_exponent(value, text):
    assert number(value) == text


def test_scores_come_in_one_order_without_counts_and_ends_of_intervals():
    keys = ["alpha_iou", "new_one", "count", "kid_high", "kid", "kid_low", "lonely_low"]
    assert [m.key for m in shown(keys)] == ["kid", "alpha_iou", "lonely_low", "new_one"]


def test_what_is_not_listed_shows_by_its_key_and_what_is_missing_by_a_dash():
    assert metric("new_one").label == "new one" and metric("kid").text(None) == NOTHING


def test_an_estimate_of_kid_below_zero_is_shown_as_zero():
    assert metric("kid").text(-0.0355) == metric("kid_low").text(-0.2) == "0" and metric("kid").text(0.02) == "0.0200"


def test_people_are_shown_one_measure_of_copies_and_no_distance_that_a_model_can_beat_real_icons_in():
    keys = [m.key for m in shown(SCORES)]
    assert [key for key in keys if "cop" in key] == ["near_copy_rate"] and not {"fd", "fd_infinity", "vendi"} & set(keys)


def test_every_score_of_a_report_has_a_meaning():
    assert {m.key for m in shown(SCORES)} | UNSHOWN == METRICS.keys() and all(m.meaning for m in METRICS.values())
    assert all(m.key == key for key, m in METRICS.items())
