"""The arena: its rows, the number of steps that fit into minutes, and its conclusions."""

import math
from dataclasses import replace

import pytest

from benchmarks.ablations import BASE, SPLITS
from benchmarks.quality import IDEAS, SETTINGS, Speed, leaderboard, measured_speed, recipe_of, run, table
from flowmodel.errors import FlowmodelError
from flowmodel.images.tensors import CHANNELS
from flowmodel.model.pretrained import pretrained_weights
from flowmodel.nets import build_network
from flowmodel.recipes.schema import EvaluationConfig, FinisherConfig
from flowmodel.training.initial import load_initial_weights
from tests.training.helpers import changed


@pytest.mark.parametrize("setting", SETTINGS)
@pytest.mark.parametrize("idea", IDEAS)
def test_an_idea_changes_only_its_fields(setting, idea):
    recipe, base = (recipe_of(SETTINGS[setting], name) for name in (idea, BASE))
    sections = ("data", "network", "objective", "training", "sampling")
    changed_fields = {
        f"{section}.{field}"
        for section in sections
        for field, value in getattr(recipe, section)
        if value != getattr(getattr(base, section), field)
    }
    changed_fields |= {"finisher"} if recipe.finisher != base.finisher else set()
    assert changed_fields == {override.split("=")[0] for override in IDEAS[idea]}


def test_settings_that_begin_with_the_shipped_weights_can_load_them():
    shipped = pretrained_weights()
    for name in ("quickstart", "shipped64"):
        recipe = recipe_of(SETTINGS[name], BASE)
        assert (recipe.training.init_from, recipe.data.size) == ("pretrained", shipped.recipe.data.size)
        network = build_network(recipe.network, shipped.header.text_width, CHANNELS[recipe.data.color])
        own = replace(shipped.header, recipe=recipe.model_dump(mode="json"))
        assert load_initial_weights(network, "pretrained", own).step == shipped.header.step
        assert recipe.training.batch_size == 32  # a step of 768 would be a large part of the minutes
    assert recipe_of(SETTINGS["scratch"], BASE).training.init_from is None


def test_a_training_gets_the_steps_that_fit_into_its_minutes_and_a_finisher_its_share(tiny_recipe, prepared):
    speed = Speed(step=0.5, finisher_step=0.1)
    assert speed.fitted(tiny_recipe, prepared.dataset, minutes=3).training.steps == 360
    with_finisher = tiny_recipe.model_copy(update={"finisher": FinisherConfig(channels=8, drawings=1)})
    fitted = speed.fitted(with_finisher, prepared.dataset, minutes=200)
    assert fitted.training.steps == 16_800
    drawing = len(prepared.dataset.ids_of_split("train", tiny_recipe.data)) * 4 * 0.5 / 3 / 8  # 4 evaluations
    assert fitted.finisher.steps == pytest.approx((3_600 - drawing) / 0.1, abs=1)
    with pytest.raises(FlowmodelError, match="icons for the finisher takes longer than 1 s; give more --minutes"):
        speed.fitted(with_finisher, prepared.dataset, minutes=0.05)


def test_a_row_is_what_a_real_training_and_evaluation_give(tiny_recipe, prepared, tmp_path):
    recipe = tiny_recipe.model_copy(update={"finisher": FinisherConfig(channels=8, blocks=1, batch_size=4, drawings=1)})
    dataset = prepared.dataset
    speed = measured_speed(recipe, dataset, tmp_path / "speed")
    assert speed.step > 0 and speed.finisher_step > 0
    recipe = changed(
        recipe, training={"steps": 5, "checkpoint_every": 100}, finisher={"steps": 3}, data={"selection": "well_known"}
    )
    config = EvaluationConfig(seeds=(1,), max_icons=8, sweep_icons=0, clip="off")
    row, again = (run(recipe, dataset, dataset, prepared.store.root / "features", tmp_path / "row", config) for _ in range(2))
    assert {f"{split}_{score}" for split in SPLITS for score in ("kid", "top1", "top5", "edge_sharpness")} <= row.keys()
    assert {"train_t0.1", "train_t0.95", "validation_t0.95"} <= row.keys() and row["cpu_minutes"] > 0
    assert math.isnan(again.pop("cpu_minutes"))  # nothing was left to train
    assert again == {name: value for name, value in row.items() if name != "cpu_minutes"}


def _row(idea, minutes, kid, seed=0, setting="scratch"):
    scores = {f"{split}_{score}": kid if score == "kid" else 1 - kid for split in SPLITS for score in ("kid", "top1", "top5")}
    return {"setting": setting, "variant": idea, "seed": seed, "minutes": minutes, "cpu_minutes": minutes} | scores


def test_the_leaderboard_names_the_fewest_minutes_to_each_quality():
    rows = [_row(BASE, 3, 1.2), _row(BASE, 12, 0.6), _row("gradients 1", 3, 0.9), _row("gradients 1", 12, 0.65)]
    rows += [_row("sampling later", 3, kid, seed) for seed, kid in enumerate((0.1, 2.9))]  # on average as bad as the base
    board = {row["KID at most"]: (row["minutes"], row["idea"]) for row in leaderboard(rows)}
    assert board == {1.5: (3, "gradients 1"), 1.0: (3, "gradients 1"), 0.7: (12, BASE)}


def test_a_table_compares_each_idea_with_the_base_of_the_same_seeds():
    rows = [_row(BASE, 3, 1.2, seed) for seed in (0, 1)] + [_row("gradients 1", 3, 0.5 + seed / 10, seed) for seed in (0, 1)]
    base, other = table(rows)
    assert (base["verdict"], other["verdict"], other["seeds"]) == ("", "better", 2)
    assert other["train_kid"] == pytest.approx(0.55)
