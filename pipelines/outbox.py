"""Events that wait to be sent and events that were sent, one file each, so that a process may die at any moment.

A sensor writes an event here before its cursor advances, and the event moves from `waiting` to `told` after it was sent.
Nothing is lost while a mail server is down, and nothing is sent twice unless a process is killed in the milliseconds between
sending and moving. The message is then sent again with the same id, and the file notifier skips the duplicate.
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

SECONDS = 40.0  # Dagster terminates a tick after a minute


@dataclass(frozen=True)
class Outbox:
    folder: Path

    @classmethod
    def of(cls, store: Store) -> "Outbox":
        return cls(store.root / "notifications")

    @property
    def file(self) -> Path:
        """The default file of the notifier `file`."""
        return self.folder / "told.jsonl"

    def put(self, event: Event) -> bool:
        """Queue `event`; returns False if it is already waiting or was sent."""
        name = f"{sha256_json(event.id)[:32]}.json"
        with self._lock("moving.lock"):
            if any((self.folder / state / name).exists() for state in ("waiting", "told")):
                return False
            write_json(self.folder / "waiting" / name, asdict(event))
        return True

    def waiting(self) -> list[Event]:
        """The waiting events in the order in which they were found."""
        return sorted((Event(**read_json(path)) for path in self._files()), key=lambda event: event.time)

    def deliver(self, send: Callable[[Event], None]) -> list[Event]:
        """Send the waiting events, for at most about SECONDS; returns those that were sent.

        Raises FlowmodelError with the last reason if an event could not be sent, after trying all others.
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
