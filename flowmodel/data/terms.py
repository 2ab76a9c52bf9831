"""Under which terms pictures may be used. They go with a training into its checkpoint, and from there into every training that
begins with its weights.
"""

from dataclasses import dataclass


@dataclass(frozen=True, order=True)
class Terms:
    """Of a source's icons, as the icons table (tables.ICONS) has them."""

    source: str
    licence: str
    redistributable: bool
    origin: str


UNKNOWN = Terms(source="unknown", licence="unknown", redistributable=False, origin="unknown")
