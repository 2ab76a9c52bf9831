"""Migrates reports of earlier releases, so that their scores can still be read and compared.

Version 1, which older files don't state, has other names for scores and sections, and AuthPct in percent.
"""

from collections.abc import Mapping
from typing import Any

from flowmodel.recipes.renamed import PERCENT, SCORES, with_current_names

_SECTIONS = {"spread": "std", "groups": "by_group", "reference": "baselines"}
_SETTINGS = {"colour": "color", "judge_digest": "caption_probe_digest", "judge_quality": "caption_probe_quality"}
_THRESHOLDS = {"copy_ratio": "copy_distance_ratio", "near": "near_copy", "neighbours": "neighbors"}


def with_current_form(values: Mapping[str, Any]) -> Mapping[str, Any]:
    """Migrate the `values` of a report of version 1; other versions are returned unchanged."""
    if values.get("schema_version", 1) != 1:
        return values
    current = with_current_names(values, _SECTIONS) | {"schema_version": 2}
    settings = current.get("settings")
    if isinstance(settings, Mapping):
        settings = with_current_names(settings, _SETTINGS, {"color": {"greyscale": "grayscale"}})
        if isinstance(thresholds := settings.get("thresholds"), Mapping):
            settings["thresholds"] = with_current_names(thresholds, _THRESHOLDS)
        for name in ("left_out", "caption_probe_quality"):
            if name in settings:
                settings[name] = _with_current_scores(settings[name])
    # `thresholds` has a field with the former name of a score, so settings are not searched for scores.
    return {name: settings if name == "settings" else _with_current_scores(value) for name, value in current.items()}


def _with_current_scores(values: Any) -> Any:
    if isinstance(values, list):
        return [_with_current_scores(value) for value in values]
    if not isinstance(values, Mapping):
        return values
    percent = {name: value / 100 for name, value in values.items() if name in PERCENT and isinstance(value, int | float)}
    return with_current_names({name: _with_current_scores(value) for name, value in {**values, **percent}.items()}, SCORES)
