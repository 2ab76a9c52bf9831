"""Runs jobs in processes that need not import everything each time, and that can be killed with all their children."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import psutil

from flowmodel.store import PROJECT_ROOT, Store

# Imports everything once. Each line that it reads begins `python -m pipelines.run` in a process group of its own, and is answered
# with that process; an empty line waits for the oldest run, and is answered with its exit code.
_NURSERY = """
import json, os, sys, warnings
warnings.simplefilter("ignore")
import mlflow, torch, dagster
import pipelines.definitions, pipelines.home, pipelines.run, pipelines.terminal_run
import flowmodel.evaluation.html.page, flowmodel.registry.releasing, flowmodel.training.finishing, flowmodel.training.loop
print("ready", flush=True)
children = []
for line in sys.stdin:
    if not line.strip():
        print(os.waitstatus_to_exitcode(os.waitpid(children.pop(0), 0)[1]), flush=True)
        continue
    log, environment, arguments = json.loads(line)
    child = os.fork()
    if child == 0:
        os.setsid()
        said = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        os.dup2(said, 1)
        os.dup2(said, 2)
        os.environ.clear()
        os.environ.update(environment)
        sys.argv = ["python -m pipelines.run", *arguments]
        status = 99  # of a stack trace
        try:
            status = pipelines.run.main()
        finally:
            sys.stdout.flush()
            if status == 99:
                __import__("traceback").print_exc()
            os._exit(status)
    children.append(child)
    print(child, flush=True)
"""

_QUIET = {"OMP_NUM_THREADS": "1", "PYTHONWARNINGS": "ignore"}
Changes = Mapping[str, str | None]  # of environment variables; None removes one


@dataclass(frozen=True)
class Nursery:
    _process: subprocess.Popen[str]

    def start(self, store: Store, environment: Changes | None = None, arguments: Sequence[str] = ()) -> int:
        """Begin `python -m pipelines.run` in `store` in the current environment with some changes; returns the process, the
        leader of its group.
        """
        own = {**os.environ, **_QUIET, "DAGSTER_HOME": None, "FLOWMODEL_STORE": str(store.root)} | dict(environment or {})
        known = {name: value for name, value in own.items() if value is not None}
        self._tell(json.dumps([str(log_of(store)), known, list(arguments)]))
        return int(self._line())

    def wait(self) -> int:
        """The exit code of the run that was started first among those not waited for."""
        self._tell("")
        return int(self._line())

    def run(
        self,
        store: Store,
        environment: Changes | None = None,
        arguments: Sequence[str] = (),
        kill_after: float | None = None,
    ) -> tuple[int, str]:
        """The exit code of the run, and its output. It and its children are killed after so many seconds, if given."""
        begin = len(log_of(store).read_text()) if log_of(store).exists() else 0
        child = self.start(store, environment, arguments)
        if kill_after is not None:
            time.sleep(kill_after)
            _kill(child)
        return self.wait(), log_of(store).read_text()[begin:]

    def _tell(self, line: str) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(f"{line}\n")
        self._process.stdin.flush()

    def _line(self) -> str:
        assert self._process.stdout is not None
        return self._process.stdout.readline().strip()


def _kill(run: int) -> None:
    """Kill the process of a run and all below it. A training is in a session of its own, so it's not in the run's group."""
    with suppress(psutil.NoSuchProcess):
        process = psutil.Process(run)
        process.suspend()  # so that it starts no other one meanwhile
        below = process.children(recursive=True)
        for each in (process, *below):
            with suppress(psutil.NoSuchProcess):
                each.kill()
        for each in below:
            with suppress(psutil.NoSuchProcess):
                while each.is_running() and each.status() != psutil.STATUS_ZOMBIE:
                    time.sleep(0.01)


def log_of(store: Store) -> Path:
    """The output of runs in `store`, outside of it, because the store may be on a full disk."""
    return store.root.parent.parent / f"{store.root.parent.name}-{store.root.name}.log"


@contextmanager
def nursery() -> Iterator[Nursery]:
    process = subprocess.Popen(
        [sys.executable, "-c", _NURSERY],
        cwd=PROJECT_ROOT,
        env=os.environ | _QUIET,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    started = Nursery(process)
    assert started._line() == "ready"
    try:
        yield started
    finally:
        assert process.stdin is not None
        process.stdin.close()
        process.wait(120)
