"""The names of missing icons, from a text file."""

from pathlib import Path

from flowmodel.errors import FlowmodelError


def read_names(path: Path) -> list[str]:
    """One name per line, in order; blank lines and lines that start with `#` are skipped.

    Raises FlowmodelError when the file can't be read or holds no name.
    """
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not UTF-8 text"
        raise FlowmodelError(f"--names {path}: can't be read ({reason}); write a text file with one name per line") from None
    names = [" ".join(line.split()) for line in lines if line.strip() and not line.lstrip().startswith("#")]
    if not names:
        raise FlowmodelError(f"--names {path}: holds no names; write one name per line, such as: paper plane")
    return names
