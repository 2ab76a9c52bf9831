"""A training step alone and next to busy processes, by the spin time of its threads: `python -m benchmarks.threads [--seconds 4]`

Every figure is from a separate process, because the OpenMP runtime reads its environment once. "ours" is the setting of `import
flowmodel`, "default" the runtime's own.
"""

import argparse
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

from benchmarks.measure import print_rows

_VARIANTS = {
    "default": {"GOMP_SPINCOUNT": "300000"},  # libgomp's default
    "ours": {},
    "10000": {"GOMP_SPINCOUNT": "10000"},
    "passive": {"OMP_WAIT_POLICY": "PASSIVE"},
    "one thread": {"OMP_NUM_THREADS": "1"},
}
_BUSY = (0, 1, 2)  # number of busy processes
_SIZES = (32, 64)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=4.0, help="for each figure, without its warm-up")
    parser.add_argument("--only", type=int, metavar="SIZE", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.only:
        print(_images_per_second(options.only, options.seconds))
        return 0
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("OMP_", "GOMP_"))}
    command = [sys.executable, "-m", "benchmarks.threads", "--seconds", str(options.seconds), "--only"]
    rows = []
    for size in _SIZES:
        for busy in _BUSY:
            with _busy_processes(busy):
                found = {
                    name: float(subprocess.check_output([*command, str(size)], env=environment | changed))
                    for name, changed in _VARIANTS.items()
                }
            rows.append({"size": size, "busy processes": busy} | found)
    print("images per second")
    print_rows(rows, width=120)
    return 0


@contextmanager
def _busy_processes(count: int) -> Iterator[None]:
    busy = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(count)]
    try:
        yield
    finally:
        for process in busy:
            process.kill()
            process.wait()


def _images_per_second(size: int, seconds: float) -> float:
    import flowmodel  # noqa: F401  # before torch, which reads the environment
    from benchmarks.networks import laptop_unet
    from benchmarks.train_step import BATCHES, training_step
    from flowmodel.model.device import DevicePolicy

    step = training_step(laptop_unet(), DevicePolicy.choose("cpu", "float32", "off"), size, BATCHES[size])
    for _ in range(3):
        step()
    steps, began = 0, time.monotonic()
    while time.monotonic() - began < seconds:
        step()
        steps += 1
    return BATCHES[size] * steps / (time.monotonic() - began)


if __name__ == "__main__":
    sys.exit(main())
