"""The weights that come with the project."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from flowmodel.content import tensors_digest
from flowmodel.data.sources.source_list import load_sources
from flowmodel.data.terms import UNKNOWN, Terms
from flowmodel.errors import FlowmodelError
from flowmodel.evaluation.features import load_extractor
from flowmodel.files import read_json
from flowmodel.model.checkpoint import read_header, save_checkpoint
from flowmodel.model.generator import Generator
from flowmodel.model.pretrained import (
    DIGEST_FILE,
    FAST,
    FOLDER,
    SHIPPED,
    WEIGHTS_FILE,
    export_weights,
    pretrained_weights,
)
from flowmodel.nets import build_network
from flowmodel.recipes import load_recipe, recipe_names
from flowmodel.training import initial
from flowmodel.training.loop import train
from flowmodel.training.state import TrainingState
from tests.training.helpers import changed


def test_exported_weights_are_half_as_large_and_draw_the_same(tiny_training, tmp_path):
    weights = export_weights(tiny_training.checkpoint, tmp_path)
    assert pretrained_weights(tmp_path).digest == weights.digest
    assert {tensor.dtype for tensor in weights.tensors().values()} == {torch.float16}
    whole, half = (Generator.load(path, "cpu").sample(["red heart", "pizza"]) for path in (tiny_training.checkpoint, weights))
    assert (whole.int() - half.int()).abs().max() <= 3


def test_a_finisher_is_exported_too(tiny_finished, tmp_path):
    weights = export_weights(tiny_finished.checkpoint, tmp_path)
    assert weights.header.finisher.digest == tensors_digest(weights.tensors("finisher."))
    whole, half = (Generator.load(path, "cpu").sample(["red heart", "pizza"]) for path in (tiny_finished.checkpoint, weights))
    assert (whole.int() - half.int()).abs().max() <= 3


def test_exported_weights_sample_as_configured(tiny_training, tmp_path):
    sampling = tiny_training.recipe.sampling.model_copy(update={"steps": 5, "guidance": 1.0})
    weights = export_weights(tiny_training.checkpoint, tmp_path, sampling)
    generator = Generator.load(weights, "cpu")
    assert generator.recipe.sampling == sampling and generator.nfe() == 5
    assert generator.recipe.training == tiny_training.recipe.training


def test_changed_weights_are_refused(tiny_training, tmp_path):
    weights = export_weights(tiny_training.checkpoint, tmp_path)
    weights.path.write_bytes(weights.path.read_bytes()[:-1] + b"\0")
    with pytest.raises(FlowmodelError, match=rf"{WEIGHTS_FILE}: has SHA-256 .*, but {DIGEST_FILE} states .*restore both"):
        pretrained_weights(tmp_path)


@pytest.mark.parametrize("name", [WEIGHTS_FILE, DIGEST_FILE])
def test_missing_files_are_named(name, tiny_training, tmp_path):
    export_weights(tiny_training.checkpoint, tmp_path)
    (tmp_path / name).unlink()
    with pytest.raises(FlowmodelError, match=rf"{name}: missing"):
        pretrained_weights(tmp_path)


def test_only_a_finished_training_is_exported(tiny_recipe, prepared, tmp_path):
    unfinished = TrainingState(tiny_recipe, prepared.dataset, "digest").save(tmp_path / "step.safetensors", 1)
    with pytest.raises(FlowmodelError, match="holds no averaged weights"):
        export_weights(unfinished, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_training_starts_from_them_by_name_and_remembers_their_icons(
    tiny_recipe, tiny_training, prepared, tmp_path, monkeypatch
):
    weights = export_weights(tiny_training.checkpoint, tmp_path / "shipped")
    monkeypatch.setitem(SHIPPED, "pretrained", tmp_path / "shipped")
    recipe = changed(tiny_recipe, training={"init_from": "pretrained", "steps": 2, "seed": 7})
    header = train(recipe, prepared.dataset, tmp_path / "run").checkpoint.header
    assert header.initial_ids == tuple(sorted(weights.header.trained_ids))
    assert set(header.seen_ids) == {*header.trained_ids, *header.initial_ids}


def test_the_terms_of_what_they_were_trained_on_stay_with_what_starts_from_them(tiny_recipe, tiny_training, prepared, tmp_path):
    own = tiny_training.checkpoint.header.terms
    assert [(terms.source, terms.license) for terms in own] == [("noto", "Apache-2.0")]
    theirs = Terms("acme", "proprietary", False, "Acme 1.0")
    for given, inherited in (((theirs,), theirs), ((), UNKNOWN)):
        header = replace(tiny_training.checkpoint.header, terms=given)
        weights = save_checkpoint(tmp_path / f"{len(given)}.safetensors", load_file(tiny_training.checkpoint.path), header)
        state = TrainingState(changed(tiny_recipe, training={"init_from": str(weights)}), prepared.dataset, "digest")
        assert set(state.header.terms) == {*own, inherited}
        assert read_header(state.save(tmp_path / "step.safetensors", 1).path).terms == state.header.terms


def test_the_shipped_weights_name_the_terms_that_their_card_names():
    card = (FOLDER / "README.md").read_text(encoding="utf-8")
    terms = pretrained_weights().header.terms
    listed = load_sources(FOLDER / "sources.yaml")
    assert [each.source for each in terms] == sorted(source.name for source in listed)
    assert all(each.redistributable for each in terms)
    for each in terms:
        named = (*each.origin.split(), each.license)
        assert any(all(word in line for word in named) for line in card.splitlines()), named


@pytest.mark.parametrize("name", [name for name in recipe_names() if load_recipe(name).training.init_from])
def test_a_recipe_that_starts_from_them_fits_them(name):
    header, recipe = pretrained_weights().header, load_recipe(name)
    own = replace(header, recipe=recipe.model_dump(mode="json"))
    network = build_network(recipe.network, header.text_width)
    assert initial.load_initial_weights(network, recipe.training.init_from, own) == header
    from_scratch = load_recipe(
        name, [f"training.{field}" for field in ("init_from=null", "rehearsal.share=0", "distillation.trajectories=0")]
    )
    assert from_scratch.training.init_from is None


def test_the_shipped_ones_are_whole_small_and_draw():
    weights = pretrained_weights()
    assert sum(path.stat().st_size for path in FOLDER.iterdir()) < 20e6
    header = weights.header
    assert header.trained_ids and not any("openmoji" in icon_id for icon_id in header.trained_ids)
    generator = Generator.load(weights, "cpu")
    assert generator.recipe.network == load_recipe("finetune").network
    heart_4HW, other_4HW = generator.sample(["red heart, noto style", "green apple, noto style"])
    middle = generator.recipe.data.size // 2
    assert heart_4HW[3, 0, 0] < 32 and heart_4HW[3, middle, middle] > 224  # a transparent corner, an opaque middle
    assert heart_4HW[0, middle, middle] > 2 * heart_4HW[1, middle, middle]  # red
    assert other_4HW[1, middle, middle] > other_4HW[0, middle, middle]  # green


def test_their_real_icons_survive_tracing_and_samples_need_few_paths():
    found = read_json(FOLDER / "metrics.json")
    assert found["settings"]["checkpoint_digest"] == pretrained_weights().digest
    traced = found["traced"]
    assert traced["count"] >= 64 and traced["real"]["retrieval_top1_all"] >= 0.95
    assert traced["drawn_paths"] <= 2 * traced["real_paths"]


def test_the_fast_ones_are_small_and_come_nearer_to_their_teacher_with_four_evaluations_than_itself():
    weights, teacher = pretrained_weights(SHIPPED[FAST]), Generator.from_pretrained(device="cpu")
    assert sum(path.stat().st_size for path in SHIPPED[FAST].iterdir()) < 20e6
    assert weights.header.seen_ids == teacher.header.seen_ids and weights.terms == teacher.header.terms
    fast = Generator.from_pretrained(FAST, "cpu")
    assert fast.checkpoint.digest == weights.digest and fast.nfe() == 4 and teacher.nfe() == 20
    prompts = [f"{name}, {style} style" for style in ("noto", "twemoji") for name in ("red apple", "house", "pizza", "rocket")]
    extractor = load_extractor()
    wanted_ND = extractor(teacher.sample(prompts, seed=2)).semantic_ND

    def off(rgba_N4HW: torch.Tensor) -> float:
        """In the features of KID: pixels prefer the blurred samples without guidance."""
        return float(np.linalg.norm(extractor(rgba_N4HW).semantic_ND - wanted_ND, axis=1).mean())

    assert teacher.nfe(3) == 4
    own = [teacher.sample(prompts, seed=2, steps=3), teacher.sample(prompts, seed=2, steps=4, guidance=1.0)]
    assert off(fast.sample(prompts, seed=2)) < min(map(off, own))
