"""User-facing errors, shown as the step's failure instead of a stack trace."""

from collections.abc import Iterator
from contextlib import contextmanager

import dagster as dg

from flowmodel.errors import FlowmodelError, Resumable
from flowmodel.extras import missing_extra


@contextmanager
def readable_failures() -> Iterator[None]:
    """Turn FlowmodelError, a lack of rights and a missing extra into `dg.Failure` with one line.

    It works as a decorator too (not of generators).

    Retrying would not help: the outside world has to change first. A training that a signal has stopped is an interruption for
    Dagster as well: a run that somebody terminates ends as canceled, not as failed.
    """
    try:
        yield
    except Resumable as error:
        if error.signal is not None:
            raise dg.DagsterExecutionInterruptedError(str(error)) from None
        raise dg.Failure(description=str(error), allow_retries=False) from None
    except FlowmodelError as error:
        raise dg.Failure(description=str(error), allow_retries=False) from None
    except ModuleNotFoundError as error:
        if (line := missing_extra(error)) is None:
            raise
        raise dg.Failure(description=str(line), allow_retries=False) from None
    except PermissionError as error:
        description = f"{error.filename}: permission denied; ask its owner for access"
        raise dg.Failure(description=description, allow_retries=False) from None
