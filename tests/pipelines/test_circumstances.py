"""Adverse circumstances: a full disk, a read-only disk, two runs at once, a clock that is set back.

There is one clear line and no stack trace, nothing is damaged, and the next run succeeds.
"""

import os
import sqlite3
import subprocess
import tempfile
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from flowmodel.store import Store
from tests.conftest import use_caches
from tests.pipelines.conftest import digests, require_whole

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]


@contextmanager
def disk(folder: Path, options: str):
    """A small disk of its own at `folder`; yields what mounts it with other options."""

    def mount(*arguments: str) -> None:
        done = subprocess.run(["mount", *arguments, str(folder)], capture_output=True, text=True, check=False)
        if done.returncode:
            pytest.skip(f"no file system can be mounted here: {done.stderr.strip()}")

    folder.mkdir(parents=True, exist_ok=True)
    mount("-t", "tmpfs", "-o", options, "tmpfs")
    try:
        yield lambda other: mount("-o", f"remount,{other}")
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


def _one_line(said: str, words: str) -> None:
    errors = [line for line in said.splitlines() if words in line]
    assert errors and "Traceback" not in said and 'File "' not in said, said


@pytest.mark.skipif(os.name != "posix" or os.geteuid() != 0, reason="mounts a file system")
def test_a_full_disk_and_a_read_only_one_give_one_line_and_the_next_run_finishes(hatched, project, caches):
    place = project.root / "disk"
    with disk(place, "size=2500k") as change:
        use_caches(store := Store(place / "store"), caches)
        code, said = hatched.run(store)
        assert code in (1, 2)
        _one_line(said, "free some (`flowmodel store clean` shows what can go), and run this again")
        change("size=200m,ro")
        code, said = hatched.run(store)
        assert code == 2
        _one_line(said, "the file system is read-only; make it writable, or let FLOWMODEL_STORE name another folder")
        change("size=200m,rw")
        code, said = hatched.run(store)
        assert code == 0, said
        require_whole(store, digests(store))


def _set_the_clock_back(store: Store, seconds: int) -> None:
    """Simulate a clock that was ahead: all existing files were written that much later."""
    for path in [*store.root.rglob("*")]:
        status = path.lstat()
        if not path.is_symlink():
            os.utime(path, (status.st_atime + seconds, status.st_mtime + seconds))
    with closing(sqlite3.connect(store.root / "mlflow" / "mlflow.db")) as connection:
        for table, columns in {
            "runs": ("start_time", "end_time"),
            "metrics": ("timestamp",),
            "latest_metrics": ("timestamp",),
            "logged_models": ("creation_timestamp_ms", "last_updated_timestamp_ms"),
            "model_versions": ("creation_time", "last_updated_time"),
        }.items():
            for column in columns:
                connection.execute(f"UPDATE {table} SET {column} = {column} + ?", (seconds * 1000,))
        connection.commit()
    with closing(sqlite3.connect(store.root / "dagster" / "history" / "runs.db")) as connection:
        connection.execute("UPDATE runs SET start_time = start_time + ?, end_time = end_time + ?", (seconds, seconds))
        later = f"+{seconds} seconds"
        connection.execute(
            "UPDATE runs SET create_timestamp = datetime(create_timestamp, ?), update_timestamp = datetime(update_timestamp, ?)",
            (later, later),
        )
        connection.commit()


def test_two_runs_at_once_without_a_home_and_then_a_clock_that_is_set_back(hatched, project, caches):
    use_caches(store := Store(project.root / "a place #1" / "store"), caches)
    elsewhere = Path("/dev/shm")
    with tempfile.TemporaryDirectory(dir=elsewhere if elsewhere.is_dir() else None) as temporary:
        environment = {"HOME": None, "USER": None, "LOGNAME": None, "TMPDIR": temporary}
        for _ in range(2):
            hatched.start(store, environment)
        codes = [hatched.wait() for _ in range(2)]
        assert 0 in codes and set(codes) <= {0, 1}
        require_whole(store, undisturbed := digests(store))
        _set_the_clock_back(store, 3600)
        code, said = hatched.run(store, environment)
    assert code == 0 and "0 texts encoded" in said and "the finished training is reused" in said, said
    require_whole(store, undisturbed)
    everything = (store.root.parent.parent / f"{store.root.parent.name}-store.log").read_text()
    assert "Traceback" not in everything and 'File "' not in everything, everything
    if 1 in codes:
        assert "another process is working there" in everything
