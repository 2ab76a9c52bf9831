"""Stores that earlier releases wrote, copied to another place, are opened by this one."""

import json
import sqlite3
import tarfile
from contextlib import closing
from dataclasses import asdict
from pathlib import Path

import dagster as dg
import pytest
from safetensors.torch import save_file
from typer.testing import CliRunner

from flowmodel.cli import app
from flowmodel.errors import FlowmodelError
from flowmodel.evaluation.report import METRICS_FILE, EvaluationReport
from flowmodel.files import read_json
from flowmodel.inventory import inventory
from flowmodel.model.checkpoint import read_header
from flowmodel.model.generator import Generator
from flowmodel.registry.references import resolve_model
from flowmodel.registry.runs import EVALUATION
from flowmodel.registry.tracking import Tracking
from flowmodel.registry.versions import decided, registered_versions
from flowmodel.store import PROJECT_ROOT, Store
from pipelines.artifacts import load_artifact
from pipelines.home import prepare_home
from pipelines.watching import metadata_of

ARCHIVES = sorted((PROJECT_ROOT / "tests" / "data" / "stores").glob("*.tar.xz"))
CHAMPION = dg.AssetKey("registered_model")


def _unpacked(archive: Path, folder: Path, patch: pytest.MonkeyPatch) -> Store:
    with tarfile.open(archive) as tar:
        tar.extractall(folder, filter="data")
    store = Store((folder / "store").rename(folder / "another place"))
    patch.setenv("FLOWMODEL_STORE", str(store.root))
    # Set, so that what prepare_home sets is undone after the test.
    patch.setenv("DAGSTER_HOME", str(store.root / "dagster"))
    patch.delenv("MLFLOW_TRACKING_URI", raising=False)
    return store


@pytest.mark.parametrize("archive", ARCHIVES, ids=lambda path: path.name.partition(".")[0])
def test_a_store_of_an_earlier_release_that_was_copied_elsewhere_still_opens(archive, tmp_path, monkeypatch):
    store = _unpacked(archive, tmp_path, monkeypatch)

    # The champion, its decision, and what it draws.
    [row] = registered_versions(store)
    assert "champion" in row.aliases and row.tags["recipe"] == "tiny"
    reason, rules = decided(store, row)
    assert "no champion" in reason and rules
    checkpoint = resolve_model(store, None)
    assert checkpoint.path.is_relative_to(store.root) and checkpoint.recipe.name == "tiny"
    [image] = Generator.load(checkpoint, device="cpu").sample(["red heart"])
    assert image.shape == (4, 16, 16)

    # MLflow's run with its artifacts.
    tracking = Tracking.of(store)
    run = tracking.client.get_run(row.run_id)
    assert run.info.status == "FINISHED" and "training/loss" in run.data.metrics and run.data.params["training.steps"] == "6"
    assert tracking.local_path(run.info.artifact_uri).is_relative_to(store.root)
    logged = tracking.fetch(run.info.artifact_uri, f"{EVALUATION}/{METRICS_FILE}", tmp_path)
    report = EvaluationReport.read(logged)
    assert report.settings.training_steps == 6 and any(scores.kid is not None for scores in report.metrics.values())

    # Dagster's history, through the settings of this release.
    assert prepare_home(store) == store.root / "dagster"
    with dg.DagsterInstance.get() as instance:
        [ran] = instance.get_runs()
        assert ran.is_success and len(instance.all_logs(ran.run_id)) > 100
        [latest] = instance.fetch_materializations(CHAMPION, limit=1).records
        assert str(metadata_of(latest)["version"]) == row.version

    # What assets recorded, except caches, which the archive leaves out.
    records = [path.relative_to(store.root / "artifacts") for path in (store.root / "artifacts").rglob("*.json")]
    keys = {dg.AssetKey(list(path.with_suffix("").parts)) for path in records if path.parts[0] != "runs"}
    gone = {key for key in keys if not store.locate(read_json(_record(store, key))["path"]).exists()}
    assert gone <= {dg.AssetKey("caption_probe"), dg.AssetKey("judge")} and len(keys - gone) > 9
    for key in keys - gone:
        try:
            assert load_artifact(store, key).digest
        except FlowmodelError as error:  # a digest that was computed in another way
            assert archive.name < "2026-11-26" and f"materialize '{key.to_user_string()}' again" in str(error)
    assert any(entry.referred_by.startswith("asset") for entry in inventory(store, []))

    # What a person types.
    for command in ("summary", "store", "champion show"):
        shown = CliRunner().invoke(app, command.split(), env={"COLUMNS": "200"})
        assert shown.exit_code == 0, shown.output
        if command == "summary":
            [grid] = [line for line in shown.output.splitlines() if line.startswith("sample grid")]
            assert Path(grid.removeprefix("sample grid").strip()).is_relative_to(store.root)
            assert Path(grid.removeprefix("sample grid").strip()).is_file()


def _record(store: Store, key: dg.AssetKey) -> Path:
    return (store.root / "artifacts").joinpath(*key.path).with_suffix(".json")


def test_the_history_of_an_earlier_dagster_is_migrated_once_and_then_has_the_tables_of_this_one(tmp_path, monkeypatch, capsys):
    """It was written by Dagster 1.5.14 (December 2023), whose tables lack columns that this one needs to list runs."""
    old, new = Store(tmp_path / "old"), Store(tmp_path / "new")
    with tarfile.open(PROJECT_ROOT / "tests" / "data" / "histories" / "dagster-1.5.14.tar.xz") as tar:
        tar.extractall(old.root, filter="data")
    for store in (new, old, old):
        monkeypatch.setenv("DAGSTER_HOME", str(store.root / "dagster"))
        prepare_home(store)
    assert capsys.readouterr().out.count("tables of an earlier Dagster release were migrated") == 1
    for database in ("history/runs.db", "history/runs/index.db", "schedules/schedules.db"):
        before, now = (_columns(store.root / "dagster" / database) for store in (old, new))
        assert {table: before.get(table) for table in now} == now
    with dg.DagsterInstance.get() as instance:
        [ran] = instance.get_runs()
        assert ran.is_success and len(instance.all_logs(ran.run_id)) > 5
        [made] = instance.fetch_materializations(CHAMPION, limit=1).records
        assert metadata_of(made)["version"] == 3
        instance.create_run_for_job(dg.GraphDefinition(name="job").to_job())  # which needs the new columns
        assert len(instance.get_runs()) == 2


def _columns(database: Path) -> dict[str, set[str]]:
    """The columns of each table."""
    with closing(sqlite3.connect(database)) as connection:
        tables = [name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        return {table: {column[1] for column in connection.execute(f"PRAGMA table_info({table})")} for table in tables}


def test_databases_and_checkpoints_of_a_later_release_are_refused_in_one_line(tmp_path, monkeypatch):
    store = _unpacked(ARCHIVES[-1], tmp_path, monkeypatch)
    resolved = resolve_model(store, None).path
    for database in [store.root / "mlflow" / "mlflow.db", *(store.root / "dagster").rglob("*.db")]:
        with closing(sqlite3.connect(database)) as connection, connection:
            connection.execute("UPDATE alembic_version SET version_num = 'ffffffffffff'")
    with pytest.raises(FlowmodelError, match=r"^MLflow store [^\n]*later one's need the later release[^\n]*$"):
        _ = Tracking.of(store).client
    with pytest.raises(FlowmodelError, match=r"^[^\n]*dagster[^\n]*later release[^\n]*$"):
        prepare_home(store)

    header = asdict(read_header(resolved)) | {"palette": "sunset"}
    save_file({}, tmp_path / "later.safetensors", metadata={"flowmodel": json.dumps(header)})
    with pytest.raises(FlowmodelError, match=r"^\S*later\.safetensors: [^\n]*palette[^\n]*later release[^\n]*$"):
        read_header(tmp_path / "later.safetensors")
