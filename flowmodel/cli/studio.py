"""`flowmodel studio`: serves the page that samples in the browser, on this machine."""

from typing import Annotated

import typer

from flowmodel.cli.common import ModelOption, console


def studio(
    model: ModelOption = None,
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port on 127.0.0.1; another one is used if it is taken.")] = 8484,
    open_: Annotated[bool, typer.Option("--open/--no-open", help="Whether to open a browser.")] = True,
) -> None:
    """Sample in the browser, with the champion or any other registered version, until Ctrl-C."""
    from flowmodel.extras import require
    from flowmodel.store import Store

    require("onnx", "onnxruntime", "onnxscript", "httpx", "pandera")
    from flowmodel.studio import Studio, StudioServer

    def say(line: str) -> None:
        console.print(line, soft_wrap=True, markup=False)

    page = Studio(Store.from_environment(), model, say)
    if open_:
        page.models()  # errors are printed here, not in the browser
        page.page()
    with StudioServer(page, port) as server:
        say(f"The studio is at {server.address}; Ctrl-C stops it.")
        if open_:
            import webbrowser

            webbrowser.open(server.address)
        try:
            server.serve_forever()
        except KeyboardInterrupt:
            say("Stopped.")
