"""Means over seeds and groups of known scores."""

import numpy as np
import pytest

from flowmodel.evaluation.aggregate import SeedScores, by_group, over_seeds
from flowmodel.recipes.split import Split


def _seed(real, rows, kid: float, hits: np.ndarray) -> SeedScores:
    """Samples that equal the real icons at `rows`."""
    return SeedScores(
        of_split={Split.TRAIN: {"kid": kid, "retrieval_top1_all": float(hits.mean())}},
        of_icons={Split.TRAIN: {"retrieval_top1_all": hits}},
        features=real.features[rows],
        numbers_of={Split.TRAIN: np.arange(len(rows))},
    )


@pytest.fixture
def rows(real):
    """Twenty-five faces and three flags."""
    groups = np.array(real.groups)
    return np.concatenate([np.flatnonzero(groups == "smileys-emotion")[:25], np.flatnonzero(groups == "flags")[:3]])


def test_a_report_has_means_over_the_seeds_and_deviations_between_them(real, rows):
    none, all_ = np.zeros(len(rows)), np.ones(len(rows))
    mean, deviation = over_seeds([_seed(real, rows, 0.1, none), _seed(real, rows, 0.3, all_)])
    assert mean[Split.TRAIN] == pytest.approx({"kid": 0.2, "retrieval_top1_all": 0.5})
    assert deviation[Split.TRAIN] == pytest.approx({"kid": 0.02**0.5, "retrieval_top1_all": 0.5**0.5})
    assert over_seeds([_seed(real, rows, 0.1, none)])[1] == {Split.TRAIN: {}}


def test_what_was_measured_of_one_seed_only_has_no_mean(real, rows):
    """Samples without opaque inner pixels have no flat share."""
    first, second = (_seed(real, rows, 0.1, np.ones(len(rows))) for _ in range(2))
    first.of_split[Split.TRAIN]["flat_share"] = 0.5
    for seeds in ([first, second], [second, first]):
        assert "flat_share" not in over_seeds(seeds)[0][Split.TRAIN]


def test_a_group_has_its_own_icons_scores_and_distances_where_it_is_large_enough(real, rows):
    faces_only = (np.arange(len(rows)) < 25).astype(float)
    seeds = [_seed(real, rows, 0.1, faces_only), _seed(real, rows, 0.1, np.ones(len(rows)))]
    table = by_group(real, {Split.TRAIN: rows}, seeds)[Split.TRAIN]
    faces, flags = table["smileys-emotion"], table["flags"]
    assert (faces.count, faces.retrieval_top1_all, flags.count, flags.retrieval_top1_all) == (25, 1.0, 3, 0.5)
    assert flags.kid is None and faces.fd == pytest.approx(0, abs=1e-3) and faces.coverage == 1
