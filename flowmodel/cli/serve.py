"""`flowmodel serve`: serves a model over HTTP."""

import os
from typing import Annotated

import typer

from flowmodel.cli.common import ModelOption


def serve(
    model: ModelOption = None,
    host: Annotated[str, typer.Option(help="Address to listen on; requests from other machines need a token.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port; 0 picks a free one.")] = 8000,
    insecure: Annotated[bool, typer.Option("--insecure", help="Allow requests from other machines without a token.")] = False,
    workers: Annotated[
        int | None, typer.Option(min=1, help="Number of parallel batches, each on one core; default: one per core.")
    ] = None,
    batch: Annotated[int, typer.Option(min=1, help="Maximum number of images in a batch.")] = 8,
    queue: Annotated[int, typer.Option(min=1, help="Maximum number of waiting images; further requests get status 429.")] = 64,
    max_n: Annotated[int, typer.Option(min=1, help="Maximum number of images per request.")] = 10,
    max_size: Annotated[int, typer.Option(min=16, max=4096, help="Maximum size of an image in pixels.")] = 1024,
    max_steps: Annotated[int, typer.Option(min=1, help="Maximum number of solver steps.")] = 100,
    max_prompt: Annotated[int, typer.Option(min=1, help="Maximum number of characters in a prompt.")] = 1000,
    timeout: Annotated[float, typer.Option(min=1, help="Timeout of a request in seconds.")] = 60,
    reload_every: Annotated[float, typer.Option(min=0.1, help="Seconds between checks for a new champion.")] = 5,
) -> None:
    """Serve a model over HTTP with OpenAI's images API. If FLOWMODEL_SERVE_TOKEN is set, clients must send that token."""
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
