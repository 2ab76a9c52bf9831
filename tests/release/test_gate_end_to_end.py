"""Does the gate do what it is for? Real trainings on a dozen icons of 16 x 16 pixels, scored and judged by the real parts."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
import torch

from flowmodel.errors import FlowmodelError
from flowmodel.evaluation.grid import sample_grid
from flowmodel.evaluation.report import EvaluationReport
from flowmodel.evaluation.run import evaluate
from flowmodel.model.checkpoint import FINAL, Checkpoint, save_checkpoint
from flowmodel.recipes import load_recipe, load_selection
from flowmodel.recipes.schema import GateConfig
from flowmodel.recipes.split import Split
from flowmodel.registry.models import Registered, register
from flowmodel.registry.references import aliases_of
from flowmodel.registry.tracking import Tracking
from flowmodel.release.gate import decide
from flowmodel.store import Store
from flowmodel.training.loop import train

pytestmark = pytest.mark.slow

ICONS = 16  # of which 13 are trained on, and 3 held out
NO_COPIES = GateConfig(max_copy_ratio=0.3)  # as in the recipe `laptop`
TRAINED_ONLY = GateConfig(compared=("train",))  # nobody learns from 13 icons what an unseen one looks like
SETTINGS = (
    "data.size=16",
    "network.stem=2",
    "network.widths=[32, 64]",
    "network.blocks=1",
    "network.embedding_width=64",
    "training.batch_size=16",
    "training.warmup_steps=10",
    "training.checkpoint_every=1000",
    "training.grid_every=1000",
    "training.ema_snapshots=4",
    "training.validation.every=0",
    "training.device=cpu",
    "sampling.steps=4",
    "evaluation.max_icons=24",
    "evaluation.seeds=[1]",
)


@dataclass(frozen=True)
class Model:
    checkpoint: Checkpoint
    report: EvaluationReport
    grid: Path


@pytest.fixture(scope="module")
def store(prepared, tmp_path_factory) -> Store:
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("MLFLOW_TRACKING_URI", raising=False)
        yield Store(tmp_path_factory.mktemp("store"))


@pytest.fixture(scope="module")
def scored(prepared, store) -> Callable[[Checkpoint], Model]:
    def run(checkpoint: Checkpoint) -> Model:
        folder = checkpoint.path.parent
        scores = evaluate(checkpoint, prepared.dataset, folder, prepared.store.root / "features")
        return Model(checkpoint, scores.report, sample_grid(scores.samples, prepared.dataset, folder / "grid.png").path)

    return run


@pytest.fixture(scope="module")
def trained(prepared, scored, tmp_path_factory) -> Callable[[int], Model]:
    """The model after so many steps; the more, the better it knows its icons."""
    folder = tmp_path_factory.mktemp("trainings")
    selection = folder / "selection.txt"
    keys = load_selection("well_known")
    selection.write_text("\n".join(keys[:: len(keys) // ICONS][:ICONS]))
    models: dict[int, Model] = {}

    def run(steps: int) -> Model:
        if steps not in models:
            recipe = load_recipe("from_scratch", (*SETTINGS, f"training.steps={steps}", f"data.selection={selection}"))
            models[steps] = scored(train(recipe, prepared.dataset, folder / str(steps)).checkpoint)
        return models[steps]

    return run


@pytest.fixture(scope="module")
def released(prepared, store) -> Callable[[Model, GateConfig], Registered]:
    def run(model: Model, gate: GateConfig) -> Registered:
        return register(store, model.checkpoint, model.report, model.grid, prepared.dataset, gate)

    return run


WORSE, CHAMPION, BETTER = 60, 150, 300


def test_a_model_trained_to_memorise_is_flagged_and_not_registered(trained, released, store):
    model = trained(BETTER)
    unseen, real = (rows[Split.UNSEEN_CONCEPT] for rows in (model.report.metrics, model.report.reference.real))
    assert unseen.near_share > 0.5 > 2 * real.near_share
    assert unseen.auth_pct < 20
    assert model.report.score(Split.VALIDATION, "loss") > 10 * model.report.score(Split.TRAIN, "loss")
    with pytest.raises(FlowmodelError, match=r"share of near copies of unseen concepts: 0.*must be at most 0\.3: NO"):
        released(model, NO_COPIES)
    assert Tracking.of(store).client.search_registered_models() == []


def test_real_icons_that_nobody_trained_on_are_not_flagged(trained):
    report = trained(BETTER).report
    real = report.reference.real
    for split in (Split.VALIDATION, Split.UNSEEN_CONCEPT):
        assert real[split].near_share < 0.2 and real[split].copy_ratio == 0 and real[split].auth_pct > 50
    metrics = report.metrics | {Split.UNSEEN_CONCEPT: real[Split.UNSEEN_CONCEPT]}
    drawn_by_a_person = report.model_copy(update={"metrics": metrics})
    decision = decide(drawn_by_a_person, NO_COPIES, None)
    assert decision.outcome == "champion"
    assert [rule.kept for rule in decision.rules if rule.name == "max_copy_ratio"] == [True]


def test_a_random_model_is_rejected_by_the_quickstart_s_gate(trained, scored, released, store, tmp_path):
    template = trained(BETTER).checkpoint
    random = torch.Generator().manual_seed(0)
    tensors = {
        f"ema.{name}": 0.1 * torch.randn(tensor.shape, generator=random) if tensor.is_floating_point() else tensor
        for name, tensor in template.tensors("ema.").items()
    }
    model = scored(save_checkpoint(tmp_path / FINAL, tensors, replace(template.header, step=0)))
    gate = load_recipe("quickstart").evaluation.gate
    decision = decide(model.report, gate, None)
    assert decision.outcome == "refused"
    assert [rule.kept for rule in decision.rules if rule.name == "min_top1"] == [False]
    with pytest.raises(FlowmodelError, match=r"top-1 retrieval of trained icons: .*must be at least 0\.8: NO"):
        released(model, gate)
    assert Tracking.of(store).client.search_registered_models() == []


def test_a_better_model_replaces_the_champion_and_a_worse_one_stays_challenger(trained, released, store):
    first = released(trained(CHAMPION), TRAINED_ONLY)
    assert first.aliases == ("challenger", "champion")
    worse = released(trained(WORSE), TRAINED_ONLY)
    assert worse.aliases == ("challenger",)
    assert worse.decision.reason.startswith("worse than the champion, version 1: KID of trained icons: ")
    better = released(trained(BETTER), TRAINED_ONLY)
    assert better.aliases == ("challenger", "champion")
    kid = [trained(steps).report.score(Split.TRAIN, "kid") for steps in (WORSE, CHAMPION, BETTER)]
    assert kid[0] > kid[1] > kid[2]
    assert aliases_of(Tracking.of(store), "flowmodel") == {"challenger": "3", "champion": "3"}
