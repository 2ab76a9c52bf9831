"""A judge trained on the real icons."""

import dataclasses

import numpy as np
import pytest

from flowmodel.errors import FlowmodelError
from flowmodel.evaluation import judge as judge_module
from flowmodel.evaluation.features import load_extractor
from flowmodel.evaluation.judge import JudgeRecipe, load_judge
from flowmodel.evaluation.metrics.retrieval import ranks
from flowmodel.evaluation.run import evaluate
from flowmodel.recipes.split import Split

QUICK = JudgeRecipe(steps=20)


@pytest.fixture
def make(prepared, real):
    def load(cache, recipe=QUICK, icons=real):
        return load_judge(prepared.dataset, icons, load_extractor(), cache, recipe)

    return load


def test_the_judge_knows_icons_that_it_has_never_seen(prepared, real):
    judge = load_judge(prepared.dataset, real, load_extractor(), prepared.store.root / "features")
    assert judge.quality.keys() == {"validation", "unseen_concept"}
    for split in judge.quality.values():
        chance = 1 / split.count
        assert split.top1_of_own > 10 * chance and split.top5_of_own > split.top1_of_own > split.top1_of_all


def test_what_the_judge_says_of_its_quality_is_what_it_does(prepared, real):
    judge = load_judge(prepared.dataset, real, load_extractor(), prepared.store.root / "features")
    rows = real.rows(real.of_split("validation"))
    images, captions = judge.images(real.features[rows]), judge.captions(real.prompts_MD)
    np.testing.assert_allclose(np.linalg.norm(images, axis=1), 1, rtol=1e-5)
    hits = ranks(images, captions, real.labels_M, real.labels_M[rows]) < 5
    assert hits.mean() == pytest.approx(judge.quality[Split.VALIDATION].top5_of_all)


def test_the_same_data_give_the_same_judge(make, tmp_path):
    one, other = make(tmp_path / "one"), make(tmp_path / "other")
    assert one.artifact.digest == other.artifact.digest and one.artifact.path != other.artifact.path


def test_a_judge_is_trained_once_and_for_its_recipe(make, tmp_path, monkeypatch):
    first = make(tmp_path)
    assert make(tmp_path, JudgeRecipe(steps=21)).artifact.path != first.artifact.path

    def again(*_):
        raise AssertionError("trained again")

    monkeypatch.setattr(judge_module, "_train", again)
    assert make(tmp_path).artifact == first.artifact


def test_held_out_icons_are_no_part_of_what_it_learns_from(make, real, tmp_path):
    held_out = real.rows([icon for split in ("validation", "unseen_concept") for icon in real.of_split(split)])
    spoilt = real.features.semantic_ND.copy()
    spoilt[held_out] = 0
    others = dataclasses.replace(real, features=dataclasses.replace(real.features, semantic_ND=spoilt))
    one, other = make(tmp_path / "one"), make(tmp_path / "other", icons=others)
    np.testing.assert_array_equal(one.images(real.features), other.images(real.features))


def test_without_training_icons_there_is_no_judge(make, real, tmp_path):
    with pytest.raises(FlowmodelError, match="fewer than two icons are in the split 'train'"):
        make(tmp_path, icons=dataclasses.replace(real, splits=("validation",) * len(real.ids)))
    assert not list(tmp_path.iterdir())


def test_a_damaged_judge_is_named(make, tmp_path):
    path = make(tmp_path).artifact.path
    path.write_bytes(b"nothing")
    with pytest.raises(FlowmodelError, match=rf"{path.name}: not the judge of an evaluation; remove it"):
        make(tmp_path)


def test_the_judge_that_is_given_is_the_one_that_judges(tiny_training, prepared, real, tmp_path):
    given = load_judge(prepared.dataset, real, load_extractor(), tmp_path / "given").artifact
    config = tiny_training.recipe.evaluation.model_copy(update={"max_icons": 4, "seeds": (1,)})

    def evaluated(judge):
        cache = prepared.store.root / "features"
        return evaluate(tiny_training.checkpoint, prepared.dataset, tmp_path / "out", cache, config=config, judge=judge)

    assert evaluated(given.path).report.settings.judge_digest == given.digest
    other = given.path.rename(tmp_path / "given" / "judge-of-another-data-set.safetensors")
    with pytest.raises(FlowmodelError, match=r"judge-of-another.*: not the judge of .* in rgba; make the judge of this data set"):
        evaluated(other)
