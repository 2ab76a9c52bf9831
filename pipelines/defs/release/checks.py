"""The gate's decision as two asset checks; neither decides anything itself (docs/deployment.md)."""

from collections.abc import Iterator

import dagster as dg

from flowmodel.files import Artifact
from pipelines.failures import readable_failures
from pipelines.reporting import rules_table


@dg.asset_check(
    asset="gate_decision",
    blocking=True,
    description="The model passes the rules of its recipe's gate. If not, nothing is registered.",
)
@readable_failures()
def meets_thresholds(gate_decision: Artifact) -> dg.AssetCheckResult:
    from flowmodel.release.decision import Decision

    decision = Decision.read(gate_decision.path)
    passed = decision.outcome != "refused"
    return dg.AssetCheckResult(
        passed=passed,
        severity=dg.AssetCheckSeverity.ERROR,
        description="the model passes all rules of the recipe" if passed else f"refused: {decision.reason}",
        metadata={"rules": rules_table([row for row in decision.records if row["against"] == "recipe"])},
    )


# Not blocking, so that the model is registered as challenger before the run fails, if the recipe says that it should fail.
@dg.asset_check(  # type: ignore[arg-type]  # a generator, as Dagster documents it
    asset="gate_decision",
    description="The model is champion, or was shown to be no worse. If not, it becomes challenger only, and the run succeeds "
    "with a warning or fails, according to on_worse of the recipe's evaluation.gate.",
)
def not_worse_than_champion(gate_decision: Artifact) -> Iterator[dg.AssetCheckResult]:
    from flowmodel.release.decision import Decision

    with readable_failures():
        decision = Decision.read(gate_decision.path)
    passed, fails = decision.outcome == "champion", decision.gate.on_worse == "fail"
    yield dg.AssetCheckResult(
        passed=passed,
        severity=dg.AssetCheckSeverity.ERROR if fails else dg.AssetCheckSeverity.WARN,
        description=f"{decision.outcome}: {decision.reason}",
        metadata={
            "outcome": decision.outcome,
            "compared_with": f"version {decision.champion}" if decision.champion else "no champion",
            "notes": "; ".join(decision.notes),
            "rules": rules_table([row for row in decision.records if row["against"] == "champion"]),
        },
    )
    if fails and not passed:
        raise dg.Failure(description=f"{decision.outcome}: {decision.reason}", allow_retries=False)
