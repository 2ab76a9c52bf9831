"""One training gives the same results as separate trainings with patience or with the lowest loss."""

import pytest

from benchmarks.ablations import Scorer
from benchmarks.early_stopping import PATIENCES, Measured, measure, until_patience_ends
from flowmodel.training.loop import train
from tests.training.helpers import changed


@pytest.mark.parametrize(
    ("losses", "patience", "ends"),
    [
        ([3, 2, 1], 1, 3),
        ([3, 4, 2, 1], 1, 2),
        ([3, 4, 2, 1], 2, 4),
        ([3, 1, 2, 2, 0], 2, 4),
        ([3, 3, 3, 3], 2, 3),  # equal is no better
        ([3, 4, 5], 0, 3),
    ],
)
def test_a_training_ends_after_so_many_measurements_without_a_better_one(losses, patience, ends):
    measured = [Measured(step, 0.05, loss, loss) for step, loss in enumerate(losses, start=1)]
    assert len(until_patience_ends(measured, patience)) == ends


def test_rows_tell_the_steps_after_which_trainings_with_patience_end(tiny_recipe, prepared, tmp_path, monkeypatch):
    monkeypatch.setattr("benchmarks.ablations.ICONS", 8)
    monkeypatch.setattr("benchmarks.ablations._SIZE", 16)
    still = {"learning_rate": 1e-30, "validation": {"every": 3, "icons": 8}}  # nothing is better than the first one
    recipe = changed(tiny_recipe, training=still | {"keep_snapshots": True, "ema_snapshots": 10})
    scorer = Scorer(prepared.dataset, prepared.store.root / "features")
    rows = list(measure(recipe, prepared.dataset, scorer, tmp_path / "whole"))
    assert [(row["patience"], row["keep"]) for row in rows] == [(p, k) for p in (0, *PATIENCES) for k in ("last", "best")]
    whole, of_two = rows[:2], [row for row in rows if row["patience"] == 2]
    assert [(row["ended"], row["step"]) for row in (*whole, *of_two)] == [(30, 30), (30, 3), (9, 9), (9, 3)]
    patience = {"validation": still["validation"] | {"patience": 2}}
    ended = train(changed(recipe, training=patience), prepared.dataset, tmp_path / "patient")
    header = ended.checkpoint.header
    assert ended.stopped_early and (ended.steps, header.ema) == (of_two[0]["step"], of_two[0]["width"])
    assert (header.best.step, header.best.ema) == (of_two[1]["step"], of_two[1]["width"])
    assert of_two[0]["cpu_seconds"] == pytest.approx(0.3 * whole[0]["cpu_seconds"])
