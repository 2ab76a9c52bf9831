"""Trains in a job of a Ray cluster, which reports to the run through Dagster Pipes.

The cluster's nodes need flowmodel and the store at the same path. Messages come back in the job's log, which dagster-ray reads.
Its PipesRayJobClient is not used, because it returns only after the job: the run could not show progress, and the outcome of
a job that was stopped would be lost.
"""

import json
import os
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict
from typing import Any
from urllib.parse import urlsplit

import dagster as dg
from dagster_ray import PipesRayJobMessageReader
from dagster_ray.core.pipes import PIPES_LAUNCHED_EXTRAS_RAY_ADDRESS_KEY, PIPES_LAUNCHED_EXTRAS_RAY_JOB_ID_KEY
from ray.job_submission import JobInfo, JobStatus, JobSubmissionClient

from flowmodel.errors import FlowmodelError
from flowmodel.store import Store
from flowmodel.training.interruption import Interruption
from pipelines.work import Ended, Task
from pipelines.worker import DETACHED, ENDING_SECONDS

_GRACE_SECONDS = 5.0  # in addition to the process's own limit
_PATIENCE_SECONDS = 60.0  # with a cluster that does not answer
_WAIT_SECONDS = 0.5


def run_job(
    context: dg.AssetExecutionContext,
    task: Task,
    store: Store,
    parameters: str,
    interruption: Interruption,
    observe: Callable[[dg.PipesSession], None],
) -> Ended:
    """Carry out `task` in a job of the cluster at RAY_ADDRESS, and wait for its end; a signal in `interruption` stops the job.

    `parameters` is a JSON object with parameters of Ray's `submit_job`, such as `{"entrypoint_num_gpus": 1}`. `observe` is
    called with the session about twice per second. Raises FlowmodelError when the cluster does not answer, or refuses the job.
    """
    wanted, client = _parameters(parameters), _connect()
    reader = PipesRayJobMessageReader()
    with dg.open_pipes_session(context, dg.PipesEnvContextInjector(), reader, extras=asdict(task)) as session:
        wanted["runtime_env"]["env_vars"] |= {**session.get_bootstrap_env_vars(), **job_environment(store)}
        job = _submit(client, wanted)
        context.log.info(f"Ray job {job} is submitted to {client.get_address()}")
        launched, deadline, answered = False, None, time.monotonic()
        try:
            while not (info := _info(client, job, answered)) or not info.status.is_terminal():
                answered = time.monotonic() if info else answered
                if info and info.status is JobStatus.RUNNING and not launched:
                    launched = True  # not before: the reader would wait for the log of a job that never starts
                    extras = {
                        PIPES_LAUNCHED_EXTRAS_RAY_ADDRESS_KEY: client.get_address(),
                        PIPES_LAUNCHED_EXTRAS_RAY_JOB_ID_KEY: job,
                    }
                    session.report_launched({"extras": extras})
                observe(session)
                if interruption.signal and deadline is None:
                    deadline = time.monotonic() + (ENDING_SECONDS + _GRACE_SECONDS if launched else 0)
                    client.stop_job(job)
                if deadline is not None and time.monotonic() >= deadline:
                    break
                time.sleep(_WAIT_SECONDS)
        except BaseException:
            with suppress(Exception):
                client.stop_job(job)
            raise
    return Ended(session.get_custom_messages(), *_how(info, job))


def _connect() -> JobSubmissionClient:
    try:
        return JobSubmissionClient()
    except (ConnectionError, RuntimeError, ValueError) as error:
        raise FlowmodelError(f"RAY_ADDRESS: {_line(error)}; start the Ray cluster, or correct its address") from None


def _submit(client: JobSubmissionClient, parameters: dict[str, Any]) -> str:
    try:
        return str(client.submit_job(**parameters))
    except (TypeError, ValueError, RuntimeError) as error:
        raise FlowmodelError(f"FLOWMODEL_RAY_JOB: Ray refuses the job ({_line(error)}); correct it") from None


def _parameters(given: str) -> dict[str, Any]:
    """Parameters of the job. Without a resource, Ray would run it on the head node only."""
    try:
        parameters = json.loads(given or "{}")
        own = dict(parameters.get("runtime_env", {}))
        own["env_vars"] = dict(own.get("env_vars", {}))
    except (ValueError, AttributeError, TypeError):
        raise FlowmodelError(
            f"FLOWMODEL_RAY_JOB: '{given}' is not a JSON object with parameters of Ray's submit_job, "
            'such as {"entrypoint_num_gpus": 1}; correct it'
        ) from None
    defaults = {"entrypoint": f"python -m pipelines.worker {DETACHED}", "entrypoint_num_cpus": 1}
    return {**defaults, **parameters, "runtime_env": own}


def job_environment(store: Store) -> dict[str, str]:
    """Variables of the job. Everybody who reaches the cluster's dashboard can read them, so none is secret."""
    found = {"FLOWMODEL_STORE": str(store.root), "RAY_JOB_STOP_WAIT_TIME_S": f"{ENDING_SECONDS:.0f}"}
    address = os.environ.get("MLFLOW_TRACKING_URI", "")
    if address and "@" not in urlsplit(address).netloc:
        found["MLFLOW_TRACKING_URI"] = address
    return found


def _info(client: JobSubmissionClient, job: str, answered: float) -> JobInfo | None:
    """What the cluster knows about the job, or None if it does not answer; `answered` is when it did last."""
    try:
        return client.get_job_info(job)
    except (ConnectionError, RuntimeError) as error:
        if time.monotonic() - answered > _PATIENCE_SECONDS:
            raise FlowmodelError(
                f"RAY_ADDRESS: the Ray cluster has not answered for {_PATIENCE_SECONDS:.0f} seconds ({_line(error)}); "
                "start it again, and re-execute from failure"
            ) from None
        return None


def _how(info: JobInfo | None, job: str) -> tuple[str, bool]:
    """How the job ended, and whether another one should resume its training."""
    if info is None or not info.status.is_terminal():
        return f"job {job} did not end when asked to", False
    if info.status is JobStatus.SUCCEEDED:
        return f"job {job} ended, but its outcome was lost", True  # the next one finds the finished training
    if info.driver_exit_code in (1, 2):
        return f"job {job} ended with status {info.driver_exit_code}; see `ray job logs {job}`", False
    reason = _line(info.message or "")
    started = info.start_time is not None and info.driver_node_id is not None
    return f"job {job} {'died' if started else 'could not start'} ({reason})", started


def _line(error: object) -> str:
    """The first line of Ray's messages, which may have stack traces."""
    return str(error).strip().partition("\n")[0].rstrip(".:")
