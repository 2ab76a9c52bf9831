"""Makes rows of images in parallel."""

import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

from flowmodel.data.sources.config import BaseSource
from flowmodel.data.sources.context import SourceContext
from flowmodel.data.sources.rows import icon_row

_EVERY = 1000

T = TypeVar("T")


def icon_rows(config: BaseSource, drafts: Sequence[Mapping[str, Any]], context: SourceContext) -> list[dict[str, Any]]:
    """A row for each draft, in order; a draft has the keyword arguments of :func:`icon_row`."""
    return rows_of(lambda draft: icon_row(config, **draft), drafts, context)


def rows_of(make: Callable[[T], dict[str, Any]], items: Sequence[T], context: SourceContext) -> list[dict[str, Any]]:
    """`make(item)` of each item, in order.

    Threads are enough, because reading releases Python's global lock and SVG is rendered in other processes.
    """
    rows: list[dict[str, Any]] = []
    started = time.monotonic()
    with ThreadPoolExecutor(context.threads, thread_name_prefix="icon-rows") as executor:
        for row in executor.map(make, items):
            rows.append(row)
            if len(rows) % _EVERY == 0 and len(rows) < len(items):
                context.log(f"read {len(rows):,} of {len(items):,} images")
    context.log(f"read {len(rows):,} image{'s' if len(rows) != 1 else ''} in {time.monotonic() - started:.0f} s")
    return rows
