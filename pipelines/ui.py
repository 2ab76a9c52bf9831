"""`make ui`: the Dagster UI and the MLflow UI on this machine only, both ended by one Ctrl-C.

Each runs in a session of its own, so that the terminal's Ctrl-C reaches this process alone and shutting down is in one hand:
ask politely, wait, then end whatever is left of the session.
"""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from flowmodel.store import PROJECT_ROOT, Store

HOST = "127.0.0.1"
POLITE_SECONDS = 20


class Server:
    """A server process with all its children."""

    def __init__(self, name: str, port: int, command: Sequence[str], environment: dict[str, str] | None = None) -> None:
        self.name, self.port = name, port
        self._process = subprocess.Popen(
            command, cwd=PROJECT_ROOT, env=os.environ | (environment or {}), stdin=subprocess.DEVNULL, start_new_session=True
        )

    def has_ended(self) -> bool:
        return self._process.poll() is not None

    def interrupt(self) -> None:
        if not self.has_ended():
            self._process.send_signal(signal.SIGINT)

    def finish(self, deadline: float) -> None:
        """Wait for the server until `deadline`, then kill what is left of its session."""
        try:
            self._process.wait(max(0.1, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            print(f"{self.name} does not end by itself and is killed", file=sys.stderr)
        try:
            os.killpg(self._process.pid, signal.SIGKILL)
        except ProcessLookupError:
            return
        self._process.wait()


def answers(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex((HOST, port)) == 0


def free_port(wanted: int) -> int:
    """`wanted`, or where another program has it, one that the system chooses."""
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
    quiet = ["--log-level", "error", "--code-server-log-level", "error"]  # it would warn that dagster.yaml lies elsewhere
    command = [sys.executable, "-W", "ignore", "-m", "dagster", "dev", "--host", HOST, "--port", str(port), *quiet]
    return Server("Dagster", port, command)


def start_mlflow(port: int, store: Store) -> Server:
    store.mlflow_artifacts.mkdir(parents=True, exist_ok=True)
    where = ["--backend-store-uri", store.mlflow_uri, "--default-artifact-root", str(store.mlflow_artifacts)]
    serving = ["--host", HOST, "--port", str(port), "--workers", "1", "--no-serve-artifacts"]
    quiet = {
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",  # would start a dozen worker processes for features that we don't use
        "MLFLOW_LOGGING_LEVEL": "WARNING",
        "PYTHONWARNINGS": "ignore",
    }
    command = [sys.executable, "-m", "mlflow", "server", *where, *serving, "--uvicorn-opts", "--log-level warning"]
    return Server("MLflow", port, command, quiet)


def main() -> int:
    stopping: list[int] = []
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda received, _: stopping.append(received))

    store = Store.from_environment()
    Path(os.environ.setdefault("DAGSTER_HOME", str(store.root / "dagster"))).mkdir(parents=True, exist_ok=True)
    servers = [start_dagster(free_port(int(os.environ.get("DAGSTER_PORT", 3000))))]
    if not store.mlflow_uri.startswith("http"):
        servers.append(start_mlflow(free_port(int(os.environ.get("MLFLOW_PORT", 5000))), store))
    print("Starting; this takes some seconds. Ctrl-C ends everything.", flush=True)

    waiting = list(servers)
    while not stopping and not any(server.has_ended() for server in servers):
        for server in [server for server in waiting if answers(server.port)]:
            waiting.remove(server)
            print(f"  {server.name:<8} http://{HOST}:{server.port}", flush=True)
        time.sleep(0.3)

    ended = [server.name for server in servers if server.has_ended()]
    if ended and not stopping:
        print(f"{' and '.join(ended)} ended unexpectedly; see above", file=sys.stderr)
    print("Stopping …", flush=True)
    deadline = time.monotonic() + POLITE_SECONDS
    for server in servers:
        server.interrupt()
    for server in servers:
        server.finish(deadline)
    return 0 if stopping else 1


if __name__ == "__main__":
    sys.exit(main())
