"""Seconds and memory of preparing many icons on Ray: `python -m benchmarks.scale SOURCES.yaml --cores 1 [--size 64]`.

A store in a temporary folder is filled from the sources in the file, whose packages are downloaded before the clock starts.
Memory is the resident set of the largest process of each kind, sampled every half second: of this process, which writes the
tables, and of Ray's workers, with the object store's pages that they have mapped.
"""

import argparse
import os
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TypeVar

import psutil

from flowmodel.data.prepare import VARIABLE, Preparation
from flowmodel.data.sources.config import IconifySource
from flowmodel.data.sources.npm_client import fetch_package
from flowmodel.files import read_parquet
from flowmodel.recipes import load_recipe
from flowmodel.store import Store

T = TypeVar("T")


class _Memory(threading.Thread):
    """Samples processes until the end of the program."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.own = self.worker = 0

    def run(self) -> None:
        process = psutil.Process()
        while True:
            self.own = max(self.own, process.memory_info().rss)
            for child in process.children(recursive=True):
                with suppress(psutil.Error):
                    if child.name().startswith("ray::"):
                        self.worker = max(self.worker, child.memory_info().rss)
            time.sleep(0.5)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sources", type=Path, help="a list of sources")
    parser.add_argument("--cores", type=int, default=1, help="Ray's; 0 is the ordinary path")
    parser.add_argument("--size", type=int, default=64, help="pixels")
    parser.add_argument("--downloads", type=Path, help="a folder with the downloads of an earlier run")
    arguments = parser.parse_args()
    recipe = load_recipe("from_scratch", [f"data.size={arguments.size}", "data.selection=null", "data.captions=[name]"])
    if arguments.cores:
        import ray

        os.environ[VARIABLE] = "ray"
        ray.init(address="local", num_cpus=arguments.cores, include_dashboard=False, logging_level="error")
    memory = _Memory()
    memory.start()

    def measure(what: str, step: Callable[[], T], count: Callable[[T], int]) -> T:
        memory.own = memory.worker = 0
        began = time.monotonic()
        made = step()
        seconds, number = time.monotonic() - began, count(made)
        peaks = f"{memory.own / 2**20:,.0f} MiB here, {memory.worker / 2**20:,.0f} MiB in the largest worker"
        print(f"{what}: {number:,} in {seconds:.0f} s, {number / seconds:,.0f} per second; {peaks}", flush=True)
        return made

    with TemporaryDirectory() as folder:
        steps = Preparation.of(Store(Path(folder)), recipe.data, arguments.sources, lambda line: None)
        steps = replace(steps, context=replace(steps.context, downloads=arguments.downloads or steps.store.downloads, threads=1))
        for source in steps.sources:
            if isinstance(source, IconifySource):
                fetch_package(f"@iconify-json/{source.set}", source.version, source.integrity, steps.context)
        read = measure("rendered", steps.all_icons, lambda made: sum(_rows(each.artifact.path) for each in made.values()))
        tables = {name: each.artifact for name, each in read.items()}
        normalized = measure("normalized", lambda: steps.normalized_icons(tables), lambda made: _rows(made.path))
        captions = steps.captions(normalized)
        measure("encoded captions", lambda: steps.caption_embeddings(captions), lambda made: made.encoded)


def _rows(path: Path) -> int:
    return len(read_parquet(path, ["id"]))


if __name__ == "__main__":
    main()
