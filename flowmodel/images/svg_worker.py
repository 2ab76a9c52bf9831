"""Draws SVG in a process of its own: `python svg_worker.py`, a request a line on stdin, an answer a line on stdout, in JSON.

resvg is safe Rust, but a picture of ten kilobytes can still overflow its stack, ask for a terabyte or take for ever, and it
holds Python's lock while it draws. Here that ends one process that can be started again.
"""

import base64
import json
import os
import sys
import threading

_STACK_BYTES = 512 * 2**20  # enough for the deepest nesting that resvg accepts; only what is used takes memory
_MEMORY_BYTES = 2 * 2**30


def main() -> None:
    answers = os.dup(1)
    os.dup2(2, 1)  # what a library prints must not get between the answers
    if sys.platform == "linux":  # macOS takes the call and ignores it; Windows has none
        import resource

        resource.setrlimit(resource.RLIMIT_AS, (_MEMORY_BYTES, resource.getrlimit(resource.RLIMIT_AS)[1]))
    threading.stack_size(_STACK_BYTES)
    threading.Thread(target=_serve, args=(answers,)).start()


def _serve(answers: int) -> None:
    import resvg_py

    with open(answers, "w", encoding="ascii") as lines:
        for request in sys.stdin:
            text, pixels = json.loads(request)
            try:
                # Given both edges, resvg fits the picture into the square; it then can't grow along its other edge. Its own
                # default of 0 dpi makes nothing of sizes in millimetres; CSS says 96.
                edges = {"width": pixels, "height": pixels}
                png = bytes(resvg_py.svg_to_bytes(svg_string=text, skip_system_fonts=True, dpi=96.0, **edges))
                answer = [base64.b64encode(png).decode(), ""]
            except BaseException as error:  # a panic in Rust is no Exception
                answer = ["", (str(error).splitlines() or ["no message"])[0]]
            print(json.dumps(answer), file=lines, flush=True)


if __name__ == "__main__":
    main()
