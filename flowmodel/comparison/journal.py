"""The interface by which a comparison records its progress; the comparison itself does not depend on MLflow."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from flowmodel.evaluation.report import EvaluationReport
from flowmodel.model.checkpoint import Checkpoint
from flowmodel.training.observers import TrainingObserver


@dataclass(frozen=True)
class Recorded:
    """A training and its evaluation: their page, and the images per second of each interval by step."""

    url: str
    images_per_second: tuple[float, ...]


class ComparisonJournal(ABC):
    """Records a comparison: begin, one or more entries per network, then finish or fail. All raise FlowmodelError if writing
    fails.
    """

    @abstractmethod
    def begin(self, folder: Path, name: str) -> None:
        """Start the comparison `name`, or resume it after an interruption. Its files are in `folder`."""

    @abstractmethod
    def observer(self) -> TrainingObserver:
        """Return an observer that records the next training."""

    @abstractmethod
    def record(self, checkpoint: Checkpoint, report: EvaluationReport, grid: Path) -> Recorded:
        """Record the scores and sample grid of a trained network."""

    @abstractmethod
    def finish(self, settings: Mapping[str, Any], files: Sequence[Path], words: str) -> str:
        """Record the end of the comparison: the shared settings, the table, the image, and the table in Markdown.

        Returns the address of the page that shows them.
        """

    @abstractmethod
    def fail(self, error: BaseException) -> None:
        """Record that the comparison failed with `error`. The caller raises it again afterward."""
