"""The process of `flowmodel serve`, which finishes all accepted requests before it stops."""

import ipaddress
import logging
import os
import signal
import socket
import sys
from dataclasses import dataclass

from flowmodel.errors import FlowmodelError
from flowmodel.serving import models
from flowmodel.serving.app import create_app
from flowmodel.serving.engine import Engine
from flowmodel.serving.limits import Limits
from flowmodel.serving.metrics import Metrics
from flowmodel.store import Store

TOKEN_VARIABLE = "FLOWMODEL_SERVE_TOKEN"

_log = logging.getLogger(__name__)
_KEEP_ALIVE = 75  # seconds; longer than clients keep an idle connection, so that they close it and not the server


@dataclass(frozen=True)
class Address:
    """The address of a server. `open_to_all` allows other machines without a token."""

    host: str = "127.0.0.1"
    port: int = 8000
    open_to_all: bool = False

    def listen(self, token: str | None) -> socket.socket:
        """Raises FlowmodelError when other machines could use the server without a token, or the address is not free."""
        try:
            [(family, _, _, _, address), *_] = socket.getaddrinfo(self.host, self.port, type=socket.SOCK_STREAM)
        except OSError as error:
            raise FlowmodelError(f"--host {self.host}: {error.strerror or error}; use an address of this machine") from None
        if token is None and not self.open_to_all and not ipaddress.ip_address(str(address[0]).partition("%")[0]).is_loopback:
            raise FlowmodelError(
                f"--host {self.host}: other machines could use the server; set {TOKEN_VARIABLE} to a token, or add --insecure"
            )
        try:
            return socket.create_server((str(address[0]), self.port), family=family, backlog=1024)
        except OSError as error:
            raise FlowmodelError(
                f"{self.host} port {self.port}: {os.strerror(error.errno or 0)}; choose another one with --port"
            ) from None


def serve(
    store: Store, reference: str | None, address: Address, limits: Limits, workers: int, batch: int, reload_seconds: float
) -> None:
    """Serve the model of `reference` until SIGTERM or SIGINT, and then finish all accepted requests.

    Raises FlowmodelError when the model can't be found or the address can't be used.
    """
    import uvicorn

    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s", stream=sys.stderr)
    for name in (signal.SIGTERM, signal.SIGINT):
        # Used before serving starts. Uvicorn then has its own handlers, and raises the signal again after it has stopped.
        signal.signal(name, lambda *_: sys.exit(0))
    token = os.environ.get(TOKEN_VARIABLE) or None
    metrics = Metrics()
    with address.listen(token) as listening:
        folder = models.find(store, reference)
        assert folder is not None
        metrics.serves(folder)
        engine = Engine(models.ready(folder), workers, batch, metrics.drawn)
        follower = models.Follower(engine, lambda served: models.find(store, reference, served), metrics, reload_seconds)
        app = create_app(engine, limits, metrics, token)
        config = uvicorn.Config(
            app,
            log_level="warning",
            access_log=False,
            timeout_keep_alive=_KEEP_ALIVE,
            timeout_graceful_shutdown=int(limits.seconds) + 5,
        )
        host, port = listening.getsockname()[:2]
        shown = f"[{host}]" if ":" in host else host
        _log.info("serving %s at http://%s:%s/v1", folder.path, shown, port)
        try:
            uvicorn.Server(config).run(sockets=[listening])
        finally:
            follower.close()
            engine.close()
            _log.info("ended")
