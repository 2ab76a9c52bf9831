"""User-facing errors, shown as the step's failure instead of a stack trace."""

from collections.abc import Iterator
from contextlib import contextmanager
from signal import Signals

import dagster as dg

from flowmodel.errors import Resumable
from flowmodel.extras import refusal

STOPPED = "stopped by"  # metadata of a failure: the signal


@contextmanager
def readable_failures() -> Iterator[None]:
    """Turn FlowmodelError, refusals of the operating system and a missing extra into a one-line `dg.Failure`.

    It works as a decorator too (not of generators).

    Retries are off, because they would fail in the same way. The failure of a training that was stopped by a signal carries
    STOPPED, which ends the whole run (pipelines/stale_runs.py).
    """
    try:
        yield
    except Resumable as error:
        if error.signal is not None:
            at = f" at {error.where}" if error.where else ""
            stopped = f"stopped{at}; re-execute from failure to continue"
            raise dg.Failure(stopped, metadata={STOPPED: Signals(error.signal).name}, allow_retries=False) from None
        raise dg.Failure(description=str(error), allow_retries=False) from None
    except Exception as error:
        if (line := refusal(error)) is None:
            raise
        raise dg.Failure(description=line, allow_retries=False) from None
