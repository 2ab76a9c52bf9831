"""Trains in a separate process, which reports to the run through Dagster Pipes."""

import os
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict

import dagster as dg
from pydantic import Field

from flowmodel.errors import FlowmodelError, Resumable
from flowmodel.locks import held_descriptors
from flowmodel.store import IS_CHECKOUT, PROJECT_ROOT, Store
from flowmodel.training.interruption import Interruption
from pipelines.work import Outcome, Task, carry_out, is_done, origin
from pipelines.worker import ENDING_SECONDS, PROGRESS

IN_PROCESS = "none"
_RESTARTS = 2
_GRACE_SECONDS = 5.0  # in addition to the process's own limit


class TrainerResource(dg.ConfigurableResource):
    """Starts trainings."""

    command: str = Field(
        default_factory=lambda: os.environ.get("FLOWMODEL_TRAINER", ""),
        description="Command line of a training's process, which ends in `-m pipelines.worker`, or `none` to train in the run's "
        "own process; default: FLOWMODEL_TRAINER, else `python -m pipelines.worker`.",
    )

    def carry_out(self, context: dg.AssetExecutionContext, task: Task, store: Store) -> Outcome:
        """Like :func:`pipelines.work.carry_out`, in a separate process if there is something to train.

        The process is stopped together with this run, keeps the run's slot in the pool while it lives, and is restarted from
        its newest checkpoint if it was killed.

        Raises Resumable and FlowmodelError as that does.
        """
        if self.command == IN_PROCESS or is_done(task, store):
            tags = origin(context.run.run_id, task.asset, context.run.job_name)
            return carry_out(task, store, context.log, tags, lambda values: _observe(context, values))
        command = shlex.split(self.command) or [sys.executable, "-m", "pipelines.worker"]
        injector, reader = dg.PipesTempFileContextInjector(), dg.PipesTempFileMessageReader()
        with Interruption() as interruption, dg.open_pipes_session(context, injector, reader, extras=asdict(task)) as session:
            environment = {**session.get_bootstrap_env_vars(), "FLOWMODEL_STORE": str(store.root)}
            with _process(command, environment, context.run.run_id) as process:
                for progress in _progress_until_end(process, interruption, session):
                    _observe(context, progress)
        if outcomes := [message for message in session.get_custom_messages() if PROGRESS not in message]:
            outcome: Outcome = outcomes[0]
            if "refused" not in outcome:
                return outcome
            if "where" in outcome:
                raise Resumable(outcome["refused"], outcome["signal"], outcome["where"])
            raise FlowmodelError(outcome["refused"])
        if interruption.signal:
            raise Resumable("stopped before the training could report its progress", interruption.signal)
        how = f"was killed by {signal.Signals(-process.returncode).name}" if process.returncode < 0 else "has died"
        if process.returncode in (0, 1, 2):
            raise FlowmodelError(
                f"the training's process ended with status {process.returncode} and no outcome; see its output "
                f"({shlex.join(command)})"
            )
        if context.retry_number >= _RESTARTS:
            raise FlowmodelError(
                f"the training's process {how} {_RESTARTS + 1} times; if memory ran out, raise training.grad_accum_steps"
            )
        context.log.warning(f"the training's process {how}; another one resumes from its newest checkpoint")
        raise dg.RetryRequested(max_retries=_RESTARTS)


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


def _progress_until_end(
    process: subprocess.Popen[bytes], interruption: Interruption, session: dg.PipesSession
) -> Iterator[Mapping[str, float]]:
    """Wait until the process ends, and return the progress that it reports meanwhile.

    On a signal in `interruption`, ask it to end, and wait for a limited time.
    """
    deadline, seen = None, 0
    while deadline is None or time.monotonic() < deadline:
        messages = session.get_custom_messages()
        yield from (message[PROGRESS] for message in messages[seen:] if PROGRESS in message)
        seen = len(messages)
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
