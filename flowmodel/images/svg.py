"""SVG to PNG with resvg, for pictures that nobody has looked at."""

import atexit
import importlib.util
import os
import re
import subprocess
import sys
import threading
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import IO

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
    content, drawn = worker.draw(text, pixels)  # on an error the worker is gone
    _idle.append(worker)
    if not drawn:
        raise ValueError(f"corrupt SVG ({content.decode(errors='replace')})")
    return content


class _Worker:
    """A running svg_worker.py; drawing is one request at a time."""

    def __init__(self) -> None:
        if importlib.util.find_spec("resvg_py") is None:  # or its absence would look like a crash
            raise ImportError("resvg_py is not installed")
        # -P: the script's folder, with modules named like others', stays out of the import path.
        self._process = subprocess.Popen(
            [sys.executable, "-P", str(Path(svg_worker.__file__))],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )

    def draw(self, text: str, pixels: int) -> tuple[bytes, bool]:
        """PNG and True, or resvg's reason and False; raises ValueError when the process died or had to be ended."""
        content = text.encode()
        requests, answers = self._process.stdin, self._process.stdout
        assert requests is not None and answers is not None
        late = threading.Event()

        def give_up() -> None:
            late.set()
            self._process.kill()

        timer = threading.Timer(DRAW_SECONDS, give_up)
        timer.daemon = True
        timer.start()
        try:
            requests.write(svg_worker.REQUEST.pack(pixels, len(content)) + content)
            requests.flush()
            drawn, length = svg_worker.ANSWER.unpack(_read(answers, svg_worker.ANSWER.size))
            return _read(answers, length), drawn
        except (EOFError, OSError):
            self.close()
            if late.is_set():
                raise ValueError(f"takes longer than {DRAW_SECONDS:.0f} s to draw") from None
            raise ValueError("makes the renderer crash; it is nested too deep or far too large") from None
        finally:
            timer.cancel()

    def close(self) -> None:
        self._process.kill()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            try:
                if pipe is not None:
                    pipe.close()
            except OSError:  # something was still in its buffer
                pass


def _read(stream: IO[bytes], length: int) -> bytes:
    content = stream.read(length)
    if len(content) < length:
        raise EOFError
    return content


_idle: list[_Worker] = []


@atexit.register
def _close_idle() -> None:
    while _idle:
        _idle.pop().close()


if hasattr(os, "register_at_fork"):
    # Two processes must not talk to one worker.
    os.register_at_fork(after_in_child=_idle.clear)
