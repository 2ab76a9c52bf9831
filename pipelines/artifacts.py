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
    """Keeps each asset's Artifact as `<store>/artifacts/<asset key>.json`, and in `artifacts/runs/<run id>` what each run made.

    What a run has made itself it also reads, whatever another run makes meanwhile; of all else it reads what was made last. Paths
    inside the store are kept relative to it, so that a store can be moved. Loading compares the file's digest with the recorded
    one: nothing downstream ever runs on a file that has gone, or was changed behind Dagster's back.
    """

    store: dg.ResourceDependency[StoreResource]

    def handle_output(self, context: dg.OutputContext, obj: Artifact | IconDataset) -> None:
        store = self.store.open()
        record = {"path": store.relative(obj.path), "digest": obj.digest}
        for run_id in {None, _run_id(context)}:
            write_json(_record(store, context.asset_key, run_id), record)

    @readable_failures()
    def load_input(self, context: dg.InputContext) -> Artifact | IconDataset:
        # The run that made it is this one, or the one that this one continues; of an asset outside of both Dagster knows none.
        return load_artifact(self.store.open(), context.asset_key, _run_id(context.upstream_output))


def load_artifact(store: Store, key: dg.AssetKey, run_id: str | None = None) -> Artifact | IconDataset:
    """What run `run_id` made of asset `key`, else what was made of it last; raises FlowmodelError when the file is missing or has
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
        raise FlowmodelError(f"{artifact.path}: the file of asset '{name}' is gone; materialize '{name}' again")
    if artifact.path.is_dir():
        return IconDataset.open(artifact.path)  # its digest is checked file by file, when they are read
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
