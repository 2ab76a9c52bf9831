"""Entries of a training for MLflow, kept as files next to its checkpoints until MLflow has received them.

A separate thread sends them, oldest first, so that a training never waits for MLflow and continues while it is being restarted,
locked by a backup, or unreachable. Entries that are unsent when the training ends are sent when its run is opened next.
"""

import re
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from PIL import Image

from flowmodel.errors import FlowmodelError
from flowmodel.files import atomic_path, read_json, write_json
from flowmodel.registry.runs import TrainingRun

OUTBOX = "mlflow_outbox"

_PAUSE_SECONDS = 3.0  # between two attempts while MLflow is unavailable
_GRID = re.compile(r"\d+-grid-(\d+)\.png")

_sending = threading.Lock()


def deliver(run: TrainingRun, folder: Path) -> int:
    """Send the waiting entries of the training in `folder` to `run`, oldest first; returns their number.

    An entry that MLflow has received, but not acknowledged, is not logged twice. Raises FlowmodelError when MLflow fails;
    unacknowledged entries keep waiting.
    """
    box, sent = folder / OUTBOX, 0
    with _sending:
        for entry in _entries(box):
            _send(run, entry)
            entry.unlink()
            sent += 1
    return sent  # the empty folder stays: removing it would break a write that has just begun


def waiting(folder: Path) -> int:
    """The number of unsent entries of the training in `folder`."""
    return len(_entries(folder / OUTBOX))


class Outbox:
    """Queues the entries of a running training. Every method except :meth:`close` returns immediately."""

    def __init__(self, run: TrainingRun, folder: Path, log: Callable[[str], None]) -> None:
        """`log` is called with a line when MLflow becomes unavailable or available again."""
        self._run, self._folder, self._log = run, folder, log
        self._box = folder / OUTBOX
        self._number = max((int(entry.name.split("-")[0].split(".")[0]) for entry in _entries(self._box)), default=-1) + 1
        self._naming = threading.Lock()
        self._more = threading.Event()
        self._closing_at: float | None = None  # the deadline of further attempts
        self._away_since: float | None = None
        self._thread = threading.Thread(target=self._work, name="MLflow outbox", daemon=True)
        self._thread.start()

    def metrics(self, values: Mapping[str, float], step: int) -> None:
        # With its time, so that MLflow recognizes duplicates.
        entry = {"metrics": dict(values), "step": step, "timestamp": int(time.time() * 1000)}
        write_json(self._path(".json"), entry)
        self._more.set()

    def grid(self, step: int, grid: Image.Image) -> None:
        with atomic_path(self._path(f"-grid-{step}.png")) as temporary:
            grid.save(temporary)
        self._more.set()

    def status(self, status: str) -> None:
        write_json(self._path(".json"), {"status": status})
        self._more.set()

    def close(self, seconds: float) -> None:
        """Wait at most `seconds` until MLflow has everything. Remaining entries stay on disk, and `log` reports that."""
        self._closing_at = time.monotonic() + seconds
        self._more.set()
        self._thread.join(seconds + _PAUSE_SECONDS)
        if left := waiting(self._folder):
            self._log(
                f"MLflow is still unavailable: {left} entries wait in {self._box}; the next run of this training sends them"
            )

    def _path(self, suffix: str) -> Path:
        with self._naming:
            self._number += 1
            return self._box / f"{self._number - 1:08d}{suffix}"

    def _work(self) -> None:
        while True:
            self._more.wait()
            closing_at = self._closing_at
            self._more.clear()
            try:
                deliver(self._run, self._folder)
            except Exception as error:  # the training continues after any error
                self._is_away(error)
                if closing_at is not None and time.monotonic() + _PAUSE_SECONDS > closing_at:
                    return
                time.sleep(_PAUSE_SECONDS)
                self._more.set()
            else:
                self._is_back()
                if closing_at is not None:
                    return

    def _is_away(self, error: Exception) -> None:
        if self._away_since is None:
            self._away_since = time.monotonic()
            words = str(error) if isinstance(error, FlowmodelError) else repr(error)
            self._log(f"{words} (the training continues; metrics and grids wait in {self._box})")

    def _is_back(self) -> None:
        if self._away_since is not None:
            self._log(
                f"MLflow is available again after {time.monotonic() - self._away_since:.0f} seconds and has received everything"
            )
            self._away_since = None


def _entries(box: Path) -> list[Path]:
    return sorted(box.glob("[0-9]*"))


def _send(run: TrainingRun, entry: Path) -> None:
    if match := _GRID.fullmatch(entry.name):
        step = int(match[1])
        if step not in run.grid_steps():
            with Image.open(entry) as grid:
                run.log_grid(step, grid)
        return
    values = read_json(entry)
    if "status" in values:
        run.set_status(values["status"])
    else:
        run.log_metrics(values["metrics"], values["step"], values["timestamp"])
