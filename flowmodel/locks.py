"""Tracks the processes that use a store with file locks, which the operating system releases however a process ends.

Every process holds a shared lock on the store. Cleaning takes it exclusively, so that it never removes files of a process that
has just started.
"""

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from flowmodel.errors import FlowmodelError
from flowmodel.files import permission_denied
from flowmodel.store import Store

try:
    import fcntl
except ImportError:  # Windows has no fcntl: no process is seen as running or dead
    fcntl = None  # type: ignore[assignment]

_RELEASE_SECONDS = 2.0  # between two looks at another process's lock
_held: dict[Path, int] = {}  # and the descriptor of each


class StoreInUse(FlowmodelError):
    """Another process uses the store."""


@contextmanager
def in_use(store: Store) -> Iterator[None]:
    """Prevent cleaning of `store` within this context; waits while a cleaning is in progress."""
    store.root.mkdir(parents=True, exist_ok=True)
    with _opened(store.root, os.O_RDONLY) as folder:
        if fcntl is not None:
            fcntl.flock(folder, fcntl.LOCK_SH)
        yield


@contextmanager
def run_lock(store: Store, run_id: str) -> Iterator[None]:
    """Hold the lock of run `run_id`, and prevent cleaning of `store`."""
    path = _path(store, run_id)
    if path in _held:  # by this process, from before the run was there
        yield
        return
    with in_use(store):
        path.parent.mkdir(parents=True, exist_ok=True)
        unlocked = path.with_suffix(".new")  # under its own name the file is never seen without its lock
        with _opened(unlocked, os.O_RDWR | os.O_CREAT) as file:
            _try_lock(file)
            if fcntl is not None:
                unlocked.rename(path)
            _held[path] = file
            try:
                yield
            finally:
                if _held.pop(path, None) is not None:
                    path.unlink(missing_ok=True)


def leave_lock(store: Store, run_id: str) -> None:
    """Keep the file when :func:`run_lock` ends, as if the process had died, because the run's end may not be recorded."""
    _held.pop(_path(store, run_id), None)


def held_descriptors(run_id: str) -> tuple[int, ...]:
    """The open file of the run's lock, if this process holds it. A process that inherits it holds the lock too until it ends."""
    return tuple(descriptor for path, descriptor in _held.items() if path.stem == run_id and descriptor >= 0)


@contextmanager
def working_in(folder: Path) -> Iterator[None]:
    """Work alone in the folder of a training or a comparison; raises FlowmodelError if another process does.

    A folder that is still empty afterward is removed: nothing is left of work that was refused.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with _opened(folder, os.O_RDONLY) as descriptor:
        if fcntl is not None and not _try_lock(descriptor):
            time.sleep(0.5)  # perhaps another process only checks, which locks it for a moment
            if not _try_lock(descriptor):
                raise FlowmodelError(f"{folder}: another process is working there; wait until it has ended and run this again")
        try:
            yield
        finally:
            with suppress(OSError):
                folder.rmdir()


def somebody_works_in(folder: Path) -> bool:
    """Whether a living process is in :func:`working_in` that folder."""
    with _opened(folder, os.O_RDONLY) as descriptor:
        return not _try_lock(descriptor)


@contextmanager
def alone(store: Store) -> Iterator[None]:
    """Lock `store` exclusively; raises StoreInUse when another process uses it."""
    with _opened(store.root, os.O_RDONLY) as folder:
        if fcntl is not None and not _try_lock(folder):
            runs = [path.stem for path in (store.root / "runs").glob("*.lock") if not has_ended(store, path.stem)]
            who = f"run {' and run '.join(sorted(runs))}" if runs else "another process"
            raise StoreInUse(f"{store.root}: {who} is at work in this store; try again when it has ended")
        yield


def has_ended(store: Store, run_id: str) -> bool:
    """Whether the process that held the lock of run `run_id` has died; False if there is no such lock."""
    path = _path(store, run_id)
    if fcntl is None or not path.exists():
        return False
    try:
        with _opened(path, os.O_RDONLY) as file:
            return _try_lock(file)
    except FileNotFoundError:  # it has just ended
        return False


def wait_for_release(store: Store, run_id: str) -> None:
    """Wait until the process that holds the lock of run `run_id` has died or released it. Another machine sees this too if the
    store's file system has locks. If nobody has held the lock yet, this waits for that first.
    """
    path, was_held = _path(store, run_id), False
    while not (was_held and (not path.exists() or has_ended(store, run_id))):
        was_held = was_held or path.exists()
        time.sleep(_RELEASE_SECONDS)


def forget(store: Store, run_id: str) -> None:
    """Remove the lock file of a dead process."""
    _path(store, run_id).unlink(missing_ok=True)


def _path(store: Store, run_id: str) -> Path:
    return store.root / "runs" / f"{run_id}.lock"


@contextmanager
def _opened(path: Path, flags: int) -> Iterator[int]:
    if fcntl is None:
        yield -1
        return
    try:
        descriptor = os.open(path, flags, 0o666)
    except PermissionError:
        raise permission_denied(path, "write" if flags & os.O_CREAT else "read") from None
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def _try_lock(descriptor: int) -> bool:
    if fcntl is None:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
