"""A run that a terminal conducts can be terminated in the Dagster UI, like one that the UI has started.

Dagster asks the gRPC server that a run names in its tags. That of a run in a terminal is a small one in its own process, and
answers these two questions only. A run that was told to end and doesn't is killed before Dagster calls it canceled and gives its
place in the pool to another.
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
    print(f"killed: the run was told to end {ENDING_SECONDS:.0f} seconds ago", file=sys.stderr, flush=True)
    os.kill(os.getpid(), signal.SIGKILL)


@contextmanager
def terminable(instance: dg.DagsterInstance, run_id: str) -> Iterator[None]:
    """Let the UI end the run, which this process conducts in its main thread: as Ctrl-C would."""
    with TemporaryDirectory(prefix="flowmodel-") as folder:  # for this user alone
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
