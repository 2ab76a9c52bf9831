"""Old names of fields and values, which are accepted for one more version.

Old names in checkpoints, data sets and reports are accepted silently. In recipes, overrides and lists of sources, each causes a
warning with the current name.
"""

import warnings
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

RECIPES = {"greyscale_cnn": "grayscale_cnn"}
SCORES = {
    "top1_of_own": "retrieval_top1_split",
    "top5_of_own": "retrieval_top5_split",
    "top1_of_source": "retrieval_top1_source",
    "top1_of_all": "retrieval_top1_all",
    "top5_of_all": "retrieval_top5_all",
    "judge_top1": "caption_probe_top1",
    "judge_top5": "caption_probe_top5",
    "near_share": "near_copy_rate",
    "copy_ratio": "copy_rate",
    "copy_ratio_pixels": "copy_rate_pixels",
    "neighbour_ratio": "neighbor_ratio",
    "neighbour_ratio_pixels": "neighbor_ratio_pixels",
    "auth_pct": "authentic_rate",
}
PERCENT = frozenset({"auth_pct"})  # old names whose values were percentages


def with_current_names(
    values: Mapping[str, Any], names: Mapping[str, str], values_of: Mapping[str, Mapping[str, str]] = MappingProxyType({})
) -> dict[str, Any]:
    """`values` with current field names, by `names`, and current field values, by `values_of`.

    Raises ValueError when a field is given by both names.
    """
    current: dict[str, Any] = {}
    for given, value in values.items():
        name = names.get(given, given)
        if name != given and name in values:
            raise ValueError(f"{given}: is now called {name}, which is also given; remove {given}")
        if isinstance(value, str):
            value = values_of.get(name, {}).get(value, value)
        current[name] = value
    return current


def with_former_names(
    values: Mapping[str, Any], names: Mapping[str, str], values_of: Mapping[str, Mapping[str, str]] = MappingProxyType({})
) -> dict[str, Any]:
    """The inverse of :func:`with_current_names`, so that digests do not change when a field is renamed."""
    former = {new: old for old, new in names.items()}
    former_values = {name: {new: old for old, new in pairs.items()} for name, pairs in values_of.items()}
    return {
        former.get(name, name): former_values.get(name, {}).get(value, value) if isinstance(value, str) else value
        for name, value in values.items()
    }


def warn_renamed(old: str, new: str) -> None:
    """Warn that `old`, a field with its location, is now called `new`."""
    warnings.warn(f"{old} is now called {new}; the old name is read for one more version", FutureWarning, stacklevel=3)
