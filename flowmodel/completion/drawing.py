"""A sample of a missing icon."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Drawing:
    """A sample of a missing icon.

    Attributes:
        name: name of the missing icon.
        stem: stem of its files `png/STEM.png` and `svg/STEM.svg`.
        near_copy_of: id of the icon of the set that it nearly copies, or None.
    """

    name: str
    stem: str
    near_copy_of: str | None
