"""`make ui`: two servers on this machine only, and one Ctrl-C ends everything."""

import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.request

import pytest

from flowmodel.store import PROJECT_ROOT
from pipelines.ui import free_port

pytestmark = [pytest.mark.slow, pytest.mark.skipif(os.name != "posix", reason="sessions and signals are POSIX")]

STARTING_SECONDS = 120
STOPPING_SECONDS = 40


def test_a_taken_port_is_left_to_who_has_it():
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        taken = other.getsockname()[1]
        assert free_port(taken) != taken


def test_both_uis_answer_on_this_machine_only_and_end_with_one_interrupt(tmp_path):
    ports = {"DAGSTER_PORT": str(free_port(0)), "MLFLOW_PORT": str(free_port(0))}
    environment = os.environ | ports | {"FLOWMODEL_STORE": str(tmp_path), "DAGSTER_HOME": str(tmp_path / "dagster")}
    environment.pop("MLFLOW_TRACKING_URI", None)
    process = subprocess.Popen(
        [sys.executable, "-m", "pipelines.ui"], cwd=PROJECT_ROOT, env=environment, stdout=subprocess.PIPE, text=True
    )
    try:
        addresses = _printed_addresses(process)
        assert {address.rpartition(":")[2] for address in addresses} == set(ports.values())
        for address in addresses:
            assert address.startswith("http://127.0.0.1:")
            with urllib.request.urlopen(address, timeout=30) as response:
                assert response.status == 200
            assert not _answers("127.0.0.2", int(address.rpartition(":")[2])), "a server on 0.0.0.0 would answer here"

        groups = {group for _, parent, group in _processes() if parent == process.pid}
        assert len(groups) == 2
        process.send_signal(signal.SIGINT)
        assert process.wait(STOPPING_SECONDS) == 0
        assert not [pid for pid, _, group in _processes() if group in groups], "nothing is left behind"
    finally:
        process.kill()


def _printed_addresses(process: subprocess.Popen) -> list[str]:
    """The two addresses, once both servers answer."""
    addresses: list[str] = []

    def read() -> None:
        for line in process.stdout or ():
            addresses.extend(re.findall(r"http://\S+", line))

    threading.Thread(target=read, daemon=True).start()
    deadline = time.monotonic() + STARTING_SECONDS
    while len(addresses) < 2:
        assert time.monotonic() < deadline and process.poll() is None, f"only {addresses} came up"
        time.sleep(0.2)
    return addresses


def _answers(host: str, port: int) -> bool:
    with socket.socket() as probe:
        probe.settimeout(2)
        return probe.connect_ex((host, port)) == 0


def _processes() -> list[tuple[int, int, int]]:
    """(pid, parent, process group) of every living process."""
    lines = subprocess.run(
        ["ps", "-A", "-o", "pid=,ppid=,pgid=,stat="], capture_output=True, text=True, check=True
    ).stdout.splitlines()
    rows = [line.split() for line in lines]
    return [(int(pid), int(parent), int(group)) for pid, parent, group, state in rows if not state.startswith("Z")]
