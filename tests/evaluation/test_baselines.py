"""Scores of images other than samples."""

import dataclasses

import pytest
import torch

from flowmodel.evaluation.baselines import Baselines, at_half_resolution
from flowmodel.evaluation.metrics.texture import texture
from flowmodel.evaluation.scoring import Scorer
from flowmodel.recipes.split import Split


@pytest.fixture(scope="module")
def rows_of(real):
    """25 icons of each, spread over the set, because neighbors look alike."""
    of_split = {split: real.of_split(split) for split in (Split.TRAIN, Split.UNSEEN_CONCEPT)}
    return {split: real.rows(ids[:: len(ids) // 25][:25]) for split, ids in of_split.items()}


def _table(real, probe, extractor, rows_of, cache):
    train_rows = rows_of[Split.TRAIN]
    return Baselines(Scorer(real, train_rows, probe), rows_of, train_rows, extractor, cache).scores()


def test_noise_real_icons_and_copies_are_in_their_order(real, probe, extractor, rows_of, tmp_path):
    table = _table(real, probe, extractor, rows_of, tmp_path)
    assert list(table.rows) == ["real", "noise", "copies"]  # one source redraws nothing
    for split in rows_of:
        assert table.noise[split].kid > table.real[split].kid_high
        assert table.noise[split].retrieval_top1_all < 0.2 and table.copies[split].copy_rate == 1
        assert table.real[split].copy_rate < 0.2
        # Of the original icons, not at half their resolution.
        assert table.real[split].edge_sharpness == pytest.approx(texture(real.rgba_M4HW[rows_of[split]])["edge_sharpness"])
        assert table.noise[split].color_count > 2 * table.real[split].color_count
    assert table.copies[Split.TRAIN].retrieval_top1_all == 1 > table.copies[Split.UNSEEN_CONCEPT].retrieval_top1_all


def test_another_vendors_redraw_is_scored_where_there_is_one(real, probe, extractor, rows_of, tmp_path):
    """Every second icon counts as the other vendor's drawing of the previous one."""
    count = len(real.ids)
    keys = tuple(str(row // 2) for row in range(count))
    sources = tuple(("noto", "other")[row % 2] for row in range(count))
    two = dataclasses.replace(real, keys=keys, sources=sources)
    redrawn = _table(two, probe, extractor, rows_of, tmp_path).other_vendor[Split.TRAIN]
    assert 20 <= redrawn.count <= 25 and redrawn.retrieval_top1_all < 1


def test_halving_the_resolution_is_mild(real):
    flat = torch.full((1, 4, 16, 16), 77, dtype=torch.uint8)
    assert torch.equal(at_half_resolution(flat), flat)
    icons = real.rgba_M4HW[:20]
    difference = (at_half_resolution(icons).int() - icons.int()).abs().float().mean()
    assert 0 < difference < 30 and at_half_resolution(icons).dtype == torch.uint8


def test_baselines_are_the_same_again(real, probe, extractor, rows_of, tmp_path):
    assert _table(real, probe, extractor, rows_of, tmp_path) == _table(real, probe, extractor, rows_of, tmp_path)
