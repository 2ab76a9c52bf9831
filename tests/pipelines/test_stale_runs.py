"""A run that was killed is not shown as running for ever."""

import os
import signal
import subprocess
import sys

import dagster as dg
import pytest

from flowmodel.store import PROJECT_ROOT, Store
from pipelines.stale_runs import end_stale_runs, run_lock

HOLD_LOCK = """
import sys, time
from pathlib import Path
from flowmodel.store import Store
from pipelines.stale_runs import run_lock
with run_lock(Store(Path(sys.argv[1])), sys.argv[2]):
    print("locked", flush=True)
    time.sleep(60)
"""

pytestmark = pytest.mark.skipif(os.name != "posix", reason="file locks are released with the process on POSIX only")


@pytest.fixture
def instance():
    with dg.instance_for_test() as instance:
        yield instance


def _started_run(instance: dg.DagsterInstance) -> dg.DagsterRun:
    job = dg.GraphDefinition(name="job").to_job()
    return instance.create_run_for_job(job, status=dg.DagsterRunStatus.STARTED)


def test_a_killed_run_is_cancelled_and_a_living_one_is_not(instance, tmp_path):
    store, killed = Store(tmp_path), _started_run(instance)
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD_LOCK, str(tmp_path), killed.run_id], cwd=PROJECT_ROOT, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None and process.stdout.readline() == "locked\n"
    assert end_stale_runs(instance, store) == []

    process.send_signal(signal.SIGKILL)
    process.wait()
    assert end_stale_runs(instance, store) == [killed.run_id]
    assert instance.get_run_by_id(killed.run_id).status is dg.DagsterRunStatus.CANCELED
    assert end_stale_runs(instance, store) == []


def test_a_run_that_has_not_come_to_its_lock_yet_is_left_alone(instance, tmp_path):
    run = _started_run(instance)
    assert end_stale_runs(instance, Store(tmp_path)) == []
    assert instance.get_run_by_id(run.run_id).status is dg.DagsterRunStatus.STARTED


def test_an_ended_run_leaves_no_lock(tmp_path):
    with run_lock(Store(tmp_path), "run"):
        assert list((tmp_path / "runs").iterdir())
    assert not list((tmp_path / "runs").iterdir())
