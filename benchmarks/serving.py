"""Load test of `flowmodel serve`, with clients that send the next request after each response. A full queue is not an error,
anything else is.

python -m benchmarks.serving --clients 64 --seconds 60
"""

import argparse
import os
import random
import re
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from urllib.request import urlopen

import numpy as np
import openai

_PROMPTS = ("red heart", "pizza", "cat face, noto style", "blue car", "sun", "rocket, twemoji style", "umbrella", "green apple")
# Requests of the clients in turn, besides the model's own PNG.
MIXTURES: Mapping[str, Sequence[dict[str, Any]]] = {
    "png": ({},),
    "mixed": ({}, {"size": "256x256"}, {"output_format": "svg"}, {"n": 4}),
}
_AT_MOST = 20.0  # maximum seconds that a client waits after a refusal
PERCENTILES = (50, 90, 95, 99, 100)


@dataclass
class Load:
    """Clients of one server.

    Attributes:
        asked: requests in turn, as arguments of `images.generate`.
        latencies: seconds of each response with images.
        images: number of received images.
        refused: number of responses with status 429, after which a client waits as requested.
        errors: counts of all other errors.
        end: time of the last request on the monotonic clock; it may be set to an earlier time.
    """

    address: str
    clients: int
    seconds: float
    asked: Sequence[dict[str, Any]] = MIXTURES["png"]
    latencies: list[float] = field(default_factory=list)
    images: int = 0
    refused: int = 0
    errors: Counter[str] = field(default_factory=Counter)
    end: float = 0.0

    @property
    def answered(self) -> int:
        return len(self.latencies)

    @property
    def percentiles(self) -> dict[int, float]:
        """Latencies in seconds; empty for none."""
        return {each: float(np.percentile(self.latencies, each)) for each in PERCENTILES} if self.latencies else {}

    def run(self) -> "Load":
        """Start all clients at once; returns when each has its last response."""
        self.end = time.monotonic() + self.seconds
        threads = [threading.Thread(target=self._ask, args=(number,)) for number in range(self.clients)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return self

    def _ask(self, number: int) -> None:
        key = os.environ.get("FLOWMODEL_SERVE_TOKEN", "none")
        with openai.OpenAI(base_url=self.address, api_key=key, max_retries=0, timeout=120) as client:
            turn = number
            while (began := time.monotonic()) < self.end:
                asked = self.asked[turn % len(self.asked)]
                try:
                    answer = client.images.generate(prompt=_PROMPTS[turn % len(_PROMPTS)], **asked)
                except openai.RateLimitError as error:
                    self.refused += 1
                    if (told := error.response.headers.get("Retry-After")) is None:
                        self.errors["429 without Retry-After"] += 1
                    # Spread the retries.
                    wait = min(_AT_MOST, float(told or 1)) * random.uniform(0.5, 1.5)
                    time.sleep(max(0.0, min(wait, self.end - time.monotonic())))
                except openai.OpenAIError as error:
                    self.errors[f"{type(error).__name__}: {error}"] += 1
                else:
                    self.latencies.append(time.monotonic() - began)
                    self.images += len(answer.data or [])
                    turn += 1


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clients", type=int, default=64)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--queue", type=int, default=64)
    parser.add_argument("--model", default="pretrained")
    options = parser.parse_args()
    with TemporaryDirectory(prefix="flowmodel-") as folder:
        log = Path(folder, "log")
        command = [
            sys.executable,
            "-m",
            "flowmodel",
            "serve",
            "--port",
            "0",
            "--model",
            options.model,
            "--queue",
            str(options.queue),
        ]
        with log.open("w") as output:
            server = subprocess.Popen(command, stderr=output)
        failed = False
        try:
            while not (match := re.search(r"serving .* at (http://\S+)/v1", log.read_text())):
                if server.poll() is not None:
                    raise SystemExit(log.read_text())
                time.sleep(0.2)
            for name, asked in MIXTURES.items():
                began, cpu = time.monotonic(), _metric(match[1], "process_cpu_seconds_total")
                load = Load(f"{match[1]}/v1", options.clients, options.seconds, asked).run()
                wall, cpu = time.monotonic() - began, _metric(match[1], "process_cpu_seconds_total") - cpu
                memory = _metric(match[1], "process_resident_memory_bytes") / 1e6
                print(f"{name}: {load.answered} answers, {load.images} images, {load.refused} refused because the queue was full")
                print("  seconds to an answer: " + ", ".join(f"p{each} {found:.1f}" for each, found in load.percentiles.items()))
                each = cpu / max(1, load.images)
                print(f"  {load.images / wall:.1f} images/s, {each:.2f} CPU seconds an image, {memory:.0f} MB", flush=True)
                failed = failed or bool(load.errors) or not load.answered
                for error, times in load.errors.items():
                    print(f"  ERROR, {times} times: {error}")
        finally:
            server.send_signal(signal.SIGTERM)
            status = server.wait(120)
    print(f"after SIGTERM the server ended with {status}")
    if failed or status:
        raise SystemExit(1)


def _metric(address: str, name: str) -> float:
    with urlopen(f"{address}/metrics") as answer:
        return float(re.search(rf"^{name} (\S+)$", answer.read().decode(), re.MULTILINE)[1])  # type: ignore[index]


if __name__ == "__main__":
    main()
