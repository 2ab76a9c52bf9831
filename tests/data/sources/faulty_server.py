"""A local web server that misbehaves on purpose and records its requests."""

import gzip
import socket
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self

from flowmodel.data.sources.web_network import Clock


@dataclass(frozen=True)
class Answer:
    """A response and its faults.

    Attributes:
        promised: the Content-Length; if it is larger than the body, the connection breaks off after the body.
        drip: seconds between two bytes of the body.
        packed: whether the body is sent gzipped.
        reset: whether the connection is reset instead of an answer.
        unsized: send no Content-Length: the body ends when the connection does.
    """

    body: bytes = b""
    status: int = 200
    mime: str = ""
    etag: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)
    promised: int | None = None
    drip: float = 0
    packed: bool = False
    reset: bool = False
    unsized: bool = False


@dataclass(frozen=True)
class Asked:
    """A received request; names of headers are lowercase."""

    method: str
    path: str
    headers: Mapping[str, str]
    status: int
    at: float


class _QuietServer(ThreadingHTTPServer):
    def handle_error(self, request: Any, client_address: Any) -> None:  # clients are expected to hang up
        pass


class FaultyServer:
    """Responds to each path with `answers`; of several answers the next one each time, and the last one from then on.

    The host name `name` is only what :attr:`url` says; it must lead to 127.0.0.1.
    """

    def __init__(self, answers: Mapping[str, Answer | Sequence[Answer]] | None = None, name: str = "127.0.0.1"):
        self.answers: dict[str, Answer | Sequence[Answer]] = dict(answers or {})
        self.asked: list[Asked] = []
        self.at_once = self.most_at_once = 0
        self._turns: dict[str, int] = {}
        self._lock = threading.Lock()
        server = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            # Unbuffered writing, so that each byte of a drip is a packet.
            wbufsize = 0

            def do_GET(self) -> None:
                with ExitStack() as answering:
                    answering.enter_context(server._counted())
                    try:
                        server._serve(self, before_last_byte=answering.close)
                    except OSError:  # the client went away
                        self.close_connection = True

            do_HEAD = do_GET

            def log_message(self, *arguments: Any) -> None:
                pass

        self._server = _QuietServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02})
        self._thread.start()
        self.url = f"http://{name}:{self._server.server_port}"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def paths(self, status: int | None = None) -> list[str]:
        """The requested paths in order, without robots.txt; only those answered with `status` if it is given."""
        return [one.path for one in self.asked if one.path != "/robots.txt" and status in (None, one.status)]

    def forget(self) -> None:
        self.asked.clear()

    def _answer(self, path: str) -> Answer:
        answers = self.answers.get(path, Answer(b"nothing here", status=404))
        if isinstance(answers, Answer):
            return answers
        with self._lock:
            turn = self._turns[path] = self._turns.get(path, -1) + 1
        return answers[min(turn, len(answers) - 1)]

    @contextmanager
    def _counted(self) -> Iterator[None]:
        with self._lock:
            self.at_once += 1
            self.most_at_once = max(self.most_at_once, self.at_once)
        yield
        with self._lock:
            self.at_once -= 1

    def _serve(self, handler: BaseHTTPRequestHandler, before_last_byte: Callable[[], None]) -> None:
        """`before_last_byte`, because a client may send its next request before this thread continues."""
        answer = self._answer(handler.path)
        unchanged = bool(answer.etag) and handler.headers.get("If-None-Match") == answer.etag and answer.status == 200
        status = 304 if unchanged else answer.status
        asked = Asked(
            handler.command,
            handler.path,
            {name.lower(): value for name, value in handler.headers.items()},
            status,
            time.monotonic(),
        )
        self.asked.append(asked)
        if answer.reset:
            handler.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\0\0\0\0\0\0\0")
            handler.connection.close()
            handler.close_connection = True
            return
        body = b"" if unchanged else gzip.compress(answer.body) if answer.packed else answer.body
        handler.send_response(status)
        if answer.etag:
            handler.send_header("ETag", answer.etag)
        if answer.mime:
            handler.send_header("Content-Type", answer.mime)
        if answer.packed and not unchanged:
            handler.send_header("Content-Encoding", "gzip")
        for name, value in answer.headers.items():
            handler.send_header(name, value)
        if answer.unsized:
            handler.close_connection = True
        elif not unchanged:
            handler.send_header("Content-Length", str(len(body) if answer.promised is None else answer.promised))
        if handler.command == "HEAD" or not body or status != 200:  # a client need not wait for the body of an error
            before_last_byte()
        handler.end_headers()
        if handler.command == "HEAD":
            return
        if answer.drip:
            for i in range(len(body) - 1):
                handler.wfile.write(body[i : i + 1])
                time.sleep(answer.drip)
        else:
            handler.wfile.write(body[:-1])
        before_last_byte()
        handler.wfile.write(body[-1:])
        if answer.promised is not None and answer.promised > len(body):
            handler.close_connection = True


class PatientClock:
    """A clock that runs like the real one, but leaps ahead instead of waiting; `slept` has the waits."""

    def __init__(self) -> None:
        self.slept: list[float] = []
        self.clock = Clock(
            now=lambda: time.monotonic() + sum(self.slept), wall=lambda: time.time() + sum(self.slept), sleep=self._sleep
        )

    def _sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
