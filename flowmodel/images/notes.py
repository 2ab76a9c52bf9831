"""The column `notes`: changes of an image, joined to one text."""

from collections.abc import Iterable

_BETWEEN = "; "


def join_notes(notes: Iterable[str]) -> str:
    """Join all unique, non-empty notes to one text."""
    return _BETWEEN.join(dict.fromkeys(filter(None, notes)))


def split_notes(text: str) -> list[str]:
    """The notes that :func:`join_notes` joined to `text`."""
    return [note for note in text.split(_BETWEEN) if note]
