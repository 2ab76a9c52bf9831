"""Under which terms pictures may be used. They go with a training into its checkpoint, and from there into every training that
begins with its weights.
"""

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True, order=True)
class Terms:
    """Of a source's icons, as the icons table (schemas.ICONS) has them."""

    source: str
    licence: str
    redistributable: bool
    origin: str


UNKNOWN = Terms(source="unknown", licence="unknown", redistributable=False, origin="unknown")


def licence_tags(terms: Iterable[Terms]) -> dict[str, str]:
    """What a model that has learnt from such icons is marked with: all licences, and whether every icon may be passed on."""
    listed = list(terms)
    return {
        "licences": ", ".join(sorted({each.licence for each in listed} - {""})) or "unknown",
        "redistributable": str(all(each.redistributable for each in listed)).lower(),
    }
