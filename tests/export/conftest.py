"""The shipped weights, exported once per test session by the command, as a folder and as a page; treat both as read-only."""

import functools
import http.server
import os
import shutil
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from flowmodel.data.sources.npm_client import latest_version
from flowmodel.runtime.model_folder import ModelFolder
from flowmodel.runtime.onnx_generator import OnnxGenerator
from flowmodel.store import PROJECT_ROOT
from tests.evaluation.browser import browser_page
from tests.export.opened import Opened


@dataclass(frozen=True)
class Exported:
    """`page` is None if there is no npm registry."""

    model: ModelFolder
    page: Path | None
    told: str


def _export(folder: Path) -> None:
    command = [sys.executable, "-m", "flowmodel", "export", "pretrained", "--out", str(folder / "icons"), "--zip"]
    has_npm = shutil.which("npm") is not None and bool(latest_version("onnxruntime-web"))
    if has_npm:
        command += ["--web", str(folder / "page"), "--sources", str(PROJECT_ROOT / "pipelines" / "sources.yaml")]
    with tempfile.TemporaryDirectory() as store:
        environment = os.environ | {"PYTHONPATH": str(PROJECT_ROOT), "FLOWMODEL_STORE": store, "COLUMNS": "300"}
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "model pretrained, digest" in done.stdout and "icons.zip" in done.stdout and not done.stderr
    assert {path.name for path in folder.iterdir()} == {"icons", "icons.zip"} | ({"page"} if has_npm else set())
    (folder / "told.txt").write_text(done.stdout, encoding="utf-8")


@pytest.fixture(scope="session")
def export(made_once) -> Exported:
    folder = made_once("exported", _export)
    page = folder / "page"
    told = (folder / "told.txt").read_text(encoding="utf-8")
    return Exported(ModelFolder.open(folder / "icons"), page if page.is_dir() else None, told)


@pytest.fixture(scope="session")
def exported(export) -> ModelFolder:
    return export.model


@pytest.fixture(scope="session")
def page_folder(export) -> Path:
    if export.page is None:
        pytest.skip("the npm registry can't be reached")
    return export.page


@pytest.fixture(scope="session")
def small(page_folder) -> OnnxGenerator:
    """The page's own model."""
    return OnnxGenerator.load(page_folder / "model", tower="packed")


class _Files(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_: Any) -> None:
        pass


@contextmanager
def served(folder: Path) -> Iterator[str]:
    """The address of a server of `folder`."""
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(_Files, directory=str(folder))) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()


@pytest.fixture(scope="module")
def opened(page_folder, tmp_path_factory) -> Iterator[Opened]:
    """The page in a browser that can reach only the page's folder."""
    with served(page_folder) as address, browser_page(tmp_path_factory.mktemp("browser")) as page:
        opened = Opened(page, address, tmp_path_factory.mktemp("downloads"))
        opened.start()
        yield opened
