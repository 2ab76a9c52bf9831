"""The gate's decision about one checkpoint, with its evidence: a value, created once, stored as a file, passed on."""

from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from flowmodel.errors import FlowmodelError
from flowmodel.evaluation.metric_names import metric as named
from flowmodel.evaluation.metric_names import number
from flowmodel.evaluation.rules import Rule
from flowmodel.files import Artifact, read_json, sha256_json, write_json
from flowmodel.recipes.gate import GateConfig
from flowmodel.recipes.split import Split

Outcome = Literal["refused", "challenger", "champion"]
SCHEMA_VERSION: Literal[1] = 1


_KEPT = {True: "kept", False: "BROKEN", None: "not judged"}


class Decision(BaseModel):
    """The outcome for one checkpoint, report and gate.

    Attributes:
        checkpoint_digest, report_digest: SHA-256 of the two evaluated files.
        gate: gate of the recipe that trained the checkpoint.
        reason: the outcome as one sentence.
        rules: the rules that it is based on.
        champion: the champion's version at the time of the decision; empty if there was none, or it could not be found.
        conclusive: False if the comparison failed and should be repeated.
        notes: further notes for a person.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    schema_version: Literal[1] = SCHEMA_VERSION
    checkpoint_digest: str
    report_digest: str
    gate: GateConfig
    outcome: Outcome
    reason: str
    rules: tuple[Rule, ...] = ()
    champion: str = ""
    conclusive: bool = True
    notes: tuple[str, ...] = ()

    @property
    def lines(self) -> tuple[str, ...]:
        return (self.reason, *self.notes, *(rule.words for rule in self.rules))

    @property
    def records(self) -> list[dict[str, str]]:
        """One row per rule, for tables."""
        return [_record(rule) for rule in self.rules]

    @property
    def markdown(self) -> str:
        """For MLflow, which shows a version's description as such, but no more than 5000 characters of it."""
        columns = ("against", "metric", "icons", "value", "limit", "outcome")
        rows = [f"| {' | '.join(record[column] for column in columns)} |" for record in self.records]
        head = [f"| {' | '.join(columns)} |", f"|{'---|' * len(columns)}"] if rows else []
        return "\n".join([f"**{self.outcome}**: {self.reason}", *self.notes, "", *head, *rows])

    def as_json(self) -> dict[str, Any]:
        return self.model_dump(mode="json")

    def instead(self, outcome: Outcome, reason: str, **changes: Any) -> "Decision":
        """The same rules with another outcome, for a reason outside the reports."""
        return self.model_copy(update={"outcome": outcome, "reason": reason, **changes})

    def write(self, folder: Path) -> Artifact:
        """Write a file in `folder` that is named by its content, so that no other run changes it."""
        return Artifact.of(write_json(folder / f"{sha256_json(self.as_json())[:16]}.json", self.as_json()))

    @classmethod
    def read(cls, path: Path) -> "Decision":
        """Raises FlowmodelError when the file is missing or damaged, or of another release."""
        return cls.parse(read_json(path), path)

    @classmethod
    def parse(cls, values: Any, where: Path | str) -> "Decision":
        try:
            return cls.model_validate(values)
        except ValidationError:
            raise FlowmodelError(f"{where}: not a decision of this release's gate; materialize 'gate_decision' again") from None


def _record(rule: Rule) -> dict[str, str]:
    # A difference is a number with a sign, of which percent would be points.
    text = named(rule.metric).text if rule.against == "recipe" else number
    return {
        "against": rule.against,
        "metric": named(rule.metric).label,
        "icons": Split(rule.icons).label if rule.icons in list(Split) else rule.icons,
        "value": "not measured" if rule.value is None else text(rule.value) + _interval(rule),
        "limit": "none" if rule.limit is None else text(rule.limit),
        "outcome": _KEPT[rule.kept],
        "in words": rule.words,
    }


def _interval(rule: Rule) -> str:
    return "" if rule.low is None or rule.high is None else f" ({number(rule.low)} to {number(rule.high)})"
