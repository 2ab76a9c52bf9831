"""The one exception type that a person is meant to read."""


class FlowmodelError(Exception):
    """Something outside the program is wrong: a file, a field, a store, a model reference.

    The message is one line that names the thing, says what is wrong with it and what to do about it. The command line
    prints it and exits with 2; Dagster shows it as the failure's description. Programming errors stay ordinary exceptions.
    """
