"""The license terms of icons. They are stored in a training's checkpoint, and in every training that starts from its weights."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from flowmodel.recipes.renamed import with_current_names


@dataclass(frozen=True, order=True)
class Terms:
    """The terms of a source's icons, as in the table of icons (tables.ICONS)."""

    source: str
    license: str
    redistributable: bool
    origin: str

    @classmethod
    def of(cls, values: Mapping[str, Any]) -> "Terms":
        """Read terms from a checkpoint's header. Earlier releases spell the field `licence`."""
        return cls(**with_current_names(values, {"licence": "license"}))


UNKNOWN = Terms(source="unknown", license="unknown", redistributable=False, origin="unknown")
