"""A probe trained on the real icons."""

import dataclasses

import numpy as np
import pytest

from flowmodel.errors import FlowmodelError
from flowmodel.evaluation import caption_probe as probe_module
from flowmodel.evaluation.caption_probe import ProbeRecipe, load_caption_probe
from flowmodel.evaluation.features import load_extractor
from flowmodel.evaluation.metrics.retrieval import ranks
from flowmodel.evaluation.run import evaluate
from flowmodel.recipes.split import Split

QUICK = ProbeRecipe(steps=20)


@pytest.fixture
def make(prepared, real):
    def load(cache, recipe=QUICK, icons=real):
        return load_caption_probe(prepared.dataset, icons, load_extractor(), cache, recipe)

    return load


def test_the_probe_knows_icons_that_it_has_never_seen(prepared, real):
    probe = load_caption_probe(prepared.dataset, real, load_extractor(), prepared.store.root / "features")
    assert probe.quality.keys() == {"validation", "unseen_concept"}
    for split in probe.quality.values():
        chance = 1 / split.count
        assert (
            split.retrieval_top1_split > 10 * chance
            and split.retrieval_top5_split > split.retrieval_top1_split > split.retrieval_top1_all
        )


def test_what_the_probe_says_of_its_quality_is_what_it_does(prepared, real):
    probe = load_caption_probe(prepared.dataset, real, load_extractor(), prepared.store.root / "features")
    rows = real.rows(real.of_split("validation"))
    images, captions = probe.images(real.features[rows]), probe.captions(real.prompts_MD)
    np.testing.assert_allclose(np.linalg.norm(images, axis=1), 1, rtol=1e-5)
    hits = ranks(images, captions, real.labels_M, real.labels_M[rows]) < 5
    assert hits.mean() == pytest.approx(probe.quality[Split.VALIDATION].retrieval_top5_all)


def test_the_same_data_give_the_same_probe(make, tmp_path):
    one, other = make(tmp_path / "one"), make(tmp_path / "other")
    assert one.artifact.digest == other.artifact.digest and one.artifact.path != other.artifact.path


def test_a_probe_is_trained_once_and_for_its_recipe(make, tmp_path, monkeypatch):
    first = make(tmp_path)
    assert make(tmp_path, ProbeRecipe(steps=21)).artifact.path != first.artifact.path

    def again(*_):
        raise AssertionError("trained again")

    monkeypatch.setattr(probe_module, "_train", again)
    assert make(tmp_path).artifact == first.artifact


def test_held_out_icons_are_no_part_of_what_it_learns_from(make, real, tmp_path):
    held_out = real.rows([icon for split in ("validation", "unseen_concept") for icon in real.of_split(split)])
    spoilt = real.features.semantic_ND.copy()
    spoilt[held_out] = 0
    others = dataclasses.replace(real, features=dataclasses.replace(real.features, semantic_ND=spoilt))
    one, other = make(tmp_path / "one"), make(tmp_path / "other", icons=others)
    np.testing.assert_array_equal(one.images(real.features), other.images(real.features))


def test_a_probe_needs_training_icons(make, real, tmp_path):
    with pytest.raises(FlowmodelError, match="fewer than two icons are in the split 'train'"):
        make(tmp_path, icons=dataclasses.replace(real, splits=("validation",) * len(real.ids)))
    assert not list(tmp_path.iterdir())


def test_a_damaged_probe_is_named(make, tmp_path):
    path = make(tmp_path).artifact.path
    path.write_bytes(b"nothing")
    with pytest.raises(FlowmodelError, match=rf"{path.name}: not the caption probe of an evaluation; remove it"):
        make(tmp_path)


def test_the_probe_that_is_given_is_the_one_that_scores(tiny_training, prepared, real, tmp_path):
    given = load_caption_probe(prepared.dataset, real, load_extractor(), tmp_path / "given").artifact
    config = tiny_training.recipe.evaluation.model_copy(update={"max_icons": 4, "seeds": (1,)})

    def evaluated(probe):
        cache = prepared.store.root / "features"
        return evaluate(tiny_training.checkpoint, prepared.dataset, tmp_path / "out", cache, config=config, probe=probe)

    assert evaluated(given.path).report.settings.caption_probe_digest == given.digest
    other = given.path.rename(tmp_path / "given" / "probe-of-another-data-set.safetensors")
    with pytest.raises(FlowmodelError, match=r"probe-of-another.*: not the caption probe of .* in rgba; make that one first"):
        evaluated(other)
