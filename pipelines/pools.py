"""A run in a terminal waits for its place in a pool, as a run from the UI waits in Dagster's queue.

The queue counts a run in a terminal as soon as it has begun. This module counts the other runs for it, by Dagster's own rules and
limits.
"""

import time
from collections.abc import Callable

import dagster as dg
from dagster._core.op_concurrency_limits_counter import GlobalOpConcurrencyLimitsCounter
from dagster._core.storage.dagster_run import IN_PROGRESS_RUN_STATUSES
from filelock import FileLock

from flowmodel.store import Store
from pipelines.stale_runs import end_stale_runs

ACCELERATOR = "accelerator"  # the pool of every training
_SECONDS = 1.0


def store_default_limit(instance: dg.DagsterInstance, pool: str) -> None:
    """Store the default limit for `pool` if it has no limit yet.

    Dagster does this when it looks at the first queued run of the pool, but starts that run without a limit.
    """
    storage = instance.event_log_storage
    if instance.global_op_concurrency_default_limit and pool not in {limit.name for limit in storage.get_pool_limits()}:
        storage.initialize_concurrency_limit_to_default(pool)


def take_place(instance: dg.DagsterInstance, store: Store, run: dg.DagsterRun, say: Callable[[str], None]) -> dg.DagsterRun:
    """Wait until the pools of `run` have a place, and take it by marking the run as starting.

    Runs whose process is gone are ended meanwhile. A run that is stopped while it waits is canceled.
    """
    starting = dg.DagsterEvent(dg.DagsterEventType.PIPELINE_STARTING.value, run.job_name)
    told = False
    try:
        while True:
            with FileLock(store.root / "starting.lock"):  # against another terminal
                if not (before := _in_the_way(instance, run)):
                    instance.report_dagster_event(starting, run.run_id)
                    break
            if not told:
                say(f"waits for run {' and run '.join(run_id[:8] for run_id in before)}, which works in the same pool")
                told = True
            end_stale_runs(instance, store)
            time.sleep(_SECONDS)
    except KeyboardInterrupt:
        instance.report_run_canceled(run, "stopped while it waited for another run")
        raise
    started = instance.get_run_by_id(run.run_id)
    assert started is not None, run.run_id
    return started


def _in_the_way(instance: dg.DagsterInstance, run: dg.DagsterRun) -> list[str]:
    """The ids of the runs in the pools of `run`, if these are full."""
    pools = set((run.run_op_concurrency and run.run_op_concurrency.all_pools) or ())
    storage = instance.event_log_storage
    for pool in pools:
        store_default_limit(instance, pool)
    under_way = instance.get_run_records(dg.RunsFilter(statuses=IN_PROGRESS_RUN_STATUSES))
    counter = GlobalOpConcurrencyLimitsCounter(
        instance,
        [run],
        under_way,
        concurrency_keys=storage.get_concurrency_keys(),
        pool_limits=storage.get_pool_limits(),
        pool_granularity=instance.get_concurrency_config().pool_config.pool_granularity,
    )
    if not counter.is_blocked(run):
        return []
    others = [record.dagster_run for record in under_way]
    return [
        other.run_id for other in others if other.run_op_concurrency and pools & set(other.run_op_concurrency.all_pools or ())
    ]
