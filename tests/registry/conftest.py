"""Every store here has its own MLflow. A registry needs different checkpoints: two tiny trainings on the same data."""

import shutil
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
import torch

from flowmodel.evaluation.report import EvaluationReport
from flowmodel.files import sha256_json
from flowmodel.model.checkpoint import FINAL, Checkpoint, save_checkpoint
from flowmodel.registry.deciding import decide_on
from flowmodel.registry.models import RecordedModel, record_evaluation
from flowmodel.registry.releasing import Registered, register
from flowmodel.registry.tracking import Tracking
from flowmodel.release.decision import Decision
from flowmodel.store import Store
from tests.conftest import TinyEvaluation, use_caches
from tests.reports import changed


@pytest.fixture(scope="package", autouse=True)
def _no_other_mlflow():
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("MLFLOW_TRACKING_URI", raising=False)
        yield


@dataclass(frozen=True)
class Candidate:
    checkpoint: Checkpoint
    report: EvaluationReport
    grid: Path
    report_digest: str


def candidate_of(checkpoint: Checkpoint, report: EvaluationReport, grid: Path) -> Candidate:
    """`checkpoint` with a copy of `report` as its own."""
    report = changed(report, {"settings.checkpoint_digest": checkpoint.digest})
    return Candidate(checkpoint, report, grid, sha256_json(report.as_json()))


def with_header(candidate: Candidate, folder: Path, gate: dict[str, Any] | None = None, **header: Any) -> Candidate:
    """The same weights with another header, such as that of a training by a recipe with another gate."""
    before = candidate.checkpoint.header
    recipe = before.recipe if gate is None else before.recipe | {"evaluation": before.recipe["evaluation"] | {"gate": gate}}
    checkpoint = save_checkpoint(folder / FINAL, candidate.checkpoint.tensors(), replace(before, **{"recipe": recipe} | header))
    return candidate_of(checkpoint, candidate.report, candidate.grid)


@pytest.fixture
def store(tmp_path, empty_database, caches) -> Store:
    """A store with an empty MLflow and the caches of this session, which hold the features of the real icons."""
    store = Store(tmp_path / "store")
    database = Tracking.of(store).database
    database.parent.mkdir(parents=True)
    shutil.copy(empty_database, database)
    use_caches(store, caches)
    return store


@pytest.fixture
def first(tiny_training, tiny_evaluation, tmp_path) -> Candidate:
    return _copied(tiny_training.checkpoint, tmp_path / "first", tiny_evaluation)


def _copied(checkpoint: Checkpoint, folder: Path, evaluation: TinyEvaluation) -> Candidate:
    folder.mkdir()
    copy = Checkpoint.open(Path(shutil.copy(checkpoint.path, folder)))
    return candidate_of(copy, evaluation.report, evaluation.grid)


@pytest.fixture
def second(first, tmp_path) -> Candidate:
    """A checkpoint with weights of noise, which is worse than `first`."""
    header, random = first.checkpoint.header, torch.Generator().manual_seed(0)
    tensors = {name: tensor + torch.randn(tensor.shape, generator=random) for name, tensor in first.checkpoint.tensors().items()}
    checkpoint = save_checkpoint(tmp_path / "second" / FINAL, tensors, replace(header, step=10))
    return candidate_of(checkpoint, first.report, first.grid)


@pytest.fixture
def recorded(store, prepared):
    """Records the evaluation of a candidate, without registering anything."""

    def run(candidate: Candidate) -> RecordedModel:
        return record_evaluation(Tracking.of(store), candidate.checkpoint, candidate.report, candidate.grid, prepared.dataset)

    return run


@pytest.fixture
def decided(store, prepared, recorded):
    """Records a candidate, unless it is not to be, and asks the gate."""

    def run(candidate: Candidate, record: bool = True, log: Callable[[str], None] = lambda _: None) -> Decision:
        if record:
            recorded(candidate)
        checkpoint, report, digest = candidate.checkpoint, candidate.report, candidate.report_digest
        return decide_on(Tracking.of(store), checkpoint, report, digest, prepared.dataset, log)

    return run


def registered_by(store: Store, candidate: Candidate, decision: Decision) -> Registered:
    return register(Tracking.of(store), candidate.checkpoint, candidate.report, candidate.report_digest, decision)


@pytest.fixture
def registered(store, decided):
    """Records, decides and registers, as a run does."""

    def run(candidate: Candidate) -> Registered:
        return registered_by(store, candidate, decided(candidate))

    return run
