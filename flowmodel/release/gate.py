"""Whether a model may be registered, and whether it replaces the champion. Pure functions on reports (docs/deployment.md).

| outcome | when | what follows |
|---|---|---|
| refused | a threshold of the recipe is broken | the model is not registered |
| challenger | all thresholds are kept, but the champion is better | registered; the champion stays |
| champion | all thresholds are kept, and nothing is worse than the champion's | registered; replaces the champion |
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal

from flowmodel.evaluation.report import EvaluationReport, Scores
from flowmodel.recipes.schema import GateConfig, Threshold
from flowmodel.recipes.split import Split

Outcome = Literal["refused", "challenger", "champion"]

# Rule, metric, split.
_THRESHOLDS: tuple[tuple[Threshold, str, Split], ...] = (
    ("max_kid", "kid", Split.TRAIN),
    ("min_top1", "top1_of_all", Split.TRAIN),
    ("min_alpha_iou", "alpha_iou", Split.TRAIN),
    ("max_copy_ratio", "copies", Split.UNSEEN_CONCEPT),
)
_COMPARED = ("kid", "top1_of_all", "judge_top1")
_METRICS = {
    "kid": "KID",
    "top1_of_all": "top-1 retrieval",
    "judge_top1": "top-1 retrieval by the judge",
    "alpha_iou": "alpha IoU",
    "near_share": "share of near copies",
    "copy_ratio": "share of copies",
}


@dataclass(frozen=True)
class Rule:
    """One comparison.

    Attributes:
        name: as in the recipe; for comparisons with the champion the metric's name.
        value: of the model; None where it was not measured.
        limit: what the value must not pass; None where there is none.
        kept: None where the rule says nothing, because it is waived or can't be applied.
        words: all of it as a sentence.
    """

    name: str
    split: str
    against: Literal["recipe", "champion"]
    value: float | None
    limit: float | None
    kept: bool | None
    words: str


@dataclass(frozen=True)
class Champion:
    """The model to beat. `report` is None where it can't be scored; `note` says why, or how its report came about; `colour` is
    what it draws, as far as is known.
    """

    version: str
    report: EvaluationReport | None
    note: str = ""
    colour: str = ""


@dataclass(frozen=True)
class Decision:
    """`reason` is the outcome as one sentence; `rules` are what it rests on; `champion` is the version compared with, if any."""

    outcome: Outcome
    reason: str
    rules: tuple[Rule, ...]
    champion: str = ""

    @property
    def lines(self) -> tuple[str, ...]:
        return (self.reason, *(rule.words for rule in self.rules))

    @property
    def records(self) -> list[dict[str, str]]:
        """A row a rule, for tables."""
        kept = {True: "kept", False: "BROKEN", None: "says nothing"}
        return [
            {
                "against": rule.against,
                "rule": rule.name,
                "icons": str(rule.split),
                "value": _number(rule.value),
                "limit": "none" if rule.limit is None else _number(rule.limit),
                "outcome": kept[rule.kept],
                "in words": rule.words,
            }
            for rule in self.rules
        ]

    @property
    def markdown(self) -> str:
        """For MLflow, which shows a version's description as such, but no more than 5000 characters of it."""
        columns = ("against", "rule", "icons", "value", "limit", "outcome")
        rows = [f"| {' | '.join(record[column] for column in columns)} |" for record in self.records]
        head = [f"| {' | '.join(columns)} |", f"|{'---|' * len(columns)}"] if rows else []
        return "\n".join([f"**{self.outcome}**: {self.reason}", "", *head, *rows])

    def as_json(self) -> dict[str, Any]:
        return asdict(self)

    def instead(self, outcome: Outcome, reason: str) -> "Decision":
        """The same rules with another end, for a reason that lies outside the reports."""
        return replace(self, outcome=outcome, reason=reason)


def decide(report: EvaluationReport, gate: GateConfig, champion: Champion | None) -> Decision:
    """Thresholds first; who keeps them is compared with the champion, where there is one that can be scored.

    The champion's report must be of the same icons, data, seeds, extractor and judge: `comparison_digest` tells.
    """
    thresholds = threshold_rules(report, gate)
    against = champion.version if champion else ""
    if broken := _broken(thresholds):
        return Decision("refused", f"not good enough to be registered: {broken}", thresholds)
    if champion is None:
        return Decision("champion", "there is no champion yet, the recipe's thresholds alone decide", thresholds)
    new, old = _colour(report), champion.colour
    if old and new != old:
        reason = f"draws {new}, the champion, version {against}, draws {old}: scores of different colours can't be compared"
        return Decision("challenger", f"{reason}; choose by hand with `flowmodel champion set`", thresholds, against)
    if champion.report is None:
        return Decision("champion", f"replaces the champion, version {against}: {champion.note}", thresholds, against)
    comparison = champion_rules(report, champion.report, gate)
    rules = thresholds + comparison
    note = f" ({champion.note})" if champion.note else ""
    if broken := _broken(comparison):
        return Decision("challenger", f"worse than the champion, version {against}{note}: {broken}", rules, against)
    return Decision("champion", f"nothing is worse than the champion's, version {against}{note}", rules, against)


def threshold_rules(report: EvaluationReport, gate: GateConfig) -> tuple[Rule, ...]:
    """The report against the recipe's thresholds. A rule without threshold is waived, and says so with the recipe's reason."""
    return tuple(_threshold_rule(report, gate, *each) for each in _THRESHOLDS)


def share_of_copies(scores: Scores) -> tuple[str, float | None]:
    """Which metric says how many of a split's samples are copies, and its value; None where it was not measured.

    `near_share`, because its threshold is calibrated: a model trained on 13 icons until it could draw nothing else had 84 % of
    near copies for unseen captions, and no copy by the fixed ratio of feature distances. Where the real icons are too few to
    calibrate it, the larger of the fixed criteria by features and by pixels.
    """
    if scores.near_share is not None:
        return "near_share", scores.near_share
    fixed = (scores.copy_ratio, scores.copy_ratio_pixels)
    return "copy_ratio", max((share for share in fixed if share is not None), default=None)


def _threshold_rule(report: EvaluationReport, gate: GateConfig, name: Threshold, metric: str, split: Split) -> Rule:
    scores = report.metrics.get(split, Scores())
    metric, value = share_of_copies(scores) if metric == "copies" else (metric, scores.get(metric))
    limit: float | None = getattr(gate, name)
    measured = f"{_METRICS[metric]} of {split.label.lower()}: {_number(value)}"

    def rule(kept: bool | None, words: str) -> Rule:
        return Rule(name, split, "recipe", value, limit, kept, f"{measured}, {words}")

    if limit is None:
        reason = gate.waived.get(name)
        return rule(None, f"the recipe waives {name}, because {reason}" if reason else f"the recipe sets no {name}")
    if metric == "alpha_iou" and _colour(report) != "rgba":
        return rule(None, f"{name} says nothing, because the model draws no transparency ({_colour(report)})")
    at_least = name.startswith("min_")
    kept = value is not None and (value >= limit if at_least else value <= limit)
    return rule(kept, f"must be at {'least' if at_least else 'most'} {_number(limit)}: {'yes' if kept else 'NO'}")


def champion_rules(report: EvaluationReport, champion: EvaluationReport, gate: GateConfig) -> tuple[Rule, ...]:
    """On each split that the recipe compares: KID not above the champion's confidence interval; retrieval, by features and by
    the judge, not lower by more than the recipe's tolerance.
    """
    rules = []
    for split in gate.compared:
        new, old = (of.metrics.get(split, Scores()) for of in (report, champion))
        for metric in _COMPARED:
            value, its = new.get(metric), old.get(metric)
            measured = f"{_METRICS[metric]} of {split.label.lower()}: {_number(value)}"
            limit = old.kid_high if metric == "kid" else its
            if value is None or its is None or limit is None:
                words = f"{measured}, the champion's {_number(its)}: nothing to compare"
                rules.append(Rule(metric, split, "champion", value, None, None, words))
                continue
            if metric == "kid":
                kept = value <= limit
                bound = f"the confidence interval reaches up to {_number(limit)}"
            else:
                limit -= gate.top1_tolerance
                kept = value >= limit - 1e-9  # a tolerance that is just met: 0.97 - 0.02 is not 0.95 in floats
                bound = f"with the tolerance of {gate.top1_tolerance:g} at least {_number(limit)}"
            words = f"{measured}, the champion's {_number(its)}, {bound}: {'not worse' if kept else 'WORSE'}"
            rules.append(Rule(metric, split, "champion", value, limit, kept, words))
    return tuple(rules)


def _colour(report: EvaluationReport) -> str:
    return report.settings.colour


def _broken(rules: Sequence[Rule]) -> str:
    return "; ".join(rule.words for rule in rules if rule.kept is False)


def _number(value: float | None) -> str:
    return "not measured" if value is None else f"{value:.4g}"
