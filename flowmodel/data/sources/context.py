"""The context for reading a source, and the results of reading and observing it."""

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class SourceContext:
    """Folders and log for reading a source.

    Attributes:
        root: base of relative paths in sources.yaml.
        downloads: folder for downloads (created when needed); complete files there are not fetched again.
        log: called with lines of progress.
        threads: how many images are read and rendered at once.
    """

    root: Path
    downloads: Path
    log: Callable[[str], None] = lambda line: None
    threads: int = min(os.cpu_count() or 1, 8)


@dataclass(frozen=True)
class Observation:
    """The current state of a source, found without downloading it.

    Attributes:
        fingerprint: a JSON value that changes when the images or captions may have changed.
        version: the state for display: a package's version, a page's ETag, a file's modification time.
        newer: a version that was published upstream and is not in sources.yaml yet, or an empty string.
    """

    fingerprint: Any
    version: str
    newer: str = ""


@dataclass(frozen=True)
class Reading:
    """Rows of the icons table (made by :func:`flowmodel.data.sources.rows.icon_row`), in any order.

    `complete` is False if something could not be fetched and should be retried.
    """

    rows: list[dict[str, Any]]
    complete: bool = True
