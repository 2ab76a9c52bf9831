"""The report of a real checkpoint."""

import dataclasses
import json

import numpy as np
import pytest
import torch
from PIL import Image

from flowmodel.errors import FlowmodelError
from flowmodel.evaluation.evaluate import evaluate
from flowmodel.evaluation.gate import check_gate
from flowmodel.evaluation.grid import sample_grid
from flowmodel.evaluation.samples import Samples, load_samples, save_samples
from flowmodel.files import Artifact, read_json, sha256_file
from flowmodel.generate import Generator
from flowmodel.icons.splits import load_splits
from flowmodel.icons.tensors import load_tensors
from flowmodel.training.checkpoint import FINAL, read_header, read_tensors, save_checkpoint


def test_report_names_everything_that_the_scores_depend_on(tiny_evaluation, tiny_training):
    settings = tiny_evaluation.report["settings"]
    assert settings["checkpoint_digest"] == sha256_file(tiny_training.checkpoint)
    assert settings["dataset_digest"] == tiny_training.inputs.digest
    named = {"recipe", "solver", "steps", "guidance", "network_evaluations", "ema", "seed", "device", "extractor"}
    assert named | {"extractor_digest", "training_steps", "parameters", "comparison_digest"} <= settings.keys()
    assert settings["network_evaluations"] == 4  # 2 Euler steps, with and without caption
    assert read_json(tiny_evaluation.metrics) == json.loads(json.dumps(tiny_evaluation.report))


def test_both_splits_are_scored_beside_real_icons(tiny_evaluation):
    metrics, reference = tiny_evaluation.report["metrics"], tiny_evaluation.report["reference"]
    for split in ("trained", "unseen_concept"):
        assert metrics[split]["count"] == 24
        assert metrics[split]["kid"] > reference[split]["kid"]  # 30 steps draw nothing yet
        for share in ("top1_of_own", "top1_of_all", "top5_of_own", "top5_of_all", "copy_ratio"):
            assert 0 <= metrics[split][share] <= 1
        assert metrics[split]["top1_of_all"] <= metrics[split]["top5_of_all"]
    assert reference["trained"]["top1_of_own"] > 0.8 and reference["unseen_concept"]["copy_ratio"] < 0.1


def test_samples_are_of_the_named_icons_and_the_same_again(tiny_evaluation, tiny_training):
    samples = load_samples(tiny_evaluation.samples)
    splits = load_splits(tiny_training.inputs.splits.path)
    assert samples.trained == 24 and len(samples.ids) == 48 == len(samples.rgba_N4HW)
    assert {splits[i] for i in samples.ids[:24]} == {"train"} and {splits[i] for i in samples.ids[24:]} == {"unseen_concept"}
    seed = tiny_evaluation.report["settings"]["seed"]
    again = Generator.load(tiny_training.checkpoint).sample(samples.prompts[:3], seed=seed, batch_size=64)
    assert (again.int() - samples.rgba_N4HW[:3].int()).abs().max() <= 1  # sums in another batch size round differently


def _draw_real_icons(monkeypatch, real):
    """A generator that has learnt everything by heart: it gives back the icons that are asked for."""
    calls = iter(real)
    monkeypatch.setattr(Generator, "sample", lambda self, prompts, seed: torch.stack([next(calls) for _ in prompts]))


def test_copies_of_the_real_icons_score_perfectly_and_are_found_out(tiny_training, tiny_evaluation, monkeypatch, tmp_path):
    samples = load_samples(tiny_evaluation.samples)
    tensors = load_tensors(tiny_training.inputs.tensors.path)
    row = {icon_id: i for i, icon_id in enumerate(tensors.ids)}
    _draw_real_icons(monkeypatch, [tensors.rgba_N4HW[row[i]] for i in samples.ids])
    cache = tiny_training.store.root / "features"
    report = evaluate(tiny_training.checkpoint, tiny_training.inputs, tmp_path, cache).report
    trained = report["metrics"]["trained"]
    assert trained["top1_of_own"] == trained["top1_of_all"] == trained["copy_ratio"] == 1.0
    assert trained["kid"] < 0.1 * tiny_evaluation.report["metrics"]["trained"]["kid"]
    assert report["metrics"]["unseen_concept"]["top1_of_all"] == 1.0
    assert report["settings"]["comparison_digest"] == tiny_evaluation.report["settings"]["comparison_digest"]


def test_a_seed_or_other_icons_make_it_another_comparison(tiny_training, tiny_evaluation, tmp_path):
    recipe, cache = tiny_training.recipe, tiny_training.store.root / "features"
    small = recipe.evaluation.model_copy(update={"max_icons": 2})
    ids = read_header(tiny_training.checkpoint).trained_ids[:2]

    def comparison(seed, trained_ids):
        config = small.model_copy(update={"seed": seed})
        result = evaluate(tiny_training.checkpoint, tiny_training.inputs, tmp_path, cache, trained_ids, config)
        return result.report["settings"]["comparison_digest"]

    assert len({comparison(1, ids), comparison(2, ids), comparison(1, ids[::-1]), comparison(1, None)}) == 3


def test_icons_that_are_gone_are_said_in_one_line(tiny_training, tmp_path):
    header = dataclasses.replace(read_header(tiny_training.checkpoint), trained_ids=("gone/1", "gone/2"))
    tensors = {f"ema.{name}": tensor for name, tensor in read_tensors(tiny_training.checkpoint, "ema.").items()}
    checkpoint = save_checkpoint(tmp_path / FINAL, tensors, header)
    with pytest.raises(FlowmodelError, match="fewer than two of its training icons"):
        evaluate(checkpoint, tiny_training.inputs, tmp_path, tiny_training.store.root / "features")


def test_hardly_any_held_out_icon_leaves_the_rest_scored(tiny_training, tmp_path):
    one = tiny_training.recipe.evaluation.model_copy(update={"max_icons": 3})
    result = evaluate(tiny_training.checkpoint, tiny_training.inputs, tmp_path, tiny_training.store.root / "features", config=one)
    assert result.report["metrics"]["trained"]["count"] == 3
    assert check_gate(result.report, tiny_training.recipe.evaluation.gate).lines


def test_sample_grid_is_a_picture_of_both_splits(tiny_evaluation, tiny_training, tmp_path):
    with Image.open(tiny_evaluation.grid) as grid:
        whole = np.asarray(grid)
    samples = load_samples(tiny_evaluation.samples)
    only = Samples(samples.ids[:24], 24, samples.prompts[:24], samples.rgba_N4HW[:24])
    trained = sample_grid(save_samples(tmp_path / "s.safetensors", only), tiny_training.inputs, tmp_path / "g.png")
    with Image.open(trained.path) as grid:
        assert grid.height < whole.shape[0] and grid.width == whole.shape[1]
    assert trained == Artifact.of(tmp_path / "g.png")


def test_broken_samples_are_named(tmp_path, tiny_training):
    path = tmp_path / "samples.safetensors"
    path.write_bytes(b"nothing")
    with pytest.raises(FlowmodelError, match=r"samples\.safetensors: missing, or not the samples"):
        sample_grid(path, tiny_training.inputs, tmp_path / "grid.png")
