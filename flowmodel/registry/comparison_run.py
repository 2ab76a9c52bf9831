"""Records a comparison of networks in MLflow, as a run with the trainings' runs nested in it."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from flowmodel.comparison.compare import ASSET
from flowmodel.comparison.journal import ComparisonJournal, Recorded
from flowmodel.data.dataset import IconDataset
from flowmodel.errors import Resumable
from flowmodel.evaluation.report import EvaluationReport
from flowmodel.model.checkpoint import Checkpoint
from flowmodel.registry.models import record_evaluation
from flowmodel.registry.observer import MlflowObserver
from flowmodel.registry.runs import PARENT, TrainingRun
from flowmodel.registry.tracking import Tracking
from flowmodel.training.observers import TrainingObserver


class MlflowComparison(ComparisonJournal):
    """Attributes:
    run: the comparison's run.
    """

    def __init__(self, tracking: Tracking, dataset: IconDataset, tags: Mapping[str, str] | None = None) -> None:
        self._tracking, self._dataset, self._tags = tracking, dataset, tags
        self.run: TrainingRun | None = None

    def begin(self, folder: Path, name: str) -> None:
        self.run = TrainingRun.open(self._tracking, folder, name, self._tags)
        self.run.set_status("RUNNING")

    def observer(self) -> TrainingObserver:
        return MlflowObserver(self._tracking, self._dataset, {PARENT: self._run.run_id})

    def record(self, checkpoint: Checkpoint, report: EvaluationReport, grid: Path) -> Recorded:
        run = record_evaluation(self._tracking, checkpoint, report, grid, self._dataset).run
        run.log_tags({PARENT: self._run.run_id})  # also if an earlier comparison trained it
        return Recorded(run.url, tuple(run.history("training/images_per_second")))

    def finish(self, settings: Mapping[str, Any], files: Sequence[Path], words: str) -> str:
        self._run.log_parameters(settings)
        for file in files:
            self._run.log_file(file, ASSET)
        self._run.describe(words)
        self._run.set_status("FINISHED")
        return self._run.url

    def fail(self, error: BaseException) -> None:
        self._run.set_status("KILLED" if isinstance(error, (KeyboardInterrupt, Resumable)) else "FAILED")

    @property
    def _run(self) -> TrainingRun:
        assert self.run is not None, "begin() comes first"
        return self.run
