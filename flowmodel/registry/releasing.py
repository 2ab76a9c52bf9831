"""Registers a checkpoint according to the gate's decision: a version and its aliases."""

from dataclasses import dataclass

from filelock import FileLock
from mlflow.entities.model_registry import ModelVersion

from flowmodel.errors import FlowmodelError
from flowmodel.evaluation.report import EvaluationReport
from flowmodel.model.checkpoint import Checkpoint
from flowmodel.registry.champion import Standing, accept, give_alias, record_decision, standing_of, take_alias
from flowmodel.registry.models import RecordedModel, recorded_model, register_version
from flowmodel.registry.names import CHALLENGER, CHAMPION, MODEL_NAME
from flowmodel.registry.runs import EVALUATION, GRID_PREVIEW
from flowmodel.registry.tracking import Tracking
from flowmodel.release.decision import Decision


@dataclass(frozen=True)
class Registered:
    """Attributes:
    aliases: aliases of this version after the decision.
    decision: the reason why it became champion or not.
    is_new: False when this checkpoint had been registered before.
    """

    name: str
    version: int
    aliases: tuple[str, ...]
    decision: Decision
    is_new: bool
    run_id: str
    run_url: str


def register(
    tracking: Tracking, checkpoint: Checkpoint, report: EvaluationReport, report_digest: str, decision: Decision
) -> Registered:
    """Register `checkpoint`, which was recorded at its evaluation, as challenger or champion according to `decision`.

    Nothing is decided again. However, if the champion has changed since, or a person has decided otherwise, the model becomes
    challenger. A checkpoint that is registered twice keeps its version.

    Raises:
        FlowmodelError: the decision refuses the model, or is of another checkpoint, report or gate; the checkpoint was not
            recorded; or MLflow can't be used.
    """
    require_decision_of(decision, checkpoint, report_digest)
    recorded = recorded_model(tracking, checkpoint)
    description = _description(report, recorded)
    with FileLock(tracking.store.root / "registering.lock"):
        standing = standing_of(tracking)
        version, is_new = register_version(recorded, description)
        decision = _still_true(decision, standing, version)
        _give_aliases(tracking, standing, decision.outcome == "champion", str(version.version))
        if standing.champion != str(version.version):  # keep the decision that made it champion
            record_decision(tracking, version, decision, description)
        accept(tracking, standing)
        aliases = [alias for alias, number in standing_of(tracking).aliases.items() if number == str(version.version)]
    run = recorded.run
    return Registered(MODEL_NAME, int(version.version), tuple(sorted(aliases)), decision, is_new, run.run_id, run.url)


def require_decision_of(decision: Decision, checkpoint: Checkpoint, report_digest: str) -> None:
    """Raise FlowmodelError unless `decision` passes this checkpoint, with this report and the gate of its recipe."""
    again = "materialize 'gate_decision' again"
    if decision.checkpoint_digest != checkpoint.digest:
        raise FlowmodelError(f"{checkpoint}: the gate's decision is of another checkpoint; {again}")
    if decision.report_digest != report_digest:
        raise FlowmodelError(f"{checkpoint}: the gate's decision is of another evaluation; {again}")
    if decision.gate != checkpoint.recipe.evaluation.gate:
        raise FlowmodelError(
            f"{checkpoint}: the gate's decision is by other rules than those of the recipe that trained it; {again}"
        )
    if decision.outcome == "refused":
        raise FlowmodelError(
            f"{checkpoint}: {decision.reason}; train longer, or change evaluation.gate in the recipe and train again"
        )


def _still_true(decision: Decision, standing: Standing, version: ModelVersion) -> Decision:
    if decision.outcome != "champion" or standing.champion == str(version.version):
        return decision
    if refusal := standing.refusal(version):
        return decision.instead("challenger", refusal)
    before, now = decision.champion or None, standing.champion
    if before != now:
        was, has_become = (f"version {each}" if each else "none" for each in (before, now))
        reason = f"the champion was {was} when the gate decided, and is {has_become} now; materialize 'gate_decision' again"
        return decision.instead("challenger", reason)
    return decision


def _give_aliases(tracking: Tracking, standing: Standing, is_champion: bool, version: str) -> None:
    """A champion is not a challenger too. If a person removed `challenger` from this version, it isn't given again."""
    challenges = standing.aliases.get(CHALLENGER) == version
    if is_champion:
        if standing.champion != version:
            give_alias(tracking, CHAMPION, version)
        if challenges:
            take_alias(tracking, CHALLENGER)
    elif not challenges and standing.given.get(CHALLENGER) != version:
        give_alias(tracking, CHALLENGER, version)


def _description(report: EvaluationReport, recorded: RecordedModel) -> str:
    """Markdown for a version's page: recipe, size, license and samples."""
    settings = report.settings
    size = f"{settings.parameters / 1e6:.2f} M parameters"
    samples = recorded.run.relative_artifact(f"{EVALUATION}/{GRID_PREVIEW}")
    return (
        f"Recipe {settings.recipe}, {settings.training_steps} steps, {size}. "
        f"License of the training icons: {recorded.tags.get('licenses', 'unknown')}.\n\n![Samples]({samples})"
    )
