"""Limits of a server."""

from dataclasses import dataclass, fields

from flowmodel.errors import FlowmodelError


@dataclass(frozen=True)
class Limits:
    """Limits of a server; requests beyond them are refused.

    Attributes:
        queue: accepted images without a response so far, over all clients.
        images: images per request.
        size: image size in pixels.
        steps: solver steps.
        prompt: characters of a prompt.
        seconds: time from a request to its response.
    """

    queue: int = 64
    images: int = 10
    size: int = 1024
    steps: int = 100
    prompt: int = 1000
    seconds: float = 60

    def __post_init__(self) -> None:
        """Raises FlowmodelError when nothing could be accepted."""
        for field in fields(self):
            if getattr(self, field.name) <= 0:
                raise FlowmodelError(f"limit '{field.name}': is {getattr(self, field.name)}; set a number above 0")
        if self.queue < self.images:
            raise FlowmodelError(
                f"limit 'queue': {self.queue} images are fewer than the {self.images} of one request; set a longer queue"
            )
