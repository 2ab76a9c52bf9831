"""Names of the formats of :mod:`flowmodel.vector.files`, in a module that imports quickly."""

from typing import Literal, get_args

Format = Literal["png", "svg", "webp", "ico", "icns", "sheet", "favicon"]
FORMATS: tuple[Format, ...] = get_args(Format)
