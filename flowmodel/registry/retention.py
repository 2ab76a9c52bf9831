"""Which registered versions the store needs, and the removal of old ones."""

import shutil
from typing import TYPE_CHECKING

from flowmodel.inventory import Registered
from flowmodel.registry.names import MODEL_NAME
from flowmodel.registry.references import CHECKPOINT_DIGEST, model_tags_of, versions_of
from flowmodel.store import Store

if TYPE_CHECKING:
    from mlflow.entities.model_registry import ModelVersion


def registered_in(store: Store, but: "list[ModelVersion] | None" = None) -> list[Registered]:
    """The registered versions in the MLflow of `store`, except those in `but`.

    Raises FlowmodelError when MLflow can't be used, because the needs of the versions are unknown then.
    """
    from flowmodel.registry.tracking import NotFound, Tracking

    left_out = {version.version for version in but or []}
    try:
        tracking = Tracking.of(store)
        versions = [version for version in versions_of(tracking, MODEL_NAME) if version.version not in left_out]
    except NotFound:  # no database
        return []
    tags = {str(version.version): model_tags_of(tracking, version) for version in versions}
    return [Registered(version, of[CHECKPOINT_DIGEST], of["dataset_digest"]) for version, of in tags.items()]


def old_versions(store: Store, keep: int, before: float) -> "list[ModelVersion]":
    """The versions beyond the newest `keep` that have no alias and were registered before `before` (seconds since 1970).

    Raises FlowmodelError when MLflow can't be used.
    """
    from flowmodel.registry.tracking import NotFound, Tracking

    try:
        tracking = Tracking.of(store)
        versions = versions_of(tracking, MODEL_NAME)
        with tracking.errors():
            aliases = tracking.reader.get_registered_model(MODEL_NAME).aliases
    except NotFound:  # no database, or no model
        return []
    named = {str(version) for version in aliases.values()}
    older = sorted(versions, key=lambda version: int(version.version), reverse=True)[keep:]
    return [each for each in older if str(each.version) not in named and each.creation_timestamp / 1000 < before]


def dagster_runs_of_versions(store: Store, but: "list[ModelVersion]") -> set[str]:
    """The Dagster runs that trained the registered versions, except those in `but`."""
    from flowmodel.registry.tracking import NotFound, Tracking

    left_out = {version.version for version in but}
    try:
        tracking = Tracking.of(store)
        kept = [version for version in versions_of(tracking, MODEL_NAME) if version.version not in left_out and version.run_id]
        with tracking.errors():
            tags = [tracking.reader.get_run(str(version.run_id)).data.tags for version in kept]
    except NotFound:
        return set()
    return {of["dagster_run_id"] for of in tags if "dagster_run_id" in of}


def remove_version(store: Store, version: "ModelVersion") -> None:
    """Remove a version with its logged model; the run stays. `mlflow gc` removes files that are not on this machine."""
    from flowmodel.registry.tracking import Tracking

    tracking = Tracking.of(store)
    with tracking.errors():
        tracking.client.delete_model_version(MODEL_NAME, str(version.version))
        if not str(version.source).startswith("models:/"):
            return
        logged = tracking.client.get_logged_model(str(version.source).removeprefix("models:/"))
        files = tracking.local_path(logged.artifact_location)
        tracking.client.delete_logged_model(logged.model_id)
    if files is not None:
        shutil.rmtree(files, ignore_errors=True)
