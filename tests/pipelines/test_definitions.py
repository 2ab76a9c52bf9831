"""The code location: what is in it, and what it must not do when it is loaded."""

import subprocess
import sys

import dagster as dg
import pytest
import yaml

from flowmodel.store import PROJECT_ROOT
from pipelines.definitions import defs

ASSETS_BY_GROUP = {
    "ingest": {"icons/noto"},
    "prepare": {"normalized_icons", "rgba_tensors", "captions", "caption_embeddings", "duplicates", "splits", "icon_dataset"},
    "train": {"flow_checkpoint"},
    "evaluate": {"judge", "evaluation", "sample_grid"},
    "release": {"registered_model"},
    "compare": {"architecture_comparison"},
}


@pytest.fixture(scope="module")
def graph():
    return defs().resolve_asset_graph()


def test_every_asset_lies_in_its_group(graph):
    groups = {}
    for key in graph.get_all_asset_keys():
        groups.setdefault(graph.get(key).group_name, set()).add(key.to_user_string())
    assert groups == ASSETS_BY_GROUP


def test_every_asset_says_what_it_is(graph):
    for key in graph.get_all_asset_keys():
        node = graph.get(key)
        assert node.description, key
        assert any(tag.startswith("dagster/kind/") for tag in node.tags), key


def test_tables_pictures_and_the_gate_are_blocking_checks(graph):
    checks = {f"{key.asset_key.to_user_string()}:{key.name}" for key in graph.asset_check_keys}
    assert checks == {
        "icons/noto:schema",
        "icons/noto:decodes",
        "normalized_icons:schema",
        "normalized_icons:decodes",
        "captions:schema",
        "caption_embeddings:schema",
        "caption_embeddings:finite_and_complete",
        "duplicates:schema",
        "splits:schema",
        "splits:no_leak",
        "evaluation:beats_champion",
        "registered_model:is_champion",
    }
    assert all(graph.get(key).blocking for key in graph.asset_check_keys)


def test_both_jobs_make_everything_but_the_comparison(graph):
    location = defs()
    for name in ("quickstart", "retrain"):
        job = location.resolve_job_def(name)
        made = job.asset_layer.executable_asset_keys
        assert made == graph.get_all_asset_keys() - {dg.AssetKey("architecture_comparison")}


@pytest.mark.parametrize(("job", "recipe"), [("retrain", "laptop"), ("compare_architectures", "from_scratch")])
def test_a_job_with_a_recipe_of_its_own_names_it(job, recipe):
    assert defs().resolve_job_def(job).run_config["resources"]["recipe"]["config"]["name"] == recipe


def test_the_comparison_has_a_job_of_its_own_that_registers_nothing(graph):
    made = defs().resolve_job_def("compare_architectures").asset_layer.executable_asset_keys
    wanted = ASSETS_BY_GROUP["ingest"] | ASSETS_BY_GROUP["prepare"] | ASSETS_BY_GROUP["compare"]
    assert {key.to_user_string() for key in made} == wanted
    assert graph.get(dg.AssetKey("architecture_comparison")).automation_condition is None


def test_the_gate_comes_before_the_registry(graph):
    (check,) = (key for key in graph.asset_check_keys if key.name == "beats_champion")
    assert graph.get(check).blocking and check.asset_key in graph.get(dg.AssetKey("registered_model")).parent_keys


def test_nothing_starts_by_itself():
    repository = defs().get_repository_def()
    (schedule,) = repository.schedule_defs
    assert (schedule.job_name, schedule.cron_schedule) == ("retrain", "0 3 * * 0")
    assert schedule.default_status is dg.DefaultScheduleStatus.STOPPED
    names = {sensor.name for sensor in repository.sensor_defs}  # the first evaluates automation conditions
    assert names == {"default_automation_condition_sensor", "new_upstream"}
    assert {sensor.default_status for sensor in repository.sensor_defs} == {dg.DefaultSensorStatus.STOPPED}


def test_the_ingest_job_reads_every_source_and_nothing_else(graph):
    assert {key.to_user_string() for key in defs().resolve_job_def("ingest").asset_layer.executable_asset_keys} == {"icons/noto"}


@pytest.mark.parametrize("asset", ["flow_checkpoint", "architecture_comparison"])
def test_training_takes_the_accelerator_pool(asset):
    (training,) = [a for a in defs().assets if dg.AssetKey(asset) in a.keys]
    assert training.op.pool == "accelerator"


def test_loading_imports_neither_mlflow_nor_the_text_encoder():
    """Every run, sensor tick and code server loads the location; what takes seconds to import waits until it is needed."""
    heavy = {"mlflow", "open_clip", "transformers"}
    code = f"import sys; from pipelines.definitions import defs; defs(); print(*{heavy} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], cwd=PROJECT_ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""


def test_the_instance_settings_are_accepted(tmp_path):
    (tmp_path / "dagster.yaml").write_bytes((PROJECT_ROOT / "dagster.yaml").read_bytes())
    with dg.DagsterInstance.from_config(str(tmp_path)) as instance:
        assert not instance.telemetry_enabled
        assert instance.run_monitoring_enabled and instance.run_retries_enabled
        pools = instance.get_concurrency_config().pool_config
        assert (pools.default_pool_limit, pools.pool_granularity.value) == (1, "run")


def test_a_source_is_a_yaml_entry(tmp_path, monkeypatch):
    entries = [{"name": name, "kind": "folder", "path": str(tmp_path)} for name in ("one", "two-3_d")]
    (tmp_path / "sources.yaml").write_text(yaml.safe_dump({"sources": entries}))
    monkeypatch.setenv("FLOWMODEL_SOURCES", str(tmp_path / "sources.yaml"))
    graph = defs().resolve_asset_graph()
    wanted = {dg.AssetKey(["icons", "one"]), dg.AssetKey(["icons", "two-3_d"])}
    assert graph.get(dg.AssetKey("normalized_icons")).parent_keys == wanted
