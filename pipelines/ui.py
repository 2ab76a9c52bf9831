"""`make ui`: serves the UIs of Dagster and MLflow and the studio on this machine only. Ctrl-C stops all of them.

Each server runs in a session of its own, so that the terminal's Ctrl-C reaches only this process, which shuts them down: it
interrupts each server, waits, kills the rest of its session, and returns when no process is left that could hold a port.
"""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from importlib.util import find_spec

from flowmodel.errors import FlowmodelError, machine_refusal
from flowmodel.extras import MODULES
from flowmodel.registry.runs_view import runs_page
from flowmodel.registry.sqlite import correct_addresses
from flowmodel.shipped import program
from flowmodel.store import IS_CHECKOUT, PROJECT_ROOT, Store
from pipelines.home import prepare_home
from pipelines.links import lead_to

HOST = "127.0.0.1"
POLITE_SECONDS = 20
KILLING_SECONDS = 10


class Server:
    """A server process with all its children. `page` is the path to open, with an optional remark."""

    def __init__(
        self,
        name: str,
        port: int,
        command: Sequence[str],
        environment: Mapping[str, str] | None = None,
        page: str = "",
        quiet: bool = False,
    ) -> None:
        """`quiet` hides its standard output."""
        self.name, self.port, self.page = name, port, page
        self._process = subprocess.Popen(
            command,
            cwd=PROJECT_ROOT if IS_CHECKOUT else None,
            env={**os.environ, **(environment or {})},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL if quiet else None,
            start_new_session=True,
        )

    def has_ended(self) -> bool:
        return self._process.poll() is not None

    def interrupt(self) -> None:
        if not self.has_ended():
            self._process.send_signal(signal.SIGINT)

    def finish(self, deadline: float) -> None:
        """Wait for the server until `deadline`, then kill the rest of its session and wait until it has ended."""
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(max(0.1, deadline - time.monotonic()))
        if not self.has_ended():
            say(f"{self.name} did not stop in time and is killed")
        end = time.monotonic() + KILLING_SECONDS
        # macOS raises PermissionError if only dead processes are left in the group.
        with suppress(ProcessLookupError, PermissionError):
            while time.monotonic() < end:
                os.killpg(self._process.pid, signal.SIGKILL)
                self._process.poll()
                time.sleep(0.05)


def say(line: str) -> None:
    with suppress(OSError):  # the terminal has been closed
        print(line, flush=True)


def answers(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex((HOST, port)) == 0


def free_port(wanted: int) -> int:
    """`wanted`, or a port that the system chooses if another program uses it."""
    for port in [0] if answers(wanted) else [wanted, 0]:
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((HOST, port))
            except OSError:
                continue
            return probe.getsockname()[1]
    raise OSError(f"{HOST}: no free port")


def start_dagster(port: int) -> Server:
    quiet = ["--log-level", "error", "--code-server-log-level", "error"]  # it would warn that dagster.yaml is elsewhere
    command = [sys.executable, "-W", "ignore", "-m", "dagster", "dev", "--host", HOST, "--port", str(port), *quiet]
    what = [] if IS_CHECKOUT else ["-m", "pipelines.definitions"]  # a checkout has workspace.yaml
    return Server("Dagster", port, [*command, *what], page="/assets  (open this first)")


def start_mlflow(port: int, store: Store) -> Server:
    store.mlflow_artifacts.mkdir(parents=True, exist_ok=True)
    correct_addresses(store)  # for a store that was moved
    serving = ["--host", HOST, "--port", str(port), "--workers", "1", "--no-serve-artifacts"]
    environment = {
        # Not among the arguments, which every user of the machine can see, because a database address may contain a password.
        "MLFLOW_BACKEND_STORE_URI": store.mlflow_uri,
        "MLFLOW_REGISTRY_STORE_URI": store.mlflow_uri,
        "MLFLOW_DEFAULT_ARTIFACT_ROOT": str(store.mlflow_artifacts),
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",  # would start a dozen worker processes for unused features
        "MLFLOW_LOGGING_LEVEL": "WARNING",
        "PYTHONWARNINGS": "ignore",
    }
    command = [sys.executable, "-m", "mlflow", "server", *serving, "--uvicorn-opts", "--log-level warning"]
    return Server("MLflow", port, command, environment, page=runs_page(store))


def start_studio(port: int) -> Server:
    command = [sys.executable, "-W", "ignore", "-m", "flowmodel", "studio", "--port", str(port), "--no-open"]
    return Server("Studio", port, command, page="/  (sample here)", quiet=True)


def supervise(starts: Sequence[Callable[[], Server]]) -> int:
    """Start servers, print their addresses in this order once they answer, and stop all on a signal or when one of them ends.

    Returns 0 after a signal, else 1. When it returns or raises, no server process is left.
    """
    stopping: list[int] = []
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):  # SIGHUP is sent when the terminal is closed
        signal.signal(number, lambda received, _: stopping.append(received))
    servers: list[Server] = []
    try:
        for start in starts:
            servers.append(start())
        say("Starting; this takes a few seconds. Ctrl-C stops everything.")
        waiting = list(servers)
        while not stopping and not (ended := [server.name for server in servers if server.has_ended()]):
            while waiting and answers(waiting[0].port):
                server = waiting.pop(0)
                say(f"  {server.name:<8} http://{HOST}:{server.port}{server.page}")
                if not waiting:
                    say(f"To sample in another terminal: {program()} sample 'red heart'")
            time.sleep(0.3)
        say("Stopping …" if stopping else f"{' and '.join(ended)} ended unexpectedly; see above. Stopping …")
    finally:
        deadline = time.monotonic() + POLITE_SECONDS
        for server in servers:
            server.interrupt()
        for server in servers:
            server.finish(deadline)
    return 0 if stopping else 1


def main() -> int:
    store = Store.from_environment()
    prepare_home(store)
    starts = [lambda: start_dagster(free_port(int(os.environ.get("DAGSTER_PORT", 3000))))]
    if not store.mlflow_uri.startswith("http"):
        port = free_port(int(os.environ.get("MLFLOW_PORT") or store.mlflow_port))
        lead_to(store, port)
        starts.append(lambda: start_mlflow(port, store))
    if all(find_spec(module) for module in MODULES["export"]):
        starts.append(lambda: start_studio(free_port(int(os.environ.get("STUDIO_PORT", 8484)))))
    return supervise(starts)


if __name__ == "__main__":
    try:
        sys.exit(main())
    except FlowmodelError as error:
        sys.exit(f"error: {error}")
    except Exception as error:
        if (refusal := machine_refusal(error)) is None:
            raise
        sys.exit(f"error: {refusal}")
