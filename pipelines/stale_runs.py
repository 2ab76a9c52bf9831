"""Runs whose process is gone, as after `kill -9` or a power cut.

Dagster would show them as running for ever, and a run in the UI that needs the accelerator would wait for them. A run holds a
lock while it lives, which the system releases with the process, however that ends. The lock belongs to the process that
conducts the run, not to one that carries out a step: where each step has a process of its own, those come and go. `make
quickstart` and `make ui` call this module first.
"""

import os
import sys
from collections.abc import Iterator
from typing import Any

import dagster as dg

from flowmodel.locks import forget, has_ended, run_lock
from flowmodel.store import Store

_ALIVE = [dg.DagsterRunStatus.STARTING, dg.DagsterRunStatus.STARTED, dg.DagsterRunStatus.CANCELING]


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
            yield from self._executor.execute(plan_context, execution_plan)


def end_stale_runs(instance: dg.DagsterInstance, store: Store) -> list[str]:
    """Report the runs that have died as canceled; returns their ids."""
    dead = [run for run in instance.get_runs(dg.RunsFilter(statuses=_ALIVE)) if has_ended(store, run.run_id)]
    for run in dead:
        instance.report_run_canceled(run, "The run's process no longer exists; start it again, and a training continues.")
        forget(store, run.run_id)
    return [run.run_id for run in dead]


def main() -> int:
    if os.environ.get("DAGSTER_HOME"):
        with dg.DagsterInstance.get() as instance:
            for run_id in end_stale_runs(instance, Store.from_environment()):
                print(f"run {run_id[:8]} belongs to a killed process and is marked as canceled")
    return 0


if __name__ == "__main__":
    sys.exit(main())
