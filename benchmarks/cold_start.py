"""Time to the first icon: `python -m benchmarks.cold_start [--repeats 5] [--json FILE]`.

Each run is a complete process, `flowmodel sample pizza`, with the shipped weights or with a registered champion. On a busy
machine CPU seconds are more reliable than wall seconds. The goals are for two idle cores.
"""

import argparse
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from multiprocessing import get_context
from pathlib import Path

from rich.console import Console
from rich.table import Table

from benchmarks.measure import write_json
from flowmodel.store import Store

# Wall seconds and megabytes: the shipped weights are sampled by PyTorch, a registered champion by ONNX Runtime.
GOALS = {"shipped weights": (2.0, 500), "registered champion": (2.0, 400)}
_PEAK_TO_MEGABYTES = 2**20 if sys.platform == "darwin" else 2**10


@dataclass(frozen=True)
class ColdStart:
    """Medians over the runs; memory is the highest of them."""

    model: str
    wall_seconds: float
    cpu_seconds: float
    peak_megabytes: float
    goal_seconds: float
    goal_megabytes: float


def measure(model: str, store: Store, repeats: int) -> ColdStart:
    """Sample an icon in `repeats` processes, one after another, after a warm-up."""
    runs = [_run(store) for _ in range(repeats + 1)][1:]
    walls, cpus, peaks = zip(*runs, strict=True)
    return ColdStart(model, statistics.median(walls), statistics.median(cpus), max(peaks), *GOALS[model])


def _run(store: Store) -> tuple[float, float, float]:
    """Wall seconds, CPU seconds and peak megabytes."""
    started = time.perf_counter()
    process = subprocess.Popen(_command(store), env=_environment(store), stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    wall = time.perf_counter() - started
    if process.returncode:
        raise SystemExit(f"flowmodel sample ended with {process.returncode}")
    return wall, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / _PEAK_TO_MEGABYTES


def imports(store: Store, most: int = 10) -> list[tuple[str, float]]:
    """Packages by the milliseconds that importing their own modules took, the most expensive ones first."""
    command = [sys.executable, "-X", "importtime", *_command(store)[1:]]
    done = subprocess.run(command, env=_environment(store), capture_output=True, text=True, check=True)
    microseconds: Counter[str] = Counter()
    for own, name in re.findall(r"import time: +(\d+) \| +\d+ \| +(\w+)", done.stderr):
        microseconds[name] += int(own)
    return [(name, spent / 1000) for name, spent in microseconds.most_common(most)]


def _command(store: Store) -> list[str]:
    return [sys.executable, "-m", "flowmodel", "sample", "pizza", "--out", str(store.root / "drawn.png")]


def _environment(store: Store) -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if name != "MLFLOW_TRACKING_URI"} | {
        "FLOWMODEL_STORE": str(store.root)
    }


def crown(store: Store, exports: bool = False) -> None:
    """Register the shipped weights in the MLflow of `store`, as champion; `exports`: with their ONNX export, as a run does it."""
    from flowmodel.export.in_store import exported
    from flowmodel.model.pretrained import pretrained_weights
    from flowmodel.registry.names import CHAMPION, MODEL_NAME
    from flowmodel.registry.package import save_package
    from flowmodel.registry.references import CHECKPOINT_DIGEST
    from flowmodel.registry.tracking import Tracking

    tracking, checkpoint = Tracking.of(store), pretrained_weights()
    folder, client = store.mlflow_artifacts.resolve() / "model", tracking.client
    save_package(folder, checkpoint, MODEL_NAME, "m-cold-start", "cold-start", exported(store, checkpoint) if exports else None)
    client.create_registered_model(MODEL_NAME)
    version = client.create_model_version(MODEL_NAME, folder.as_uri(), tags={CHECKPOINT_DIGEST: checkpoint.digest})
    client.set_registered_model_alias(MODEL_NAME, CHAMPION, version.version)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--json", type=Path, metavar="FILE")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="flowmodel-") as folder:
        empty, crowned = Store(Path(folder, "empty")), Store(Path(folder, "crowned"))
        # Linux counts the memory of a process before exec as well, so this one must stay small.
        with ProcessPoolExecutor(1, get_context("spawn")) as pool:
            pool.submit(crown, crowned, exports=True).result()
        stores = {"shipped weights": empty, "registered champion": crowned}
        found = [measure(model, store, options.repeats) for model, store in stores.items()]
        heaviest = imports(crowned)
    table = Table("model", "wall", "CPU", "goal", "peak memory", "goal")
    for each in found:
        seconds = (f"{each.wall_seconds:.2f} s", f"{each.cpu_seconds:.2f} s", f"{each.goal_seconds:g} s")
        table.add_row(each.model, *seconds, f"{each.peak_megabytes:.0f} MB", f"{each.goal_megabytes:g} MB")
    console = Console(width=140)
    console.print(table)
    console.print("imports: " + ", ".join(f"{name} {milliseconds:.0f} ms" for name, milliseconds in heaviest))
    write_json(options.json, [asdict(each) for each in found])
    is_met = all(each.wall_seconds <= each.goal_seconds and each.peak_megabytes <= each.goal_megabytes for each in found)
    return 0 if is_met else 1


if __name__ == "__main__":
    sys.exit(main())
