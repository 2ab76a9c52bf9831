"""`flowmodel serve`: serves a model over HTTP."""

import os
from typing import Annotated

import typer

from flowmodel.cli.common import ModelOption


def serve(
    model: ModelOption = None,
    host: Annotated[str, typer.Option(help="Address to listen at; other machines need a token.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port; 0 is any that is free.")] = 8000,
    insecure: Annotated[bool, typer.Option("--insecure", help="Allow requests from other machines without a token.")] = False,
    workers: Annotated[
        int | None, typer.Option(min=1, help="Number of batches in parallel, with a core each; default: one per core.")
    ] = None,
    batch: Annotated[int, typer.Option(min=1, help="Maximum number of images in a batch.")] = 8,
    queue: Annotated[int, typer.Option(min=1, help="Maximum number of waiting images; further requests get status 429.")] = 64,
    max_n: Annotated[int, typer.Option(min=1, help="Images of one request.")] = 10,
    max_size: Annotated[int, typer.Option(min=16, max=4096, help="Edge of an image in pixels.")] = 1024,
    max_steps: Annotated[int, typer.Option(min=1, help="Solver steps.")] = 100,
    max_prompt: Annotated[int, typer.Option(min=1, help="Characters of a prompt.")] = 1000,
    timeout: Annotated[float, typer.Option(min=1, help="Timeout of a request in seconds.")] = 60,
    reload_every: Annotated[float, typer.Option(min=0.1, help="Seconds between checks for a new champion.")] = 5,
) -> None:
    """Serve a model over HTTP with OpenAI's images API. Clients must send the token in FLOWMODEL_SERVE_TOKEN."""
    from flowmodel.extras import require

    require("fastapi", "uvicorn", "prometheus_client", "onnxruntime", "vtracer", "resvg_py", "scipy")
    from flowmodel.serving import server
    from flowmodel.serving.limits import Limits
    from flowmodel.store import Store

    server.serve(
        Store.from_environment(),
        model,
        server.Address(host, port, insecure),
        Limits(queue, max_n, max_size, max_steps, max_prompt, timeout),
        workers or len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else workers or os.cpu_count() or 1,
        batch,
        reload_every,
    )
