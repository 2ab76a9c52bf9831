"""The column `notes`: what was changed in a picture, several notes in one text."""

from collections.abc import Iterable

_BETWEEN = "; "


def join_notes(notes: Iterable[str]) -> str:
    """One text of all notes that aren't empty, each once."""
    return _BETWEEN.join(dict.fromkeys(filter(None, notes)))


def split_notes(text: str) -> list[str]:
    """The notes of which :func:`join_notes` made `text`, to be counted one by one."""
    return [note for note in text.split(_BETWEEN) if note]
