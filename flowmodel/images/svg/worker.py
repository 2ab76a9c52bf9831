"""Renders SVG in a separate process: `python worker.py`, with a JSON request per line on stdin and a JSON response per line on
stdout.

resvg is safe Rust, but an image of ten kilobytes can still overflow its stack, request a terabyte or take forever, and it
holds Python's global lock while it renders; so may a style sheet. Here this only kills a process that can be restarted.

A request has the file in base64, the pixels of its longer edge, and a limit of CPU seconds. A response has
a `reason`, or `png` in base64 and `notes`.
"""

import base64
import io
import json
import math
import os
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import IO, Any

_STACK_BYTES = 512 * 2**20  # enough for the deepest nesting that resvg accepts; only what is used takes memory
_MEMORY_BYTES = 2 * 2**30
_SMALL = 96
_MUCH = 0.998  # of the most that an endless animation ever shows: a moment with that much will do


def main() -> None:
    answers = os.dup(1)
    warnings = tempfile.TemporaryFile()  # noqa: SIM115 (as long as the process)
    os.dup2(warnings.fileno(), 1)  # where resvg writes them, and what must not get between the answers
    os.dup2(warnings.fileno(), 2)
    if sys.platform == "linux":  # macOS takes the call and ignores it; Windows has none
        import resource

        resource.setrlimit(resource.RLIMIT_AS, (_MEMORY_BYTES, resource.getrlimit(resource.RLIMIT_AS)[1]))
    # The script is run by its path. The package's folder comes last, so that nothing in it hides a library.
    sys.path.append(str(Path(__file__).resolve().parents[3]))
    threading.stack_size(_STACK_BYTES)
    threading.Thread(target=_serve, args=(answers, warnings)).start()


def _serve(answers: int, warnings: IO[bytes]) -> None:
    with open(answers, "w", encoding="ascii") as lines:
        for request in sys.stdin:
            content, pixels, seconds = json.loads(request)
            _limit_time(seconds)
            try:
                answer = _answer(base64.b64decode(content), pixels, warnings)
            except ValueError as error:
                answer = {"reason": str(error)}
            except BaseException as error:  # a panic in Rust is no Exception
                what = (str(error).splitlines() or [""])[0][:120]
                answer = {"reason": f"corrupt SVG ({type(error).__name__}: {what})"}
            print(json.dumps(answer), file=lines, flush=True)


def _limit_time(seconds: int) -> None:
    """Limit this process to `seconds` more of CPU time, which does not depend on other load."""
    if sys.platform != "win32":
        import resource

        _, most = resource.getrlimit(resource.RLIMIT_CPU)
        until = math.ceil(time.process_time() + seconds)
        resource.setrlimit(resource.RLIMIT_CPU, (until if most == resource.RLIM_INFINITY else min(until, most), most))


def _answer(content: bytes, pixels: int, warnings: IO[bytes]) -> dict[str, Any]:
    from flowmodel.images.notes import join_notes
    from flowmodel.images.svg.resolve import resolve, why_empty
    from flowmodel.images.svg.warnings import notes_of

    image = resolve(content)
    if image.lost:
        raise ValueError(f"can't be rendered as in a browser: {'; '.join(dict.fromkeys(image.lost))}")
    warnings.seek(0)
    warnings.truncate()
    texts = image.texts()
    # Small images of several moments show which one has the most visible content.
    drawn = [_draw(text, pixels if len(texts) == 1 else min(pixels, _SMALL)) for text in texts]
    warnings.seek(0)
    notes = [*image.notes, *notes_of(warnings.read().decode(errors="replace"))]
    seen = [visible for _, visible in drawn]
    if not max(seen):
        why = "; ".join(filter(None, [why_empty(image.root), *notes]))
        raise ValueError(f"renders as an empty image{f' ({why})' if why else ''}")
    best = next(number for number, visible in enumerate(seen) if visible >= _MUCH * max(seen))
    png = drawn[0][0] if len(texts) == 1 else _draw(texts[best], pixels)[0]
    return {"png": base64.b64encode(png).decode(), "notes": join_notes(notes)}


def _draw(text: str, pixels: int) -> tuple[bytes, float]:
    """PNG bytes, and how much of the image is not transparent."""
    import resvg_py
    from PIL import Image, ImageStat

    # Given both edges, resvg fits the image into the square; it then can't grow along its other edge. Its own
    # default of 0 dpi makes nothing of sizes in millimeters; CSS says 96.
    try:
        png = bytes(
            resvg_py.svg_to_bytes(
                svg_string=text, skip_system_fonts=True, dpi=96.0, width=pixels, height=pixels, log_information=True
            )
        )
    except ValueError as error:
        raise ValueError(f"corrupt SVG ({(str(error).splitlines() or ['no message'])[0][:120]})") from None
    with Image.open(io.BytesIO(png)) as image:
        return png, float(ImageStat.Stat(image.convert("RGBA").getchannel("A")).sum[0])


if __name__ == "__main__":
    main()
