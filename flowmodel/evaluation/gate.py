"""Whether a model is good enough to be registered, and whether it is better than the champion. Pure functions on reports."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from flowmodel.recipes.schema import GateConfig

Report = Mapping[str, Any]


@dataclass(frozen=True)
class Decision:
    """`lines` say in plain words what was compared with what."""

    passed: bool
    lines: tuple[str, ...]


def check_gate(report: Report, gate: GateConfig) -> Decision:
    """Compare a report with the recipe's thresholds; a rule without threshold is waived, and says so."""
    trained, unseen = report["metrics"]["train"], report["metrics"].get("unseen_concept", {})
    rules = (
        ("KID of trained icons", trained.get("kid"), gate.max_kid, "max_kid"),
        ("top-1 retrieval of trained icons", trained.get("top1_of_all"), gate.min_top1, "min_top1"),
        ("copy ratio of unseen captions", unseen.get("copy_ratio"), gate.max_copy_ratio, "max_copy_ratio"),
    )
    lines, passed = [], True
    for what, value, threshold, rule in rules:
        shown = "not measured, too few icons" if value is None else f"{value:.4g}"
        if threshold is None:
            lines.append(f"{what}: {shown}, rule {rule} waived by the recipe")
            continue
        at_least = rule.startswith("min_")
        holds = value is not None and (value >= threshold if at_least else value <= threshold)
        passed = passed and holds
        lines.append(f"{what}: {shown}, must be at {'least' if at_least else 'most'} {threshold:.4g}: {'yes' if holds else 'NO'}")
    return Decision(passed, tuple(lines))


def beats_champion(challenger: Report, champion: Report | None) -> Decision:
    """Has the challenger a lower KID than the champion, both scored on the same icons? True where there is no champion."""
    if champion is None:
        return Decision(True, ("there is no champion yet",))
    new, old = challenger["metrics"]["train"]["kid"], champion["metrics"]["train"]["kid"]
    relation = "lower than" if new < old else "not lower than"
    return Decision(new < old, (f"KID {new:.4g} is {relation} the champion's {old:.4g}",))
