"""Whether a model may be registered, and whether it replaces the champion. Pure functions on reports (docs/deployment.md).

| outcome | when | what follows |
|---|---|---|
| refused | a rule of the recipe is broken | the model is not registered |
| challenger | all rules are kept, but the model isn't shown to be as good as the champion | registered; the champion stays |
| champion | all rules are kept, and nothing is worse than the champion's, or there is none | registered; replaces the champion |
"""

from collections.abc import Sequence
from dataclasses import dataclass

from flowmodel.evaluation.metric_names import number
from flowmodel.evaluation.report import EvaluationReport
from flowmodel.evaluation.rules import Rule, recipe_rules
from flowmodel.recipes.gate import GateConfig
from flowmodel.release.decision import Decision, Outcome
from flowmodel.release.differences import Comparison, Difference

BY_HAND = "choose by hand with `flowmodel champion set`"


@dataclass(frozen=True)
class Champion:
    """The model to beat: its version, empty if even that is unknown, and how the model compares with it. `comparison` is
    None if the models could not be compared, and `why_not` gives the reason.
    """

    version: str
    comparison: Comparison | None = None
    why_not: str = ""


def decide(
    report: EvaluationReport, report_digest: str, gate: GateConfig, champion: Champion | None, notes: Sequence[str] = ()
) -> Decision:
    """The recipe's rules first; a model that passes them is compared with the champion, if there is one.

    What can't be compared stays challenger. `champion` is None only if it is certain that there is none.
    """
    rules = recipe_rules(report, gate)
    against = champion.version if champion else ""

    def decision(outcome: Outcome, reason: str, conclusive: bool = True) -> Decision:
        return Decision(
            checkpoint_digest=report.settings.checkpoint_digest,
            report_digest=report_digest,
            gate=gate,
            outcome=outcome,
            reason=reason,
            rules=rules,
            champion=against,
            conclusive=conclusive,
            notes=tuple(notes),
        )

    if broken := _broken(rules):
        return decision("refused", f"not good enough to be registered: {broken}")
    if champion is None:
        return decision("champion", "there is no champion yet, so only the recipe's rules apply")
    if champion.comparison is None:
        opponent = f"the champion, version {against}" if against else "the champion"
        return decision("challenger", f"can't be compared with {opponent}: {champion.why_not}; {BY_HAND}", conclusive=False)
    compared = comparison_rules(champion.comparison, gate)
    rules += compared
    if broken := _broken(compared):
        return decision("challenger", f"not shown to be as good as the champion, version {against}: {broken}")
    return decision("champion", f"no score is worse than the champion's (version {against})")


def comparison_rules(comparison: Comparison, gate: GateConfig) -> tuple[Rule, ...]:
    """Each score of the comparison: the worse end of the difference's interval must lie within the recipe's tolerance.

    So a model must be *shown* to be no worse. Few icons leave wide intervals, and then the champion stays.
    """
    return tuple(_comparison_rule(difference, comparison.icons, gate.tolerance) for difference in comparison.differences)


def _comparison_rule(difference: Difference, icons: int, tolerance: float) -> Rule:
    if difference.lower_is_better:
        limit = tolerance * max(difference.champion, 0.0)
        kept, side = difference.high <= limit, "above"
    else:
        limit = -tolerance
        kept, side = difference.low >= limit, "below"
    words = (
        f"{difference.label} of {icons} held-out icons that neither was trained on: {number(difference.challenger)}, the "
        f"champion's {number(difference.champion)}; the difference of {number(difference.value)} has the 95% interval "
        f"{number(difference.low)} to {number(difference.high)}, which must not reach {side} {number(limit)}: "
        f"{'not worse' if kept else 'NOT SHOWN'}"
    )
    return Rule(
        metric=difference.metric,
        icons="unseen by both",
        against="champion",
        value=difference.value,
        low=difference.low,
        high=difference.high,
        limit=limit,
        kept=kept,
        words=words,
    )


def _broken(rules: Sequence[Rule]) -> str:
    return "; ".join(rule.words for rule in rules if rule.kept is False)
