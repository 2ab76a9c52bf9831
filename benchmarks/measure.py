"""Timing of interleaved runs, rows from parallel processes, and the table that a benchmark prints."""

import json
import os
import statistics
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from flowmodel.store import PROJECT_ROOT

Row = dict[str, Any]
EMOJI_SETS = PROJECT_ROOT / "benchmarks" / "emoji.yaml"  # the sources in which models are compared


@dataclass(frozen=True)
class Comparison:
    """Ours against a peer on the same items. Seconds are medians, and so is the ratio of consecutive runs."""

    what: str
    peer: str
    items: int
    ours_seconds: float
    peer_seconds: float
    ratio: float
    limit: float | None  # the ratio that must not be exceeded
    remark: str = ""

    @property
    def kept(self) -> bool:
        return self.limit is None or self.ratio <= self.limit


def compare(
    what: str,
    ours: Callable[[], object],
    peer_name: str,
    peer: Callable[[], object],
    items: int,
    repeats: int,
    limit: float | None,
) -> Comparison:
    """Run both in turn, `repeats` times after a warm-up each."""
    times = interleave({"ours": ours, "peer": peer}, repeats)
    mine, other = (statistics.median(column) for column in times.values())
    return Comparison(what, peer_name, items, mine, other, median_ratio(times["ours"], times["peer"]), limit)


def interleave(runs: Mapping[str, Callable[[], object]], repeats: int, warm_up: int = 1) -> dict[str, list[float]]:
    """Seconds of each run by name. All run in turn, so that a machine that slows down affects all of them."""
    for _ in range(warm_up):
        for run in runs.values():
            run()
    times: dict[str, list[float]] = {name: [] for name in runs}
    for _ in range(repeats):
        for name, run in runs.items():
            times[name].append(_seconds(run))
    return times


def emulates_bfloat16(device: str) -> bool:
    """Whether bfloat16 is slower than float32, because an x86 CPU without AVX-512 has no instructions for it."""
    import torch

    return device == "cpu" and torch.backends.cpu.get_cpu_capability() in ("DEFAULT", "NO AVX", "AVX2")


def median_ratio(times: Sequence[float], others: Sequence[float]) -> float:
    """The median of the ratios of consecutive runs."""
    return statistics.median(mine / other for mine, other in zip(times, others, strict=True))


def _seconds(run: Callable[[], object]) -> float:
    started = time.perf_counter()
    run()
    return time.perf_counter() - started


def report(comparisons: Sequence[Comparison], json_file: Path | None) -> int:
    """Print the table, write the JSON; the exit code is 1 if a limit is exceeded."""
    table = Table("what", "items", "ours", "items/s", "peer", "its time", "ours / peer", "limit")
    for c in comparisons:
        style = "" if c.kept else "red"
        limit = f"{c.limit:g}" if c.limit is not None else ""
        ours = (f"{c.ours_seconds:.3f} s", f"{c.items / c.ours_seconds:,.0f}")
        table.add_row(c.what, f"{c.items:,}", *ours, c.peer, f"{c.peer_seconds:.3f} s", f"{c.ratio:.2f}", limit, style=style)
    console = Console(width=140)
    console.print(table)
    for c in comparisons:
        if c.remark:
            console.print(f"{c.what}: {c.remark}")
    write_json(json_file, [asdict(c) for c in comparisons])
    return 0 if all(c.kept for c in comparisons) else 1


def run_jobs(commands: Sequence[Sequence[str]], results: Path, workers: int) -> None:
    """Run `commands`, `workers` at a time with one thread each, and append the rows in the last line of each output to `results`.

    A command prints its rows as a JSON list. If it fails, none are appended and CalledProcessError is raised.
    """

    def run(command: Sequence[str]) -> None:
        one_thread = os.environ | {"OMP_NUM_THREADS": "1"}
        ran = subprocess.run(command, env=one_thread, stdout=subprocess.PIPE, text=True, check=True, cwd=PROJECT_ROOT)
        rows: list[Row] = json.loads(ran.stdout.splitlines()[-1])
        with results.open("a", encoding="utf-8") as file:
            file.write("".join(json.dumps(row) + "\n" for row in rows))

    with ThreadPoolExecutor(workers) as pool:
        list(pool.map(run, commands))


def read_rows(results: Path) -> list[Row]:
    """The rows that :func:`run_jobs` has appended so far."""
    return [json.loads(line) for line in results.read_text(encoding="utf-8").splitlines()] if results.exists() else []


def print_rows(rows: Sequence[Mapping[str, object]], width: int) -> None:
    """A table with the first row's keys as columns; missing values are empty."""
    table = Table(*rows[0])
    for row in rows:
        cells = (row.get(name, "") for name in rows[0])
        table.add_row(*(f"{cell:.3g}" if isinstance(cell, float) else str(cell) for cell in cells))
    Console(width=width).print(table)


def write_json(file: Path | None, values: object) -> None:
    """Where a benchmark was given `--json FILE`."""
    if file:
        file.write_text(json.dumps(values, indent=2) + "\n", encoding="utf-8")
