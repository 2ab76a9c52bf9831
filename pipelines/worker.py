"""`python -m pipelines.worker`: the process of a training, which pipelines/trainer.py starts for an asset through Dagster Pipes.

It imports only the small package dagster_pipes of Dagster. From its run it needs the store and two environment variables, so
that it also runs under `accelerate launch` and in a container. It stops as on Ctrl-C when its standard input ends, which happens
if its run is terminated or the run's process ends. Every launcher passes on standard input, but few pass on signals.

With `--detached` it ignores its standard input and stops when its run releases the run's lock in the store: a Ray job inherits
the standard input of whoever started the cluster.
"""

import os
import signal
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

from dagster_pipes import (
    PipesContext,
    PipesDefaultMessageWriter,
    PipesMessage,
    PipesMessageWriter,
    PipesMessageWriterChannel,
    PipesParams,
    open_dagster_pipes,
)

if TYPE_CHECKING:
    from flowmodel.store import Store

DETACHED = "--detached"
PROGRESS = "progress"  # a message that has this is not the outcome
ENDING_SECONDS = 40.0  # less than a terminal's run and Dagster's monitoring wait


def main() -> int:
    """Returns 0 if an outcome was reported to the run, successful or not."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.default_int_handler)
    if DETACHED not in sys.argv[1:]:
        threading.Thread(target=_end_with_standard_input, daemon=True).start()
    try:
        from flowmodel.training.processes import is_main_process

        is_main = is_main_process()
        with open_dagster_pipes(message_writer=PipesDefaultMessageWriter() if is_main else _Silent()) as pipes:
            outcome = _outcome(pipes)
            pipes.report_custom_message(outcome)
    except KeyboardInterrupt:
        return 128 + signal.SIGINT
    # A launcher ends all of its processes if one fails; a process that was stopped must not cause that.
    return 0 if is_main or "refused" not in outcome or "where" in outcome else 1


def _outcome(pipes: PipesContext) -> dict[str, Any]:
    """The outcome of carry_out, how it was stopped, or in `refused` an error that the user can fix."""
    from flowmodel.errors import Resumable
    from flowmodel.extras import refusal
    from flowmodel.locks import in_use
    from flowmodel.store import Store
    from pipelines.work import Task, carry_out, origin

    store = Store.from_environment()
    try:
        if DETACHED in sys.argv[1:]:
            threading.Thread(target=_end_with_run, args=(store, pipes.run_id), daemon=True).start()
        with in_use(store):
            tags = origin(pipes.run_id, pipes.asset_key, pipes.job_name)
            return carry_out(Task(**pipes.extras), store, pipes.log, tags, lambda values: _report(pipes, values))
    except Resumable as error:
        return {"refused": str(error), "signal": error.signal, "where": error.where}
    except KeyboardInterrupt:  # before the first step or after the last one
        return {"refused": "stopped outside a step", "signal": signal.SIGINT, "where": ""}
    except Exception as error:
        if (line := refusal(error)) is None:
            raise
        return {"refused": line}


def _report(pipes: PipesContext, values: Mapping[str, float]) -> None:
    pipes.report_custom_message({PROGRESS: dict(values)})


def _end_with_standard_input() -> None:
    with suppress(OSError):
        while os.read(0, 1024):
            pass
    _end()


def _end_with_run(store: "Store", run_id: str) -> None:
    from flowmodel.locks import wait_for_release

    wait_for_release(store, run_id)
    _end()


def _end() -> None:
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(ENDING_SECONDS)
    os.kill(os.getpid(), signal.SIGKILL)


class _Silent(PipesMessageWriter, PipesMessageWriterChannel):
    """A writer for other processes of a launch; the main process reports to the run."""

    @contextmanager
    def open(self, params: PipesParams) -> Iterator[PipesMessageWriterChannel]:
        yield self

    def write_message(self, message: PipesMessage) -> None:
        pass


if __name__ == "__main__":
    sys.exit(main())
