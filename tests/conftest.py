"""A small real store and a small real training, made once per test session."""

import os
import shutil
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch
from filelock import FileLock
from hypothesis import settings
from sqlalchemy import Engine, event

from flowmodel.data.dataset import IconDataset
from flowmodel.data.prepare import prepare
from flowmodel.evaluation.report import METRICS_FILE, EvaluationReport
from flowmodel.model.checkpoint import Checkpoint
from flowmodel.recipes import Recipe, load_recipe
from flowmodel.recipes.schema import FinisherConfig
from flowmodel.store import Store
from flowmodel.training.finishing import finish
from flowmodel.training.loop import train, training_folder

# A busy machine may need longer for one example than hypothesis' deadline of 0.2 s.
settings.register_profile("patient", deadline=None)
settings.load_profile("patient")

TINY = (
    "name=tiny",
    "data.size=16",
    "network.patch_size=2",
    "network.channels=[16, 32]",
    "network.blocks_per_level=1",
    "network.embedding_dim=32",
    "training.steps=30",
    "training.batch_size=8",
    "training.warmup_steps=5",
    "training.log_every=5",
    "training.checkpoint_every=10",
    "training.sample_every=15",
    "training.ema_snapshots=3",
    "training.validation.every=10",
    "training.validation.icons=8",
    "training.augmentation.probability=0.2",
    "sampling.steps=2",
    "training.device=cpu",
    "evaluation.max_icons=24",
    "evaluation.sweep_icons=4",
    "evaluation.traced_icons=6",
    # Thirty steps meet no threshold.
    "evaluation.gate.rules=[{metric: near_copy_rate, split: unseen_concept, waived: thirty steps learn nothing}]",
)


# A test that uses one of these waits for a data set of 1,911 icons, or for a whole run of the pipeline.
_EXPENSIVE_FIXTURES = {"prepared", "project", "shared_project"}
_EXPENSIVE_MARKS = ("slow", "browser", "network")
# Files that take minutes come first, so that no test process is left alone with one of them at the end.
_LONGEST = (
    "pipelines/test_circumstances.py",
    "pipelines/test_gate.py",
    "pipelines/test_daemon.py",
    "pipelines/test_team.py",
    "pipelines/test_faults.py",
    "release/test_gate_end_to_end.py",
    "pipelines/test_quickstart.py",
    "registry/test_champion.py",
    "pipelines/test_run.py",
    "pipelines/test_worker.py",
    "pipelines/test_first_hour.py",
    "install/test_wheel.py",
    "benchmarks/test_gpu_drill.py",
    "export/test_page.py",  # long before test_model_export, which would wait for the same exports
)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--screenshots", metavar="STORE", help="walk through it, and write the images of the documentation")
    parser.addoption("--fast", action="store_true", help="leave out what trains, evaluates, runs the pipeline or needs a network")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    order = {Path(__file__).parent / file: number for number, file in enumerate(_LONGEST)}
    items.sort(key=lambda item: order.get(item.path, len(order)))
    if not config.getoption("--fast"):
        return

    def is_quick(item: pytest.Item) -> bool:
        used = _EXPENSIVE_FIXTURES.intersection(getattr(item, "fixturenames", ()))
        return not used and not any(item.get_closest_marker(mark) for mark in _EXPENSIVE_MARKS)

    left_out = [item for item in items if not is_quick(item)]
    items[:] = [item for item in items if is_quick(item)]
    config.hook.pytest_deselected(items=left_out)


@event.listens_for(Engine, "connect")
def _write_without_waiting_for_the_disk(connection: object, _: object) -> None:
    """No test turns the power off."""
    if isinstance(connection, sqlite3.Connection):
        connection.execute("PRAGMA synchronous=OFF")


if "PYTEST_XDIST_WORKER" in os.environ:
    # There is a test process per core; more threads would only wait for each other.
    os.environ["OMP_NUM_THREADS"] = "1"
    torch.set_num_threads(1)


@pytest.fixture
def as_another_user(tmp_path: Path) -> Callable[[], AbstractContextManager[None]]:
    """A context in which file permissions apply, even if root runs the tests."""

    @contextmanager
    def context() -> Iterator[None]:
        if os.geteuid() != 0:
            yield
            return
        closed = 3 if "PYTEST_XDIST_WORKER" in os.environ else 2  # pytest closes its folders to others
        for folder in (tmp_path, *list(tmp_path.parents)[:closed]):
            folder.chmod(folder.stat().st_mode | 0o055)
        os.seteuid(65534)
        try:
            yield
        finally:
            os.seteuid(0)

    return context


@pytest.fixture(scope="session")
def tiny_recipe() -> Recipe:
    return load_recipe("from_scratch", TINY)


Make = Callable[[Path], object]


@pytest.fixture(scope="session")
def made_once(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str, Make], Path]:
    """A named folder that one test process fills by a function; other processes copy it."""

    def folder(name: str, make: Make) -> Path:
        own = tmp_path_factory.mktemp(name)
        if "PYTEST_XDIST_WORKER" not in os.environ:
            make(own)
            return own
        shared = tmp_path_factory.getbasetemp().parent / f"shared-{name}"  # of all processes of this session
        with FileLock(f"{shared}.lock"):
            if not shared.exists():
                make(unfinished := tmp_path_factory.mktemp(f"unfinished-{name}"))
                unfinished.rename(shared)
        return shutil.copytree(shared, own, dirs_exist_ok=True)

    return folder


@dataclass(frozen=True)
class Prepared:
    store: Store
    dataset: IconDataset


@pytest.fixture(scope="session")
def prepared(tiny_recipe: Recipe, made_once: Callable[[str, Make], Path], caches: Path) -> Prepared:
    """The bundled icons at 16 x 16 pixels with their captions embedded, once for all test processes."""
    store = Store(made_once("store", lambda folder: prepare(tiny_recipe, Store(folder))))
    use_caches(store, caches)
    [dataset] = store.datasets.iterdir()
    return Prepared(store, IconDataset.open(dataset))


@dataclass(frozen=True)
class TinyTraining:
    recipe: Recipe
    store: Store
    dataset: IconDataset
    folder: Path
    checkpoint: Checkpoint


@pytest.fixture(scope="session")
def tiny_training(tiny_recipe: Recipe, prepared: Prepared, made_once: Callable[[str, Make], Path]) -> TinyTraining:
    """A finished training of 30 steps; treat its files as read-only."""
    trained = made_once("trained", lambda folder: train(tiny_recipe, prepared.dataset, folder))
    folder = training_folder(prepared.store, tiny_recipe, prepared.dataset)
    shutil.copytree(trained, folder)
    result = train(tiny_recipe, prepared.dataset, folder)  # finds that it is finished
    return TinyTraining(tiny_recipe, prepared.store, prepared.dataset, folder, result.checkpoint)


FINISHER = FinisherConfig(channels=8, blocks=1, steps=12, batch_size=4)


@pytest.fixture(scope="session")
def tiny_finished(tiny_training: TinyTraining, tmp_path_factory: pytest.TempPathFactory) -> TinyTraining:
    """The tiny training with a finisher of twelve steps, in a separate folder; treat its files as read-only."""
    folder = tmp_path_factory.mktemp("finished")
    generator = Checkpoint.open(Path(shutil.copy(tiny_training.checkpoint.path, folder)))
    recipe = tiny_training.recipe.model_copy(update={"finisher": FINISHER})
    checkpoint = finish(recipe, generator, tiny_training.dataset).checkpoint
    return TinyTraining(recipe, tiny_training.store, tiny_training.dataset, folder, checkpoint)


@pytest.fixture(scope="session")
def caches(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folders of a store for every store of this session, since their files take seconds to make: see :func:`use_caches`."""
    base = tmp_path_factory.getbasetemp()
    return (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "shared-caches"


def use_caches(store: Store, caches: Path) -> None:
    """Link exports and features, whose names say what they are made of, to those of all stores."""
    store.root.mkdir(parents=True, exist_ok=True)
    for name in ("exports", "features"):
        (caches / name).mkdir(parents=True, exist_ok=True)
        if not (store.root / name).exists():
            (store.root / name).symlink_to(caches / name)


@pytest.fixture(scope="session")
def tiny_export(tiny_training: TinyTraining) -> Path:
    """The tiny training as ONNX graphs; treat its files as read-only."""
    from flowmodel.export.in_store import exported

    return exported(tiny_training.store, tiny_training.checkpoint).path


@dataclass(frozen=True)
class TinyEvaluation:
    report: EvaluationReport
    metrics: Path
    samples: Path
    grid: Path


@pytest.fixture(scope="session")
def tiny_evaluation(tiny_training: TinyTraining, made_once: Callable[[str, Make], Path]) -> TinyEvaluation:
    """The report, samples and sample grid of the tiny training; treat its files as read-only."""
    from flowmodel.evaluation.run import SAMPLES_FILE, evaluate
    from flowmodel.evaluation.sample_grid import sample_grid

    store, dataset, checkpoint = tiny_training.store, tiny_training.dataset, tiny_training.checkpoint
    made = made_once("evaluated", lambda folder: evaluate(checkpoint, dataset, folder, store.root / "features"))
    folder = shutil.copytree(made, store.file("evaluation", "tiny"))
    metrics, samples = folder / METRICS_FILE, folder / SAMPLES_FILE
    grid = sample_grid(samples, dataset, store.file("sample_grid", "tiny.png"))
    return TinyEvaluation(EvaluationReport.read(metrics), metrics, samples, grid.path)


@pytest.fixture(scope="session")
def empty_database(made_once: Callable[[str, Make], Path]) -> Path:
    """A database with MLflow's tables, which take seconds to create."""

    def make(folder: Path) -> None:
        from flowmodel.registry.tracking import Tracking

        _ = Tracking.of(Store(folder)).experiment_id

    [database] = made_once("empty", make).glob("mlflow/*.db")
    return database
