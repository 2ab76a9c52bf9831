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
    """A training and its evaluation: the page that shows them, and the images per second of each interval, by step."""

    url: str
    images_per_second: tuple[float, ...]


class ComparisonJournal(ABC):
    """Begun, then written to for each network, then finished or failed. All raise FlowmodelError when they can't write."""

    @abstractmethod
    def begin(self, folder: Path, name: str) -> None:
        """The comparison called `name`, whose files go into `folder`, begins, or goes on after an interruption."""

    @abstractmethod
    def observer(self) -> TrainingObserver:
        """Writes down what the next training does."""

    @abstractmethod
    def record(self, checkpoint: Checkpoint, report: EvaluationReport, grid: Path) -> Recorded:
        """What the network draws has been scored."""

    @abstractmethod
    def finish(self, settings: Mapping[str, Any], files: Sequence[Path], words: str) -> str:
        """All networks are done: what was equal for them, table and picture, and the table in markdown.

        Returns the address of the page that shows them.
        """

    @abstractmethod
    def fail(self, error: BaseException) -> None:
        """The comparison stops with `error`, which is raised again afterwards."""
