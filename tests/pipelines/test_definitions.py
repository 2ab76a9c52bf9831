"""The code location: its contents, and restrictions on loading it."""

import re
import subprocess
import sys

import dagster as dg
import pyarrow as pa
import pytest
import yaml

import flowmodel
from flowmodel.files import Artifact, write_parquet
from flowmodel.store import PROJECT_ROOT
from flowmodel.tables import CAPTIONS
from pipelines.contracts import contracts, schema_check
from pipelines.definitions import OWNERS, defs
from pipelines.resources import RecipeResource

ASSETS_BY_GROUP = {
    "1_ingest": {"icons/noto"},
    "2_prepare": {"normalized_icons", "captions", "caption_embeddings", "duplicates", "splits", "icon_dataset"},
    "3_train": {"flow_checkpoint", "finisher"},
    "4_evaluate": {"caption_probe", "evaluation", "sample_grid"},
    "5_release": {"gate_decision", "registered_model"},
    "6_compare": {"architecture_comparison"},
    "7_complete": {"completed_icon_set"},
}

COMPARISON, COMPLETION = dg.AssetKey("architecture_comparison"), dg.AssetKey("completed_icon_set")


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


def test_every_asset_has_an_owner_and_the_release_that_makes_it(graph):
    for key in graph.get_all_asset_keys():
        node = graph.get(key)
        assert node.owners == OWNERS and node.code_version == flowmodel.__version__, key


def test_every_parquet_file_is_a_table_of_the_contract_with_its_columns_and_its_check(graph):
    tables = {key for key in graph.get_all_asset_keys() if "dagster/kind/parquet" in graph.get(key).tags} - {
        dg.AssetKey("icon_dataset")  # a folder of such files
    }
    assert tables == set(contracts())
    for key, contract in contracts().items():
        shown = graph.get(key).metadata["dagster/column_schema"].schema.columns
        assert {column.name: column.description for column in shown} == {
            name: column.description for name, column in contract.columns.items()
        }
        assert dg.AssetCheckKey(key, "schema") in graph.asset_check_keys


@pytest.mark.parametrize(
    ("damage", "says"),
    [
        (lambda rows: rows.drop_columns(["text"]), r"missing or unknown: text"),
        (lambda rows: pa.concat_tables([rows, rows]), r"column 'caption_id' breaks the contract"),
        (lambda rows: rows.set_column(2, "text", pa.array([""] * len(rows))), r"column 'text' breaks the contract"),
    ],
)
def test_a_table_that_breaks_the_contract_fails_its_check_in_one_line(tmp_path, damage, says):
    path, key = tmp_path / "captions.parquet", dg.AssetKey("captions")
    rows = CAPTIONS.build([("noto/1f600#name", "noto/1f600", "grinning face", "name", "en")], where=path)
    check = schema_check(key, CAPTIONS)
    assert check(Artifact.of(write_parquet(path, rows))).passed
    failed = check(Artifact.of(write_parquet(path, damage(rows))))
    assert not failed.passed and re.search(says, failed.description) and "\n" not in failed.description


def test_tables_images_and_the_gate_are_blocking_checks(graph):
    checks = {f"{key.asset_key.to_user_string()}:{key.name}" for key in graph.asset_check_keys}
    assert checks == {
        "icons/noto:schema",
        "icons/noto:decodes",
        "normalized_icons:schema",
        "normalized_icons:decodes",
        "captions:schema",
        "caption_embeddings:schema",
        "caption_embeddings:finite_and_complete",
        "caption_embeddings:distinguishable",
        "duplicates:schema",
        "splits:schema",
        "splits:no_leak",
        "gate_decision:meets_thresholds",
        "gate_decision:not_worse_than_champion",
    }
    # A model that isn't shown to be as good as the champion is registered as challenger.
    other = {key.name for key in graph.asset_check_keys if not graph.get(key).blocking}
    assert other == {"not_worse_than_champion", "distinguishable"}


def test_materialize_all_and_both_jobs_make_a_generator_and_nothing_else(graph):
    location = defs()
    everything = {dg.AssetKey.from_user_string(key) for keys in ASSETS_BY_GROUP.values() for key in keys}
    jobs = [location.resolve_implicit_global_asset_job_def(), *map(location.resolve_job_def, ("quickstart", "retrain"))]
    for job in jobs:
        assert job.asset_layer.executable_asset_keys == everything - {COMPARISON, COMPLETION}, job.name
    # The button omits assets that are not materializable.
    assert {key for key in everything if not graph.get(key).is_materializable} == {COMPARISON, COMPLETION}


def test_every_way_to_a_generator_trains_the_recipe_of_the_deployment(monkeypatch):
    monkeypatch.setenv("FLOWMODEL_RECIPE", "laptop")
    location = defs()
    assert RecipeResource().load().name == "laptop"
    for job in location.resolve_all_job_defs():
        named = (job.run_config or {}).get("resources", {}).get("recipe", {}).get("config", {}).get("name")
        expected = {
            "compare_architectures": "from_scratch",
            "complete_icon_set": "finetune",
            "quickstart": "laptop",
            "retrain": "laptop",
        }
        assert named == expected.get(job.name), job.name


@pytest.mark.parametrize("name", ["quickstart", "retrain"])
def test_the_launchpad_begins_with_what_a_person_may_change(name, monkeypatch):
    monkeypatch.setenv("FLOWMODEL_RECIPE", "/recipes/mine.yaml")
    job = defs().resolve_job_def(name)
    prefilled = {"name": "/recipes/mine.yaml", "overrides": []}
    assert dict(job.run_config)["resources"] == {"recipe": {"config": prefilled}}
    assert dg.validate_run_config(job, job.run_config)["resources"]["recipe"]["config"] == prefilled


def test_the_comparison_has_a_job_of_its_own_that_makes_no_asset_of_the_deployment(graph):
    assert not defs().resolve_job_def("compare_architectures").asset_layer.executable_asset_keys
    assert graph.get(COMPARISON).automation_condition is None and not graph.get(COMPARISON).parent_keys


def test_the_caption_probe_is_an_input_of_the_evaluation():
    (evaluation,) = [a for a in defs().assets if isinstance(a, dg.AssetsDefinition) and dg.AssetKey("evaluation") in a.keys]
    assert evaluation.keys_by_input_name["caption_probe"] == dg.AssetKey("caption_probe")
    assert not evaluation.op.input_dict["caption_probe"].dagster_type.is_nothing


def test_the_gate_comes_before_the_registry(graph):
    (check,) = (key for key in graph.asset_check_keys if key.name == "meets_thresholds")
    assert graph.get(check).blocking and check.asset_key in graph.get(dg.AssetKey("registered_model")).parent_keys


def test_no_job_starts_by_itself():
    repository = defs().get_repository_def()
    times = {schedule.job_name: schedule.cron_schedule for schedule in repository.schedule_defs}
    assert times == {"retrain": "0 3 * * 0", "ingest": "0 2 * * *"}
    assert {schedule.default_status for schedule in repository.schedule_defs} == {dg.DefaultScheduleStatus.STOPPED}
    names = {sensor.name for sensor in repository.sensor_defs}  # the first evaluates automation conditions
    watching = {"new_upstream", "run_failed", "new_champion", "nothing_fresh", "notifications"}
    housekeeping = {"dead_runs", "retention"}
    assert names == {"default_automation_condition_sensor"} | watching | housekeeping
    running = {sensor.name for sensor in repository.sensor_defs if sensor.default_status is dg.DefaultSensorStatus.RUNNING}
    assert running == housekeeping


def test_the_ingest_job_reads_every_source_and_nothing_else(graph):
    assert {key.to_user_string() for key in defs().resolve_job_def("ingest").asset_layer.executable_asset_keys} == {"icons/noto"}


def test_training_takes_the_accelerator_pool():
    keys = {dg.AssetKey("flow_checkpoint"), dg.AssetKey("finisher")}
    training, finishing = [a for a in defs().assets if isinstance(a, dg.AssetsDefinition) and a.keys & keys]
    (comparison,) = defs().resolve_job_def("compare_architectures").graph.node_defs
    (completion,) = defs().resolve_job_def("complete_icon_set").graph.node_defs
    assert training.op.pool == finishing.op.pool == comparison.pool == completion.pool == "accelerator"


def test_loading_imports_neither_mlflow_nor_the_text_encoder():
    """Every run, sensor tick and code server loads the location, so slow imports are deferred."""
    heavy = {"mlflow", "open_clip", "transformers"}
    code = f"import sys; from pipelines.definitions import defs; defs(); print(*{heavy} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], cwd=PROJECT_ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""


def test_loading_warns_of_nothing():
    code = "from pipelines.definitions import defs; defs()"
    done = subprocess.run([sys.executable, "-c", code], cwd=PROJECT_ROOT, capture_output=True, text=True, check=True)
    assert done.stderr == ""


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
