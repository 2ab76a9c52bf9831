"""A separate project for each group of tests: thirty icons in a folder source, a recipe that trains in a second, a store."""

import csv
import os
import re
import shutil
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import dagster as dg
import pytest
import yaml

from flowmodel.files import read_json
from flowmodel.store import PROJECT_ROOT, Store
from flowmodel.tables import read_ok_icons
from pipelines.definitions import defs
from tests.conftest import use_caches
from tests.pipelines.nursery import Nursery, nursery

ICONS = 30

RECIPE = {
    "name": "tiny",
    "data": {"size": 16, "split": {"validation": 0.1, "unseen_concept": 0.2}},
    "network": {
        "patch_size": 2,
        "channels": [16],
        "blocks_per_level": 1,
        "attention_levels": 1,
        "head_dim": 8,
        "embedding_dim": 32,
    },
    "training": {"steps": 20, "batch_size": 8, "warmup_steps": 5, "log_every": 5, "sample_every": 20, "checkpoint_every": 5},
    "sampling": {"steps": 2},
    "evaluation": {"max_icons": 16, "seeds": [1234, 1235], "sweep_icons": 0, "traced_icons": 2},
}


@dataclass(frozen=True)
class Project:
    """Icons, recipe and store of one group of tests, and the ways to run the pipeline on them."""

    root: Path
    instance: dg.DagsterInstance

    @property
    def icons(self) -> Path:
        return self.root / "icons"

    @property
    def store(self) -> Store:
        return Store(self.root / "store")

    def write_recipe(self, **sections: dict) -> None:
        """The recipe of the deployment, with other fields in these sections."""
        self.write_recipe_as("recipe", **sections)

    def write_recipe_as(self, name: str, **sections: dict) -> Path:
        recipe = {key: value | sections.get(key, {}) if isinstance(value, dict) else value for key, value in RECIPE.items()}
        recipe |= {key: section for key, section in sections.items() if key not in RECIPE}
        path = self.root / f"{name}.yaml"
        path.write_text(yaml.safe_dump(recipe))
        return path

    def run(
        self, job: str = "quickstart", assets: list[str] | None = None, config: dict | None = None
    ) -> dg.ExecuteInProcessResult:
        return (
            defs()
            .resolve_job_def(job)
            .execute_in_process(
                instance=self.instance,
                raise_on_error=False,
                run_config=config,
                asset_selection=assets and [dg.AssetKey.from_user_string(asset) for asset in assets],
            )
        )

    def data_versions(self) -> dict[str, str]:
        """Latest data version of every asset that was ever materialized."""
        records = self.instance.get_asset_records(self.instance.all_asset_keys())
        latest = (record.asset_entry.last_materialization.asset_materialization for record in records)
        return {event.asset_key.to_user_string(): event.tags["dagster/data_version"] for event in latest}


def failure_line(result: dg.ExecuteInProcessResult, step: str) -> str:
    """The message of the failed step `step`."""
    (event,) = [event for event in result.get_step_failure_events() if event.step_key == step]
    assert event.step_failure_data.user_failure_data is not None, event.step_failure_data.error_display_string
    return event.step_failure_data.user_failure_data.description


def metadata(result: dg.ExecuteInProcessResult, asset: str) -> dict:
    (event,) = [e for e in result.get_asset_materialization_events() if e.asset_key.to_user_string() == asset]
    return {label: value.value for label, value in event.materialization.metadata.items()}


def address(markdown: str) -> str:
    """The target of a link in metadata."""
    (found,) = re.findall(r"\]\((http[^)]+)\)", markdown)
    return found


def write_icons(folder: Path, count: int = ICONS) -> None:
    """A folder source of `count` of the bundled icons."""
    folder.mkdir(parents=True)
    icons = read_ok_icons(PROJECT_ROOT / "data" / "bundled" / "noto.parquet", ["key", "name", "keywords", "png"])
    with (folder / "captions.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["file", "name", "keywords"])
        for icon in icons.iloc[:: len(icons) // count].head(count).itertuples():
            (folder / f"{icon.key}.png").write_bytes(icon.png)
            writer.writerow([f"{icon.key}.png", icon.name, ";".join(icon.keywords)])


@pytest.fixture
def late_tail(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The `tail` that copies what Dagster captures is so slow that Dagster kills it before it has copied anything."""
    folder = tmp_path / "bin"
    folder.mkdir()
    (folder / "tail").write_text("#!/bin/sh\nexec sleep 60\n")
    (folder / "tail").chmod(0o755)
    monkeypatch.setenv("PATH", str(folder), prepend=os.pathsep)


Prepare = Callable[[Store], None]


@pytest.fixture(scope="session")
def prepare_store(caches: Path, empty_database: Path) -> Prepare:
    """Give a new store the caches of this session and MLflow's tables, so that its first run takes seconds less."""

    def prepare(store: Store) -> None:
        use_caches(store, caches)
        (store.root / "mlflow").mkdir()
        shutil.copy(empty_database, store.root / "mlflow")

    return prepare


def make_project(root: Path, patch: pytest.MonkeyPatch, instance: dg.DagsterInstance, prepare: Prepare) -> Project:
    project = Project(root, instance)
    prepare(project.store)
    write_icons(project.icons)
    project.write_recipe()
    sources = {
        "sources": [{"name": "mine", "kind": "folder", "path": str(project.icons), "license": "CC0-1.0", "origin": "tests"}]
    }
    (root / "sources.yaml").write_text(yaml.safe_dump(sources))
    patch.setenv("FLOWMODEL_STORE", str(project.store.root))
    patch.setenv("FLOWMODEL_SOURCES", str(root / "sources.yaml"))
    patch.setenv("FLOWMODEL_RECIPE", str(root / "recipe.yaml"))
    patch.setenv("FLOWMODEL_TRAINER", "none")  # a process for each training takes seconds; tests of that process unset it
    patch.delenv("MLFLOW_TRACKING_URI", raising=False)
    return project


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, prepare_store: Prepare) -> Iterator[Project]:
    with dg.instance_for_test() as instance:
        yield make_project(tmp_path, monkeypatch, instance, prepare_store)


@pytest.fixture(scope="module")
def shared_project(tmp_path_factory: pytest.TempPathFactory, prepare_store: Prepare) -> Iterator[Project]:
    with pytest.MonkeyPatch.context() as patch, dg.instance_for_test() as instance:
        yield make_project(tmp_path_factory.mktemp("project"), patch, instance, prepare_store)


@pytest.fixture(scope="session")
def shared_nursery() -> Iterator[Nursery]:
    with nursery() as started:
        yield started


@pytest.fixture
def hatched(project: Project, shared_nursery: Nursery) -> Nursery:
    """The project with a finisher, and the nursery that runs its job."""
    project.write_recipe(finisher={"channels": 8, "blocks": 1, "steps": 6, "batch_size": 4})
    return shared_nursery


def digests(store: Store) -> dict[str, str]:
    """The latest results of assets; that of the registered model names MLflow's run."""
    records = {path.stem: read_json(path)["digest"] for path in (store.root / "artifacts").glob("**/*.json")}
    return {name: digest for name, digest in records.items() if name != "registered_model"}


def require_whole(store: Store, undisturbed: dict[str, str]) -> None:
    """One model, one MLflow run, no run in progress, and the digests of an undisturbed run."""
    assert digests(store) == undisturbed

    def mlflow(query: str) -> list[tuple]:
        with closing(sqlite3.connect(store.root / "mlflow" / "mlflow.db")) as connection:
            return connection.execute(query).fetchall()

    assert mlflow("SELECT version FROM model_versions") == [(1,)]
    assert mlflow("SELECT alias, version FROM registered_model_aliases") == [("champion", 1)]
    assert mlflow("SELECT status FROM runs") == [("FINISHED",)]
    with dg.DagsterInstance.from_config(str(store.root / "dagster")) as instance:
        assert all(run.is_finished for run in instance.get_runs())
    assert not list((store.root / "runs").glob("*"))
