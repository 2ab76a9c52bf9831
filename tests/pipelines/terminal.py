"""`python -m pipelines.run` in a process of its own, for tests of what happens to its training."""

import subprocess
import sys
from collections.abc import Mapping

import psutil

from flowmodel.store import PROJECT_ROOT, Store


class TerminalRun:
    """The process, read line by line."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        command = [sys.executable, "-m", "pipelines.run"]
        self.process = subprocess.Popen(
            command, cwd=PROJECT_ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
        self.lines: list[str] = []

    def until(self, words: str) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.lines.append(line)
            if words in line:
                return
        raise AssertionError(f"the run ended before it said '{words}': {''.join(self.lines)}")

    def end(self) -> str:
        """Its whole output."""
        assert self.process.stdout is not None
        self.lines += self.process.stdout.readlines()
        self.process.wait()
        return "".join(self.lines)

    @property
    def worker(self) -> psutil.Process:
        """The last of its line, below a launcher."""
        below = psutil.Process(self.process.pid).children(recursive=True)
        return [child for child in below if "pipelines.worker" in child.cmdline()][-1]


def newest_step(store: Store) -> int:
    """The step of the newest checkpoint; 0 if there is none."""
    return max((int(path.stem.partition("-")[2]) for path in store.trainings.glob("*/step-*.safetensors")), default=0)
