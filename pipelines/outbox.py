"""Events that wait to be told, and those that were told: one file each, so that a process may die at any moment.

An event is put here before the sensor that noticed it moves on, and leaves `waiting` for `told` when it was sent. So nothing is
lost while a mail server is away, and nothing is told twice, but for a process that is killed in the milliseconds between the
two: then the message goes out again with the same id, by which a file is spared the second line.
"""

import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

from filelock import FileLock, Timeout

from flowmodel.errors import FlowmodelError
from flowmodel.files import fsync_folder, read_json, sha256_json, write_json
from flowmodel.store import Store
from pipelines.notify import Event

SECONDS = 40.0  # Dagster ends a tick after a minute


@dataclass(frozen=True)
class Outbox:
    folder: Path

    @classmethod
    def of(cls, store: Store) -> "Outbox":
        return cls(store.root / "notifications")

    @property
    def file(self) -> Path:
        """Where the notifier `file` writes by default."""
        return self.folder / "told.jsonl"

    def put(self, event: Event) -> bool:
        """Keep `event` to be told; False if it is waiting already, or was told."""
        name = f"{sha256_json(event.id)[:32]}.json"
        with self._lock("moving.lock"):
            if any((self.folder / state / name).exists() for state in ("waiting", "told")):
                return False
            write_json(self.folder / "waiting" / name, asdict(event))
        return True

    def waiting(self) -> list[Event]:
        """In the order in which they were noticed."""
        return sorted((Event(**read_json(path)) for path in self._files()), key=lambda event: event.time)

    def deliver(self, send: Callable[[Event], None]) -> list[Event]:
        """Send what waits, for at most about SECONDS; returns what was told.

        Raises FlowmodelError, after all others were tried, with the last reason for which one could not be sent.
        """
        told: list[Event] = []
        problem, deadline = "", time.monotonic() + SECONDS
        try:
            with self._lock("sending.lock", timeout=0):
                for event in self.waiting():
                    if time.monotonic() > deadline:
                        break
                    try:
                        send(event)
                    except FlowmodelError as error:
                        problem = str(error)
                        continue
                    self._move(event)
                    told.append(event)
        except Timeout:
            return []  # another process is sending
        if problem:
            raise FlowmodelError(problem)
        return told

    def _move(self, event: Event) -> None:
        name = f"{sha256_json(event.id)[:32]}.json"
        with self._lock("moving.lock"):
            (self.folder / "told").mkdir(exist_ok=True)
            (self.folder / "waiting" / name).replace(self.folder / "told" / name)
            fsync_folder(self.folder / "told")

    def _files(self) -> list[Path]:
        return [path for path in (self.folder / "waiting").glob("*.json") if not path.name.startswith(".")]

    def _lock(self, name: str, timeout: float = 30) -> FileLock:
        self.folder.mkdir(parents=True, exist_ok=True)
        return FileLock(self.folder / name, timeout=timeout)
