"""Silhouettes with known overlap."""

import numpy as np
import pytest
import torch

from flowmodel.evaluation.metrics.transparency import alpha_error, alpha_iou


def _columns(*opaque: int) -> torch.Tensor:
    """An image of eight columns, white where they are opaque."""
    rgba_N4HW = torch.zeros(1, 4, 8, 8, dtype=torch.uint8)
    rgba_N4HW[..., list(opaque)] = 255
    return rgba_N4HW


@pytest.mark.parametrize(
    ("fake", "real", "iou", "error"),
    [((0, 1), (0, 1), 1, 0), ((0, 1), (2, 3), 0, 0.5), ((0, 1, 2), (1, 2, 3), 0.5, 0.25), ((), (), 1, 0), ((), (0,), 0, 0.125)],
)
def test_overlap_of_columns_is_counted(fake, real, iou, error):
    assert alpha_iou(_columns(*fake), _columns(*real)).tolist() == [iou]
    assert alpha_error(_columns(*fake), _columns(*real)).tolist() == [error]


def test_color_says_nothing_of_a_silhouette():
    random = torch.Generator().manual_seed(0)
    one, other = (torch.randint(0, 256, (3, 4, 8, 8), generator=random, dtype=torch.uint8) for _ in range(2))
    other[:, 3] = one[:, 3]
    np.testing.assert_array_equal(alpha_iou(one, other), np.ones(3))
    np.testing.assert_array_equal(alpha_error(one, other), np.zeros(3))
