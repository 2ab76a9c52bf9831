"""`make ui`: three servers on this machine only, and one Ctrl-C ends everything."""

import fcntl
import os
import re
import signal
import socket
import subprocess
import sys
import termios
import threading
import time
import urllib.request
from urllib.parse import urlsplit

import psutil
import pytest

from flowmodel.store import PROJECT_ROOT, Store
from pipelines.ui import free_port

pytestmark = [pytest.mark.slow, pytest.mark.skipif(os.name != "posix", reason="sessions and signals are POSIX")]

STARTING_SECONDS = 120
STOPPING_SECONDS = 40


def test_a_taken_port_is_not_used():
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        taken = other.getsockname()[1]
        assert free_port(taken) != taken


def test_all_uis_answer_on_this_machine_only_and_end_with_one_interrupt(tmp_path):
    other = socket.create_server(("127.0.0.1", 0))  # occupies the port intended for MLflow
    taken, wanted, studio = other.getsockname()[1], free_port(0), free_port(0)
    ports = {"DAGSTER_PORT": str(wanted), "MLFLOW_PORT": str(taken), "STUDIO_PORT": str(studio)}
    environment = os.environ | ports | {"FLOWMODEL_STORE": str(tmp_path), "DAGSTER_HOME": str(tmp_path / "dagster")}
    environment.pop("MLFLOW_TRACKING_URI", None)
    process = subprocess.Popen(
        [sys.executable, "-m", "pipelines.ui"], cwd=PROJECT_ROOT, env=environment, stdout=subprocess.PIPE, text=True
    )
    try:
        addresses = _printed_addresses(process)
        pages = {urlsplit(address).port: urlsplit(address).path for address in addresses}
        (mlflow,) = pages.keys() - {wanted, studio}
        assert pages[wanted] == "/assets" and mlflow != taken
        for address in addresses:
            assert address.startswith("http://127.0.0.1:")
            if urlsplit(address).port == studio:
                address += "page.json"  # without the page itself, which needs packages from the network
            with urllib.request.urlopen(address, timeout=30) as response:
                assert response.status == 200
            assert not _answers("127.0.0.2", urlsplit(address).port), "a server on 0.0.0.0 would answer here"

        servers = psutil.Process(process.pid).children(recursive=True)
        # New links in Dagster lead to MLflow's actual port.
        assert Store(tmp_path).mlflow_port == mlflow
        assert len(servers) > 3 and len({os.getpgid(server.pid) for server in servers}) == 3
        process.send_signal(signal.SIGINT)
        assert process.wait(STOPPING_SECONDS) == 0
        assert not [server for server in servers if server.is_running() and server.status() != psutil.STATUS_ZOMBIE]
    finally:
        other.close()
        process.kill()


# Its child holds the port too, and ignores requests to stop.
SERVER = """
import os, signal, socket, sys, time
listening = socket.create_server(("127.0.0.1", int(sys.argv[1])))
if os.fork() == 0 or sys.argv[2] == "stubborn":
    signal.signal(signal.SIGINT, signal.SIG_IGN)
elif sys.argv[2] == "short":
    time.sleep(1)
    sys.exit(3)
time.sleep(600)
"""
SUPERVISOR = f"""
import sys
from pipelines import ui
ui.POLITE_SECONDS = 2
def start(kind, port):
    return ui.Server(kind, int(port), [sys.executable, "-c", {SERVER!r}, port, kind])
sys.exit(ui.supervise([lambda: start("polite", sys.argv[1]), lambda: start(sys.argv[3], sys.argv[2])]))
"""


@pytest.mark.parametrize(
    ("other", "end", "status"),
    [
        ("polite", signal.SIGINT, 0),
        ("stubborn", signal.SIGTERM, 0),
        ("stubborn", "terminal closed", None),
        ("short", "nobody", 1),
    ],
)
def test_however_servers_end_none_of_their_processes_is_left_and_their_ports_are_free(other, end, status):
    with socket.create_server(("127.0.0.1", 0)) as held:  # or both ports could be the same
        ports = [free_port(0), held.getsockname()[1]]
    terminal, inside = os.openpty()
    process = subprocess.Popen(
        [sys.executable, "-c", SUPERVISOR, *map(str, ports), other],
        cwd=PROJECT_ROOT,
        stdin=inside,
        stdout=inside,
        stderr=inside,
        preexec_fn=lambda: (os.setsid(), fcntl.ioctl(0, termios.TIOCSCTTY, 0)),  # as a terminal's own process
    )
    os.close(inside)
    try:
        _wait_until(lambda: all(_answers("127.0.0.1", port) for port in ports))
        groups = {group for _, parent, group in _processes() if parent == process.pid}
        if isinstance(end, signal.Signals):
            process.send_signal(end)
        elif end == "terminal closed":
            os.close(terminal)
        ended = process.wait(STOPPING_SECONDS)
        assert len(groups) == 2 and not [pid for pid, _, group in _processes() if group in groups]
        assert [free_port(port) for port in ports] == ports
        assert status is None or ended == status
    finally:
        process.kill()


def test_a_server_that_cannot_be_started_leaves_none_of_the_others(tmp_path):
    port = free_port(0)
    script = SUPERVISOR.replace("sys.argv[3], sys.argv[2])", "None, None)")
    done = subprocess.run([sys.executable, "-c", script, str(port)], cwd=PROJECT_ROOT, capture_output=True, text=True, timeout=60)
    assert done.returncode == 1 and "TypeError" in done.stderr
    assert free_port(port) == port


def _wait_until(happened) -> None:
    deadline = time.monotonic() + STARTING_SECONDS
    while not happened():
        assert time.monotonic() < deadline
        time.sleep(0.1)


def _printed_addresses(process: subprocess.Popen) -> list[str]:
    """The three addresses, once all servers answer."""
    addresses: list[str] = []

    def read() -> None:
        for line in process.stdout or ():
            addresses.extend(re.findall(r"http://\S+", line))

    threading.Thread(target=read, daemon=True).start()
    deadline = time.monotonic() + STARTING_SECONDS
    while len(addresses) < 3:
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
