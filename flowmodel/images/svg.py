"""SVG to PNG with resvg, for pictures that nobody has looked at."""

import atexit
import base64
import importlib.util
import json
import os
import re
import subprocess
import sys
import threading
import xml.etree.ElementTree as ET
from contextlib import suppress
from pathlib import Path

from flowmodel.images import svg_worker

# No icon takes a second to draw; the limit allows for a busy machine.
DRAW_SECONDS = 20.0

_REFERRING = ("image", "feImage", "use")


def render_svg(svg: bytes, pixels: int) -> tuple[bytes, str]:
    """PNG bytes of `svg`, its longer edge `pixels` long, and a note for the person who looks at it (empty for none).

    No system fonts are used, so that a set looks the same on every machine; text is therefore not drawn, and the note says so.
    Drawn in a process of its own: safe to call from several threads, which then draw side by side.
    Raises ValueError with a short reason: not SVG, corrupt, with XML entities (they can grow without bound), showing another
    file (which resvg would read from this machine), or made to exhaust time, memory or stack.
    """
    text = _decode(svg)
    if "<!ENTITY" in text:
        raise ValueError("declares XML entities; save it as plain SVG")
    try:
        root = ET.fromstring(text)
    except ET.ParseError as error:
        raise ValueError(f"corrupt SVG ({error})") from None
    if _local(root.tag) != "svg":
        raise ValueError(f"not an SVG picture: its outermost element is <{_local(root.tag)}>")
    has_text = False
    for element in root.iter():
        tag = _local(element.tag)
        has_text = has_text or tag == "text"
        if tag in _REFERRING:
            for name, value in element.attrib.items():
                if _local(name) == "href" and not value.strip().startswith(("#", "data:")):
                    raise ValueError(f"shows another file ({value.strip()[:60]}); embed it")
    return _draw(text, pixels), "text in it is not drawn" if has_text else ""


def _decode(svg: bytes) -> str:
    try:
        return re.sub(r"^<\?xml[^>]*\?>", "", svg.decode("utf-8-sig").lstrip(), count=1)
    except UnicodeDecodeError:
        raise ValueError("not an SVG picture in UTF-8") from None


def _local(name: object) -> str:
    return str(name).rpartition("}")[2]


def _draw(text: str, pixels: int) -> bytes:
    try:
        worker = _idle.pop()
    except IndexError:
        worker = _Worker()
    png, reason = worker.draw(text, pixels)  # on an error the worker is gone
    _idle.append(worker)
    if reason:
        raise ValueError(f"corrupt SVG ({reason})")
    return base64.b64decode(png)


class _Worker:
    """A running svg_worker.py; drawing is one request at a time."""

    def __init__(self) -> None:
        if importlib.util.find_spec("resvg_py") is None:  # or its absence would look like a crash
            raise ImportError("resvg_py is not installed")
        self._process = subprocess.Popen(
            # -P: the script's folder, with modules named like others', stays out of the import path.
            [sys.executable, "-P", str(Path(svg_worker.__file__))],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            encoding="ascii",
        )

    def draw(self, text: str, pixels: int) -> list[str]:
        """PNG in base 64 and an empty text, or an empty one and resvg's reason; raises ValueError when the process had to end."""
        requests, answers = self._process.stdin, self._process.stdout
        assert requests is not None and answers is not None
        timer = threading.Timer(DRAW_SECONDS, self._process.kill)
        timer.daemon = True
        timer.start()
        try:
            print(json.dumps([text, pixels]), file=requests, flush=True)
            answer: list[str] = json.loads(answers.readline())
            return answer
        except (OSError, json.JSONDecodeError):  # the answer is empty or half a line where the process died
            self.end()
            if timer.finished.is_set():
                raise ValueError(f"takes longer than {DRAW_SECONDS:.0f} s to draw") from None
            raise ValueError("makes the renderer crash; it is nested too deep or far too large") from None
        finally:
            timer.cancel()

    def end(self) -> None:
        with suppress(OSError), self._process:  # something may still be in its buffer
            self._process.kill()


_idle: list[_Worker] = []


@atexit.register
def _end_idle() -> None:
    while _idle:
        _idle.pop().end()


if hasattr(os, "register_at_fork"):
    # Two processes must not talk to one worker.
    os.register_at_fork(after_in_child=_idle.clear)
