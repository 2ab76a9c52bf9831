"""What a source is read with, and what reading and observing it give."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class SourceContext:
    """Where a source may look and what it may write.

    Attributes:
        root: where relative paths of sources.yaml start.
        downloads: folder for what was fetched (created when needed); what lies there whole is not fetched again.
        log: takes a line of progress.
    """

    root: Path
    downloads: Path
    log: Callable[[str], None] = lambda line: None


@dataclass(frozen=True)
class Observation:
    """What a source looks like now, found without downloading it.

    Attributes:
        fingerprint: a JSON value that changes when the images or captions may have changed.
        version: the same for a person: a package's version, a page's ETag, a file's time of change.
        newer: a version that upstream offers and sources.yaml doesn't ask for yet; empty for none.
    """

    fingerprint: Any
    version: str
    newer: str = ""


@dataclass(frozen=True)
class Reading:
    """Rows of the icons table (made by :func:`flowmodel.data.sources.rows.icon_row`), in any order.

    `complete` is False when something could not be fetched this time and should be tried again.
    """

    rows: list[dict[str, Any]]
    complete: bool = True
