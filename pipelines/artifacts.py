"""What passes from one asset to the next: not the data, but where they lie and the digest that they must have."""

from pathlib import Path

import dagster as dg

from flowmodel.data.dataset import IconDataset
from flowmodel.errors import FlowmodelError
from flowmodel.files import Artifact, read_json, sha256_file, write_json
from flowmodel.store import Store
from pipelines.failures import readable_failures
from pipelines.resources import StoreResource


class ArtifactIOManager(dg.ConfigurableIOManager):
    """Keeps each asset's Artifact as `<store>/artifacts/<asset key>.json`.

    Paths inside the store are kept relative to it, so that a store can be moved. Loading compares the file's digest with the
    recorded one: nothing downstream ever runs on a file that has gone, or was changed behind Dagster's back.
    """

    store: dg.ResourceDependency[StoreResource]

    def handle_output(self, context: dg.OutputContext, obj: Artifact | IconDataset) -> None:
        store = self.store.open()
        path = obj.path.resolve()
        if path.is_relative_to(store.root):
            path = path.relative_to(store.root)
        write_json(_record(store, context.asset_key), {"path": path.as_posix(), "digest": obj.digest})

    @readable_failures()
    def load_input(self, context: dg.InputContext) -> Artifact | IconDataset:
        return load_artifact(self.store.open(), context.asset_key)


def load_artifact(store: Store, key: dg.AssetKey) -> Artifact | IconDataset:
    """What asset `key` gave last; raises FlowmodelError when the file is missing or has another digest."""
    name, record = key.to_user_string(), _record(store, key)
    if not record.exists():
        raise FlowmodelError(f"asset '{name}': never materialised in {store.root}; materialise '{name}' first")
    values = read_json(record)
    artifact = Artifact(store.root / values["path"], values["digest"])
    if not artifact.path.exists():
        raise FlowmodelError(f"{artifact.path}: the file of asset '{name}' is gone; materialise '{name}' again")
    if artifact.path.is_dir():
        return IconDataset.open(artifact.path)  # its digest is checked file by file, when they are read
    if sha256_file(artifact.path) != artifact.digest:
        raise FlowmodelError(f"{artifact.path}: changed since asset '{name}' wrote it; materialise '{name}' again")
    return artifact


def _record(store: Store, key: dg.AssetKey) -> Path:
    return store.root.joinpath("artifacts", *key.path).with_suffix(".json")
