"""The page in a real browser that can reach nothing but the folder that it lies in."""

import base64
import functools
import http.server
import io
import json
import shutil
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from tokenizers import Tokenizer

from flowmodel.data.sources.npm_client import latest_version
from flowmodel.errors import FlowmodelError
from flowmodel.export.web import export_page
from flowmodel.files import read_json
from flowmodel.flow.seeds import mixed_seed
from flowmodel.model.generator import Generator
from flowmodel.runtime.model_folder import ModelFolder
from flowmodel.runtime.noise import standard_normal
from flowmodel.runtime.onnx_generator import OnnxGenerator
from flowmodel.text.encoded import taken_in
from flowmodel.text.replacing import EmojiReplacer
from tests.evaluation.browser import CHROMIUM, Page, browser_page

pytestmark = [
    pytest.mark.slow,
    pytest.mark.browser,
    pytest.mark.network,
    pytest.mark.timeout(900),
    pytest.mark.skipif(CHROMIUM is None, reason="no Chromium here"),
]
PROMPTS = [
    *("red heart, noto style", "Crème BRÛLÉE!", "👍🏽 ❤️!", "a-b (c) 中文 x", "красное", "☃︎ naïve ﬁ ΑΣ"),
    *("a" * 101, "w " * 300, "İ\t\u200b\U0001d49c"),
]
_SECONDS = 120


class _Files(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_: Any) -> None:
        pass


@dataclass
class Opened:
    """The page, ready to draw."""

    page: Page
    address: str

    def run(self, script: str) -> Any:
        """What `script` comes to, promises awaited."""
        result = self.page.call("Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in result, result
        return result["result"].get("value")

    def status_with(self, words: str) -> str:
        deadline = time.monotonic() + _SECONDS
        while time.monotonic() < deadline:
            if words in (told := self.run("document.getElementById('status')?.textContent ?? ''")):
                return str(told)
            time.sleep(0.1)
        raise AssertionError(f"the page says {told!r}")


@pytest.fixture(scope="module")
def folder(exported, tmp_path_factory) -> Path:
    if shutil.which("npm") is None or not latest_version("onnxruntime-web"):
        pytest.skip("the npm registry can't be reached")
    path = tmp_path_factory.mktemp("page") / "page"
    export_page(exported, path, tmp_path_factory.mktemp("downloads"), print)
    return path


@pytest.fixture(scope="module")
def opened(folder, tmp_path_factory) -> Iterator[Opened]:
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(_Files, directory=str(folder))) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        address = f"http://127.0.0.1:{server.server_port}/"
        with browser_page(tmp_path_factory.mktemp("browser")) as page:
            for domain in ("Page", "Network", "Log", "Runtime"):
                page.call(f"{domain}.enable")
            page.call("Page.navigate", url=address)
            opened = Opened(page, address)
            opened.status_with("Ready")
            yield opened
        server.shutdown()


def test_the_same_seed_gives_the_same_picture_as_the_command_line(opened, folder):
    small, whole = OnnxGenerator.load(folder / "model", tower="int8"), Generator.from_pretrained(device="cpu")
    for prompt in ("red heart, noto style", "👍🏽"):
        drawing = f"flowmodel.generator.draw({json.dumps(prompt)}, {{seed: 3}})"
        told = "[btoa(String.fromCharCode(...found.bytes)), found.size, found.evaluations]"
        encoded, size, evaluations = opened.run(f"{drawing}.then((found) => {told})")
        drawn_4HW = np.frombuffer(base64.b64decode(encoded), np.uint8).reshape(4, size, size).astype(int)
        assert (size, evaluations) == (64, 20)
        assert np.abs(drawn_4HW - small.sample([prompt], seed=3)[0]).mean() < 0.1
        assert np.abs(drawn_4HW - whole.sample([prompt], seed=3)[0].numpy()).mean() < 2


def test_a_person_types_draws_and_downloads(opened, tmp_path):
    opened.page.call("Browser.setDownloadBehavior", behavior="allow", downloadPath=str(tmp_path))
    opened.run("""
        document.getElementById('prompt').value = 'red heart';
        document.getElementById('style').value = 'noto';
        document.getElementById('count').value = 2;
        document.getElementById('seed').value = 5;
        document.getElementById('form').requestSubmit();
    """)
    assert opened.status_with("2 pictures in")
    opened.run("document.querySelectorAll('#icons button')[1].click()")
    file = tmp_path / "red-heart-noto-style-5-1.png"
    deadline = time.monotonic() + _SECONDS
    while not file.exists() and time.monotonic() < deadline:
        time.sleep(0.1)
    with Image.open(io.BytesIO(file.read_bytes())) as picture:
        assert picture.mode == "RGBA" and picture.size == (512, 512)
        pixels = np.asarray(picture)
    assert pixels[0, 0, 3] < 32 and pixels[256, 256, 3] > 224  # a transparent corner, an opaque middle
    assert pixels[256, 256, 0] > 2 * pixels[256, 256, 1]


def test_captions_become_the_same_tokens(opened, folder):
    tokenizer = Tokenizer.from_file(str(folder / "model" / "tokenizer.json"))
    emoji = EmojiReplacer(read_json(folder / "model" / "emoji.json"))
    for prompt in PROMPTS:
        script = f"flowmodel.generator.tokenizer.encode(flowmodel.generator.emoji.replace({json.dumps(prompt)}))"
        assert opened.run(script) == list(taken_in(tokenizer, [emoji(prompt)])[0].ids), prompt


@pytest.mark.parametrize("parts", [(0, 0), (3, 5), (2**32 + 7, 2), (2**53 - 1, 15)])
def test_the_noise_is_the_same(opened, parts):
    seed = mixed_seed(*parts) % 2**32
    assert opened.run(f"flowmodel.mixedSeed({parts[0]}, {parts[1]})") == seed
    found = opened.run(f"Array.from(flowmodel.standardNormal({seed}, 4096))")
    assert np.abs(np.array(found, np.float32) - standard_normal(seed, (4096,))).max() < 1e-5


def test_nothing_else_is_reached_and_nothing_complains(opened):
    asked = opened.page.requests
    assert asked and all(url.startswith((opened.address, "data:", f"blob:{opened.address}")) for url in asked), asked
    assert not opened.page.complaints


def test_a_changed_model_is_refused(opened, folder):
    path = folder / "model" / "tokenizer.json"
    content = path.read_bytes()
    try:
        path.write_bytes(content.replace(b"heart", b"hoard"))
        opened.page.call("Page.reload", ignoreCache=True)
        assert "model/tokenizer.json was changed or cut" in opened.status_with("can't be loaded")
    finally:
        path.write_bytes(content)


def test_a_browser_without_webassembly_is_told(opened):
    added = opened.page.call("Page.addScriptToEvaluateOnNewDocument", source="delete globalThis.WebAssembly")
    opened.page.call("Page.reload")
    assert opened.status_with("no WebAssembly")
    opened.page.call("Page.removeScriptToEvaluateOnNewDocument", identifier=added["identifier"])


def test_the_page_holds_what_it_needs_and_another_folder_is_left_alone(exported, folder, tmp_path):
    ModelFolder.open(folder / "model").verify()
    assert sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()) < 70e6
    (tmp_path / "mine.txt").write_text("mine")
    with pytest.raises(FlowmodelError, match="holds something else than such a page"):
        export_page(exported, tmp_path, tmp_path, print)
