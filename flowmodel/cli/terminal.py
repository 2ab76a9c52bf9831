"""Progress of trainings and of multi-stage commands in the terminal."""

import time
from pathlib import Path
from types import TracebackType
from typing import Self

from PIL import Image
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from flowmodel.images.save import save_image
from flowmodel.training.observers import TrainingObserver, TrainingResult, TrainingStart


class TerminalObserver(TrainingObserver):
    """Shows a progress bar with loss, images per second and time left; writes the newest grid to `folder/grid.png`."""

    def __init__(self, console: Console, folder: Path) -> None:
        self._console = console
        self._folder = folder
        self._progress = Progress(
            TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn(), console=console
        )
        self._task: TaskID | None = None
        self._validation = ""

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._progress.stop()

    def on_note(self, line: str) -> None:
        self._console.print(line, markup=False, soft_wrap=True)

    def on_start(self, start: TrainingStart) -> None:
        words = f"continuing after step {start.first_step}" if start.resumed else "training"
        self._console.print(
            f"{words}: recipe {start.recipe.name}, {len(start.trained_ids)} icons, {start.recipe.network.kind} "
            f"with {start.cost}, on {start.policy}{f', {start.processes} processes' if start.processes > 1 else ''}"
        )
        self._task = self._progress.add_task("", total=start.recipe.training.steps, completed=start.first_step)

    def on_log(self, step: int, values: dict[str, float]) -> None:
        if self._task is not None:
            words = f"loss {values['loss']:.4f}{self._validation}  {values['images_per_second']:.0f} images/s"
            self._progress.update(self._task, completed=step, description=words)

    def on_validation(self, step: int, values: dict[str, float]) -> None:
        self._validation = f"  validation {values['loss']:.4f} (best {values['best_loss']:.4f})"

    def on_grid(self, step: int, grid: Image.Image) -> None:
        save_image(grid, self._folder / "grid.png")

    def on_end(self, result: TrainingResult) -> None:
        words = "was already finished" if result.already_finished else f"took {result.seconds:.0f} s"
        if result.stopped_early:
            words += ", ended because validation stopped improving"
        self._console.print(f"{words}: {result.checkpoint.path}", soft_wrap=True)


class Stages:
    """Called with the name of each new stage; shows it with a spinner, and then a line with its duration in seconds."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._status = console.status("")
        self._stage, self._began = "", 0.0

    def __enter__(self) -> Self:
        self._status.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._status.stop()
        if kind is None:
            self._close()

    def __call__(self, stage: str) -> None:
        self._close()
        self._stage, self._began = stage, time.perf_counter()
        self._status.update(escape(stage))

    def _close(self) -> None:
        if self._stage:
            self._console.print(f"{time.perf_counter() - self._began:6.1f} s  {self._stage}", markup=False, soft_wrap=True)
