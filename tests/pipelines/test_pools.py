"""A run in a terminal waits for the accelerator until the run that holds it has finished or died."""

import threading
import time

import dagster as dg
import pytest

from flowmodel.locks import leave_lock, run_lock
from flowmodel.store import Store
from pipelines.pools import take_place
from pipelines.stale_runs import TERMINAL


@dg.op(pool="accelerator")
def trains():
    pass


@dg.job
def training():
    trains()


@dg.op
def reads():
    pass


@dg.job
def reading():
    reads()


@pytest.fixture
def instance():
    pools = {"pools": {"default_limit": 1, "granularity": "run"}}
    with dg.instance_for_test(overrides={"concurrency": pools}) as instance:
        yield instance


def _take_place(instance, store: Store, job: dg.JobDefinition) -> tuple[threading.Thread, dg.DagsterRun, list[str]]:
    run, said = instance.create_run_for_job(job), []
    thread = threading.Thread(target=take_place, args=(instance, store, run, said.append), daemon=True)
    thread.start()
    return thread, run, said


def test_a_training_waits_for_the_one_that_has_the_accelerator_and_other_jobs_do_not(instance, tmp_path):
    store = Store(tmp_path)
    first, run, said = _take_place(instance, store, training)
    first.join(30)
    assert instance.get_run_by_id(run.run_id).status is dg.DagsterRunStatus.STARTING and said == []
    second, waiting, said = _take_place(instance, store, training)
    other, _, nothing = _take_place(instance, store, reading)
    other.join(30)
    deadline = time.monotonic() + 30
    while not said and time.monotonic() < deadline:
        time.sleep(0.05)
    second.join(1)  # it goes on waiting
    assert nothing == [] and not other.is_alive() and second.is_alive()
    assert said == [f"waits for run {run.run_id[:8]}, which works in the same pool"]
    assert instance.get_run_by_id(waiting.run_id).status is dg.DagsterRunStatus.NOT_STARTED
    instance.report_run_failed(run)
    second.join(30)
    assert instance.get_run_by_id(waiting.run_id).status is dg.DagsterRunStatus.STARTING


def test_a_training_whose_process_has_died_gives_its_place_to_the_one_that_waits(instance, tmp_path):
    store = Store(tmp_path)
    dead = instance.create_run_for_job(training, status=dg.DagsterRunStatus.STARTED, tags=TERMINAL)
    with run_lock(store, dead.run_id):
        leave_lock(store, dead.run_id)
    thread, run, said = _take_place(instance, store, training)
    thread.join(30)
    assert instance.get_run_by_id(dead.run_id).status is dg.DagsterRunStatus.CANCELED
    assert instance.get_run_by_id(run.run_id).status is dg.DagsterRunStatus.STARTING and said


def test_a_limit_that_somebody_has_set_is_kept(instance, tmp_path):
    instance.event_log_storage.set_concurrency_slots("accelerator", 2)
    for _ in range(2):
        thread, run, said = _take_place(instance, Store(tmp_path), training)
        thread.join(30)
        assert instance.get_run_by_id(run.run_id).status is dg.DagsterRunStatus.STARTING and said == []
