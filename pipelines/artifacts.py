"""The values passed between assets: paths and digests of files, not the data."""

from pathlib import Path

import dagster as dg

from flowmodel.data.dataset import IconDataset
from flowmodel.errors import FlowmodelError
from flowmodel.files import Artifact, is_of_content, read_json, write_json
from flowmodel.store import Store
from pipelines.failures import readable_failures
from pipelines.resources import StoreResource


class ArtifactIOManager(dg.ConfigurableIOManager):
    """Stores each asset's Artifact as `<store>/artifacts/<asset key>.json`, and those of each run in `artifacts/runs/<run id>`.

    A run reads its own artifacts, whatever other runs produce meanwhile, and the newest artifacts of all other assets. Paths
    inside the store are relative to it, so that a store can be moved. Loading compares the file's digest with the recorded one,
    so that nothing downstream runs on a file that is missing or was changed outside Dagster.
    """

    store: dg.ResourceDependency[StoreResource]

    def handle_output(self, context: dg.OutputContext, obj: Artifact | IconDataset) -> None:
        store = self.store.open()
        record = {"path": store.relative(obj.path), "digest": obj.digest}
        for run_id in {None, _run_id(context)}:
            write_json(_record(store, context.asset_key, run_id), record)

    @readable_failures()
    def load_input(self, context: dg.InputContext) -> Artifact | IconDataset:
        # The run that made it is this one, or the one that this one re-executes; for other assets Dagster has none.
        return load_artifact(self.store.open(), context.asset_key, _run_id(context.upstream_output))


def load_artifact(store: Store, key: dg.AssetKey, run_id: str | None = None) -> Artifact | IconDataset:
    """The artifact of asset `key` from run `run_id`, else the newest; raises FlowmodelError if the file is missing or has
    another digest.
    """
    name, record = key.to_user_string(), _record(store, key, run_id)
    if not record.exists():
        record = _record(store, key)
    if not record.exists():
        raise FlowmodelError(f"asset '{name}': never materialized in {store.root}; materialize '{name}' first")
    values = read_json(record)
    artifact = Artifact(store.locate(values["path"]), values["digest"])
    if not artifact.path.exists():
        raise FlowmodelError(f"{artifact.path}: the file of asset '{name}' is missing; materialize '{name}' again")
    if artifact.path.is_dir():
        return IconDataset.open(artifact.path)  # each file's digest is checked when it is read
    if not is_of_content(artifact.path, artifact.digest):
        raise FlowmodelError(f"{artifact.path}: changed since asset '{name}' wrote it; materialize '{name}' again")
    return artifact


def _record(store: Store, key: dg.AssetKey, run_id: str | None = None) -> Path:
    folder = store.root / "artifacts"
    return (folder / "runs" / run_id if run_id else folder).joinpath(*key.path).with_suffix(".json")


def _run_id(output: dg.OutputContext | None) -> str | None:
    try:
        return output.run_id if output else None
    except dg.DagsterInvariantViolationError:  # no run of this job made it
        return None
