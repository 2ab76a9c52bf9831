"""Shows a training's progress in Dagster."""

import logging
import time
from collections.abc import Callable, Mapping

from flowmodel.training.observers import TrainingObserver, TrainingResult, TrainingStart

SECONDS_BETWEEN_LINES = 10
REPORTS = 10  # per training, since Dagster keeps each for as long as the run


class ProgressLog(TrainingObserver):
    """Logs step, loss, images per second and time left about every ten seconds, after a first line with the link to the curves.

    `link` returns the address of the MLflow run after the training has begun, or None if there is none. `report` gets the step
    and the values of `newest` ten times, after every tenth of the steps.

    Attributes:
        newest: the newest loss, images per second and, if it is measured, validation loss.
    """

    def __init__(
        self,
        log: logging.Logger,
        link: Callable[[], str | None] = lambda: None,
        report: Callable[[Mapping[str, float]], None] = lambda values: None,
    ) -> None:
        self._log = log
        self._link = link
        self._report = report
        self._reported = 0  # tenths
        self._steps = 0
        self._next_line = 0.0
        self.newest: dict[str, float] = {}

    def on_start(self, start: TrainingStart) -> None:
        self._steps = start.recipe.training.steps
        self._reported = start.first_step * REPORTS // self._steps
        begin = f"resumes at step {start.first_step} of" if start.resumed else "trains"
        self._log.info(
            f"recipe {start.recipe.name} {begin} {self._steps} steps: {len(start.trained_ids)} icons of "
            f"{start.recipe.data.size} pixels, {start.recipe.network.kind} with {start.cost}, on {start.policy}"
        )
        if link := self._link():
            self._log.info(f"curves and samples, while it trains: {link}")

    def on_log(self, step: int, values: dict[str, float]) -> None:
        self.newest |= {name: float(f"{values[name]:.4g}") for name in ("loss", "images_per_second")}
        if (tenths := step * REPORTS // self._steps) > self._reported:
            self._reported = tenths
            self._report({"step": step, **self.newest})
        now = time.monotonic()
        if now < self._next_line and step < self._steps:
            return
        self._next_line = now + SECONDS_BETWEEN_LINES
        self._log.info(
            f"step {step}/{self._steps} ({step / self._steps:.0%}), loss {values['loss']:.4f}, "
            f"{values['images_per_second']:.0f} images/s, {_duration(values['eta_seconds'])} left"
        )

    def on_validation(self, step: int, values: dict[str, float]) -> None:
        self.newest["validation_loss"] = float(f"{values['loss']:.4g}")
        self._log.info(f"step {step}/{self._steps}: validation loss {values['loss']:.4f}, best {values['best_loss']:.4f}")

    def on_end(self, result: TrainingResult) -> None:
        if result.already_finished:
            self._log.info("same recipe, same data: the finished training is reused (config `fresh: true` trains again)")
        else:
            early = f", ended after step {result.steps} because validation stopped improving" if result.stopped_early else ""
            self._log.info(f"trained in {_duration(result.seconds)}{early}")


def _duration(seconds: float) -> str:
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{seconds:02}" if hours else f"{minutes}:{seconds:02}"
