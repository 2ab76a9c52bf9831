"""The gate end to end: real trainings on icons of 16 x 16 pixels, scored, judged and registered by the real parts."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
import torch

from flowmodel.errors import FlowmodelError
from flowmodel.evaluation.report import EvaluationReport
from flowmodel.evaluation.run import evaluate
from flowmodel.evaluation.sample_grid import sample_grid
from flowmodel.model.checkpoint import FINAL, Checkpoint, save_checkpoint
from flowmodel.recipes import load_recipe, load_selection
from flowmodel.recipes.split import Split
from flowmodel.registry.champion import standing_of
from flowmodel.registry.deciding import decide_on
from flowmodel.registry.models import record_evaluation
from flowmodel.registry.releasing import Registered, register
from flowmodel.registry.tracking import Tracking
from flowmodel.release.gate import decide
from flowmodel.store import Store
from flowmodel.training.loop import train
from tests.conftest import use_caches

pytestmark = pytest.mark.slow

FEW, ALL = 16, 0  # icons to train on (13 of the 16, as 3 are held out), or all
NO_COPIES = [{"metric": "near_copy_rate", "split": "unseen_concept", "max": 0.3}]  # as in the recipe `laptop`
SETTINGS = (
    "data.size=16",
    "network.patch_size=2",
    "network.channels=[32, 64]",
    "network.blocks_per_level=1",
    "network.embedding_dim=64",
    "training.batch_size=16",
    "training.warmup_steps=10",
    "training.checkpoint_every=1000",
    "training.sample_every=1000",
    "training.ema_snapshots=4",
    "training.validation.every=0",
    "training.device=cpu",
    "sampling.steps=4",
    "evaluation.max_icons=64",
    "evaluation.seeds=[1]",
    "evaluation.sweep_icons=0",
    "evaluation.traced_icons=0",
    "evaluation.gate={}",
)


@dataclass(frozen=True)
class Model:
    checkpoint: Checkpoint
    report: EvaluationReport
    report_digest: str
    grid: Path


@pytest.fixture(scope="module", autouse=True)
def _no_other_mlflow():
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("MLFLOW_TRACKING_URI", raising=False)
        yield


@pytest.fixture(scope="module")
def scored(prepared) -> Callable[[Checkpoint], Model]:
    def run(checkpoint: Checkpoint) -> Model:
        folder = checkpoint.path.parent
        scores = evaluate(checkpoint, prepared.dataset, folder, prepared.store.root / "features")
        grid = sample_grid(scores.samples, prepared.dataset, folder / "grid.png").path
        return Model(checkpoint, scores.report, scores.metrics.digest, grid)

    return run


@pytest.fixture(scope="module")
def trained(prepared, scored, tmp_path_factory) -> Callable[[int, int], Model]:
    """The model after so many steps on so many icons."""
    folder = tmp_path_factory.mktemp("trainings")
    keys = load_selection("well_known")
    selection = folder / "selection.txt"
    selection.write_text("\n".join(keys[:: len(keys) // FEW][:FEW]))
    models: dict[tuple[int, int], Model] = {}

    def run(icons: int, steps: int) -> Model:
        if (icons, steps) not in models:
            chosen = f"data.selection={selection if icons == FEW else 'null'}"
            recipe = load_recipe("from_scratch", (*SETTINGS, f"training.steps={steps}", chosen))
            models[icons, steps] = scored(train(recipe, prepared.dataset, folder / f"{icons}-{steps}").checkpoint)
        return models[icons, steps]

    return run


@pytest.fixture
def released(prepared, tmp_path, caches) -> Callable[[Model], Registered]:
    """Records, decides and registers in a store that is new to each test."""
    use_caches(store := Store(tmp_path / "store"), caches)
    tracking = Tracking.of(store)

    def run(model: Model) -> Registered:
        record_evaluation(tracking, model.checkpoint, model.report, model.grid, prepared.dataset)
        decision = decide_on(tracking, model.checkpoint, model.report, model.report_digest, prepared.dataset)
        return register(tracking, model.checkpoint, model.report, model.report_digest, decision)

    return run


def _judged_by(model: Model, rules: list[dict[str, Any]], folder: Path) -> Model:
    """The same model, trained by a recipe with these rules."""
    header = model.checkpoint.header
    recipe = header.recipe | {"evaluation": header.recipe["evaluation"] | {"gate": {"rules": rules}}}
    checkpoint = save_checkpoint(folder / FINAL, model.checkpoint.tensors(), replace(header, recipe=recipe))
    settings = model.report.settings.model_copy(update={"checkpoint_digest": checkpoint.digest})
    report = model.report.model_copy(update={"settings": settings})
    return replace(model, checkpoint=checkpoint, report=report, report_digest=report.write(folder / "metrics.json").digest)


STEPS = 300


def test_a_model_trained_to_memorize_is_flagged_and_not_registered(trained, released, tmp_path):
    model = trained(FEW, STEPS)
    unseen, real = (rows[Split.UNSEEN_CONCEPT] for rows in (model.report.metrics, model.report.baselines.real))
    assert unseen.near_copy_rate > 0.5 > 2 * real.near_copy_rate
    assert unseen.authentic_rate < 0.2
    assert model.report.score(Split.VALIDATION, "loss") > 10 * model.report.score(Split.TRAIN, "loss")
    with pytest.raises(FlowmodelError, match=r"Unseen concepts, near copies: .*must be at most 30%: NO"):
        released(_judged_by(model, NO_COPIES, tmp_path))
    assert Tracking.of(Store(tmp_path / "store")).client.search_registered_models() == []


def test_held_out_real_icons_are_not_flagged(trained):
    report = trained(FEW, STEPS).report
    real = report.baselines.real
    for split in (Split.VALIDATION, Split.UNSEEN_CONCEPT):
        assert real[split].near_copy_rate < 0.2 and real[split].copy_rate == 0 and real[split].authentic_rate > 0.5
    drawn_by_a_person = report.model_copy(update={"metrics": report.metrics | {Split.UNSEEN_CONCEPT: real[Split.UNSEEN_CONCEPT]}})
    gate = load_recipe("laptop").evaluation.gate.model_validate({"rules": NO_COPIES})
    decision = decide(drawn_by_a_person, "d" * 64, gate, None)
    assert decision.outcome == "champion" and [rule.kept for rule in decision.rules] == [True]


def test_a_random_model_is_refused_by_the_quickstart_s_gate(trained, scored, released, tmp_path):
    template = trained(FEW, STEPS).checkpoint
    random = torch.Generator().manual_seed(0)
    tensors = {
        f"ema.{name}": 0.1 * torch.randn(tensor.shape, generator=random) if tensor.is_floating_point() else tensor
        for name, tensor in template.tensors("ema.").items()
    }
    gate = load_recipe("quickstart").evaluation.gate.model_dump(mode="json")
    recipe = template.header.recipe | {"evaluation": template.header.recipe["evaluation"] | {"gate": gate}}
    model = scored(save_checkpoint(tmp_path / FINAL, tensors, replace(template.header, step=0, recipe=recipe)))
    with pytest.raises(FlowmodelError, match=r"Trained icons, recognition among all icons: .*must be at least 80%: NO"):
        released(model)


def test_a_model_that_memorized_a_few_icons_does_not_replace_one_that_draws_thousands(trained, released, tmp_path):
    generalist, memorizer = trained(ALL, STEPS), trained(FEW, STEPS)
    # On its own training icons it would have won.
    assert memorizer.report.score(Split.TRAIN, "retrieval_top1_all") > generalist.report.score(Split.TRAIN, "retrieval_top1_all")
    assert released(generalist).aliases == ("champion",)
    made = released(memorizer)
    assert made.aliases == ("challenger",)
    assert made.decision.reason.startswith("not shown to be as good as the champion, version 1: KID of 64 held-out icons")
    assert {rule.metric for rule in made.decision.rules if rule.kept is False} >= {"kid", "retrieval"}
    assert standing_of(Tracking.of(Store(tmp_path / "store"))).aliases == {"champion": "1", "challenger": "2"}


def test_a_model_that_draws_thousands_replaces_one_that_memorized_a_few_icons(trained, released, tmp_path):
    assert released(trained(FEW, STEPS)).aliases == ("champion",)
    made = released(trained(ALL, STEPS))
    assert made.aliases == ("champion",) and made.decision.reason == "no score is worse than the champion's (version 1)"
    kid = next(rule for rule in made.decision.rules if rule.metric == "kid")
    assert kid.high < 0  # better, not merely no worse
    assert standing_of(Tracking.of(Store(tmp_path / "store"))).aliases == {"champion": "2"}


def test_an_undertrained_model_stays_challenger(trained, released):
    assert released(trained(ALL, STEPS)).aliases == ("champion",)
    assert released(trained(ALL, STEPS // 5)).aliases == ("challenger",)
