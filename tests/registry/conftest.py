"""Every store here has an MLflow of its own. A registry needs checkpoints that differ: two tiny trainings on the same data."""

import shutil
from dataclasses import dataclass
from pathlib import Path

import pytest

from flowmodel.evaluation.report import EvaluationReport
from flowmodel.model.checkpoint import Checkpoint
from flowmodel.recipes import parse_recipe
from flowmodel.recipes.schema import GateConfig
from flowmodel.registry.models import Registered, register
from flowmodel.registry.tracking import Tracking
from flowmodel.store import Store
from flowmodel.training.loop import train
from tests.reports import changed


@pytest.fixture(scope="package", autouse=True)
def _no_other_mlflow():
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("MLFLOW_TRACKING_URI", raising=False)
        yield


# Thirty steps keep no threshold.
FREE = GateConfig(waived={"max_copy_ratio": "this recipe is meant to memorise its 200 icons"})


@dataclass(frozen=True)
class Candidate:
    checkpoint: Checkpoint
    report: EvaluationReport


@pytest.fixture(scope="session")
def empty_database(tmp_path_factory) -> Path:
    """Making MLflow's tables takes seconds: once is enough."""
    store = Store(tmp_path_factory.mktemp("empty"))
    tracking = Tracking.of(store)
    _ = tracking.experiment_id
    return tracking.database


@pytest.fixture
def store(tmp_path, empty_database, tiny_training) -> Store:
    """With an empty MLflow, and the features of the real icons."""
    store = Store(tmp_path / "store")
    database = Tracking.of(store).database
    database.parent.mkdir(parents=True)
    shutil.copy(empty_database, database)
    shutil.copytree(tiny_training.store.root / "features", store.root / "features")
    return store


@pytest.fixture
def first(tiny_training, tiny_evaluation, tmp_path) -> Candidate:
    return _copied(tiny_training.checkpoint, tmp_path / "first", tiny_evaluation.report)


def _copied(checkpoint: Checkpoint, folder: Path, report: EvaluationReport) -> Candidate:
    folder.mkdir()
    return Candidate(Checkpoint.open(Path(shutil.copy(checkpoint.path, folder))), report)


@pytest.fixture(scope="session")
def second_checkpoint(tiny_recipe, prepared, tmp_path_factory) -> Checkpoint:
    """Another training on the same data."""
    values = tiny_recipe.model_dump(mode="json")
    values["training"]["steps"] = 10
    return train(parse_recipe(values, "test"), prepared.dataset, tmp_path_factory.mktemp("second")).checkpoint


@pytest.fixture
def second(second_checkpoint, tiny_evaluation, tmp_path):
    """Makes the second candidate with KIDs that are `factor` times the first one's, scored on the same icons."""

    def make(factor: float, **settings: str) -> Candidate:
        report = tiny_evaluation.report
        changes = {f"settings.{name}": value for name, value in settings.items()}
        changes |= {"settings.checkpoint_digest": second_checkpoint.digest, "settings.training_steps": 10}
        for split, scores in report.metrics.items():
            changes |= {f"metrics.{split}.{name}": scores.get(name) * factor for name in ("kid", "kid_low", "kid_high")}
        return _copied(second_checkpoint, tmp_path / "second", changed(report, changes))

    return make


@pytest.fixture
def registered(store, prepared, tiny_evaluation):
    def run(candidate: Candidate, gate: GateConfig = FREE) -> Registered:
        return register(store, candidate.checkpoint, candidate.report, tiny_evaluation.grid, prepared.dataset, gate)

    return run
