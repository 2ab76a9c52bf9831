"""Registering, the champion, and finding models again."""

import copy
import io
import os
import shutil
import sqlite3
import subprocess
import sys
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import mlflow
import pytest
from PIL import Image

from flowmodel.errors import FlowmodelError
from flowmodel.files import sha256_file
from flowmodel.recipes import parse_recipe
from flowmodel.registry.models import record_evaluation, register, resolve_model
from flowmodel.registry.references import aliases_of, checkpoint_of_version
from flowmodel.registry.tracking import connect, sqlite_file
from flowmodel.store import Store
from flowmodel.training.loop import train


@dataclass(frozen=True)
class Candidate:
    checkpoint: Path
    report: dict


@pytest.fixture(scope="session")
def empty_database(tmp_path_factory) -> Path:
    """Making MLflow's tables takes seconds: once is enough."""
    store = Store(tmp_path_factory.mktemp("empty"))
    connect(store)
    return sqlite_file(store)


@pytest.fixture
def store(tmp_path, empty_database, tiny_training) -> Store:
    """With an empty MLflow, and the features of the real icons."""
    store = Store(tmp_path / "store")
    sqlite_file(store).parent.mkdir(parents=True)
    shutil.copy(empty_database, sqlite_file(store))
    with closing(sqlite3.connect(sqlite_file(store))) as database:
        database.execute("UPDATE experiments SET artifact_location = ?", (store.mlflow_artifacts.as_uri(),))
        database.commit()
    shutil.copytree(tiny_training.store.root / "features", store.root / "features")
    return store


@pytest.fixture
def first(tiny_training, tiny_evaluation, tmp_path) -> Candidate:
    return _copied(tiny_training.checkpoint, tmp_path / "first", tiny_evaluation.report)


def _copied(checkpoint: Path, folder: Path, report: dict) -> Candidate:
    folder.mkdir()
    return Candidate(Path(shutil.copy(checkpoint, folder)), report)


@pytest.fixture(scope="session")
def second_checkpoint(tiny_recipe, prepared, tmp_path_factory) -> Path:
    """Another training on the same data."""
    values = tiny_recipe.model_dump(mode="json")
    values["training"]["steps"] = 10
    return train(parse_recipe(values, "test"), prepared.inputs, tmp_path_factory.mktemp("second")).checkpoint.path


@pytest.fixture
def second(second_checkpoint, tiny_evaluation, tmp_path):
    """Makes the second candidate with a KID that is `factor` times the first one's, scored on the same icons."""

    def make(factor: float, **settings: str) -> Candidate:
        report = copy.deepcopy(tiny_evaluation.report)
        report["metrics"]["train"]["kid"] *= factor
        report["settings"] |= {"checkpoint_digest": sha256_file(second_checkpoint), "training_steps": 10} | settings
        return _copied(second_checkpoint, tmp_path / "second", report)

    return make


@pytest.fixture
def registered(store, prepared, tiny_evaluation):
    def run(candidate: Candidate, log=lambda _: None):
        return register(store, candidate.checkpoint, candidate.report, tiny_evaluation.grid, prepared.inputs, log=log)

    return run


def test_the_first_model_is_champion_and_draws_pngs_in_a_fresh_process(registered, first, store, capfd):
    result = registered(first)
    assert (result.name, result.version, result.aliases) == ("flowmodel", 1, ("challenger", "champion"))
    assert result.is_new and result.lines == ("there is no champion yet",)
    assert capfd.readouterr() == ("", "")

    script = (
        "import sys, mlflow; model = mlflow.pyfunc.load_model('models:/flowmodel@champion');"
        "first, again = (model.predict(['red heart']) for _ in range(2));"
        "other = model.predict(['red heart'], params={'seed': 1});"
        "assert isinstance(first, list) and first == again != other;"
        "sys.stdout.buffer.write(first[0])"
    )
    environment = os.environ | {"MLFLOW_TRACKING_URI": store.mlflow_uri, "MLFLOW_DISABLE_TELEMETRY": "true"}
    drawn = subprocess.run([sys.executable, "-c", script], env=environment, cwd=store.root, capture_output=True, check=True)
    with Image.open(io.BytesIO(drawn.stdout)) as picture:
        assert picture.format == "PNG" and picture.mode == "RGBA" and picture.size == (16, 16)
    assert b"WARNING" not in drawn.stderr


def test_the_model_says_what_it_takes_gives_and_needs(registered, first, store):
    registered(first)
    connect(store)
    info = mlflow.models.get_model_info("models:/flowmodel/1")
    assert [str(column.type) for column in info.signature.inputs] == ["DataType.string"]
    assert [str(column.type) for column in info.signature.outputs] == ["DataType.binary"]
    assert {param.name: param.default for param in info.signature.params} == {"seed": 0, "steps": 2, "guidance": 2.0}
    folder = Path(mlflow.artifacts.download_artifacts("models:/flowmodel/1"))
    assert "red heart" in (folder / "input_example.json").read_text()
    requirements = (folder / "requirements.txt").read_text().split()
    assert all("==" in line and "+" not in line for line in requirements) and "flowmodel" not in str(requirements)
    assert mlflow.pyfunc.load_model("models:/flowmodel@champion").predict(["red heart"])[0].startswith(b"\x89PNG")


def test_without_flowmodel_installed_the_model_says_what_is_missing(registered, first, store):
    registered(first)
    hide = "import sys, mlflow; sys.modules['flowmodel'] = None; mlflow.pyfunc.load_model('models:/flowmodel@champion')"
    environment = os.environ | {"MLFLOW_TRACKING_URI": store.mlflow_uri, "MLFLOW_DISABLE_TELEMETRY": "true"}
    failed = subprocess.run([sys.executable, "-c", hide], env=environment, capture_output=True, text=True, check=False)
    assert failed.returncode == 1
    last_line = failed.stderr.strip().splitlines()[-1]
    assert "needs the package 'flowmodel'" in last_line and "pip install" in last_line


def test_run_has_scores_report_recipe_grid_and_checkpoint_also_without_registering(first, store, prepared, tiny_evaluation):
    run = record_evaluation(store, first.checkpoint, first.report, tiny_evaluation.grid, prepared.inputs)
    files = {f.path for folder in ("", "evaluation", "checkpoint") for f in run.client.list_artifacts(run.run_id, folder)}
    assert {"recipe.yaml", "evaluation/metrics.json", "evaluation/sample_grid.png", "checkpoint/final.safetensors"} <= files
    metrics = run.client.get_run(run.run_id).data.metrics
    assert metrics["train/kid"] == first.report["metrics"]["train"]["kid"]
    assert "unseen_concept/top1_of_all" in metrics and "reference/real/train/kid" in metrics
    assert mlflow.artifacts.load_dict(f"runs:/{run.run_id}/evaluation/metrics.json") == first.report
    assert not run.client.search_registered_models()


def test_a_report_of_another_checkpoint_is_refused(registered, first, second):
    with pytest.raises(FlowmodelError, match="of another checkpoint; evaluate this one first"):
        registered(Candidate(second(1.0).checkpoint, first.report))


def test_the_same_checkpoint_keeps_its_version(registered, first, store):
    registered(first)
    again = registered(first)
    assert not again.is_new and again.version == 1 and again.lines == ("it is the champion already",)
    client = connect(store)
    assert len(client.search_model_versions("name = 'flowmodel'")) == 1
    assert len(client.get_metric_history(again.run_id, "train/kid")) == 1


def test_a_better_model_becomes_champion_and_a_worse_one_only_challenger(registered, first, second, store):
    registered(first)
    better = registered(second(0.5))
    assert better.version == 2 and better.aliases == ("challenger", "champion") and "is lower than" in better.lines[0]
    worse = registered(first)  # the old one, once more
    assert worse.version == 1 and worse.aliases == ("challenger",) and "not lower than" in worse.lines[0]
    assert aliases_of(connect(store), "flowmodel") == {"challenger": "1", "champion": "2"}


def test_a_champion_that_was_scored_on_other_icons_is_scored_again(registered, first, second):
    registered(first)
    lines = []
    result = registered(second(1e-6, comparison_digest="other icons"), log=lines.append)
    assert any("scoring it again" in line for line in lines) and result.aliases == ("challenger", "champion")
    # Its KID of now, which is the one of then, as the icons are the same in truth.
    assert result.lines[0].endswith(f"the champion's {first.report['metrics']['trained']['kid']:.4g}")


def test_a_champion_whose_checkpoint_is_gone_is_replaced_and_that_is_said(registered, first, second, store):
    registered(first)
    checkpoint_of_version("flowmodel", "1").unlink()
    with pytest.raises(FlowmodelError, match="models:/flowmodel/1': its checkpoint is gone"):
        resolve_model(store, None)
    result = registered(second(9.0))
    assert result.aliases == ("challenger", "champion") and "version 1, is gone" in result.lines[0]
    renewed = registered(first)
    assert renewed.is_new and renewed.version == 3


def test_references_lead_to_the_checkpoint(registered, first, second, store):
    other = second(9.0)
    registered(first)
    registered(other)
    digests = {1: sha256_file(first.checkpoint), 2: sha256_file(other.checkpoint)}
    for reference, version in {
        None: 1,
        "models:/flowmodel@champion": 1,
        "models:/flowmodel@challenger": 2,
        "models:/flowmodel/1": 1,
        "models:/flowmodel/2": 2,
    }.items():
        assert sha256_file(resolve_model(store, reference)) == digests[version]
    for unknown in ("models:/flowmodel/7", "models:/flowmodel@best", "models:/other@champion"):
        with pytest.raises(FlowmodelError) as caught:
            resolve_model(store, unknown)
        message = str(caught.value)
        assert f"model '{unknown}': not in MLflow store" in message and "\n" not in message
        assert "there are models:/flowmodel/1, models:/flowmodel/2, models:/flowmodel@challenger" in message


def test_paths_need_no_registry(first, tmp_path):
    store = Store(tmp_path / "nothing")
    assert resolve_model(store, str(first.checkpoint)) == first.checkpoint
    for bad, reason in {"nowhere.safetensors": "no such file", "models:/flowmodel": "not a model reference"}.items():
        with pytest.raises(FlowmodelError, match=reason):
            resolve_model(store, bad)
    assert not store.root.exists()


def test_without_any_model_it_says_how_to_get_one(store, tmp_path):
    for empty in (store, Store(tmp_path / "nothing")):
        with pytest.raises(FlowmodelError, match="no model is registered yet; run `make quickstart`"):
            resolve_model(empty, None)
    assert not (tmp_path / "nothing").exists()
