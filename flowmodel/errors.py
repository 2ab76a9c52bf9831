"""The exceptions whose message is meant for the user."""


class FlowmodelError(Exception):
    """Something outside the program is wrong: a file, a field, a store, a model reference.

    The message is one line that names the thing, says what is wrong with it and what to do about it. The command line
    prints it and exits with 2; Dagster shows it as the failure's description. Programming errors stay ordinary exceptions.
    """


class Resumable(FlowmodelError):
    """A training was stopped from outside and has written a checkpoint: the same command continues.

    The command line exits with 75, the EX_TEMPFAIL of sysexits.h, so that a scheduler knows to try again.
    """

    def __init__(self, message: str, signal: int | None = None, where: str = "") -> None:
        """`where` is how far it has come, such as "step 20 of 40"; `signal` is None where none has stopped it."""
        super().__init__(message)
        self.signal, self.where = signal, where
