"""The curves of a training for a report."""

from flowmodel.recipes.split import Split
from flowmodel.registry.curves import training_curves
from flowmodel.registry.models import record_evaluation
from flowmodel.registry.observer import run_of_checkpoint
from flowmodel.registry.tracking import Tracking
from flowmodel.store import Store


def test_scores_of_an_evaluation_are_not_points_of_a_curve(first, store, prepared, tiny_evaluation):
    tracking = Tracking.of(store)
    run = run_of_checkpoint(tracking, first.checkpoint, prepared.dataset)
    run.log_metrics({"training/loss": 1.0, "validation/loss": 0.6}, 15)
    assert first.report.metrics[Split.VALIDATION].loss
    record_evaluation(tracking, first.checkpoint, first.report, tiny_evaluation.grid, prepared.dataset)
    assert training_curves(tracking, first.checkpoint) == {"training/loss": [(15, 1.0)], "validation/loss": [(15, 0.6)]}


def test_without_a_training_in_mlflow_there_are_no_curves_and_no_store_is_created(first, tmp_path):
    nowhere = Store(tmp_path / "nowhere")
    assert training_curves(Tracking.of(nowhere), first.checkpoint) == {} and not nowhere.root.exists()


def test_a_checkpoint_without_a_run_has_no_curves(first, store):
    assert training_curves(Tracking.of(store), first.checkpoint) == {}
