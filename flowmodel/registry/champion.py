"""The aliases `champion` and `challenger`, and people's decisions about them (docs/deployment.md).

Tags of the registered model record the version to which this project last gave each alias. If an alias is on another version, a
person has moved it in the MLflow UI. That decision is reported and not undone.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from mlflow.entities.model_registry import ModelVersion

from flowmodel.errors import FlowmodelError
from flowmodel.registry.names import CHALLENGER, CHAMPION, DECISION, GIVEN, MODEL_NAME, ROLLED_BACK, decision_file, rolled_back_at
from flowmodel.registry.references import checkpoint_of, find_version
from flowmodel.registry.tracking import NotFound, Tracking
from flowmodel.release.decision import Decision
from flowmodel.store import Store


@dataclass(frozen=True)
class Standing:
    """The current aliases, and the version to which this project last gave each of them."""

    aliases: Mapping[str, str]
    given: Mapping[str, str]

    @property
    def champion(self) -> str | None:
        return self.aliases.get(CHAMPION)

    @property
    def notes(self) -> tuple[str, ...]:
        """The changes that a person has made in MLflow since then, one sentence each."""
        return tuple(
            f"somebody moved the alias `{alias}` from version {before} to version {now} in MLflow, which is kept"
            if (now := self.aliases.get(alias))
            else f"somebody removed the alias `{alias}` from version {before} in MLflow, which is kept"
            for alias, before in sorted(self.given.items())
            if self.aliases.get(alias) != before
        )

    def refusal(self, known: ModelVersion | None) -> str:
        """The reason why a person's decision prevents `known` from becoming champion automatically; empty if there is none.

        `known` is the version of the evaluated checkpoint, or None if it has none.

        """
        given = self.given.get(CHAMPION)
        if self.champion is None and given is not None:
            return (
                f"somebody removed the alias `{CHAMPION}` from version {given} in MLflow, so that no version is champion; "
                "`flowmodel champion set` names one"
            )
        if known is None or self.champion == str(known.version):
            return ""
        back = f"`flowmodel champion set {known.version}` brings it back"
        if ROLLED_BACK in known.tags:
            return (
                f"version {known.version} was champion until {known.tags[ROLLED_BACK]}, when somebody chose another one; {back}"
            )
        if given == str(known.version):
            return f"version {known.version} was champion until somebody moved the alias in MLflow; {back}"
        return ""


def standing_of(tracking: Tracking) -> Standing:
    """Read the aliases, without those of deleted versions. Raises FlowmodelError when MLflow can't be used."""
    try:
        with tracking.errors():
            model = tracking.reader.get_registered_model(MODEL_NAME)
    except NotFound:
        return Standing({}, {})
    aliases = {alias: str(version) for alias, version in model.aliases.items()}
    tags = model.tags.items()
    given = {name.removeprefix(GIVEN): version for name, version in tags if name.startswith(GIVEN)}
    return Standing(_there(tracking, aliases), _there(tracking, given))


def _there(tracking: Tracking, versions: Mapping[str, str]) -> dict[str, str]:
    """Drop deleted versions."""
    there = {}
    for alias, number in versions.items():
        try:
            find_version(tracking, MODEL_NAME, number=number)
        except NotFound:
            continue
        there[alias] = number
    return there


def give_alias(tracking: Tracking, alias: str, version: str) -> None:
    """Set `alias` on `version`, and record that. Raises FlowmodelError when MLflow can't be used."""
    with tracking.errors():
        tracking.client.set_registered_model_alias(MODEL_NAME, alias, version)
        tracking.client.set_registered_model_tag(MODEL_NAME, GIVEN + alias, version)


def take_alias(tracking: Tracking, alias: str) -> None:
    with tracking.errors():
        tracking.client.delete_registered_model_alias(MODEL_NAME, alias)
        tracking.client.delete_registered_model_tag(MODEL_NAME, GIVEN + alias)


def accept(tracking: Tracking, standing: Standing) -> None:
    """Record a person's decision, so that a version that lost `champion` does not get it back automatically."""
    before, now = standing.given.get(CHAMPION), standing.champion
    if before is None or now is None or before == now:
        return
    mark_rolled_back(tracking, before)
    with tracking.errors():
        tracking.client.set_registered_model_tag(MODEL_NAME, GIVEN + CHAMPION, now)


def mark_rolled_back(tracking: Tracking, version: str) -> None:
    with tracking.errors():
        tracking.client.set_model_version_tag(MODEL_NAME, version, ROLLED_BACK, rolled_back_at())


def record_decision(tracking: Tracking, version: ModelVersion, decision: Decision, description: str) -> None:
    """Show `decision` on the model version: its outcome as a tag, a table below `description`, and everything as an artifact of
    its run.

    """
    number = str(version.version)
    with tracking.errors():
        tracking.client.log_dict(str(version.run_id), decision.as_json(), decision_file(number))
        tracking.client.set_model_version_tag(MODEL_NAME, number, DECISION, decision.outcome)
        tracking.client.update_model_version(MODEL_NAME, number, f"{description}\n\n{decision.markdown}")


def set_champion_by_mlflow(store: Store, version: str) -> str | None:
    """:func:`flowmodel.registry.choosing.set_champion` of a version that exists, through MLflow's client."""
    tracking = Tracking.of(store)
    chosen = find_version(tracking, MODEL_NAME, number=version)
    try:
        checkpoint_of(tracking, chosen)
    except NotFound:
        raise FlowmodelError(f"version '{version}': its checkpoint is missing in MLflow; choose another one") from None
    standing = standing_of(tracking)
    for before in {standing.champion, standing.given.get(CHAMPION)} - {version, None}:
        mark_rolled_back(tracking, str(before))
    give_alias(tracking, CHAMPION, version)
    if standing.aliases.get(CHALLENGER) == version:
        take_alias(tracking, CHALLENGER)
    if ROLLED_BACK in chosen.tags:
        with tracking.errors():
            tracking.client.delete_model_version_tag(MODEL_NAME, version, ROLLED_BACK)
    return standing.champion
