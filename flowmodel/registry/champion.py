"""The champion: what a model is compared with, and how a person chooses another one (docs/deployment.md)."""

import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from mlflow import MlflowClient
from mlflow.entities.model_registry import ModelVersion

from flowmodel.data.dataset import IconDataset
from flowmodel.errors import FlowmodelError
from flowmodel.evaluation.report import METRICS_FILE, EvaluationReport
from flowmodel.evaluation.run import evaluate
from flowmodel.model.checkpoint import Checkpoint
from flowmodel.recipes import Recipe
from flowmodel.recipes.schema import GateConfig
from flowmodel.registry.observer import run_of_checkpoint
from flowmodel.registry.references import CHAMPION, MODEL_NAME, aliases_of, checkpoint_of, find_version, versions_of
from flowmodel.registry.runs import EVALUATION, logged_values
from flowmodel.registry.tracking import NotFound, Tracking
from flowmodel.release.gate import Champion, Decision, Rule, decide
from flowmodel.store import Store

DECISION_FILE = "decision.json"
# Of a model version. A champion that was replaced by hand doesn't come back by itself when its training is found again.
DECISION, REASON, RULES, COMPARED, ROLLED_BACK = (
    "decision",
    "decision_reason",
    "decision_rules",
    "decision_champion",
    "rolled_back",
)

Log = Callable[[str], None]


def decide_on(
    store: Store,
    checkpoint: Checkpoint,
    report: EvaluationReport,
    dataset: IconDataset,
    gate: GateConfig | None = None,
    log: Log = lambda _: None,
) -> Decision:
    """Judge `checkpoint` by its `report`, and put the decision into its training's run; nothing is registered.

    A champion that was scored on other icons or data, or with another extractor, judge or seed, is scored again first: on this
    model's icons and seeds, with the solver of its own recipe. Who is champion already stays so, and what made it champion isn't
    overwritten: its decision of then is returned, unless it breaks the thresholds of now or a person chose it.

    Args:
        gate: of the recipe that the checkpoint was trained with, unless another is given.

    Raises:
        FlowmodelError: the report is of another checkpoint, or MLflow can't be used.
    """
    digest = report.settings.checkpoint_digest
    if checkpoint.digest != digest:
        raise FlowmodelError(f"{checkpoint}: the evaluation is of another checkpoint; evaluate this one first")
    tracking, recipe = Tracking.of(store), checkpoint.recipe
    gate = gate or recipe.evaluation.gate
    run = run_of_checkpoint(tracking, checkpoint, dataset)
    with tracking.errors():
        champion = aliases_of(tracking, MODEL_NAME).get(CHAMPION)
        known = version_of(tracking, digest)
        if known is not None and str(known.version) == champion:
            decision = decide(report, gate, None)
            if decision.outcome == "champion":
                if (earlier := _recorded_decision(tracking, run.run_id)) and earlier.outcome == "champion":
                    return earlier
                decision = decision.instead("champion", f"version {champion} is the champion already")
        else:
            # Who breaks a threshold is refused whoever the champion is, which then need not be scored.
            decision = decide(report, gate, None)
            if champion is not None and decision.outcome != "refused":
                decision = decide(report, gate, _rival(tracking, champion, recipe, checkpoint, report, dataset, log))
            if decision.outcome == "champion" and known is not None and ROLLED_BACK in known.tags:
                reason = (
                    f"version {known.version} was champion until {known.tags[ROLLED_BACK]}, when somebody chose another one; "
                    f"`flowmodel champion set {known.version}` brings it back"
                )
                decision = decision.instead("challenger", reason)
    run.log_values(decision.as_json(), f"{EVALUATION}/{DECISION_FILE}")
    run.log_tags({DECISION: decision.outcome, REASON: decision.reason})
    return decision


def _recorded_decision(tracking: Tracking, run_id: str) -> Decision | None:
    """None where there is none yet, or the file is of another form than today's."""
    try:
        values = logged_values(tracking, run_id, f"{EVALUATION}/{DECISION_FILE}")
        return Decision(**values | {"rules": tuple(Rule(**rule) for rule in values["rules"])})
    except (NotFound, KeyError, TypeError):
        return None


def _rival(
    tracking: Tracking,
    version: str,
    recipe: Recipe,
    checkpoint: Checkpoint,
    report: EvaluationReport,
    dataset: IconDataset,
    log: Log,
) -> Champion:
    """The champion with a report that can be compared with `report`."""
    store = tracking.store
    try:
        its_checkpoint = checkpoint_of(tracking, find_version(tracking, MODEL_NAME, number=version))
    except NotFound:
        return Champion(version, None, "its checkpoint is gone")
    colour = its_checkpoint.recipe.data.colour
    if colour != recipe.data.colour:
        return Champion(version, None, colour=colour)
    wanted = report.settings.comparison_digest
    recorded = _recorded_report(tracking, version)
    if recorded and recorded.settings.comparison_digest == wanted:
        return Champion(version, recorded, colour=colour)
    folder = store.file("evaluation", f"champion-{version}")
    note = "scored again, on the icons, data and seeds of now"
    earlier = _earlier_report(folder / METRICS_FILE)
    if earlier and _is_of(earlier, wanted, its_checkpoint.digest):
        return Champion(version, earlier, note, colour)
    log(f"the champion, version {version}, was scored on other icons or data; scoring it again")
    try:
        again = evaluate(
            its_checkpoint,
            dataset,
            folder=folder,
            cache=store.root / "features",
            icons_of=checkpoint.header,
            config=recipe.evaluation,
            log=log,
        )
    except FlowmodelError as error:  # made with an encoder that is no longer installed, for example
        return Champion(version, None, f"it can't be scored any more ({error})", colour)
    return Champion(version, again.report, note, colour)


def _earlier_report(path: Path) -> EvaluationReport | None:
    """None where there is none, or one of another form: then the champion is scored again."""
    try:
        return EvaluationReport.read(path)
    except FlowmodelError:
        return None


def _is_of(report: EvaluationReport, comparison_digest: str, checkpoint_digest: str) -> bool:
    settings = report.settings
    return (settings.comparison_digest, settings.checkpoint_digest) == (comparison_digest, checkpoint_digest)


def _recorded_report(tracking: Tracking, version: str) -> EvaluationReport | None:
    """The last report on that version; None where its run is gone, or the report is of another form."""
    run_id = find_version(tracking, MODEL_NAME, number=version).run_id or ""
    try:
        values = logged_values(tracking, run_id, f"{EVALUATION}/{METRICS_FILE}")
    except NotFound:
        return None
    try:
        return EvaluationReport.parse(values, f"runs:/{run_id}")
    except FlowmodelError:
        return None


def version_of(tracking: Tracking, checkpoint_digest: str) -> ModelVersion | None:
    """The newest version of that checkpoint whose files are still there."""
    for version in versions_of(tracking, MODEL_NAME, checkpoint_digest):
        try:
            checkpoint_of(tracking, version)
        except NotFound:
            continue
        return version
    return None


def record_decision(client: MlflowClient, version: str, decision: Decision, description: str) -> None:
    """Make `decision` readable on the model version: as tags, and as a table under `description`."""
    tags = {
        DECISION: decision.outcome,
        REASON: decision.reason,
        RULES: json.dumps(decision.records),
        COMPARED: decision.champion or "none",
    }
    for name, value in tags.items():
        client.set_model_version_tag(MODEL_NAME, version, name, value)
    client.update_model_version(MODEL_NAME, version, f"{description}\n\n{decision.markdown}")


@dataclass(frozen=True)
class VersionRow:
    """What a person sees of a registered version. `tags` are MLflow's."""

    version: str
    aliases: tuple[str, ...]
    registered: str
    tags: Mapping[str, str]

    @property
    def rules(self) -> list[dict[str, str]]:
        rows: list[dict[str, str]] = json.loads(self.tags.get(RULES) or "[]")
        return rows


def registered_versions(store: Store) -> list[VersionRow]:
    """Every version of the model, oldest first. Raises FlowmodelError when there is none, or MLflow can't be used."""
    tracking = Tracking.of(store)
    nothing = FlowmodelError(f"MLflow store {tracking.shown_uri}: no model is registered yet; run `make quickstart`")
    try:
        found = versions_of(tracking, MODEL_NAME)
        alias_of = aliases_of(tracking, MODEL_NAME)
    except NotFound:  # no database
        raise nothing from None
    if not found:
        raise nothing
    return [
        VersionRow(
            version=str(v.version),
            aliases=tuple(sorted(alias for alias, number in alias_of.items() if number == str(v.version))),
            registered=time.strftime("%Y-%m-%d %H:%M", time.localtime(v.creation_timestamp / 1000)),
            tags=dict(v.tags),
        )
        for v in reversed(found)
    ]


def set_champion(store: Store, version: str) -> str | None:
    """Make `version` the champion, whatever the gate said; returns the version that it was before.

    That one is marked as rolled back, so that it doesn't become champion again when the pipeline meets the same training.

    Raises:
        FlowmodelError: there is no such version, its checkpoint is gone, or MLflow can't be used.
    """
    tracking, versions = Tracking.of(store), registered_versions(store)
    if version not in {row.version for row in versions}:
        there = ", ".join(row.version for row in versions)
        raise FlowmodelError(f"version '{version}': not in MLflow store {tracking.shown_uri}; there are {there}")
    try:
        checkpoint_of(tracking, find_version(tracking, MODEL_NAME, number=version))
    except NotFound:
        raise FlowmodelError(f"version '{version}': its checkpoint is gone from MLflow; choose another one") from None
    client = tracking.client
    with tracking.errors():
        before = aliases_of(tracking, MODEL_NAME).get(CHAMPION)
        if before == version:
            return before
        client.set_registered_model_alias(MODEL_NAME, CHAMPION, version)
        if ROLLED_BACK in client.get_model_version(MODEL_NAME, version).tags:
            client.delete_model_version_tag(MODEL_NAME, version, ROLLED_BACK)
        if before is not None:
            now = time.strftime("%Y-%m-%d %H:%M")
            client.set_model_version_tag(MODEL_NAME, before, ROLLED_BACK, now)
    return before
