"""The properties of the texture statistics, on bundled real icons."""

import io

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image

from benchmarks.texture import DEGRADATIONS, Calibration, calibrate, table
from flowmodel.store import PROJECT_ROOT


@pytest.fixture(scope="module")
def calibrations() -> list[Calibration]:
    icons = pd.read_parquet(PROJECT_ROOT / "data" / "bundled" / "noto.parquet", columns=["png"]).sample(96, random_state=0)
    images = [np.asarray(Image.open(io.BytesIO(png)).convert("RGBA").convert("RGBa")) for png in icons["png"]]
    return calibrate("noto", torch.from_numpy(np.stack(images)).permute(0, 3, 1, 2))


def test_every_statistic_orders_real_and_degraded_icons(calibrations):
    assert [c for c in calibrations if not c.passes] == []
    assert len(calibrations) == len(DEGRADATIONS) * len({c.statistic for c in calibrations}) > 0


def test_flat_share_falls_and_edges_soften_with_blur(calibrations):
    of = {c.statistic: c for c in calibrations if c.degradation == "blur"}
    for statistic in ("flat_share", "edge_sharpness"):
        assert of[statistic].real > of[statistic].slightly > of[statistic].strongly


def test_the_table_says_which_statistic_fails_where(calibrations):
    first = calibrations[0]
    broken = Calibration(first.statistic, first.style, first.degradation, 1.0, 3.0, 2.0, passes=False)
    row = table([broken, *calibrations[1:]])[0]
    assert row["stays"] == "no" and row[first.degradation] == "3, 2 fails"
    assert {row["stays"] for row in table(calibrations)} == {"yes"}
