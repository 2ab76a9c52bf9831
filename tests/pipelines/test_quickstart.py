"""The whole pipeline on thirty icons, in process and with real parts, run once and run again."""

import base64
import io
import os
import shutil
import sqlite3
import subprocess
import sys
import time
from collections import Counter
from contextlib import closing
from pathlib import Path

import dagster as dg
import numpy as np
import pytest
from PIL import Image

from flowmodel import files
from flowmodel.evaluation.report import EvaluationReport
from flowmodel.files import write_bytes
from flowmodel.locks import StoreInUse, run_lock
from flowmodel.model.checkpoint import FINISHED
from flowmodel.recipes.split import Split
from flowmodel.registry.versions import registered_versions
from flowmodel.store import PROJECT_ROOT, Store
from pipelines.artifacts import load_artifact
from pipelines.definitions import defs
from pipelines.outbox import Outbox
from pipelines.reporting import MAX_INLINE, image_metadata
from pipelines.resources import StoreResource
from pipelines.retention import expired, remove_expired
from pipelines.settings import Retention, load_settings
from tests.pipelines.conftest import ICONS, address, metadata
from tests.test_no_pickle import is_pickle

ASSETS = {
    "icons/mine",
    "normalized_icons",
    "captions",
    "caption_embeddings",
    "duplicates",
    "splits",
    "icon_dataset",
    "flow_checkpoint",
    "finisher",
    "caption_probe",
    "evaluation",
    "sample_grid",
    "gate_decision",
    "registered_model",
}


@pytest.fixture(scope="module")
def hashed() -> list[str]:
    """Names of the files that the first run has hashed, once for each time."""
    return []


@pytest.fixture(scope="module")
def first(shared_project, hashed):
    shared_project.write_recipe(finisher={"channels": 8, "blocks": 1, "steps": 6, "batch_size": 4})
    digest_of = files._file_digest
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(files, "_file_digest", lambda file: hashed.append(Path(file.name).name) or digest_of(file))
        return shared_project.run()


@pytest.fixture(scope="module")
def first_versions(first, shared_project):
    return shared_project.data_versions()


@pytest.fixture(scope="module")
def again(first_versions, shared_project):
    return shared_project.run()


def test_the_job_makes_everything_and_every_check_passes(first):
    assert first.success
    assert {event.asset_key.to_user_string() for event in first.get_asset_materialization_events()} == ASSETS
    assert all(check.passed for check in first.get_asset_check_evaluations())


def test_data_versions_are_the_digests_of_the_files(first_versions, shared_project):
    for name, version in first_versions.items():
        artifact = load_artifact(shared_project.store, dg.AssetKey.from_user_string(name))
        assert version == artifact.digest, name


def test_the_checkpoint_is_hashed_twice_at_most_and_its_weights_are_logged_once(first, hashed, shared_project):
    checkpoint = load_artifact(shared_project.store, dg.AssetKey("finisher"))
    assert 1 <= hashed.count(checkpoint.path.name) <= 2
    logged = [path for path in shared_project.store.mlflow_artifacts.rglob("*") if path.is_file()]
    assert [path.name for path in logged if path.stat().st_size == checkpoint.path.stat().st_size] == [checkpoint.path.name]


def test_every_asset_says_where_it_lies_and_how_large_it_is(first):
    for asset in ASSETS:
        assert list(metadata(first, asset))[-4:] == ["seconds", "megabytes", "path", "digest"], asset


def test_dagster_gets_numbers_under_the_same_names_in_every_run(first, again):
    def numbers(result, asset: str) -> set[str]:
        return {name for name, value in metadata(result, asset).items() if type(value) in (int, float)}

    plotted = {
        "icons/mine": {"dagster/row_count", "quarantined"},
        "caption_embeddings": {"dagster/row_count", "encoded", "reused"},
        "icon_dataset": {"icons"},
        "evaluation": {"train kid", "train retrieval_top1_source"},
        "registered_model": {"version"},
    }
    for asset in ASSETS:
        expected = plotted.get(asset, set()) | {"seconds", "megabytes"}
        assert expected <= numbers(first, asset) & numbers(again, asset), asset


def test_images_scores_and_links_come_before_tables_and_files(first):
    shown = metadata(first, "evaluation")
    labels = list(shown)
    assert labels[:3] == ["grid", "train kid", "train retrieval_top1_source"]
    assert labels.index("unseen_concept kid") < labels.index("report") < labels.index("metrics") < labels.index("report_file")
    # Dagster shows Markdown of 1000 characters without a click.
    assert "evaluation%2Fsample_grid_preview.png" in shown["grid"] and len(shown["grid"]) < 1000
    assert next(iter(metadata(first, "icons/mine"))) == "preview"
    assert next(iter(metadata(first, "flow_checkpoint"))) == "mlflow_run"


def test_the_ui_gets_counts_and_images(first):
    assert metadata(first, "normalized_icons")["dagster/row_count"] == ICONS
    assert metadata(first, "captions")["dagster/row_count"] == 3 * ICONS
    assert metadata(first, "icon_dataset")["icons"] == ICONS
    for asset, label in (("icons/mine", "preview"), ("normalized_icons", "preview"), ("sample_grid", "grid thumbnail")):
        shown = metadata(first, asset)
        with Image.open(io.BytesIO(base64.b64decode(shown[label].partition("base64,")[2].removesuffix(")")))) as thumbnail:
            assert thumbnail.width > 100, asset
        with Image.open(shown.get(f"{label} file") or shown["path"]) as image:
            assert image.size >= thumbnail.size, asset


def test_the_event_log_keeps_no_image_larger_than_a_thumbnail(first, shared_project):
    for entry in shared_project.instance.all_logs(first.run_id):
        event = entry.dagster_event
        if event is not None and event.is_step_materialization:
            for label, value in event.step_materialization_data.materialization.metadata.items():
                assert len(str(value.value)) <= MAX_INLINE, (event.asset_key, label)


def test_a_large_image_is_shown_smaller_and_all_of_it_lies_in_a_file(tmp_path):
    noise = Image.fromarray(np.random.default_rng(0).integers(0, 256, (900, 1200, 3), dtype=np.uint8))
    shown = image_metadata("noise", noise, tmp_path / "noise.png")
    assert 5_000 < len(shown["noise"].value) <= MAX_INLINE
    with Image.open(shown["noise file"].value) as whole:
        assert np.array_equal(np.asarray(whole), np.asarray(noise))


def test_the_evaluation_shows_its_metrics(first, shared_project):
    report = EvaluationReport.read(load_artifact(shared_project.store, dg.AssetKey("evaluation")).path)
    shown = metadata(first, "evaluation")
    assert shown["train kid"] == pytest.approx(report.metrics[Split.TRAIN].kid, rel=1e-3)
    assert {"train kid", "train retrieval_top1_all", "unseen_concept copy_rate"} <= {
        record.data["metric"] for record in shown["metrics"].records
    }


def test_a_second_run_changes_no_data_version(again, first_versions, shared_project):
    assert again.success
    assert shared_project.data_versions() == first_versions


def test_a_second_run_encodes_and_trains_nothing(first, again):
    # Icons of the same name share a text, and an icon without keywords has one text twice.
    assert metadata(first, "caption_embeddings")["reused"] == 0
    assert metadata(again, "caption_embeddings")["encoded"] == 0
    assert metadata(again, "caption_embeddings")["reused"] == metadata(first, "caption_embeddings")["encoded"] <= 3 * ICONS
    assert metadata(first, "flow_checkpoint")["trained_now"] is True
    assert metadata(again, "flow_checkpoint")["trained_now"] is False
    assert metadata(first, "finisher")["trained_now"] is True and metadata(first, "finisher")["steps"] == 6
    assert metadata(again, "finisher")["trained_now"] is False


def test_a_year_of_daily_runs_adds_less_than_200_megabytes_to_the_history(again, shared_project):
    """A run's own file and its rows in the common one; both go when the run is as old as the settings say."""
    history = Path(shared_project.instance.root_directory) / "history" / "runs"
    own = (history / f"{again.run_id}.db").stat().st_size
    with closing(sqlite3.connect(history / "index.db")) as index:
        [(common,)] = index.execute("SELECT sum(length(event) + 400) FROM event_logs WHERE run_id = ?", (again.run_id,))
    retention = load_settings().retention
    assert retention.enabled and (own + common) * min(365, retention.runs_days) < 180e6  # ticks of sensors take the rest


def test_old_runs_go_but_for_those_of_the_latest_results_and_of_versions(again, first, shared_project):
    instance, store = shared_project.instance, shared_project.store
    older, newer = shared_project.run("ingest"), shared_project.run("ingest")
    after = time.time() + 400 * 86400
    runs = Retention(checkpoints_days=None, downloads_days=None, versions=None)
    assert expired(instance, store, runs, time.time()) == []
    # The latest result of `icons/mine` is that of the newer run, of all else that of the second; the first trained version 1.
    assert [each.words for each in expired(instance, store, runs, after)] == [f"run {older.run_id}"]
    assert instance.has_run(older.run_id)
    with run_lock(store, "0a1b"), pytest.raises(StoreInUse, match="run 0a1b is at work"):
        remove_expired(instance, store, runs, after)
    assert len(remove_expired(instance, store, runs, after)) == 1 and not instance.has_run(older.run_id)
    assert all(instance.has_run(run.run_id) for run in (first, again, newer))

    # Results of kept runs are referred to, and stay as long as the runs; a download that was not used again goes.
    old = write_bytes(store.downloads / "old.json", b"{}")
    everything = Retention(checkpoints_days=30, versions=1, downloads_days=365)
    assert {each.words for each in expired(instance, store, everything, after)} == {
        f"artifacts/runs/{older.run_id}",
        "downloads/old.json",
    }
    assert old.exists() and len(registered_versions(store)) == 1


def test_a_second_run_registers_nothing_new(first, again):
    assert metadata(again, "registered_model")["version"] == metadata(first, "registered_model")["version"]


def test_the_weights_lie_once_in_the_store_under_two_names(again, shared_project):
    weights = list(shared_project.store.root.rglob(FINISHED))
    assert len(weights) == 2 and weights[0].samefile(weights[1])


def test_no_file_in_a_finished_store_is_a_pickle(again, shared_project):
    files = [path for path in shared_project.store.root.rglob("*") if path.is_file()]
    assert any(path.name == FINISHED for path in files)
    assert [path for path in files if is_pickle(path)] == []


def test_what_we_write_into_a_store_does_not_say_where_the_store_lies(again, shared_project):
    store = shared_project.store
    ours = [path for path in store.root.rglob("*") if path.is_file() and path.relative_to(store.root).parts[0] != "mlflow"]
    assert [path for path in ours if str(store.root).encode() in path.read_bytes()] == []


@pytest.mark.timeout(900)
def test_a_store_that_was_cleaned_and_moved_continues(again, shared_project, tmp_path):
    before, hidden = shared_project.store.root, shared_project.store.root.with_name("hidden")
    moved = Store(shutil.copytree(before, tmp_path / "moved"))
    versions = [row.version for row in registered_versions(moved)]
    environment = os.environ | {"FLOWMODEL_STORE": str(moved.root), "DAGSTER_HOME": str(tmp_path), "COLUMNS": "200"}

    def run(*command: str) -> str:
        done = subprocess.run([sys.executable, "-m", *command], env=environment, cwd=PROJECT_ROOT, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout + done.stderr

    before.rename(hidden)
    try:
        assert "asset finisher" in run("flowmodel", "store")
        runs = run("flowmodel", "store", "clean", "--yes").splitlines()[:-1]
        assert runs and all("artifacts/runs/" in line for line in runs)  # all else is the latest of some asset
        log = run("dagster", "job", "execute", "-m", "pipelines.definitions", "-j", "quickstart")
        assert "the finished training is reused" in log and "0 texts encoded" in log
        assert f"sample grid       {moved.root}/sample_grid/tiny-" in run("flowmodel", "summary")
        assert not before.exists() and [row.version for row in registered_versions(moved)] == versions
    finally:
        hidden.rename(before)


def test_a_fresh_training_is_one_even_where_a_finished_one_lies(again, shared_project):
    config = {"ops": {"flow_checkpoint": {"config": {"fresh": True}}}}
    result = shared_project.run(assets=["flow_checkpoint"], config=config)
    assert metadata(result, "flow_checkpoint")["trained_now"] is True


def test_the_log_of_a_training_tells_its_progress(first, shared_project):
    entries = shared_project.instance.all_logs(first.run_id)
    lines = [entry.user_message for entry in entries if entry.step_key == "flow_checkpoint" and not entry.is_dagster_event]
    assert any("trains 20 steps" in line and "16 pixels" in line for line in lines)
    # The link to the run's curves is there before the first step.
    (link,) = (number for number, line in enumerate(lines) if address(metadata(first, "flow_checkpoint")["mlflow_run"]) in line)
    assert link < next(number for number, line in enumerate(lines) if "step " in line and "loss" in line)
    assert any("step 20/20 (100%), loss" in line and "images/s" in line and "left" in line for line in lines)


def test_the_finishers_loss_is_plotted_while_it_trains(first, shared_project):
    observed = shared_project.instance.fetch_observations(dg.AssetKey("finisher"), limit=100).records
    assert {record.run_id for record in observed} == {first.run_id}
    values = [record.asset_observation.metadata for record in reversed(observed)]
    assert [value["step"].value for value in values] == [1, 2, 3, 4, 5, 6] and all(value["loss"].value > 0 for value in values)
    assert values[-1]["loss"].value == pytest.approx(metadata(first, "finisher")["loss"], rel=1e-3)


def test_a_run_of_everything_leaves_the_retraining_condition_content(shared_project, again):
    definitions = defs()
    before = dg.evaluate_automation_conditions(definitions, shared_project.instance)
    (shared_project.icons / "captions.csv").write_text((shared_project.icons / "captions.csv").read_text() + "\n")
    assert shared_project.run().success
    after = dg.evaluate_automation_conditions(definitions, shared_project.instance, cursor=before.cursor)
    assert Counter(before=before.total_requested, after=after.total_requested) == Counter(before=0, after=0)


def test_the_registered_model_draws(first, shared_project):
    import mlflow

    from flowmodel.registry.tracking import Tracking

    with Tracking.of(shared_project.store).as_current():
        (png,) = mlflow.pyfunc.load_model("models:/flowmodel@champion").predict(["red heart"])
    assert png.startswith(b"\x89PNG")


def test_the_mlflow_run_leads_back_to_dagster(first, shared_project):
    from flowmodel.registry.tracking import Tracking

    url = address(metadata(first, "flow_checkpoint")["mlflow_run"])
    assert address(metadata(first, "registered_model")["mlflow_run"]) == url
    run_id = url.rpartition("/")[2].partition("?")[0]
    tags = Tracking.of(shared_project.store).client.get_run(run_id).data.tags
    assert tags["finisher_digest"] == metadata(first, "finisher")["finisher"]
    assert tags["dagster_asset_key"] == "flow_checkpoint" and tags["entry_point"] == "dagster job quickstart"
    assert shared_project.instance.get_run_by_id(tags["dagster_run_id"]) is not None


def test_the_first_champion_is_reported_with_its_samples_and_the_same_one_made_again_is_not(first, again, shared_project):
    sensor = defs().get_repository_def().get_sensor_def("new_champion")
    resources = {"store": StoreResource(root=str(shared_project.store.root))}
    cursor = '{"after": 0, "champion": ""}'  # of a sensor that was on before there was a model
    with dg.build_sensor_context(instance=shared_project.instance, cursor=cursor, resources=resources) as context:
        sensor.evaluate_tick(context)
    (event,) = Outbox.of(shared_project.store).waiting()
    assert event.title == "Version 1 of the model flowmodel is champion" and event.link.endswith(first.run_id)
    assert event.reason and Path(event.grid).is_file()
