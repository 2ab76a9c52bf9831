"""The ablations' variants, their icons, and the conclusions from their scores."""

import math

import pytest

from benchmarks.ablations import BASE, EMA_WIDTHS, SAMPLINGS, SPLITS, VARIANTS, Scorer, run, select, summary, variant_recipe
from flowmodel.data.keys import base_key
from tests.training.helpers import changed


@pytest.mark.parametrize("variant", VARIANTS)
def test_a_variant_changes_its_fields_and_sees_as_many_images(variant, tmp_path):
    recipe, base = (variant_recipe(name, 1, 10_000, tmp_path / "selection.txt") for name in (variant, BASE))
    assert recipe.training.steps * recipe.training.batch_size == pytest.approx(10_000, rel=0.01)
    changed_fields = {
        f"{section}.{field}"
        for section in ("data", "network", "objective", "training", "sampling")
        for field, value in getattr(recipe, section)
        if field != "steps" and value != getattr(getattr(base, section), field)
    }
    named = {setting.split("=")[0].removesuffix(".probability") for setting in VARIANTS[variant]}
    assert changed_fields == named


def test_a_share_of_the_concepts_is_chosen_with_all_skin_tones(prepared, tmp_path):
    chosen = set(select(prepared.dataset, 16, tmp_path / "selection.txt").read_text().splitlines())
    keys = {icon_id.partition("/")[2] for icon_id in prepared.dataset.ids}
    concepts = {base_key(key) for key in chosen}
    assert chosen == {key for key in keys if base_key(key) in concepts}
    assert 1 / 32 < len(concepts) / len({base_key(key) for key in keys}) < 1 / 8


def test_the_base_is_scored_with_every_way_of_sampling_and_every_average(tiny_recipe, prepared, tmp_path, monkeypatch):
    monkeypatch.setattr("benchmarks.ablations.ICONS", 8)
    monkeypatch.setattr("benchmarks.ablations._SIZE", 16)
    recipe = changed(tiny_recipe, training={"keep_snapshots": True})
    scorer = Scorer(prepared.dataset, prepared.store.root / "features")
    rows = list(run(BASE, recipe, prepared.dataset, scorer, tmp_path))
    assert [row["variant"] for row in rows[1:]] == [f"sampling: {name}" for name in SAMPLINGS] + [
        f"EMA {w:g}" for w in EMA_WIDTHS
    ]
    for row in rows:
        scores = {f"{split}_{score}" for split in SPLITS for score in ("kid", "top1", "top5")}
        assert scores <= row.keys() and all(math.isfinite(row[name]) for name in scores)
    assert rows[0]["validation_loss"] > 0 and rows[0]["images"] == 240
    assert len({row["validation_kid"] for row in rows}) == len(rows)  # each of them draws something else


def test_settings_apply_to_every_variant_before_its_own_changes():
    narrow = ["network.channels=[40, 80]", "objective.cond_dropout=0.3"]
    base, other = (variant_recipe(name, 0, 320, settings=narrow) for name in (BASE, "condition dropout 0.2"))
    assert base.network.channels == other.network.channels == (40, 80)
    assert (base.objective.cond_dropout, other.objective.cond_dropout) == (0.3, 0.2)


def test_a_network_trained_without_dropped_captions_is_also_sampled_without_guidance(
    tiny_recipe, prepared, tmp_path, monkeypatch
):
    monkeypatch.setattr("benchmarks.ablations.ICONS", 8)
    monkeypatch.setattr("benchmarks.ablations._SIZE", 16)
    scorer = Scorer(prepared.dataset, prepared.store.root / "features")
    recipe = changed(tiny_recipe, objective={"cond_dropout": 0})
    guided, without = run("condition dropout 0", recipe, prepared.dataset, scorer, tmp_path)
    assert (guided["variant"], without["variant"]) == ("condition dropout 0", "condition dropout 0, guidance 1")
    assert guided["train_kid"] != without["train_kid"]


def _row(variant, seed, kid, top5):
    return {"variant": variant, "seed": seed} | {f"{s}_kid": kid for s in SPLITS} | {f"{s}_top5": top5 for s in SPLITS}


@pytest.mark.parametrize(
    ("scores", "verdict"),
    [
        ([(0.9, 0.2), (1.8, 0.4)], "better"),
        ([(1.1, 0.05), (2.1, 0.2)], "worse"),
        ([(0.9, 0.2), (2.1, 0.2)], ""),  # the seeds disagree
        ([(0.9, 0.05), (1.8, 0.2)], ""),  # the scores do
        ([(1.1, 0.05), (1.8, 0.4)], ""),
        ([(1.1, 0.05), (2.1, 0.3)], ""),  # as many found
    ],
)
def test_a_variant_is_better_only_where_both_scores_say_so_with_every_seed(scores, verdict):
    rows = [_row(BASE, 0, 1.0, 0.1), _row(BASE, 1, 2.0, 0.3)]
    rows += [_row("other", seed, kid, top5) for seed, (kid, top5) in enumerate(scores)]
    base, other = summary(rows)
    assert other["verdict"] == verdict and base["verdict"] == ""
    assert other["seeds"] == 2 and base["validation_kid"] == 1.5


def test_a_base_with_another_seed_is_not_compared():
    _, other = summary([_row(BASE, 0, 1.0, 0.1), _row("other", 1, 0.1, 0.9)])
    assert other["verdict"] == "" and other["seeds"] == 1
