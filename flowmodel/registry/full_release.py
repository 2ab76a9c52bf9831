"""Evaluates and registers a checkpoint in one call, for callers outside the pipeline."""

from collections.abc import Callable

from flowmodel.data.dataset import IconDataset
from flowmodel.evaluation.html.page import REPORT_FILE, evaluate_and_report
from flowmodel.evaluation.report import EvaluationReport
from flowmodel.evaluation.sample_grid import sample_grid
from flowmodel.model.checkpoint import Checkpoint
from flowmodel.registry.deciding import decide_on
from flowmodel.registry.models import record_evaluation
from flowmodel.registry.releasing import Registered, register
from flowmodel.registry.tracking import Tracking


def evaluate_and_register(
    tracking: Tracking, checkpoint: Checkpoint, dataset: IconDataset, log: Callable[[str], None] = lambda line: None
) -> Registered:
    """Evaluate `checkpoint` on `dataset`, log it with its report, apply its recipe's gate, and register it.

    The files are written to the pipeline's paths. Raises FlowmodelError when the gate refuses the model, or MLflow can't
    be used.
    """
    store, training = tracking.store, checkpoint.path.parent.name
    folder = store.file("evaluation", training)
    result = evaluate_and_report(
        checkpoint, dataset, folder, folder / REPORT_FILE, store.root / "features", with_sweeps=False, log=log
    )
    report, digest = EvaluationReport.read(result.metrics.path), result.metrics.digest
    grid = sample_grid(result.samples, dataset, store.file("sample_grid", f"{training}.png"))
    record_evaluation(tracking, checkpoint, report, grid.path, dataset, page=folder / REPORT_FILE)
    return register(tracking, checkpoint, report, digest, decide_on(tracking, checkpoint, report, digest, dataset, log))
