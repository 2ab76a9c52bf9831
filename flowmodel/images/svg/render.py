"""Renders untrusted SVG to PNG."""

import atexit
import base64
import json
import os
import signal
import subprocess
import sys
import threading
from contextlib import suppress
from pathlib import Path

from flowmodel.errors import Unavailable
from flowmodel.extras import require
from flowmodel.images.svg import worker

# No icon takes a second of the processor to draw.
DRAW_SECONDS = 20
# Allowed factor of wall time over CPU time on a busy machine.
BUSY = 10


def render_svg(svg: bytes, pixels: int) -> tuple[bytes, str]:
    """Render `svg` to PNG with a longer edge of `pixels`; also returns notes for the user, or an empty string.

    The result is that of a browser on a light page, with animations at their end. Rendering runs in separate processes, in
    parallel when called from several threads. No system fonts are used, so that a set looks the same on every machine; text is
    therefore not rendered, with a note. Raises ValueError with a short reason: not SVG, not well-formed, entities that are
    external or grow without bound, references to other files, exhaustion of time, memory or stack, a lost paint, or an empty
    image. Raises Unavailable, a subclass, if the image is not the cause: the machine is too busy, or the process was killed
    from outside.
    """
    try:
        worker = _idle.pop()
    except IndexError:
        worker = _Worker()
    answer = worker.draw(svg, pixels)  # on an error the worker is gone
    _idle.append(worker)
    if "reason" in answer:
        raise ValueError(answer["reason"])
    return base64.b64decode(answer["png"]), answer["notes"]


class _Worker:
    """A running worker.py; it renders one request at a time."""

    def __init__(self) -> None:
        # Or their absence would look like a damaged file.
        require("resvg_py", "lxml", "tinycss2", "cssselect2", "coloraide", "fontTools")
        self._process = subprocess.Popen(
            # -P: the script's folder, with modules named like others', stays out of the import path.
            [sys.executable, "-P", str(Path(worker.__file__))],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            encoding="ascii",
        )

    def draw(self, svg: bytes, pixels: int) -> dict[str, str]:
        """The response of worker.py; raises ValueError if the process had to end, Unavailable if the image is not the cause."""
        requests, answers = self._process.stdin, self._process.stdout
        assert requests is not None and answers is not None
        timer = threading.Timer(DRAW_SECONDS * BUSY, self._process.kill)
        timer.daemon = True
        timer.start()
        try:
            print(json.dumps([base64.b64encode(svg).decode(), pixels, DRAW_SECONDS]), file=requests, flush=True)
            answer: dict[str, str] = json.loads(answers.readline())
            return answer
        except (OSError, json.JSONDecodeError):  # empty or half a line if the process died
            raise self._why_ended(timer.finished.is_set()) from None
        finally:
            timer.cancel()

    def _why_ended(self, by_timer: bool) -> ValueError:
        with suppress(subprocess.TimeoutExpired):  # it is about to end, and its exit status gives the reason
            self._process.wait(5)
        self.end()
        if by_timer:
            return Unavailable(f"not rendered within {DRAW_SECONDS * BUSY} s; the machine is too busy")
        if os.name == "posix" and self._process.returncode == -signal.SIGXCPU:
            return ValueError(f"takes longer than {DRAW_SECONDS} s to render")
        if os.name == "posix" and self._process.returncode == -signal.SIGKILL:
            return Unavailable("its rendering process was killed; the machine may be short of memory")
        return ValueError("crashes the renderer; it is nested too deeply or far too large")

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
