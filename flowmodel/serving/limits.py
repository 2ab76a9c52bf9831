"""What a server takes on."""

from dataclasses import dataclass, fields

from flowmodel.errors import FlowmodelError


@dataclass(frozen=True)
class Limits:
    """What a server takes on; everything beyond is refused.

    Attributes:
        queue: pictures that are accepted and not answered yet, of all clients together.
        pictures: of one request.
        size: edge of a picture in pixels.
        steps: of the solver.
        prompt: characters.
        seconds: from a request to its answer.
    """

    queue: int = 64
    pictures: int = 10
    size: int = 1024
    steps: int = 100
    prompt: int = 1000
    seconds: float = 60

    def __post_init__(self) -> None:
        """Raises FlowmodelError when nothing could be accepted."""
        for field in fields(self):
            if getattr(self, field.name) <= 0:
                raise FlowmodelError(f"limit '{field.name}': is {getattr(self, field.name)}; give a number above 0")
        if self.queue < self.pictures:
            raise FlowmodelError(
                f"limit 'queue': {self.queue} pictures are fewer than the {self.pictures} of one request; give a longer queue"
            )
