"""A small local npm registry for the real npm client over real HTTP."""

import hashlib
import json
import threading
from collections.abc import Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import unquote

from tests.data.sources.packages import integrity


class Registry:
    """Serves the packages given to :meth:`add`; `requests` lists the paths asked for."""

    def __init__(self) -> None:
        self.requests: list[str] = []
        self.hang = threading.Event()
        self._answers: dict[str, bytes] = {}
        self._documents: dict[str, dict[str, Any]] = {}
        self._released = threading.Event()
        registry = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                path = unquote(self.path)
                registry.requests.append(path)
                if registry.hang.is_set():
                    registry._released.wait(60)
                body = registry._answers.get(path, b'{"error": "Not found"}')
                self.send_response(200 if path in registry._answers else 404)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *arguments: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever)
        self._thread.start()
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def add(self, package: str, version: str, archive: bytes, dist: Mapping[str, str] | None = None) -> None:
        """`dist` replaces what the registry states about the archive."""
        tarball = f"/{package}/-/{version}.tgz"
        stated = {"integrity": integrity(archive), "shasum": hashlib.sha1(archive).hexdigest()} if dist is None else dist
        document = self._documents.setdefault(package, {"name": package, "versions": {}})
        document["versions"][version] = {"name": package, "version": version, "dist": {"tarball": self.url + tarball, **stated}}
        document["dist-tags"] = {"latest": version}
        self._answers[f"/{package}"] = json.dumps(document).encode()
        self._answers[tarball] = archive

    def close(self) -> None:
        self._released.set()
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()
