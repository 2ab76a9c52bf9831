"""`flowmodel studio`: serves the page that samples in the browser, on this machine only, with every registered version of the
model.

A version is exported when the page first requests it, and its export stays in the store.
"""

import io
import json
import threading
from collections.abc import Callable
from dataclasses import asdict
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from flowmodel.errors import FlowmodelError
from flowmodel.export.in_store import exported, training_icons
from flowmodel.export.web import PAGE, PageModel, write_page
from flowmodel.model.pretrained import FAST, PRETRAINED, SHIPPED
from flowmodel.registry.lookup import has_model
from flowmodel.registry.names import CHAMPION, MODEL_NAME
from flowmodel.registry.references import resolve_model
from flowmodel.registry.versions import registered_versions
from flowmodel.store import Store

HOST = "127.0.0.1"
_MODELS, _PARTS = "models", ("model", "icons")  # folders in the page's addresses
_GIVEN = "given"  # the model of the command line
_HINT = "Preparing the model; the first time this takes half a minute"


class Studio:
    """The page and the models that it offers. Its methods may be called from several threads.

    `reference` is a value of `--model`; that model comes first.
    """

    def __init__(self, store: Store, reference: str | None = None, log: Callable[[str], None] = lambda line: None) -> None:
        self._store, self._reference, self._log = store, reference, log
        self._page_lock, self._export_lock = threading.Lock(), threading.Lock()
        self._page: Path | None = None
        self._folders: dict[tuple[str, str], Path] = {}

    def models(self) -> list[PageModel]:
        """The models: the champion, then the other versions, newest first, then the shipped weights.

        Raises FlowmodelError when MLflow can't be used.
        """
        rows = [] if has_model(self._store, MODEL_NAME) is False else registered_versions(self._store)
        rows.sort(key=lambda row: (CHAMPION not in row.aliases, -int(row.version)))
        named = [(row.version, f"version {row.version}{''.join(f', {alias}' for alias in row.aliases)}") for row in rows]
        named += [(PRETRAINED, "shipped weights"), (FAST, "shipped weights, fast")]
        if self._reference is not None:
            named.insert(0, (_GIVEN, self._reference))
        return [PageModel(name, f"{_MODELS}/{key}/model/", f"{_MODELS}/{key}/icons/", _HINT) for key, name in named]

    def page(self) -> Path:
        """Folder of the page, without models. Raises FlowmodelError when one of the npm packages can't be fetched."""
        with self._page_lock:
            if self._page is None:
                folder = self._store.exports / "page"
                write_page(folder, self._store.downloads, self._log)
                self._page = folder
            return self._page

    def folder(self, key: str, part: str) -> Path:
        """Folder of a part, `model` or `icons`, of the model that the page calls `key`; it is made if necessary.

        Raises FlowmodelError when there is no such model or part, or it can't be exported.
        """
        reference = self._reference_of(key)
        if part not in _PARTS:
            raise FlowmodelError(f"{_MODELS}/{key}/{part}: no such part; choose one of {', '.join(_PARTS)}")
        with self._export_lock:
            if (key, part) not in self._folders:
                checkpoint = resolve_model(self._store, reference)
                self._log(f"preparing the {part} of {checkpoint}")
                if part == "model":
                    self._folders[key, part] = exported(self._store, checkpoint).path
                else:
                    self._folders[key, part] = training_icons(self._store, checkpoint, self._log)
            return self._folders[key, part]

    def _reference_of(self, key: str) -> str:
        if key == _GIVEN and self._reference is not None:
            return self._reference
        if key not in SHIPPED and not key.isdecimal():
            raise FlowmodelError(f"{_MODELS}/{key}: no such model; choose one that the page lists")
        return key if key in SHIPPED else f"models:/{MODEL_NAME}/{key}"


class StudioServer(ThreadingHTTPServer):
    """Serves a :class:`Studio` at `address`, which no other machine can reach."""

    daemon_threads = True

    def __init__(self, studio: Studio, port: int) -> None:
        """`port` 0, or one that is taken, is replaced by one that the system chooses."""
        self.studio = studio
        try:
            super().__init__((HOST, port), _Handler)
        except OSError:
            super().__init__((HOST, 0), _Handler)

    @property
    def address(self) -> str:
        return f"http://{HOST}:{self.server_port}/"


class _Handler(SimpleHTTPRequestHandler):
    # Set here, because the tables of some systems call JavaScript plain text.
    extensions_map = {  # noqa: RUF012
        **SimpleHTTPRequestHandler.extensions_map,
        **dict.fromkeys((".js", ".mjs"), "text/javascript"),
        **{".wasm": "application/wasm", ".woff2": "font/woff2", ".webp": "image/webp", ".svg": "image/svg+xml"},
    }
    server: StudioServer

    def send_head(self) -> Any:
        """The response to GET and HEAD, as a file, or None if there is no body."""
        host = self.headers.get("Host", "").rpartition(":")[0]
        if host not in (HOST, "localhost"):  # another site's name that resolves to this machine
            return self._refuse(403, "this address is not served here")
        path = unquote(urlsplit(self.path).path)
        try:
            if path == f"/{PAGE}":
                return self._say_models()
            if path.startswith(f"/{_MODELS}/"):
                key, part, rest = (*path.removeprefix(f"/{_MODELS}/").split("/", 2), "", "")[:3]
                self.directory, self.path = str(self.server.studio.folder(key, part)), f"/{rest}"
            else:
                self.directory = str(self.server.studio.page())
        except FlowmodelError as error:
            return self._refuse(500, str(error))
        return super().send_head()

    def end_headers(self) -> None:
        self.send_header("Cache-Control", "no-cache")  # cached, but revalidated, because another release has another page
        super().end_headers()

    def list_directory(self, path: Any) -> None:
        self.send_error(404)

    def log_message(self, format: str, *args: Any) -> None:
        pass

    def _say_models(self) -> Any:
        return self._answer(
            200, "application/json", json.dumps({"models": [asdict(each) for each in self.server.studio.models()]})
        )

    def _refuse(self, status: int, line: str) -> Any:
        return self._answer(status, "text/plain; charset=utf-8", line)

    def _answer(self, status: int, kind: str, content: str) -> Any:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(content.encode())))
        self.end_headers()
        return io.BytesIO(content.encode())
