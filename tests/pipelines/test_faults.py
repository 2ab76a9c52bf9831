"""`kill -9` at random moments over the whole job: the same command then finishes, with the results of a run nobody disturbed.

FLOWMODEL_FAULTS is how many moments are tried; without it, as many as fit into a minute, and at least one.
"""

import json
import os
import random
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path

import dagster as dg
import pyarrow.parquet as pq
import pytest
from safetensors import safe_open

from flowmodel.store import PROJECT_ROOT, Store

pytestmark = [
    pytest.mark.slow,
    pytest.mark.faults,
    pytest.mark.skipif(os.name != "posix", reason="process groups are POSIX"),
]

SECONDS = 60

# Imports everything once; each line that it reads, a store, is a run of the job in a process group of its own. It answers with
# the run's process, and when that is gone with how it ended.
NURSERY = """
import os, sys, warnings
warnings.simplefilter("ignore")
import mlflow, torch, dagster
import pipelines.definitions, pipelines.home, pipelines.run, pipelines.terminal_run
import flowmodel.evaluation.html.page, flowmodel.registry.releasing, flowmodel.training.finishing, flowmodel.training.loop
print("ready", flush=True)
for line in sys.stdin:
    store, log = line.split()
    child = os.fork()
    if child == 0:
        os.setsid()
        said = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        os.dup2(said, 1)
        os.dup2(said, 2)
        os.environ["FLOWMODEL_STORE"], sys.argv = store, ["python -m pipelines.run"]
        status = pipelines.run.main()
        sys.stdout.flush()
        os._exit(status)
    print(child, flush=True)
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
"""


@dataclass(frozen=True)
class Nursery:
    process: subprocess.Popen[str]

    def _line(self) -> str:
        assert self.process.stdout is not None
        return self.process.stdout.readline().strip()

    def run(self, store: Store, kill_after: float | None = None) -> int:
        """The exit code of the job in `store`; it and its children are killed after those seconds, if they are given."""
        assert self.process.stdin is not None
        self.process.stdin.write(f"{store.root} {store.root}.log\n")
        self.process.stdin.flush()
        child = int(self._line())
        if kill_after is not None:
            time.sleep(kill_after)
            with suppress(ProcessLookupError):
                os.killpg(child, signal.SIGKILL)
        return int(self._line())


@pytest.fixture
def nursery(project, monkeypatch) -> Iterator[Nursery]:
    project.write_recipe(finisher={"channels": 8, "blocks": 1, "steps": 6, "batch_size": 4})
    monkeypatch.delenv("DAGSTER_HOME", raising=False)
    environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONWARNINGS": "ignore"}
    process = subprocess.Popen(
        [sys.executable, "-c", NURSERY],
        cwd=PROJECT_ROOT,
        env=environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    nursery = Nursery(process)
    assert nursery._line() == "ready"
    try:
        yield nursery
    finally:
        assert process.stdin is not None
        process.stdin.close()
        process.wait(30)


def _digests(store: Store) -> dict[str, str]:
    """Of what each asset gave last; that of the registered model names MLflow's run."""
    records = {path.stem: json.loads(path.read_text())["digest"] for path in (store.root / "artifacts").glob("**/*.json")}
    return {name: digest for name, digest in records.items() if name != "registered_model"}


def _half_written(store: Store) -> list[Path]:
    """Files that a reader would meet and can't read. Temporary ones begin with a dot."""

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


def _mlflow(store: Store, query: str) -> list[tuple]:
    with closing(sqlite3.connect(store.root / "mlflow" / "mlflow.db")) as connection:
        return connection.execute(query).fetchall()


def _check(store: Store, undisturbed: dict[str, str]) -> None:
    assert _digests(store) == undisturbed
    assert _mlflow(store, "SELECT version FROM model_versions") == [(1,)]
    assert sorted(_mlflow(store, "SELECT alias, version FROM registered_model_aliases")) == [("champion", 1)]
    assert _mlflow(store, "SELECT status FROM runs") == [("FINISHED",)]
    with dg.DagsterInstance.from_config(str(store.root / "dagster")) as instance:
        assert all(run.is_finished for run in instance.get_runs())
    assert not list((store.root / "runs").glob("*"))


@pytest.mark.timeout(7200)
def test_after_kill_9_at_any_moment_the_same_command_finishes_with_the_same_results(nursery, project):
    started, whole = time.monotonic(), Store(project.root / "whole")
    assert nursery.run(whole) == 0, Path(f"{whole.root}.log").read_text()
    seconds, undisturbed = time.monotonic() - started, _digests(whole)
    _check(whole, undisturbed)
    wanted, done = os.environ.get("FLOWMODEL_FAULTS"), 0
    seed = random.randrange(10**6)
    moments, started = random.Random(seed), time.monotonic()
    while done < int(wanted) if wanted else done == 0 or time.monotonic() - started < SECONDS:
        store, moment = Store(project.root / f"killed-{done}"), moments.uniform(0.0, seconds)
        where = f"seed {seed}, moment {done}: {moment:.2f} of {seconds:.2f} seconds"
        status = nursery.run(store, kill_after=moment)
        assert status in (-signal.SIGKILL, 0), where
        assert _half_written(store) == [], where
        code = nursery.run(store)
        log = Path(f"{store.root}.log").read_text()
        assert code == 0, f"{where}\n{log}"
        _check(store, undisturbed)
        print(f"{where}: {'killed' if status else 'had finished'} after {_reached(log)}")
        shutil.rmtree(store.root)
        done += 1


def _reached(log: str) -> str:
    """The last asset that the killed run has told of."""
    lines = [line.split() for line in log.split("loading …")[1].splitlines()]
    return next((words[1] for words in reversed(lines) if len(words) > 1 and words[0].count(":") == 2), "nothing")
