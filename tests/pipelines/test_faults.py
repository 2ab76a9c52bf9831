"""`kill -9` of the job and of the training's own process at random moments: the same command then finishes with the results of
an undisturbed run.

FLOWMODEL_FAULTS is the number of moments; by default as many as fit into 15 seconds, and at least one.
"""

import json
import os
import random
import shutil
import signal
import time
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from safetensors import safe_open

from flowmodel.store import Store
from tests.pipelines.conftest import digests, require_whole

pytestmark = [
    pytest.mark.slow,
    pytest.mark.faults,
    pytest.mark.skipif(os.name != "posix", reason="process groups are POSIX"),
]

SECONDS = 15


def _half_written(store: Store) -> list[Path]:
    """Unreadable files, without temporary ones, which begin with a dot."""

    def is_whole(path: Path) -> bool:
        try:
            if path.suffix == ".json":
                json.loads(path.read_text())
            elif path.suffix == ".parquet":
                pq.read_table(path)
            elif path.suffix == ".safetensors":
                with safe_open(path, "pt") as file:
                    assert [file.get_tensor(name) for name in file.keys()]  # noqa: SIM118
        except Exception:
            return False
        return True

    ours = (path for path in store.root.rglob("*") if path.relative_to(store.root).parts[0] not in ("mlflow", "dagster"))
    return [path for path in ours if path.is_file() and not path.name.startswith(".") and not is_whole(path)]


@pytest.mark.timeout(7200)
def test_after_kill_9_at_any_moment_the_same_command_finishes_with_the_same_results(hatched, project):
    whole, started = Store(project.root / "whole" / "store"), time.monotonic()
    code, said = hatched.run(whole)
    assert code == 0, said
    seconds, undisturbed = time.monotonic() - started, digests(whole)
    require_whole(whole, undisturbed)
    wanted, done = os.environ.get("FLOWMODEL_FAULTS"), 0
    seed = random.randrange(10**6)
    moments, started = random.Random(seed), time.monotonic()
    while done < int(wanted) if wanted else done == 0 or time.monotonic() - started < SECONDS:
        # The disturbed run takes longer than the undisturbed one, since each of its two trainings has a process of its own.
        store, moment = Store(project.root / f"killed-{done}" / "store"), moments.uniform(0.0, 1.3 * seconds)
        where = f"seed {seed}, moment {done}: {moment:.2f} of {seconds:.2f} seconds"
        status, reached = hatched.run(store, {"FLOWMODEL_TRAINER": None}, kill_after=moment)
        assert status in (-signal.SIGKILL, 0), where
        assert _half_written(store) == [], where
        code, said = hatched.run(store)
        assert code == 0, f"{where}\n{said}"
        require_whole(store, undisturbed)
        print(f"{where}: {'killed' if status else 'had finished'} after {_last_asset(reached)}", flush=True)
        shutil.rmtree(store.root)
        done += 1


def _last_asset(said: str) -> str:
    """The last one that a run has logged."""
    lines = [line.split() for line in said.splitlines()]
    return next((words[1] for words in reversed(lines) if len(words) > 1 and words[0].count(":") == 2), "nothing")
