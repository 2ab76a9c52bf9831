"""The meaningful and meaningless scores of reports with known numbers."""

import pytest

from flowmodel.evaluation.html.score_tables import headlines, rulers_of, table_of
from flowmodel.evaluation.report import EvaluationReport
from flowmodel.recipes.split import Split
from tests.reports import changed, report_of

KID = {"kid": -0.03, "kid_low": -0.09, "kid_high": 0.02}


@pytest.fixture
def report() -> EvaluationReport:
    own = {"retrieval_top1_all": 0.95, "caption_probe_top1": 0.01, "near_copy_rate": 0.04, "fd": 1100.0, "copy_rate": 0.0, **KID}
    real = {"retrieval_top1_all": 0.98, "caption_probe_top1": 0.016, "near_copy_rate": 0.05, "fd": 2600.0, "kid": -0.02}
    noise = {"retrieval_top1_all": 0.0, "caption_probe_top1": 0.0, "near_copy_rate": 0.0, "fd": 4500.0, "kid": 2.0}
    splits = (Split.TRAIN, Split.UNSEEN_CONCEPT)
    std = {Split.TRAIN: {"retrieval_top1_all": 0.0, "kid": 1.3e-8, "near_copy_rate": 0.012}}
    return changed(report_of(*(dict.fromkeys(splits, scores) for scores in (own, real, noise))), {"std": std})


def test_a_score_that_real_icons_do_not_reach_either_cannot_tell_and_has_no_bar(report):
    by_name = {ruler.metric: ruler for ruler in rulers_of(report, Split.TRAIN)}
    probe, recognized = by_name["Caption probe"], by_name["Recognition among all icons"]
    assert probe.value == "cannot tell" and probe.doubt == "real icons reach only 1.6% themselves"
    assert recognized.value == "95%" and recognized.doubt == ""
    row = next(row for row in table_of(report, Split.TRAIN).rows if row.label == "Caption probe")
    assert row.is_doubtful and row.detail.startswith("cannot tell: ")


def test_a_kid_of_too_few_icons_cannot_tell(report):
    wide = changed(report, {"metrics.unseen_concept.kid_low": -0.5, "metrics.unseen_concept.kid_high": 0.9})
    assert next(one for one in headlines(wide) if "KID" in one.label).value == "cannot tell"
    assert "interval from 0 to 0.900 is too wide" in next(one for one in headlines(wide) if "KID" in one.label).beside


def test_no_distance_is_below_zero(report):
    assert next(one for one in headlines(report) if "KID" in one.label).value == "0"
    ruler = next(ruler for ruler in rulers_of(report, Split.TRAIN) if ruler.metric == "KID")
    assert (ruler.value, ruler.high.value) == ("0", "0") and ruler.marks[-1].place == 1.0


def test_deviations_of_nothing_are_not_shown(report):
    details = {row.label: row.detail for row in table_of(report, Split.TRAIN).rows}
    assert details["Recognition among all icons"] == "" and details["KID"] == "0 to 0.0200"
    assert details["Near copies"] == "\N{PLUS-MINUS SIGN} 1.2 points"


def test_copies_have_one_word_and_distances_that_rank_otherwise_than_the_eye_are_left_to_the_file(report):
    labels = [row.label for row in table_of(report, Split.TRAIN).rows]
    assert labels == ["KID", "Recognition among all icons", "Caption probe", "Near copies"]
    assert "Copies" not in table_of(report, Split.TRAIN).columns
