"""The sentences of reports with known numbers."""

import pytest

from flowmodel.evaluation.html.words import memorization, other_data, quality, texture, validation_loss
from flowmodel.evaluation.report import EvaluationReport
from flowmodel.recipes import load_recipe
from tests.reports import changed, report_of


def _scores(top1: float, near: float = 0.03, copies: float = 0.0, **more: float) -> dict:
    return {"retrieval_top1_all": top1, "near_copy_rate": near, "copy_rate": copies} | more


@pytest.fixture
def report() -> EvaluationReport:
    kid = {"kid": 0.02, "kid_low": 0.01, "kid_high": 0.03}
    return report_of(
        metrics={
            "train": _scores(0.95, 0.9, 0.7, loss=0.1, **kid),
            "validation": {"loss": 0.4},
            "unseen_concept": _scores(0.02, 0.3),
        },
        real={"train": _scores(1.0, **kid), "unseen_concept": _scores(1.0)},
        noise={"train": _scores(0.0, **kid | {"kid": 3.0}), "unseen_concept": _scores(0.0)},
        recipe="quickstart",
        parameters=1_450_000,
        training_steps=1500,
        training_icons=203,
        real_icons=1900,
        seeds=[1, 2, 3],
        network_evaluations=16,
        dataset_digest="d" * 64,
    )


def test_the_verdict_names_a_model_that_knows_only_its_icons(report):
    said = quality(report)
    assert said.verdict == "It reproduces its icons nearly as recognizably as real ones, but does not generate new concepts."
    text = " ".join(said.sentences)
    assert "the right one of all 1,900 real icons" in text
    assert "1.45 million parameters" in text and "3 times" in text and "a 95% interval from 0.0100 to 0.0300" in text
    assert "no difference can be measured" in text
    assert "no difference" not in " ".join(quality(changed(report, {"metrics.train.kid_low": 0.025})).sentences)


@pytest.mark.parametrize(
    ("trained", "unseen", "words"),
    [
        (0.0, 0.0, "It does not yet reproduce its icons, and does not generate new concepts."),
        (0.3, 0.05, "It reproduces some of its icons, but does not generate new concepts."),
        (0.6, 0.2, "It reproduces most of its icons, and generates some new concepts."),
        (0.95, 0.95, "nearly as recognizably as real ones, and generates new concepts as recognizably"),
    ],
)
def test_verdicts_follow_the_numbers(report, trained, unseen, words):
    report = changed(report, {"metrics.train.retrieval_top1_all": trained, "metrics.unseen_concept.retrieval_top1_all": unseen})
    assert words in quality(report).verdict


def test_without_held_out_icons_nothing_is_claimed_of_them(report):
    sections = ("metrics", "baselines.real", "baselines.noise")
    report = changed(report, {f"{section}.unseen_concept": None for section in sections})
    assert quality(report).verdict.endswith("no unseen concepts to test.")


def test_memorizing_is_stated_with_its_numbers_and_the_waiver_with_its_reason(report):
    said = memorization(report, load_recipe("quickstart"))
    assert said.verdict.startswith("It memorizes: most")
    text = " ".join(said.sentences)
    assert "90% of its samples of trained icons" in text and "3.0% of new real icons" in text
    assert "70%" not in text, "there is one measure of copies"
    assert "it falls back on icons that it knows" in text
    assert "Its loss is 0.400 on validation icons and 0.100 on trained ones, 4.0 times as much" in text
    assert "waives the rule against near copies" in text and "because this recipe is meant to memorize its 200 icons" in text


def test_a_model_without_copies_is_not_accused_and_a_rule_is_judged(report):
    trained = {"near_copy_rate": 0.04, "copy_rate": 0.0, "loss": 0.39}
    report = changed(report, {f"metrics.train.{name}": value for name, value in trained.items()})
    report = changed(report, {"metrics.unseen_concept.near_copy_rate": 0.04})
    strict = load_recipe("quickstart", ["evaluation.gate.rules=[{metric: near_copy_rate, split: unseen_concept, max: 0.05}]"])
    said = memorization(report, strict)
    text = " ".join(said.sentences)
    assert "not copies" in said.verdict and "no more than chance" in text
    assert "about the same" in text and "the model passes that rule" in text
    worse = changed(report, {"metrics.unseen_concept.near_copy_rate": 0.06})
    assert "the model breaks that rule" in " ".join(memorization(worse, strict).sentences)


def test_without_a_calibrated_threshold_the_fixed_ratio_tells_near_copies(report):
    few = changed(report, {"metrics.train.near_copy_rate": None, "metrics.unseen_concept.near_copy_rate": None})
    text = " ".join(memorization(few, load_recipe("quickstart")).sentences)
    assert "too few held-out icons to calibrate" in text and "So do 70% of its samples" in text


def test_a_validation_loss_that_rises_is_explained_with_its_steps():
    said = validation_loss({"validation/loss": [(100, 0.5), (200, 0.25), (300, 0.375)]})
    assert "lowest at step 200 (0.250) and has risen to 0.375 at step 300" in said and "memorizes its icons" in said
    assert validation_loss({"validation/loss": [(100, 0.5), (200, 0.25), (300, 0.26)]}) == validation_loss(None) == ""


def test_other_data_are_warned_of(report):
    assert other_data(report, "d" * 64) == ""
    assert "may be too high" in other_data(report, "e" * 64)


def test_icons_of_the_initial_weights_are_reported_apart(report):
    icons = report.settings.training_icons
    said = " ".join(quality(changed(report, {"settings.initial_icons": icons - 1})).sentences)
    assert f"on 1 icons, from weights trained on {icons - 1:,} others" in said


@pytest.mark.parametrize(
    ("flat", "words"), [(0.05, "watercolors"), (0.2, "much rougher"), (0.4, "rougher inside"), (0.6, "as clean inside")]
)
def test_flat_areas_are_compared_with_those_of_the_real_icons(report, flat, words):
    said = texture(changed(report, {"metrics.train.flat_share": flat, "baselines.real.train.flat_share": 0.6}))
    assert words in said.verdict and "60% of the same real icons" in said.sentences[0] and len(said.sentences) == 1


@pytest.mark.parametrize(("late", "words"), [(0.02, "still removes noise"), (0.054, "helps little")])
def test_the_error_near_the_end_is_reported_beside_that_of_the_noisy_image(report, late, words):
    measured = {"metrics.train.flat_share": 0.5, "baselines.real.train.flat_share": 0.6}
    said = texture(changed(report, measured | {"prediction_error": {"train": {"0.1": 0.2, "0.95": late}}}))
    assert words in said.sentences[1] and "0.0526" in said.sentences[1]


def test_without_an_opaque_inside_nothing_is_stated_of_it(report):
    assert "too few opaque pixels" in texture(report).verdict
