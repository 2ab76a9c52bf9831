"""Turns resvg's warnings into notes for the user."""

import re

_WARNING = re.compile(r"^Warning \(in [^)]*\): (.*)$", re.MULTILINE)
# Fonts are omitted on purpose, and another note says so. Shapes without a size are never drawn.
_EXPECTED = re.compile(r"No fonts provided|No match for .* font-family|Skipped\.$|cannot be filled$|path dashing failed$")
_UNREAD = re.compile(r"Failed to parse ([\w:-]+) value")
_PARTICULAR = re.compile(r"'[^']*'|\"[^\"]*\"|\d+(?:\.\d+)?")


def notes_of(log: str) -> list[str]:
    """Unique notes for the warnings in `log`, without details of one image, so that they can be counted."""
    notes = []
    for warning in _WARNING.findall(log):
        if _EXPECTED.search(warning):
            continue
        unread = _UNREAD.search(warning)
        what = f"ignored: an invalid {unread[1]}" if unread else f"renderer warning: {_PARTICULAR.sub('…', warning)[:80]}"
        notes.append(what)
    return list(dict.fromkeys(notes))
