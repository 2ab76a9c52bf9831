"""A run that was killed is not shown as running forever."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable

import dagster as dg
import pytest
import yaml
from dagster._daemon.auto_run_reexecution.auto_run_reexecution import should_retry

from flowmodel.locks import has_ended, leave_lock, run_lock
from flowmodel.store import PROJECT_ROOT, Store
from pipelines.stale_runs import TERMINAL, end_stale_runs

HOLD_LOCK = """
import sys, time
from pathlib import Path
from flowmodel.store import Store
from flowmodel.locks import run_lock
with run_lock(Store(Path(sys.argv[1])), sys.argv[2]):
    print("locked", flush=True)
    time.sleep(60)
"""

SETTINGS = PROJECT_ROOT / "dagster.yaml"

# Two steps in separate processes, which report their progress and wait.
JOB = """
import os, time
from pathlib import Path
import dagster as dg
from pipelines.stale_runs import holding_run_lock

def say_and_wait(name):
    Path(name + ".part").write_text(str(os.getpid()))
    Path(name + ".part").rename(name)
    while not Path("end").exists():
        time.sleep(0.1)

@dg.op
def dies():
    say_and_wait("dies")

@dg.op
def survives():
    while not Path("dies").exists():
        time.sleep(0.1)
    say_and_wait("survives")

@dg.job(executor_def=holding_run_lock(dg.multiprocess_executor))
def job():
    dies()
    survives()
"""

pytestmark = pytest.mark.skipif(os.name != "posix", reason="file locks are released with the process on POSIX only")


@pytest.fixture
def instance():
    with dg.instance_for_test({"run_retries": yaml.safe_load(SETTINGS.read_text())["run_retries"]}) as instance:
        yield instance


def _started_run(instance: dg.DagsterInstance, tags: dict[str, str] = TERMINAL) -> dg.DagsterRun:
    job = dg.GraphDefinition(name="job").to_job()
    return instance.create_run_for_job(job, status=dg.DagsterRunStatus.STARTED, tags=tags)


def test_a_killed_run_is_canceled_and_a_living_one_is_not(instance, tmp_path):
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


def test_a_run_without_a_lock_so_far_is_not_canceled(instance, tmp_path):
    run = _started_run(instance)
    assert end_stale_runs(instance, Store(tmp_path)) == []
    assert instance.get_run_by_id(run.run_id).status is dg.DagsterRunStatus.STARTED


def test_a_run_that_died_before_its_first_step_is_canceled_too(instance, tmp_path):
    store = Store(tmp_path)
    created = instance.create_run_for_job(dg.GraphDefinition(name="job").to_job(), status=dg.DagsterRunStatus.NOT_STARTED)
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD_LOCK, str(tmp_path), created.run_id], cwd=PROJECT_ROOT, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None and process.stdout.readline() == "locked\n"
    assert end_stale_runs(instance, store) == []
    process.kill()
    process.wait()
    assert end_stale_runs(instance, store) == [created.run_id]


def test_the_process_that_executes_a_run_locks_it_once(tmp_path):
    with run_lock(Store(tmp_path), "run"):
        with run_lock(Store(tmp_path), "run"):
            pass
        (lock,) = (tmp_path / "runs").iterdir()
        assert lock.name == "run.lock" and not has_ended(Store(tmp_path), "run")
    assert not list((tmp_path / "runs").iterdir())


def test_a_run_whose_end_could_not_be_recorded_counts_as_dead(instance, tmp_path):
    store = Store(tmp_path)
    unrecorded, recorded, nobodys = _started_run(instance), _started_run(instance), _started_run(instance, {})
    for run in (unrecorded, recorded, nobodys):
        with run_lock(store, run.run_id):
            leave_lock(store, run.run_id)
    instance.report_run_failed(recorded)
    assert set(end_stale_runs(instance, store)) == {unrecorded.run_id, nobodys.run_id}
    assert instance.get_run_by_id(recorded.run_id).status is dg.DagsterRunStatus.FAILURE
    assert instance.get_run_by_id(unrecorded.run_id).status is dg.DagsterRunStatus.CANCELED
    # Dagster restarts what failed in this way, as there is nobody at a terminal who would.
    assert should_retry(instance.get_run_by_id(nobodys.run_id), instance)
    assert not list((tmp_path / "runs").iterdir())


def test_a_run_leaves_no_lock_however_it_ends(tmp_path):
    with run_lock(Store(tmp_path), "run"):
        assert list((tmp_path / "runs").iterdir())
    assert not list((tmp_path / "runs").iterdir())
    with pytest.raises(KeyboardInterrupt), run_lock(Store(tmp_path), "run"):
        raise KeyboardInterrupt
    assert not list((tmp_path / "runs").iterdir())


def _wait_until(happened: Callable[[], object], process: subprocess.Popen[bytes]) -> None:
    until = time.monotonic() + 120
    while not happened():
        assert process.poll() is None and time.monotonic() < until, "the run has ended, or takes too long"
        time.sleep(0.1)


@pytest.mark.slow
def test_a_run_survives_the_death_of_a_step_process(tmp_path, monkeypatch):
    (tmp_path / "job.py").write_text(JOB)
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path))
    monkeypatch.setenv("FLOWMODEL_STORE", str(tmp_path / "store"))
    store, command = Store.from_environment(), [sys.executable, "-m", "dagster", "job", "execute", "-f", "job.py", "-j", "job"]
    environment = os.environ | {"PYTHONPATH": str(PROJECT_ROOT)}
    with dg.DagsterInstance.get() as instance:
        assert not instance.get_runs() and not instance.all_asset_keys()  # which makes its databases, before another process can
        process = subprocess.Popen(command, cwd=tmp_path, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            _wait_until((tmp_path / "survives").exists, process)
            os.kill(int((tmp_path / "dies").read_text()), signal.SIGKILL)
            [run] = instance.get_runs()
            _wait_until(lambda: instance.all_logs(run.run_id, dg.DagsterEventType.STEP_FAILURE), process)
            assert end_stale_runs(instance, store) == []

            process.kill()
            process.wait()
            assert end_stale_runs(instance, store) == [run.run_id]
            assert not list((store.root / "runs").iterdir())
        finally:
            process.kill()
            (tmp_path / "end").touch()  # for the step whose run has died
