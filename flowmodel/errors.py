"""Exceptions whose message is written for the user."""

import errno

_ADVICE = {
    "no space is left on the disk; free some (`flowmodel store clean` shows what can go), and run this again": (
        {errno.ENOSPC, errno.EDQUOT, errno.EFBIG},
        ("No space left on device", "disk quota exceeded", "Disk quota exceeded", "File too large", "database or disk is full"),
    ),
    # SQLite's error if not even its lock file can be written.
    "the disk can't be written; if it is full, free some (`flowmodel store clean` shows what can go), and run this again": (
        {errno.EIO},
        ("disk I/O error",),
    ),
    "the file system is read-only; make it writable, or let FLOWMODEL_STORE name another folder": (
        {errno.EROFS},
        ("Read-only file system", "attempt to write a readonly database"),
    ),
    "permission denied; ask its owner for access": ({errno.EACCES, errno.EPERM}, ()),
}


class FlowmodelError(Exception):
    """An error outside the program: in a file, a field, a store or a model reference.

    The message is one line that names the cause, the problem and a remedy. The command line
    prints it and exits with 2; Dagster shows it as the failure's description. Programming errors stay ordinary exceptions.
    """


class Unavailable(ValueError):
    """An image is temporarily unavailable, for example because of a permission or a busy machine."""


class Resumable(FlowmodelError):
    """A training was interrupted and has written a checkpoint. The same command resumes it.

    The command line exits with 75, the EX_TEMPFAIL of sysexits.h, so that a scheduler knows to retry.
    """

    def __init__(self, message: str, signal: int | None = None, where: str = "") -> None:
        """`where` is the progress, such as "step 20 of 40". `signal` is None if no signal caused the interruption."""
        super().__init__(message)
        self.signal, self.where = signal, where


def machine_refusal(error: BaseException) -> str | None:
    """One line if the system refused to read or write: a full disk, a read-only file system or a missing permission; None for
    any other error.


    Databases and file formats have their own exceptions for these, so the causes and messages of an error are examined.
    """
    seen: BaseException | None = error
    while seen is not None:
        for advice, (numbers, words) in _ADVICE.items():
            if (isinstance(seen, OSError) and seen.errno in numbers) or any(each in str(seen) for each in words):
                named = getattr(seen, "filename", None)
                return f"{named}: {advice}" if named else advice
        seen = seen.__cause__ or seen.__context__
    return None
