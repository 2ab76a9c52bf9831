"""The gate's decision about a checkpoint, compared with the champion in MLflow. Nothing is registered here.

The gate fails closed: if the comparison fails for any reason, the model becomes challenger, with the reason, and a person
decides.
"""

from collections.abc import Callable

from flowmodel.data.dataset import IconDataset
from flowmodel.errors import FlowmodelError
from flowmodel.evaluation.report import EvaluationReport
from flowmodel.model.checkpoint import Checkpoint
from flowmodel.registry.champion import Standing, standing_of
from flowmodel.registry.models import recorded_model
from flowmodel.registry.names import DECISION, MODEL_NAME, REASON
from flowmodel.registry.references import checkpoint_of, find_version, versions_of_checkpoint
from flowmodel.registry.runs import EVALUATION, logged_values
from flowmodel.registry.tracking import NotFound, Tracking
from flowmodel.release.decision import Decision
from flowmodel.release.gate import Champion, decide
from flowmodel.release.paired import compare

DECISION_FILE = "decision.json"

Log = Callable[[str], None]


def decide_on(
    tracking: Tracking,
    checkpoint: Checkpoint,
    report: EvaluationReport,
    report_digest: str,
    dataset: IconDataset,
    log: Log = lambda _: None,
) -> Decision:
    """Decide on `checkpoint` by its `report` and the gate of the recipe that trained it, and record that in the training's run.

    An earlier decision is kept if the checkpoint, the report and the champion are the same and the comparison succeeded. The
    current champion stays champion.

    Args:
        report_digest: SHA-256 of the report's file; the decision applies to that file only.
        dataset: its held-out icons are sampled by challenger and champion.

    Raises:
        FlowmodelError: the report is of another checkpoint. If MLflow can't be used, that is not an error; the model becomes
            challenger.
    """
    if checkpoint.digest != report.settings.checkpoint_digest:
        raise FlowmodelError(f"{checkpoint}: the evaluation is of another checkpoint; evaluate this one first")
    subject = _Subject(tracking, checkpoint, report, report_digest, dataset, log)
    decision = subject.decided()
    try:
        run = recorded_model(tracking, checkpoint).run
        run.log_values(decision.as_json(), f"{EVALUATION}/{DECISION_FILE}")
        run.log_tags({DECISION: decision.outcome, REASON: decision.reason})
    except FlowmodelError as error:
        log(f"the decision could not be recorded in MLflow: {error}")
    return decision


class _Subject:
    def __init__(
        self,
        tracking: Tracking,
        checkpoint: Checkpoint,
        report: EvaluationReport,
        report_digest: str,
        dataset: IconDataset,
        log: Log,
    ) -> None:
        self.tracking, self.checkpoint, self.dataset, self.log = tracking, checkpoint, dataset, log
        self.report, self.report_digest = report, report_digest
        self.gate = checkpoint.recipe.evaluation.gate

    def decided(self) -> Decision:
        # A model that breaks a rule is refused regardless of the champion, so the champion need not be looked up.
        alone = self._decide(None)
        if alone.outcome == "refused":
            return alone
        try:
            standing = standing_of(self.tracking)
            return self._against(standing, alone).model_copy(update={"notes": standing.notes})
        except Exception as error:  # any failure must leave the champion in place
            return self._decide(Champion("", why_not=_words(error)))

    def _decide(self, champion: Champion | None) -> Decision:
        return decide(self.report, self.report_digest, self.gate, champion)

    def _against(self, standing: Standing, alone: Decision) -> Decision:
        known = next(iter(self._versions()), None)
        champion = standing.champion
        earlier = self._earlier()
        if champion is not None and known is not None and str(known.version) == champion:
            if earlier and earlier.outcome == "champion":
                return earlier
            return alone.instead("champion", f"version {champion} is already the champion")
        if refusal := standing.refusal(known):
            return alone.instead("challenger", refusal, champion=champion or "")
        if champion is None:
            return alone
        if earlier and earlier.champion == champion and earlier.conclusive:
            return earlier
        return self._decide(self._compared(champion))

    def _versions(self) -> list:
        try:
            return versions_of_checkpoint(self.tracking, MODEL_NAME, self.checkpoint.digest)
        except NotFound:  # no database
            return []

    def _earlier(self) -> Decision | None:
        """The earlier decision on this checkpoint, report and gate, or None if there is none that can be read."""
        try:
            run_id = recorded_model(self.tracking, self.checkpoint).run.run_id
            earlier = Decision.parse(logged_values(self.tracking, run_id, f"{EVALUATION}/{DECISION_FILE}"), DECISION_FILE)
        except FlowmodelError:
            return None
        of = (earlier.checkpoint_digest, earlier.report_digest, earlier.gate)
        return earlier if of == (self.checkpoint.digest, self.report_digest, self.gate) else None

    def _compared(self, version: str) -> Champion:
        try:
            champion = checkpoint_of(self.tracking, find_version(self.tracking, MODEL_NAME, number=version))
            cache, config = self.tracking.store.root / "features", self.checkpoint.recipe.evaluation
            return Champion(version, compare(self.checkpoint, champion, self.dataset, cache, config, self.log))
        except Exception as error:  # as above
            return Champion(version, why_not=_words(error))


def _words(error: Exception) -> str:
    first = next(iter(str(error).strip().splitlines()), "")
    return first if isinstance(error, FlowmodelError) else f"{type(error).__name__}: {first}"
