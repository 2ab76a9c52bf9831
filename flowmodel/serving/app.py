"""OpenAI's images API over an engine: `POST /v1/images/generations`, `GET /v1/models`, `/healthz`, `/metrics`."""

import asyncio
import base64
import secrets
import time
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from typing import Annotated, Any

from fastapi import Depends, FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from starlette.exceptions import HTTPException

from flowmodel.errors import FlowmodelError
from flowmodel.runtime.onnx_generator import OnnxGenerator
from flowmodel.serving.admission import Admission, Busy
from flowmodel.serving.encoding import content
from flowmodel.serving.engine import Engine, ImageRequest
from flowmodel.serving.limits import Limits
from flowmodel.serving.metrics import Metrics
from flowmodel.serving.middleware import CountsAnswers, LimitsBody
from flowmodel.serving.requests import GenerationRequest, Order, Refused

MODEL_ID = "flowmodel"

_BODY_BYTES = 64 * 1024
_bearer = HTTPBearer(auto_error=False)
_GONE = 499  # nginx's status for a client that closed the connection


def create_app(engine: Engine, limits: Limits, metrics: Metrics, token: str | None = None) -> FastAPI:
    """The HTTP application for `engine`. With a `token`, every path except /healthz requires it."""
    admission, began = Admission(limits.queue, limits.seconds), int(time.time())
    metrics.pending.set_function(lambda: admission.pending)
    renders = ThreadPoolExecutor(engine.workers, "renders")

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        yield
        renders.shutdown()

    def authorized(given: Annotated[HTTPAuthorizationCredentials | None, Depends(_bearer)]) -> None:
        if token is not None and not (given and secrets.compare_digest(given.credentials.encode(), token.encode())):
            raise HTTPException(401, "The bearer token is missing or wrong.", {"WWW-Authenticate": "Bearer"})

    app = FastAPI(title="flowmodel", docs_url=None, redoc_url=None, lifespan=lifespan)
    app.add_middleware(LimitsBody, most=_BODY_BYTES)
    app.add_middleware(CountsAnswers, answers=metrics.requests)
    _answer_errors_as_openai_does(app)

    def described() -> dict[str, Any]:
        of = engine.generator.folder.description
        about = {"name": of.name, "checkpoint": of.checkpoint, "image_size": of.finished_size, "styles": of.styles}
        return {"id": MODEL_ID, "object": "model", "created": began, "owned_by": "flowmodel"} | about

    @app.get("/healthz")
    async def healthz() -> dict[str, str]:
        return {"status": "ok", "checkpoint": engine.generator.folder.description.checkpoint}

    @app.get("/metrics", dependencies=[Depends(authorized)])
    async def prometheus() -> Response:
        return Response(metrics.text(), media_type="text/plain; version=0.0.4; charset=utf-8")

    @app.get("/v1/models", dependencies=[Depends(authorized)])
    async def models() -> dict[str, Any]:
        return {"object": "list", "data": [described()]}

    @app.get("/v1/models/{name}", dependencies=[Depends(authorized)])
    async def model(name: str) -> dict[str, Any]:
        if name != MODEL_ID:
            raise Refused("model", f"The model '{name}' does not exist; this server has '{MODEL_ID}'.", "model_not_found")
        return described()

    @app.post("/v1/images/generations", dependencies=[Depends(authorized)])
    async def generations(asked: GenerationRequest, request: Request) -> JSONResponse:
        order, generator = Order.of(asked, limits, MODEL_ID), engine.generator
        read = generator.readability([order.prompt])
        try:
            read.require_meaning()
        except FlowmodelError as error:
            raise Refused("prompt", f"{error}.") from None
        began = time.monotonic()
        with admission.admitted(order.images):
            answer = await _in_time(_generated(engine, generator, renders, order), request, limits.seconds)
        metrics.seconds.observe(time.monotonic() - began)
        return JSONResponse(answer | {"notes": read.notes})

    return app


async def _generated(engine: Engine, generator: OnnxGenerator, renders: ThreadPoolExecutor, order: Order) -> dict[str, Any]:
    """The body of a response. `generator` samples all of its images, even if the engine switches models meanwhile."""
    loop = asyncio.get_running_loop()
    asked = [ImageRequest(order.prompt, order.seed, number, order.steps, order.guidance) for number in range(order.images)]
    drawn = await asyncio.gather(*(asyncio.wrap_future(engine.submit(each, generator)) for each in asked))
    files = await asyncio.gather(*(loop.run_in_executor(renders, content, rgba_4HW, order) for rgba_4HW in drawn))
    edge = order.size or generator.size
    return {
        "created": int(time.time()),
        "data": [{"b64_json": base64.b64encode(file).decode()} for file in files],
        "background": "opaque" if order.background else "transparent",
        "output_format": order.format,
        "size": f"{edge}x{edge}",
        "seed": order.seed,
        "checkpoint": generator.folder.description.checkpoint,
    }


async def _in_time(work: Any, request: Request, seconds: float) -> dict[str, Any]:
    """The result of `work`, unless the client disconnects or `seconds` pass first; waiting images are then canceled."""
    working, gone = asyncio.ensure_future(work), asyncio.ensure_future(_gone(request))
    try:
        await asyncio.wait({working, gone}, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        if working.done():
            answer: dict[str, Any] = working.result()
            return answer
        if gone.done():
            raise HTTPException(_GONE, "The client has disconnected.")
        raise HTTPException(504, f"The images were not ready within {seconds:g} s; ask for fewer images, or try again later.")
    finally:
        working.cancel()
        gone.cancel()


async def _gone(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass


def _answer_errors_as_openai_does(app: FastAPI) -> None:
    def answer(
        status: int, message: str, kind: str, parameter: str | None = None, code: str | None = None, **headers: str
    ) -> JSONResponse:
        error = {"message": message, "type": kind, "param": parameter, "code": code}
        return JSONResponse({"error": error}, status, headers)

    @app.exception_handler(Refused)
    async def refused(_: Request, error: Refused) -> JSONResponse:
        status = 404 if error.code == "model_not_found" else 400
        return answer(status, error.message, "invalid_request_error", error.parameter, error.code)

    @app.exception_handler(RequestValidationError)
    async def invalid(_: Request, error: RequestValidationError) -> JSONResponse:
        first = error.errors()[0]
        parameter = ".".join(each for each in first["loc"][1:] if isinstance(each, str)) or None
        if first["type"] == "extra_forbidden":
            return answer(400, f"Unknown parameter: '{parameter}'.", "invalid_request_error", parameter, "unknown_parameter")
        where = f"{parameter}: " if parameter else "The body: "
        return answer(400, f"{where}{first['msg']}.", "invalid_request_error", parameter)

    @app.exception_handler(Busy)
    async def busy(_: Request, error: Busy) -> JSONResponse:
        message = f"Too many images are waiting; try again in {error.retry_after} s."
        headers = {"Retry-After": str(error.retry_after)}
        return answer(429, message, "rate_limit_error", code="rate_limit_exceeded", **headers)

    @app.exception_handler(HTTPException)
    async def http(_: Request, error: HTTPException) -> JSONResponse:
        kind = "server_error" if error.status_code >= 500 else "invalid_request_error"
        code = "invalid_api_key" if error.status_code == 401 else None
        return answer(error.status_code, error.detail, kind, code=code, **(error.headers or {}))

    @app.exception_handler(Exception)
    async def failed(request: Request, error: Exception) -> JSONResponse:
        return answer(500, "The request failed on the server; see its log.", "server_error")
