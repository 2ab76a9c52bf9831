"""Rows of many pictures, several pictures at a time."""

import os
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from flowmodel.icons.sources.config import BaseSource
from flowmodel.icons.sources.context import SourceContext
from flowmodel.icons.sources.rows import icon_row

_EVERY = 1000


def icon_rows(config: BaseSource, drafts: Sequence[Mapping[str, Any]], context: SourceContext) -> list[dict[str, Any]]:
    """One row for each draft, in their order; a draft holds the keyword arguments of :func:`icon_row`.

    Threads are enough: Pillow works outside Python's lock, and SVG is drawn in processes of its own.
    """
    rows: list[dict[str, Any]] = []
    started = time.monotonic()
    with ThreadPoolExecutor(min(os.cpu_count() or 1, 8), thread_name_prefix="icon-rows") as executor:
        for row in executor.map(lambda draft: icon_row(config, **draft), drafts):
            rows.append(row)
            if len(rows) % _EVERY == 0 and len(rows) < len(drafts):
                context.log(f"read {len(rows):,} of {len(drafts):,} pictures")
    context.log(f"read {len(rows):,} pictures in {time.monotonic() - started:.0f} s")
    return rows
