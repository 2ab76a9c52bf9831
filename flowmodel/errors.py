"""Exceptions whose message is written for the user."""


class FlowmodelError(Exception):
    """Something outside the program is wrong: a file, a field, a store, a model reference.

    The message is one line that names the thing, says what is wrong with it and what to do about it. The command line
    prints it and exits with 2; Dagster shows it as the failure's description. Programming errors stay ordinary exceptions.
    """


class Unavailable(ValueError):
    """A picture can't be had now, and may be another time without having changed: a permission, a machine that is too busy."""


class Resumable(FlowmodelError):
    """A training was interrupted and has written a checkpoint. The same command resumes it.

    The command line exits with 75, the EX_TEMPFAIL of sysexits.h, so that a scheduler knows to retry.
    """

    def __init__(self, message: str, signal: int | None = None, where: str = "") -> None:
        """`where` is the progress, such as "step 20 of 40". `signal` is None if no signal caused the interruption."""
        super().__init__(message)
        self.signal, self.where = signal, where
