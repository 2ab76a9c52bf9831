"""The page of an exported model in a browser, and a person's actions on it."""

import base64
import json
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tests.evaluation.browser import Page

_SECONDS = 120


def difference(one: NDArray[np.uint8], other: NDArray[np.uint8]) -> float:
    return float(np.abs(one.astype(int) - other.astype(int)).mean())


def in_javascript(content: bytes) -> str:
    """`content` as an Uint8Array."""
    return f"Uint8Array.from(atob('{base64.b64encode(content).decode()}'), (sign) => sign.charCodeAt(0))"


@dataclass
class Opened:
    """The page, ready to sample; downloads are in `downloads`."""

    page: Page
    address: str
    downloads: Path

    def start(self, words: str = "Ready") -> None:
        self.page.listen()
        self.page.call("Browser.setDownloadBehavior", behavior="allow", downloadPath=str(self.downloads))
        self.page.call("Page.navigate", url=self.address)
        self.status_with(words)

    def run(self, script: str) -> Any:
        """The value of `script`, with promises awaited."""
        result = self.page.call("Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in result, result
        return result["result"].get("value")

    def wait_for(self, script: str) -> Any:
        """The value of `script` once it is true."""
        deadline = time.monotonic() + _SECONDS
        while time.monotonic() < deadline:
            if found := self.run(script):
                return found
            time.sleep(0.1)
        raise AssertionError(f"{script} stays {found!r}; the page says {self.status!r}")

    @property
    def status(self) -> str:
        return str(self.run("document.getElementById('status')?.textContent ?? ''"))

    def status_with(self, words: str) -> str:
        self.wait_for(f"(document.getElementById('status')?.textContent ?? '').includes({json.dumps(words)})")
        return self.status

    def sample(self, prompt: str, options: str = "{}") -> NDArray[np.uint8]:
        """A sample of the page, premultiplied (4, H, W); `options` are JavaScript."""
        return self.sampled(f"flowmodel.studio.ask('sample', {{prompt: {json.dumps(prompt)}, options: {options}}})")

    def sampled(self, script: str) -> NDArray[np.uint8]:
        """The image that `script` returns."""
        told = "[btoa(String.fromCharCode(...found.bytes)), found.size]"
        encoded, size = self.run(f"Promise.resolve({script}).then((found) => {told})")
        return np.frombuffer(base64.b64decode(encoded), np.uint8).reshape(4, size, size)

    def fill(self, **values: str | int) -> None:
        for name, value in values.items():
            self.run(f"document.getElementById('{name}').value = {json.dumps(value)}")

    def press(self, words: str) -> None:
        """Click the enabled button, link or tab whose accessible name is `words`."""
        self.wait_for(
            f"""(() => {{
                const named = (each) => (each.getAttribute('aria-label') ?? each.textContent).trim() === {json.dumps(words)};
                const found = [...document.querySelectorAll('button:enabled')].find((each) => named(each) && each.offsetParent);
                found?.click();
                return Boolean(found);
            }})()"""
        )

    def key(self, key: str) -> None:
        text = {"Enter": "\r", " ": " "}.get(key)
        codes = {"Enter": 13, "Tab": 9, "Escape": 27, "ArrowRight": 39, "ArrowLeft": 37, " ": 32}
        event = {"key": key, "code": "Space" if key == " " else key, "windowsVirtualKeyCode": codes.get(key, ord(key[0]))}
        self.page.call("Input.dispatchKeyEvent", type="keyDown", **event, **({"text": text} if text else {}))
        self.page.call("Input.dispatchKeyEvent", type="keyUp", **event)

    def downloaded(self, name: str) -> bytes:
        file = self.downloads / name
        deadline = time.monotonic() + _SECONDS
        while not file.exists() and time.monotonic() < deadline:
            time.sleep(0.1)
        return file.read_bytes()
