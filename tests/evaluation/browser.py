"""A headless Chromium, controlled by its debugging protocol (https://chromedevtools.github.io/devtools-protocol/)."""

import base64
import json
import os
import shutil
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from websockets.sync.client import ClientConnection, connect

CHROMIUM = next((found for name in ("chromium", "chromium-browser", "google-chrome") if (found := shutil.which(name))), None)
_SECONDS = 120
_DOMAINS = ("Network", "Log", "Runtime")
# This machine, by a name for which browsers treat plain HTTP as insecure.
INSECURE_HOST = "insecure.test"
# Names and addresses of other hosts can't be resolved.
_OFFLINE = f"--host-resolver-rules=MAP {INSECURE_HOST} 127.0.0.1, MAP * ~NOTFOUND, EXCLUDE 127.0.0.1, EXCLUDE localhost"
_TEXT = "document.body.innerText.slice(0, 2000)"


@dataclass
class Page:
    """A tab with its workers. `requests` are the requested addresses, `complaints` the messages of console and log, `errors`
    the errors among them with their addresses.
    """

    _socket: ClientConnection
    requests: list[str] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)
    _number: int = 0

    def call(self, method: str, **parameters: Any) -> dict[str, Any]:
        number = self._send(method, params=parameters)
        while (message := self._message()).get("id") != number:
            pass
        assert "error" not in message, message
        return dict(message["result"])

    def _send(self, method: str, **given: Any) -> int:
        self._number += 1
        self._socket.send(json.dumps({"id": self._number, "method": method, **given}))
        return self._number

    def listen(self) -> None:
        """Record what the tab and its workers request and say."""
        for domain in ("Page", *_DOMAINS):
            self.call(f"{domain}.enable")
        # A worker waits until it is listened to, too.
        self.call("Target.setAutoAttach", autoAttach=True, waitForDebuggerOnStart=True, flatten=True)

    def open(self, path: Path, width: int, height: int, scheme: str, mobile: bool = False) -> None:
        self.visit(path.resolve().as_uri(), width, height, scheme, mobile)

    def visit(self, address: str, width: int = 1440, height: int = 900, scheme: str = "light", mobile: bool = False) -> None:
        self.listen()
        self.call("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=mobile)
        self.call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])
        self.call("Page.navigate", url="about:blank")  # otherwise a change of the fragment would load nothing
        while self._message().get("method") != "Page.loadEventFired":
            pass
        self.call("Page.navigate", url=address)
        while self._message().get("method") != "Page.loadEventFired":
            pass

    def evaluate(self, script: str) -> Any:
        return self.call("Runtime.evaluate", expression=script, returnByValue=True)["result"].get("value")

    def wait_for(self, script: str) -> Any:
        """The value of `script` once it is true."""
        deadline = time.monotonic() + _SECONDS
        while not (found := self.evaluate(script)):
            assert time.monotonic() < deadline, f"{script}: not on {self.evaluate('location.href')}: {self.evaluate(_TEXT)}"
            time.sleep(0.2)
        return found

    def screenshot(self, path: Path, whole: bool = False) -> None:
        data = self.call("Page.captureScreenshot", captureBeyondViewport=whole)["data"]
        path.write_bytes(base64.b64decode(data))

    def _message(self) -> dict[str, Any]:
        message: dict[str, Any] = json.loads(self._socket.recv(_SECONDS))
        of = message.get("params", {})
        match message.get("method"):
            case "Target.attachedToTarget":
                for method in (*(f"{domain}.enable" for domain in _DOMAINS), "Runtime.runIfWaitingForDebugger"):
                    self._send(method, sessionId=of["sessionId"])
            case "Network.requestWillBeSent":
                self.requests.append(of["request"]["url"])
            case "Log.entryAdded" if of["entry"]["level"] in ("error", "warning"):
                self.complaints.append(of["entry"]["text"])
                if of["entry"]["level"] == "error":
                    self.errors.append(f"{of['entry'].get('url', '')} {of['entry']['text']}")
            case "Runtime.consoleAPICalled" | "Runtime.exceptionThrown":
                self.complaints.append(json.dumps(of))
                if of.get("type", "error") == "error":
                    self.errors.append(json.dumps(of))
        return message


@contextmanager
def browser_page(folder: Path) -> Iterator[Page]:
    """A tab of a fresh browser that reaches only this machine, with its profile in `folder`."""
    assert CHROMIUM
    command = [CHROMIUM, "--headless", "--disable-gpu", "--remote-debugging-port=0", f"--user-data-dir={folder}", _OFFLINE]
    if os.name == "posix" and os.geteuid() == 0:
        command.append("--no-sandbox")  # for root there is none
    process = subprocess.Popen([*command, "about:blank"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        port = _port(folder / "DevToolsActivePort", process)
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/json/list", timeout=_SECONDS) as answer:
            tab = next(target for target in json.load(answer) if target["type"] == "page")
        with connect(tab["webSocketDebuggerUrl"], max_size=None, open_timeout=_SECONDS) as socket:
            yield Page(socket)
    finally:
        process.terminate()
        process.wait(_SECONDS)


def _port(file: Path, process: subprocess.Popen[bytes]) -> str:
    deadline = time.monotonic() + _SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        if file.exists() and (lines := file.read_text().splitlines()):
            return lines[0]
        time.sleep(0.05)
    raise AssertionError("the browser does not start")
