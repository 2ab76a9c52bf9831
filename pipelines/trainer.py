"""Trains in a separate process, which reports to the run through Dagster Pipes."""

import os
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict

import dagster as dg
from pydantic import Field

from flowmodel.errors import FlowmodelError, Resumable
from flowmodel.locks import held_descriptors
from flowmodel.store import IS_CHECKOUT, PROJECT_ROOT, Store
from flowmodel.training.interruption import Interruption
from pipelines.work import Ended, Outcome, Task, carry_out, is_done, origin
from pipelines.worker import ENDING_SECONDS, PROGRESS

IN_PROCESS, ON_RAY = "none", "ray"  # instead of a command
_RESTARTS = 2
_GRACE_SECONDS = 5.0  # in addition to the process's own limit


class TrainerResource(dg.ConfigurableResource):
    """Starts trainings."""

    command: str = Field(
        default_factory=lambda: os.environ.get("FLOWMODEL_TRAINER", ""),
        description="Command line of a training's process, which ends in `-m pipelines.worker`; or `ray` to train on the Ray "
        "cluster at RAY_ADDRESS, or `none` to train in the run's own process; default: FLOWMODEL_TRAINER, else "
        "`python -m pipelines.worker`.",
    )
    ray_job: str = Field(
        default_factory=lambda: os.environ.get("FLOWMODEL_RAY_JOB", ""),
        description="Parameters of Ray's submit_job as a JSON object, such as "
        '`{"entrypoint_num_gpus": 1}`; default: FLOWMODEL_RAY_JOB, else one CPU of any node.',
    )

    def carry_out(self, context: dg.AssetExecutionContext, task: Task, store: Store) -> Outcome:
        """Like :func:`pipelines.work.carry_out`, in a separate process if there is something to train.

        The process is stopped together with this run, and another one resumes from its newest checkpoint if it was killed. On
        this machine it also keeps the run's slot in the pool while it lives.

        Raises Resumable and FlowmodelError as that does.
        """
        if self.command == IN_PROCESS or is_done(task, store):
            tags = origin(context.run.run_id, task.asset, context.run.job_name)
            return carry_out(task, store, context.log, tags, lambda values: _observe(context, values))
        observer = _Observer(context)
        with Interruption() as interruption:
            if self.command == ON_RAY:
                from pipelines.ray_job import run_job

                ended = run_job(context, task, store, self.ray_job, interruption, observer)
            else:
                ended = self._run_process(context, task, store, interruption, observer)
        if outcomes := [message for message in ended.messages if PROGRESS not in message]:
            outcome: Outcome = outcomes[0]
            if "refused" not in outcome:
                return outcome
            if "where" in outcome:
                raise Resumable(outcome["refused"], outcome["signal"], outcome["where"])
            raise FlowmodelError(outcome["refused"])
        if interruption.signal:
            raise Resumable("stopped before the training could report its progress", interruption.signal)
        if not ended.may_resume:
            raise FlowmodelError(f"the training's {ended.how}")
        if context.retry_number >= _RESTARTS:
            raise FlowmodelError(
                f"the training's {ended.how} {_RESTARTS + 1} times; if memory ran out, raise training.grad_accum_steps"
            )
        context.log.warning(f"the training's {ended.how}; another one resumes from its newest checkpoint")
        raise dg.RetryRequested(max_retries=_RESTARTS)

    def _run_process(
        self, context: dg.AssetExecutionContext, task: Task, store: Store, interruption: Interruption, observer: "_Observer"
    ) -> Ended:
        command = shlex.split(self.command) or [sys.executable, "-m", "pipelines.worker"]
        injector, reader = dg.PipesTempFileContextInjector(), dg.PipesTempFileMessageReader()
        with dg.open_pipes_session(context, injector, reader, extras=asdict(task)) as session:
            environment = {**session.get_bootstrap_env_vars(), "FLOWMODEL_STORE": str(store.root)}
            with _process(command, environment, context.run.run_id) as process:
                _wait(process, interruption, lambda: observer(session))
        status = process.returncode
        if status in (0, 1, 2):
            how = f"process ended with status {status} and no outcome; see its output ({shlex.join(command)})"
        else:
            how = f"process was killed by {signal.Signals(-status).name}" if status < 0 else "process has died"
        return Ended(session.get_custom_messages(), how, status not in (0, 1, 2))


@contextmanager
def _process(command: list[str], environment: dict[str, str], run_id: str) -> Iterator[subprocess.Popen[bytes]]:
    """Start the process in its own session, which is killed afterward. The process also holds the run's lock."""
    path = filter(None, [str(PROJECT_ROOT) if IS_CHECKOUT else "", os.environ.get("PYTHONPATH")])
    try:
        process = subprocess.Popen(
            command,
            env={**os.environ, **environment, "PYTHONPATH": os.pathsep.join(path)},
            stdin=subprocess.PIPE,
            start_new_session=True,
            pass_fds=held_descriptors(run_id),
        )
    except OSError as error:
        raise FlowmodelError(f"FLOWMODEL_TRAINER: '{command[0]}' can't be started ({error.strerror}); correct it") from None
    try:
        yield process
    finally:
        _close(process)
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def _observe(context: dg.AssetExecutionContext, progress: Mapping[str, float]) -> None:
    """Record the progress with the asset, where Dagster plots it while the training runs."""
    context.log_event(dg.AssetObservation(context.asset_key, metadata=progress))


class _Observer:
    """Records the progress that a process has reported since the last call."""

    def __init__(self, context: dg.AssetExecutionContext) -> None:
        self._context = context
        self._seen = 0

    def __call__(self, session: dg.PipesSession) -> None:
        messages = session.get_custom_messages()
        for message in messages[self._seen :]:
            if PROGRESS in message:
                _observe(self._context, message[PROGRESS])
        self._seen = len(messages)


def _wait(process: subprocess.Popen[bytes], interruption: Interruption, observe: Callable[[], None]) -> None:
    """Wait until the process ends, and call `observe` meanwhile.

    On a signal in `interruption`, ask it to end, and wait for a limited time.
    """
    deadline = None
    while deadline is None or time.monotonic() < deadline:
        observe()
        with suppress(subprocess.TimeoutExpired):
            process.wait(0.2)
            return
        if interruption.signal and deadline is None:
            _close(process)
            deadline = time.monotonic() + ENDING_SECONDS + _GRACE_SECONDS


def _close(process: subprocess.Popen[bytes]) -> None:
    assert process.stdin is not None
    with suppress(OSError):
        process.stdin.close()
