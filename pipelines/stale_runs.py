"""Runs whose process is gone, as after `kill -9` or a power cut.

Dagster would show them as running for ever, and a run in the UI that needs the accelerator would wait for them. A run holds a
lock while it lives, which the system releases with the process, however that ends. The lock belongs to the process that
conducts the run, not to one that carries out a step: where each step has a process of its own, those come and go. `make
quickstart` and `make ui` call this module first.
"""

from collections.abc import Generator, Iterator
from contextlib import closing
from typing import Any, cast

import dagster as dg

from flowmodel.locks import forget, has_ended, run_lock
from flowmodel.store import Store
from pipelines.failures import STOPPED

TERMINAL = {"started from": "terminal"}  # tag of a run that a person's terminal conducts (pipelines/run.py)

_ALIVE = [
    dg.DagsterRunStatus.NOT_STARTED,
    dg.DagsterRunStatus.STARTING,
    dg.DagsterRunStatus.STARTED,
    dg.DagsterRunStatus.CANCELING,
]


def holding_run_lock(executor: dg.ExecutorDefinition) -> dg.ExecutorDefinition:
    """`executor`, with the run's lock held in the store of this process's environment for as long as it conducts the run."""
    create = executor.executor_creation_fn
    assert create is not None, f"{executor.name} creates no executor"
    return dg.ExecutorDefinition(
        name=executor.name,
        config_schema=executor.config_schema,  # type: ignore[arg-type]  # Dagster takes its own class, which its stub leaves out
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
                # Where a person has ended the run and its step has said so, there is no more to say. A run that the machine has
                # stopped, as it shuts down, is started again by Dagster.
                if not (_is_canceled(plan_context.instance, plan_context.run_id) and said):
                    raise


def _stopped(event: dg.DagsterEvent) -> str:
    """What a step says that a signal has stopped, so that no other is to begin; empty for all else."""
    failure = event.step_failure_data.user_failure_data if event.is_step_failure else None
    return failure.description or "" if failure is not None and STOPPED in failure.metadata else ""


def _is_canceled(instance: dg.DagsterInstance, run_id: str) -> bool:
    """Did a person end the run, in the UI or by Ctrl-C in its terminal? It is marked accordingly."""
    run = instance.get_run_by_id(run_id)
    assert run is not None, run_id
    if run.status in (dg.DagsterRunStatus.CANCELING, dg.DagsterRunStatus.CANCELED):
        return True
    if TERMINAL.items() <= run.tags.items() and not run.is_finished:
        instance.report_run_canceling(run, "stopped in the terminal")
        return True
    return False


def end_stale_runs(instance: dg.DagsterInstance, store: Store) -> list[str]:
    """Report the runs that have died as canceled; returns their ids."""
    dead = [run for run in instance.get_runs(dg.RunsFilter(statuses=_ALIVE)) if has_ended(store, run.run_id)]
    for run in dead:
        instance.report_run_canceled(run, "The run's process no longer exists; start it again, and a training continues.")
        forget(store, run.run_id)
    for lock in (store.root / "runs").glob("*.lock"):
        left = instance.get_run_by_id(lock.stem)
        if left is not None and left.is_finished and has_ended(store, left.run_id):
            forget(store, left.run_id)
    return [run.run_id for run in dead]
