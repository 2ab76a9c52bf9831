"""Runs whose process no longer exists, for example after `kill -9` or a power cut.

Dagster would show them as running forever, and other runs that need the accelerator would wait for them. A live run holds a lock
that the system releases when the process ends, however it ends. The lock belongs to the process that executes the run and not to
processes of single steps. `make quickstart` and `make ui` call this module first, and the sensor `dead_runs` keeps calling it.
"""

from collections.abc import Generator, Iterator
from contextlib import closing
from typing import Any, cast

import dagster as dg

from flowmodel.locks import forget, has_ended, run_lock
from flowmodel.store import Store
from pipelines.failures import STOPPED

TERMINAL = {"started from": "terminal"}  # tag of a run that was started in a terminal (pipelines/run.py)

_ALIVE = [
    dg.DagsterRunStatus.NOT_STARTED,
    dg.DagsterRunStatus.STARTING,
    dg.DagsterRunStatus.STARTED,
    dg.DagsterRunStatus.CANCELING,
]


def holding_run_lock(executor: dg.ExecutorDefinition) -> dg.ExecutorDefinition:
    """Wrap `executor` so that it holds the run's lock, in the store of this process's environment, while it executes the run."""
    create = executor.executor_creation_fn
    assert create is not None, f"{executor.name} creates no executor"
    return dg.ExecutorDefinition(
        name=executor.name,
        config_schema=executor.config_schema,  # type: ignore[arg-type]  # Dagster accepts its own class, which its stub omits
        requirements=executor.get_requirements,
        executor_creation_fn=lambda context: _LockingExecutor(create(context)),
        description=executor.description,
    )


class _LockingExecutor(dg.Executor):
    def __init__(self, executor: dg.Executor) -> None:
        self._executor = executor

    @property
    def retries(self) -> Any:
        return self._executor.retries

    def execute(self, plan_context: Any, execution_plan: Any) -> Iterator[dg.DagsterEvent]:
        with run_lock(Store.from_environment(), plan_context.run_id):
            said = ""
            try:
                execution = cast("Generator[dg.DagsterEvent]", self._executor.execute(plan_context, execution_plan))
                with closing(execution) as events:
                    for event in events:
                        yield event
                        if said := _stopped(event):
                            raise dg.DagsterExecutionInterruptedError(said)
            except (KeyboardInterrupt, dg.DagsterExecutionInterruptedError):
                # If a person ended the run, its step has already logged that. Dagster restarts a run that was stopped by a
                # shutdown of
                # the machine.
                if not (_is_canceled(plan_context.instance, plan_context.run_id) and said):
                    raise


def _stopped(event: dg.DagsterEvent) -> str:
    """The message of a step that was stopped by a signal, so that no other step begins; empty for any other failure."""
    failure = event.step_failure_data.user_failure_data if event.is_step_failure else None
    return failure.description or "" if failure is not None and STOPPED in failure.metadata else ""


def _is_canceled(instance: dg.DagsterInstance, run_id: str) -> bool:
    """Whether a person ended the run, in the UI or by Ctrl-C in its terminal. The run is marked accordingly."""
    run = instance.get_run_by_id(run_id)
    assert run is not None, run_id
    if run.status in (dg.DagsterRunStatus.CANCELING, dg.DagsterRunStatus.CANCELED):
        return True
    if TERMINAL.items() <= run.tags.items() and not run.is_finished:
        instance.report_run_canceling(run, "stopped in the terminal")
        return True
    return False


def end_stale_runs(instance: dg.DagsterInstance, store: Store) -> list[str]:
    """Report dead runs as canceled if they were started in a terminal or were being canceled, else as failed; returns their ids.

    Dagster's daemon restarts a run that has failed in this way (`run_retries` in dagster.yaml).
    """
    dead = [run for run in instance.get_runs(dg.RunsFilter(statuses=_ALIVE)) if has_ended(store, run.run_id)]
    for run in dead:
        if TERMINAL.items() <= run.tags.items() or run.status is dg.DagsterRunStatus.CANCELING:
            instance.report_run_canceled(run, "The run's process no longer exists. Start the run again; a training resumes.")
        else:
            instance.report_run_failed(run, "The run's process no longer exists. A restarted run resumes its training.")
        forget(store, run.run_id)
    for lock in (store.root / "runs").glob("*.lock"):
        left = instance.get_run_by_id(lock.stem)
        if left is not None and left.is_finished and has_ended(store, left.run_id):
            forget(store, left.run_id)
    return [run.run_id for run in dead]
