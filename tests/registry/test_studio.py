"""The studio: the page on this machine, with every registered version of the model."""

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator

import numpy as np
import pytest

from flowmodel.data.sources.npm_client import latest_version
from flowmodel.model.generator import Generator
from flowmodel.runtime.model_folder import ModelFolder
from flowmodel.runtime.onnx_generator import OnnxGenerator
from flowmodel.store import PROJECT_ROOT, Store
from flowmodel.studio import Studio, StudioServer
from tests.evaluation.browser import CHROMIUM, browser_page
from tests.export.opened import Opened

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

WEIGHTS = ["shipped weights", "shipped weights, fast"]  # in the page's words


@pytest.fixture
def two_versions(store, prepared, registered, first, second) -> Store:
    registered(first)
    registered(second)
    shutil.copytree(prepared.dataset.folder, store.datasets / prepared.dataset.folder.name)
    return store


@pytest.fixture
def served(two_versions) -> Iterator[StudioServer]:
    with StudioServer(Studio(two_versions), 0) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server
        server.shutdown()


def _get(address: str, **headers: str) -> tuple[int, str, bytes]:
    try:
        with urllib.request.urlopen(urllib.request.Request(address, headers=headers), timeout=300) as answer:
            return answer.status, answer.headers["Content-Type"], answer.read()
    except urllib.error.HTTPError as error:
        return error.code, error.headers["Content-Type"], error.read()


def test_the_champion_is_first_and_a_version_is_exported_once(served, two_versions, first, store):
    status, _, content = _get(f"{served.address}page.json")
    models = json.loads(content)["models"]
    assert status == 200 and [each["name"] for each in models] == ["version 1, champion", "version 2, challenger", *WEIGHTS]
    folder = store.exports / f"{first.checkpoint.digest[:16]}-icons"  # no other test has it made
    assert not folder.exists()

    status, kind, content = _get(f"{served.address}{models[0]['path']}model.json")
    assert (status, kind) == (200, "application/json") and json.loads(content)["checkpoint"] == first.checkpoint.digest
    [model] = store.exports.glob(f"{first.checkpoint.digest[:16]}-model-*")  # which registering, `flowmodel serve` and this share
    exported = ModelFolder.open(model)
    exported.verify()
    assert content == (model / "model.json").read_bytes()
    drawn = OnnxGenerator(exported).sample(["red heart"], seed=1).astype(int)
    assert np.abs(drawn - Generator.load(first.checkpoint, "cpu").sample(["red heart"], seed=1).numpy()).mean() < 1

    icons = json.loads(_get(f"{served.address}{models[0]['training']}icons.json")[2])
    assert 0.9 * icons["of"] < len(icons["names"]) <= icons["of"] == len(first.checkpoint.header.trained_ids)
    made = (folder / "icons.json").stat().st_mtime_ns
    assert Studio(two_versions).folder("1", "icons").samefile(folder) and (folder / "icons.json").stat().st_mtime_ns == made
    assert Studio(two_versions).folder("1", "model").samefile(model)


def test_an_unusable_model_gives_one_line(served, two_versions):
    status, kind, content = _get(f"{served.address}models/9/model/model.json")
    assert status == 500 and kind.startswith("text/plain") and content.startswith(b"model 'models:/flowmodel/9': not in MLflow")
    assert _get(f"{served.address}models/..%2F..%2Fx/model.json")[2].startswith(b"models/..: no such model")
    (two_versions.root / "secret.txt").write_text("secret")
    assert _get(f"{served.address}models/1/secrets/x")[2].startswith(b"models/1/secrets: no such part")
    for path in ("models/1/..%2f..%2fsecret.txt", "models/1/../../../secret.txt", "models/1/"):
        assert _get(served.address + path)[0] in (404, 500)
    assert _get(f"{served.address}page.json", Host="evil.example:80")[0] == 403


def test_the_command_prints_the_address_of_the_studio_and_stops_on_an_interrupt(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as other:
        taken = other.getsockname()[1]
        command = [sys.executable, "-m", "flowmodel", "studio", "--no-open", "--port", str(taken)]
        environment = os.environ | {"PYTHONPATH": str(PROJECT_ROOT), "FLOWMODEL_STORE": str(tmp_path), "PYTHONUNBUFFERED": "1"}
        process = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True)
        try:
            assert process.stdout
            address = re.search(r"http://127\.0\.0\.1:(\d+)/", process.stdout.readline())
            assert address and int(address[1]) != taken
            assert [each["name"] for each in json.loads(_get(f"{address[0]}page.json")[2])["models"]] == WEIGHTS
            process.send_signal(signal.SIGINT)
            assert process.wait(120) == 0 and process.stdout.read() == "Stopped.\n"
        finally:
            process.kill()


@pytest.mark.network
@pytest.mark.skipif(os.name != "posix", reason="the browser is a shell script")
def test_the_command_opens_the_page_in_the_browser(tmp_path):
    if shutil.which("npm") is None or not latest_version("onnxruntime-web"):
        pytest.skip("the npm registry can't be reached")
    browser, visited = tmp_path / "browser", tmp_path / "visited"
    browser.write_text(f'#!/bin/sh\nprintf %s "$1" > "{visited}"\n', encoding="utf-8")
    browser.chmod(0o755)
    environment = os.environ | {"PYTHONPATH": str(PROJECT_ROOT), "FLOWMODEL_STORE": str(tmp_path), "BROWSER": str(browser)}
    command = [sys.executable, "-u", "-m", "flowmodel", "studio", "--port", "0"]
    process = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout
        line = next(line for line in process.stdout if "The studio is at" in line)
        for _ in range(600):
            if visited.exists() and visited.read_text():
                break
            time.sleep(0.1)
        address = visited.read_text()
        assert f" {address};" in line
        assert b"<title>" in _get(address)[2]  # the page is there when the browser asks for it
    finally:
        process.kill()
        process.wait()


@pytest.mark.browser
@pytest.mark.network
@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium here")
def test_a_person_chooses_a_version_and_draws_with_it(served, tmp_path):
    if shutil.which("npm") is None or not latest_version("onnxruntime-web"):
        pytest.skip("the npm registry can't be reached")
    with browser_page(tmp_path / "browser") as page:
        opened = Opened(page, served.address, tmp_path)
        opened.start()
        offered = opened.run("[...document.getElementById('model').options].map((each) => each.textContent)")
        assert offered == ["version 1, champion", "version 2, challenger", *WEIGHTS]
        drawn = [opened.sample("red heart", "{seed: 1}")]
        opened.run("document.getElementById('status').textContent = ''")
        opened.run(
            "document.getElementById('model').value = 1, document.getElementById('model').dispatchEvent(new Event('change'))"
        )
        opened.status_with("Ready")
        drawn.append(opened.sample("red heart", "{seed: 1}"))
        assert drawn[0].shape == drawn[1].shape == (4, 16, 16) and not np.array_equal(drawn[0], drawn[1])
        assert not opened.page.complaints
