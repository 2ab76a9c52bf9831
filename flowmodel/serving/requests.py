"""Validates the body of `POST /v1/images/generations`, in OpenAI's format with additions.

https://platform.openai.com/docs/api-reference/images/create
"""

import re
import secrets
from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from flowmodel.errors import FlowmodelError
from flowmodel.serving.limits import Limits
from flowmodel.vector.artwork import background

OutputFormat = Literal["png", "jpeg", "webp", "svg"]
_SMALLEST = 16  # edge in pixels
_WHITE = "#ffffff"


class Refused(Exception):
    """A refused request. `parameter` is the invalid field."""

    def __init__(self, parameter: str, message: str, code: str | None = None) -> None:
        super().__init__(message)
        self.parameter, self.message, self.code = parameter, message, code


class GenerationRequest(BaseModel):
    """The body of a request. Fields without a description are OpenAI's."""

    # Otherwise a misspelled field would be ignored silently.
    model_config = ConfigDict(extra="forbid", strict=True)

    prompt: str
    model: str | None = None
    n: int | None = None
    size: Annotated[str | None, Field(description="auto (the model's own size) or a square such as 512x512.")] = None
    background: Annotated[str | None, Field(description="auto, transparent, opaque (white), or a color such as #fff.")] = None
    output_format: OutputFormat | None = None
    output_compression: Annotated[int | None, Field(ge=0, le=100, description="Quality of JPEG and WebP.")] = None
    response_format: Literal["b64_json", "url"] | None = None
    stream: bool | None = None
    partial_images: int | None = None
    # These have no effect here.
    quality: str | None = None
    style: str | None = None
    moderation: str | None = None
    user: str | None = None
    safety_identifier: str | None = None
    # Additions to OpenAI's API.
    seed: Annotated[int | None, Field(ge=0, lt=2**63, description="The same seed gives the same images.")] = None
    steps: Annotated[int | None, Field(ge=1, description="Solver steps; default: the model's.")] = None
    guidance: Annotated[float | None, Field(ge=0, le=100, description="Guidance scale; 1 is off; default: the model's.")] = None


@dataclass(frozen=True)
class Order:
    """A valid request with all defaults resolved.

    Attributes:
        size: image size in pixels; None is the model's own.
        background: a color as #rrggbb, or None for transparent.
        quality: quality of JPEG and WebP, 0 to 100; 100 is lossless for WebP.
    """

    prompt: str
    images: int
    size: int | None
    background: str | None
    format: OutputFormat
    quality: int
    seed: int
    steps: int | None
    guidance: float | None

    @classmethod
    def of(cls, request: GenerationRequest, limits: Limits, model: str) -> "Order":
        """Raises Refused with the field if `request` is invalid or beyond the limits. `model` is the served model."""
        if request.model not in (None, model):
            raise Refused("model", f"The model '{request.model}' does not exist; this server has '{model}'.", "model_not_found")
        if not request.prompt.strip():
            raise Refused("prompt", "The prompt is empty; describe an icon.")
        _at_most("prompt", len(request.prompt), limits.prompt, "characters")
        images = 1 if request.n is None else request.n
        if images < 1:
            raise Refused("n", f"n is {images}; ask for at least one image.")
        _at_most("n", images, limits.images, "images")
        if request.steps is not None:
            _at_most("steps", request.steps, limits.steps, "steps")
        if request.response_format == "url":
            raise Refused("response_format", "Images are not stored, so there is no URL; ask for b64_json.")
        if request.stream or request.partial_images:
            raise Refused("stream" if request.stream else "partial_images", "Images are not streamed; leave this out.")
        format = request.output_format or "png"
        return cls(
            prompt=request.prompt,
            images=images,
            size=_edge(request.size, limits.size),
            background=_ground(request.background, format),
            format=format,
            quality=100 if request.output_compression is None else request.output_compression,
            seed=secrets.randbelow(2**31) if request.seed is None else request.seed,
            steps=request.steps,
            guidance=request.guidance,
        )


def _at_most(parameter: str, found: int, limit: int, unit: str) -> None:
    if found > limit:
        raise Refused(parameter, f"{parameter}: {found:,} {unit} are more than the {limit:,} that this server allows.")


def _edge(size: str | None, limit: int) -> int | None:
    if size in (None, "auto"):
        return None
    match = re.fullmatch(r"([0-9]{1,5})x([0-9]{1,5})", str(size))
    if match is None or match[1] != match[2]:
        raise Refused("size", f"size: {size!r} must be a square such as '512x512', or 'auto'.")
    edge = int(match[1])
    if edge < _SMALLEST:
        raise Refused("size", f"size: {edge} pixels are fewer than {_SMALLEST}.")
    _at_most("size", edge, limit, "pixels")
    return edge


def _ground(asked: str | None, format: OutputFormat) -> str | None:
    if asked in (None, "auto"):
        return _WHITE if format == "jpeg" else None
    if asked == "opaque":
        return _WHITE
    try:
        ground = background(str(asked))
    except FlowmodelError:
        raise Refused(
            "background", f"background: {asked!r} is neither auto, transparent or opaque, nor a color such as #fff."
        ) from None
    if ground is None and format == "jpeg":
        raise Refused("background", "A JPEG can't be transparent; ask for png, webp or svg, or for another background.")
    return ground
