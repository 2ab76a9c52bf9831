"""The names of the formats that :mod:`flowmodel.vector.files` writes; importing them costs nothing."""

from typing import Literal, get_args

Format = Literal["png", "svg", "webp", "ico", "icns", "sheet", "favicon"]
FORMATS: tuple[Format, ...] = get_args(Format)
