"""Lets the Dagster UI terminate a run that was started in a terminal.

Dagster asks the gRPC server that is named in a run's tags. A run in a terminal has a small server in its own process, which
answers only these two requests. A run that does not end when asked to is killed before Dagster marks it as canceled and gives
its slot in the pool to another run.
"""

import json
import os
import signal
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import dagster as dg
import grpc
from dagster._core.storage.tags import GRPC_INFO_TAG
from dagster._grpc.__generated__ import dagster_api_pb2 as messages
from dagster._grpc.__generated__.dagster_api_pb2_grpc import DagsterApiServicer, add_DagsterApiServicer_to_server
from dagster._grpc.types import CanCancelExecutionRequest, CanCancelExecutionResult, CancelExecutionRequest, CancelExecutionResult
from dagster._serdes import deserialize_value, serialize_value

ENDING_SECONDS = 50.0  # less than `cancel_timeout_seconds` of dagster.yaml


class _Stopping(DagsterApiServicer):
    def __init__(self, run_id: str) -> None:
        self._run_id = run_id
        self.stopping: threading.Timer | None = None

    def CanCancelExecution(
        self, request: messages.CanCancelExecutionRequest, context: grpc.ServicerContext
    ) -> messages.CanCancelExecutionReply:
        asked = deserialize_value(request.serialized_can_cancel_execution_request, CanCancelExecutionRequest)
        can = asked.run_id == self._run_id and self.stopping is None
        return messages.CanCancelExecutionReply(
            serialized_can_cancel_execution_result=serialize_value(CanCancelExecutionResult(can_cancel=can))
        )

    def CancelExecution(
        self, request: messages.CancelExecutionRequest, context: grpc.ServicerContext
    ) -> messages.CancelExecutionReply:
        asked = deserialize_value(request.serialized_cancel_execution_request, CancelExecutionRequest)
        is_this = asked.run_id == self._run_id
        if is_this and self.stopping is None:
            self.stopping = threading.Timer(ENDING_SECONDS, _kill)
            self.stopping.daemon = True
            self.stopping.start()
            os.kill(os.getpid(), signal.SIGINT)
        result = CancelExecutionResult(success=is_this, message=None, serializable_error_info=None)
        return messages.CancelExecutionReply(serialized_cancel_execution_result=serialize_value(result))


def _kill() -> None:
    print(f"killed: the run did not end within {ENDING_SECONDS:.0f} seconds of the request", file=sys.stderr, flush=True)
    os.kill(os.getpid(), signal.SIGKILL)


@contextmanager
def terminable(instance: dg.DagsterInstance, run_id: str) -> Iterator[None]:
    """Let the UI end the run of this process's main thread, as Ctrl-C would."""
    with TemporaryDirectory(prefix="flowmodel-") as folder:  # readable by this user only
        socket, servicer = Path(folder, "socket"), _Stopping(run_id)
        server = grpc.server(ThreadPoolExecutor(1, "terminating"))
        add_DagsterApiServicer_to_server(servicer, server)
        server.add_insecure_port(f"unix:{socket}")
        server.start()
        instance.add_run_tags(run_id, {GRPC_INFO_TAG: json.dumps({"host": "localhost", "socket": str(socket)})})
        try:
            yield
        finally:
            if servicer.stopping is not None:
                servicer.stopping.cancel()
            server.stop(None).wait()
