"""Under which terms pictures may be used. They go with a training into its checkpoint, and from there into every training that
begins with its weights.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from flowmodel.recipes.renamed import with_current_names


@dataclass(frozen=True, order=True)
class Terms:
    """The terms of a source's icons, as in the icons table (tables.ICONS)."""

    source: str
    license: str
    redistributable: bool
    origin: str

    @classmethod
    def of(cls, values: Mapping[str, Any]) -> "Terms":
        """From a checkpoint's header; those of earlier releases spell it `licence`."""
        return cls(**with_current_names(values, {"licence": "license"}))


UNKNOWN = Terms(source="unknown", license="unknown", redistributable=False, origin="unknown")
