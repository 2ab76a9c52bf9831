"""Real servers of the tiny model."""

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from openai import OpenAI

from flowmodel.runtime.onnx_generator import OnnxGenerator
from flowmodel.serving import models
from flowmodel.store import PROJECT_ROOT


@pytest.fixture(scope="session")
def tiny_generator(tiny_export) -> OnnxGenerator:
    return models.ready(models.ModelFolder.open(tiny_export))


@dataclass(frozen=True)
class Server:
    """A running `flowmodel serve`."""

    process: subprocess.Popen
    address: str
    log: Path

    def client(self, key: str = "none") -> OpenAI:
        """OpenAI's own client, without retries that would hide a failure."""
        return OpenAI(base_url=f"{self.address}/v1", api_key=key, max_retries=0, timeout=120)

    def stop(self) -> int:
        """Its exit status after SIGTERM."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(60)

    def wait_for(self, pattern: str) -> re.Match[str]:
        """The first match in its log."""
        for _ in range(1200):
            if match := re.search(pattern, self.log.read_text()):
                return match
            assert self.process.poll() is None, self.log.read_text()
            time.sleep(0.1)
        raise AssertionError(self.log.read_text())


Start = Callable[..., AbstractContextManager[Server]]


@contextmanager
def started(folder: Path, *options: str, **environment: str) -> Iterator[Server]:
    """A server with `options` and its log in `folder`; it is stopped at the end."""
    log = folder / "server.log"
    with log.open("w") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "flowmodel", "serve", "--port", "0", *options],
            env=os.environ | {"PYTHONPATH": str(PROJECT_ROOT), "FLOWMODEL_STORE": str(folder / "store")} | environment,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    server = Server(process, "", log)
    try:
        yield Server(process, server.wait_for(r"serving .* at (http://\S+)/v1")[1], log)
    finally:
        process.kill()
        process.wait()


@pytest.fixture(scope="session")
def server(tiny_export, tmp_path_factory) -> Iterator[Server]:
    """A server of the tiny model, shared by all tests that don't stop it."""
    with started(tmp_path_factory.mktemp("server"), "--model", str(tiny_export), "--max-n", "4") as running:
        yield running
