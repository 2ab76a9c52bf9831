"""Exceptions whose message is written for the user."""

import errno

_ADVICE = {
    "no space is left on the disk; free some (`flowmodel store clean` shows what can go), and run this again": (
        {errno.ENOSPC, errno.EDQUOT, errno.EFBIG},
        ("No space left on device", "disk quota exceeded", "Disk quota exceeded", "File too large", "database or disk is full"),
    ),
    # SQLite says so where not even the file of its locks can be written.
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
    """Something outside the program is wrong: a file, a field, a store, a model reference.

    The message is one line that names the thing, says what is wrong with it and what to do about it. The command line
    prints it and exits with 2; Dagster shows it as the failure's description. Programming errors stay ordinary exceptions.
    """


class Unavailable(ValueError):
    """An image can't be had now, and may be another time without having changed: a permission, a machine that is too busy."""


class Resumable(FlowmodelError):
    """A training was interrupted and has written a checkpoint. The same command resumes it.

    The command line exits with 75, the EX_TEMPFAIL of sysexits.h, so that a scheduler knows to retry.
    """

    def __init__(self, message: str, signal: int | None = None, where: str = "") -> None:
        """`where` is the progress, such as "step 20 of 40". `signal` is None if no signal caused the interruption."""
        super().__init__(message)
        self.signal, self.where = signal, where


def machine_refusal(error: BaseException) -> str | None:
    """One line where the machine has refused to read or write, as a disk is full, a file system read-only or permission missing;
    None for any other error.

    Databases and file formats have errors of their own for these, so that what has led to an error counts, and its words.
    """
    seen: BaseException | None = error
    while seen is not None:
        for advice, (numbers, words) in _ADVICE.items():
            if (isinstance(seen, OSError) and seen.errno in numbers) or any(each in str(seen) for each in words):
                named = getattr(seen, "filename", None)
                return f"{named}: {advice}" if named else advice
        seen = seen.__cause__ or seen.__context__
    return None
