"""The report of a real checkpoint."""

import dataclasses

import numpy as np
import pytest
import torch
from PIL import Image

from flowmodel.errors import FlowmodelError
from flowmodel.evaluation.report import EvaluationReport
from flowmodel.evaluation.rules import recipe_rules
from flowmodel.evaluation.run import evaluate
from flowmodel.evaluation.sample_grid import sample_grid
from flowmodel.evaluation.samples import Samples, load_samples, save_samples
from flowmodel.files import Artifact, sha256_file
from flowmodel.model.checkpoint import FINAL, save_checkpoint
from flowmodel.model.generator import Generator
from flowmodel.recipes.split import Split
from tests.conftest import FINISHER
from tests.finishers import enlarging


def test_report_names_everything_that_the_scores_depend_on(tiny_evaluation, tiny_training):
    settings = tiny_evaluation.report.settings
    assert settings.checkpoint_digest == tiny_training.checkpoint.digest
    assert settings.dataset_digest == tiny_training.dataset.digest
    assert settings.left_out.keys() == {"clip_similarity", "other_vendor"} and len(settings.seeds) == 3
    assert settings.network_evaluations == 4  # 2 Euler steps, with and without caption
    assert EvaluationReport.read(tiny_evaluation.metrics) == tiny_evaluation.report


def test_a_model_with_a_finisher_is_scored_with_and_without_it(finished_report, tiny_report, tiny_finished):
    report, without = finished_report.evaluation.report, tiny_report.evaluation.report
    assert without.unfinished is None and without.settings.finisher is None
    for split, scores in report.unfinished.items():
        assert scores.measured == {n: v for n, v in without.metrics[split].measured.items() if n not in ("loss", "loss_gap")}
        assert report.metrics[split].kid != scores.kid and report.metrics[split].alpha_error != scores.alpha_error
    own = tiny_finished.checkpoint.header.finisher
    assert report.settings.finisher.digest == own.digest and report.settings.finisher.steps == FINISHER.steps
    assert EvaluationReport.read(finished_report.evaluation.metrics.path) == report


def test_traced_samples_are_scored_beside_their_pixels(tiny_report, tiny_training):
    traced = tiny_report.evaluation.report.traced
    assert traced.count == tiny_training.recipe.evaluation.traced_icons == 6
    assert traced.real.retrieval_top1_all >= traced.drawn.retrieval_top1_all and traced.real_paths >= 1 <= traced.drawn_paths
    assert traced.pixels.kid != traced.drawn.kid and traced.drawn.measured.keys() == traced.real.measured.keys()


def test_enlarged_images_are_compared_at_the_size_of_the_icons(tiny_finished, tmp_path):
    checkpoint = enlarging(tiny_finished.checkpoint, tmp_path / "x2.safetensors")
    config = tiny_finished.recipe.evaluation.model_copy(update={"seeds": (5,), "max_icons": 4})
    report = evaluate(checkpoint, tiny_finished.dataset, tmp_path, tiny_finished.store.root / "features", config).report
    assert report.settings.finisher.scale == 2
    for split, scores in report.unfinished.items():
        finished = report.metrics[split]
        assert scores.measured == pytest.approx({name: finished.get(name) for name in scores.measured}, rel=1e-5)


def test_every_split_is_scored_beside_real_icons_noise_and_copies(tiny_evaluation):
    report = tiny_evaluation.report
    metrics, real = report.metrics, report.baselines.real
    assert list(metrics) == [
        "train",
        "validation",
        "unseen_concept",
    ]  # one source has one style
    assert metrics.keys() == report.std.keys() == report.by_group.keys()
    assert report.baselines.rows.keys() == {"real", "noise", "copies"}
    for split, scores in metrics.items():
        assert scores.count == 24
        assert scores.kid_low < scores.kid < scores.kid_high
        assert scores.kid > real[split].kid and scores.fd > real[split].fd  # 30 steps draw nothing yet
        for share in (
            "retrieval_top1_split",
            "retrieval_top1_all",
            "retrieval_top5_all",
            "copy_rate",
            "alpha_iou",
            "alpha_error",
        ):
            assert 0 <= scores.get(share) <= 1
        assert scores.retrieval_top1_all <= scores.retrieval_top5_all
        assert sum(group.count for group in report.by_group[split].values()) == 24
        assert report.std[split].kid > 0
        for row in report.baselines.rows.values():
            # Thirty steps and noise leave hardly any opaque inner pixels.
            inside = {"flat_share", "inner_variation"}
            assert row[split].measured.keys() - inside == scores.measured.keys() - inside - {"loss", "loss_gap"}
        assert inside <= real[split].measured.keys()
        for group in report.by_group[split].values():
            assert {
                "retrieval_top1_all",
                "caption_probe_top1",
                "alpha_iou",
                "copy_rate",
                "near_copy_rate",
                "authentic_rate",
            } <= group.measured.keys()
            assert (group.kid is not None) == (group.count >= 20)
    assert real[Split.TRAIN].retrieval_top1_split > 0.8 and real[Split.UNSEEN_CONCEPT].copy_rate < 0.1


def test_copies_of_training_icons_are_found_out_and_noise_is_nothing(tiny_evaluation):
    baselines = tiny_evaluation.report.baselines
    copies = baselines.copies[Split.TRAIN]
    assert copies.retrieval_top1_all == copies.alpha_iou == copies.copy_rate == 1.0 and copies.alpha_error == 0
    assert copies.kid < baselines.real[Split.TRAIN].kid_high
    for split, scores in baselines.noise.items():
        assert scores.copy_rate == 0 and scores.retrieval_top1_all < 0.2
        assert scores.kid > baselines.copies[split].kid
        assert baselines.copies[split].copy_rate == 1.0


def test_samples_are_of_the_named_icons_and_the_same_again(tiny_evaluation, tiny_training):
    samples = load_samples(tiny_evaluation.samples)
    splits = tiny_training.dataset.splits
    assert samples.rgba_SN4HW.shape == (3, 72, 4, 16, 16) and len(samples.ids) == len(samples.prompts) == 72
    assert tuple(splits[icon_id] for icon_id in samples.ids) == samples.splits
    assert [samples.splits[number] for number in samples.of_split("validation")] == ["validation"] * 24
    for seed, rgba_N4HW in zip(tiny_evaluation.report.settings.seeds, samples.rgba_SN4HW, strict=True):
        again = Generator.load(tiny_training.checkpoint).sample(samples.prompts[:3], seed=seed, batch_size=64)
        assert (again.int() - rgba_N4HW[:3].int()).abs().max() <= 1  # sums in another batch size round differently


def test_the_same_seeds_give_exactly_the_same_report(tiny_training, tiny_evaluation, tmp_path):
    cache = tiny_training.store.root / "features"
    again = evaluate(tiny_training.checkpoint, tiny_training.dataset, tmp_path, cache)
    assert again.report == tiny_evaluation.report
    assert again.metrics.digest == sha256_file(tiny_evaluation.metrics)
    assert sha256_file(again.samples) == sha256_file(tiny_evaluation.samples)


def test_other_seeds_stay_within_the_printed_interval(tiny_training, tiny_evaluation, tmp_path):
    config = tiny_training.recipe.evaluation.model_copy(update={"seeds": (1, 2, 3)})
    other = evaluate(
        tiny_training.checkpoint, tiny_training.dataset, tmp_path, tiny_training.store.root / "features", config=config
    )
    for split, scores in tiny_evaluation.report.metrics.items():
        assert scores.kid_low < other.report.metrics[split].kid < scores.kid_high


def _draw_real_icons(monkeypatch, real):
    """A generator that has memorized everything: it returns the prompted icons."""
    monkeypatch.setattr(Generator, "sample", lambda self, prompts, seed, finish: torch.stack(list(real)))


def test_a_model_that_draws_the_real_icons_scores_perfectly(tiny_training, tiny_evaluation, monkeypatch, tmp_path):
    samples = load_samples(tiny_evaluation.samples)
    dataset = tiny_training.dataset
    _draw_real_icons(monkeypatch, [dataset.rgba_N4HW[dataset.row_of[i]] for i in samples.ids])
    cache = tiny_training.store.root / "features"
    report = evaluate(tiny_training.checkpoint, tiny_training.dataset, tmp_path, cache).report
    for split, scores in report.metrics.items():
        assert scores.retrieval_top1_split == scores.retrieval_top1_all == scores.alpha_iou == 1.0 and scores.kid < 0
        assert scores.copy_rate == (1.0 if split == Split.TRAIN else report.baselines.real[split].copy_rate)
        assert max(report.std[split].measured.values()) < 1e-9
    assert report.settings.comparison_digest == tiny_evaluation.report.settings.comparison_digest


def test_a_seed_or_other_icons_make_it_another_comparison(tiny_training, tmp_path):
    cache = tiny_training.store.root / "features"

    def comparison(seed, icons):
        config = tiny_training.recipe.evaluation.model_copy(update={"max_icons": icons, "seeds": (seed,)})
        result = evaluate(tiny_training.checkpoint, tiny_training.dataset, tmp_path, cache, config)
        return result.report.settings.comparison_digest

    assert len({comparison(1, 2), comparison(2, 2), comparison(1, 3), comparison(1, 2)}) == 3


@pytest.mark.parametrize("by", ["trained_ids", "initial_ids"])
def test_what_has_shaped_the_weights_is_not_held_out_whatever_the_data_set_says(by, tiny_training, tiny_evaluation, tmp_path):
    header = tiny_training.checkpoint.header
    unseen = load_samples(tiny_evaluation.samples)
    [known, *_] = [unseen.ids[number] for number in unseen.of_split("unseen_concept")]
    config = tiny_training.recipe.evaluation.model_copy(update={"seeds": (1234,)})
    knowing = save_checkpoint(
        tmp_path / FINAL,
        tiny_training.checkpoint.tensors(),
        dataclasses.replace(header, **{by: (*getattr(header, by), known)}),
    )
    result = evaluate(knowing, tiny_training.dataset, tmp_path, tiny_training.store.root / "features", config=config)
    samples = load_samples(result.samples)
    assert known not in {samples.ids[number] for number in samples.of_split("unseen_concept")} and samples.of_split(
        "unseen_concept"
    )
    settings = result.report.settings
    assert (settings.training_icons, settings.initial_icons) == (len(header.trained_ids) + 1, by == "initial_ids")


def test_icons_that_are_gone_are_said_in_one_line(tiny_training, tmp_path):
    header = dataclasses.replace(tiny_training.checkpoint.header, trained_ids=("gone/1", "gone/2"))
    tensors = {f"ema.{name}": tensor for name, tensor in tiny_training.checkpoint.tensors("ema.").items()}
    checkpoint = save_checkpoint(tmp_path / FINAL, tensors, header)
    with pytest.raises(FlowmodelError, match="fewer than two of its training icons"):
        evaluate(checkpoint, tiny_training.dataset, tmp_path, tiny_training.store.root / "features")


def test_hardly_any_held_out_icon_leaves_the_rest_scored(tiny_training, tmp_path):
    one = tiny_training.recipe.evaluation.model_copy(update={"max_icons": 3})
    result = evaluate(
        tiny_training.checkpoint, tiny_training.dataset, tmp_path, tiny_training.store.root / "features", config=one
    )
    assert result.report.metrics[Split.TRAIN].count == 3
    assert len(recipe_rules(result.report, tiny_training.recipe.evaluation.gate)) == 1


def test_sample_grid_is_an_image_of_both_splits(tiny_evaluation, tiny_training, tmp_path):
    with Image.open(tiny_evaluation.grid) as grid:
        whole = np.asarray(grid)
    samples = load_samples(tiny_evaluation.samples)
    only = Samples(samples.seeds, samples.ids[:24], samples.splits[:24], samples.prompts[:24], samples.rgba_SN4HW[:, :24])
    trained = sample_grid(save_samples(tmp_path / "s.npz", only), tiny_training.dataset, tmp_path / "g.png")
    with Image.open(trained.path) as grid:
        assert grid.height < whole.shape[0] and grid.width == whole.shape[1]
    assert trained == Artifact.of(tmp_path / "g.png")


def test_broken_samples_are_named(tmp_path, tiny_training):
    path = tmp_path / "samples.npz"
    path.write_bytes(b"nothing")
    with pytest.raises(FlowmodelError, match=r"samples\.npz: not the samples"):
        sample_grid(path, tiny_training.dataset, tmp_path / "grid.png")
