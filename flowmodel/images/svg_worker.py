"""Draws SVG in a process of its own: `python svg_worker.py`, requests on stdin, answers on stdout.

resvg is safe Rust, but a picture of ten kilobytes can still overflow its stack, ask for a terabyte or take for ever, and it
holds Python's lock while it draws. Here that ends one process that can be started again.
"""

import os
import struct
import sys
import threading
from typing import BinaryIO

REQUEST = struct.Struct(">II")  # pixels, length of the SVG text that follows in UTF-8
ANSWER = struct.Struct(">?I")  # whether it was drawn, length of the PNG or of the reason that follows
_STACK_BYTES = 512 * 2**20  # enough for the deepest nesting that resvg accepts; only what is used takes memory
_MEMORY_BYTES = 2 * 2**30


def main() -> None:
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what a library prints must not get between the answers
    _limit_memory()
    threading.stack_size(_STACK_BYTES)
    thread = threading.Thread(target=_serve, args=(sys.stdin.buffer, answers))
    thread.start()
    thread.join()


def _serve(requests: BinaryIO, answers: BinaryIO) -> None:
    import resvg_py

    while len(header := requests.read(REQUEST.size)) == REQUEST.size:
        pixels, length = REQUEST.unpack(header)
        text = requests.read(length).decode("utf-8")
        try:
            # Given both edges, resvg fits the picture into the square; it then can't grow along its other edge. Its own
            # default of 0 dpi makes nothing of sizes in millimetres; CSS says 96.
            edges = {"width": pixels, "height": pixels}
            content = bytes(resvg_py.svg_to_bytes(svg_string=text, skip_system_fonts=True, dpi=96.0, **edges))
            drawn = True
        except BaseException as error:  # a panic in Rust is no Exception
            content, drawn = (str(error).splitlines() or ["no message"])[0].encode(), False
        answers.write(ANSWER.pack(drawn, len(content)) + content)
        answers.flush()


def _limit_memory() -> None:
    if sys.platform == "linux":  # macOS takes the call and ignores it; Windows has none
        import resource

        resource.setrlimit(resource.RLIMIT_AS, (_MEMORY_BYTES, resource.getrlimit(resource.RLIMIT_AS)[1]))


if __name__ == "__main__":
    main()
