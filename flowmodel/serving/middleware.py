"""Limits the bodies of requests, and counts responses."""

from prometheus_client import Counter
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send


class LimitsBody:
    """Refuses bodies of more than `most` bytes, with or without a Content-Length header."""

    def __init__(self, app: ASGIApp, most: int) -> None:
        self._app, self._most = app, most

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        read = 0

        async def bounded() -> Message:
            nonlocal read
            message = await receive()
            read += len(message.get("body", b""))
            if read > self._most:
                raise HTTPException(413, f"The body has more than {self._most:,} bytes.")
            return message

        await self._app(scope, bounded, send)


class CountsAnswers:
    """Counts responses by path and status. Unknown paths count as one, so that clients can't create endless series."""

    def __init__(self, app: ASGIApp, answers: Counter) -> None:
        self._app, self._answers = app, answers

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def counting(message: Message) -> None:
            if message["type"] == "http.response.start":
                route = scope.get("route")
                self._answers.labels(getattr(route, "path", "other"), message["status"]).inc()
            await send(message)

        await self._app(scope, receive, counting if scope["type"] == "http" else send)
