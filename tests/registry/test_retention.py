"""Old versions go; the newest, and each that has an alias, stay."""

import time

from flowmodel.registry.names import MODEL_NAME
from flowmodel.registry.retention import old_versions, registered_in, remove_version
from flowmodel.registry.tracking import Tracking


def test_only_versions_without_an_alias_go_with_their_files(registered, first, second, store):
    for candidate in (first, second):
        registered(candidate)
    client, later = Tracking.of(store).client, time.time() + 60
    client.set_registered_model_alias(MODEL_NAME, "champion", "1")
    client.set_registered_model_alias(MODEL_NAME, "challenger", "2")
    assert old_versions(store, 1, later) == []
    client.delete_registered_model_alias(MODEL_NAME, "challenger")
    client.set_registered_model_alias(MODEL_NAME, "champion", "2")
    assert old_versions(store, 1, 0) == [] and old_versions(store, 2, later) == []
    [old] = old_versions(store, 1, later)
    files = list(store.mlflow_artifacts.rglob("final.safetensors"))
    assert old.version in (1, "1") and [each.version for each in registered_in(store, [old])] == ["2"] and len(files) == 2
    remove_version(store, old)
    assert [each.version for each in registered_in(store)] == ["2"]
    assert len(list(store.mlflow_artifacts.rglob("final.safetensors"))) == 1
    assert client.get_run(old.run_id).info.lifecycle_stage == "active"
