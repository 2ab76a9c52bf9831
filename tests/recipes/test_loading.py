"""Recipes and selections: what is wrong is named, with what would be right."""

import pytest
import yaml

from flowmodel.errors import FlowmodelError
from flowmodel.recipes import load_recipe, load_selection, recipe_names


@pytest.mark.parametrize("name", recipe_names())
def test_every_recipe_loads_under_its_own_name(name):
    assert load_recipe(name).name == name


def test_overrides_reach_nested_fields():
    recipe = load_recipe("from_scratch", ["training.steps=7", "network.widths=[16, 32]", "data.selection=null"])
    assert recipe.training.steps == 7 and recipe.network.widths == (16, 32) and recipe.data.selection is None


def test_off_and_no_are_words_not_booleans(tmp_path):
    file = tmp_path / "mine.yaml"
    file.write_text("name: mine\ntraining:\n  compile: off\nevaluation:\n  clip: off\n")
    for recipe in (load_recipe(str(file)), load_recipe("from_scratch", ["training.compile=off", "evaluation.clip=off"])):
        assert recipe.training.compile == "off" and recipe.evaluation.clip == "off"
    assert load_recipe("from_scratch", ["training.keep_snapshots=true"]).training.keep_snapshots is True


@pytest.mark.parametrize(
    ("override", "words"),
    [
        ("training.stepz=7", ["training.stepz: unknown field", "steps, batch_size"]),
        ("trainings.steps=7", ["trainings: unknown field", "training, sampling"]),
        ("training.steps=0", ["training.steps", "got 0"]),
        ("training.steps=many", ["training.steps", "'many'"]),
        ("objective.prediction=noise", ["objective.prediction", "'velocity' or 'data'"]),
        ("data.size=60", ["data.size", "got 60"]),
        ("data.size=16", None),
        ("network.widths=[48, 65]", ["network.widths: 65 is not a multiple of head_width"]),
        ("network.widths=[48, 48, 48, 48, 48, 48]", ["can't be divided by 128", "fewer network.widths"]),
        ("network.width=[48]", ["network.width: unknown field", "stem, widths"]),
        ("network.kind=resnet", ["network.kind: unknown network 'resnet'", "'unet', 'greyscale_cnn', 'dit'"]),
        ("network={kind: dit, depth: 0}", ["network.depth", "got 0"]),
        ("network={kind: greyscale_cnn}", ["set data.colour to greyscale"]),
        ("training={keep: best}", ["training.keep: 'best' is gone", "docs/experiments.md", "leave the field out"]),
        ("training={keep: last}", None),
        ("sampling.guidance_interval=[0.5, 0.2]", ["sampling.guidance_interval: the first time"]),
        ("data.split.validation=0.97", ["validation + unseen_concept must stay below 1"]),
        ("sampling.solver=dopri5", ["sampling.solver: 'dopri5' is gone", "docs/experiments.md", "choose another value"]),
        ("sampling.cfg_zero_star=true", ["sampling.cfg_zero_star: True is gone", "leave the field out"]),
        ("sampling={tolerance: 0.01, cfg_zero_star: false}", None),
        ("objective.contrastive=0.05", ["objective.contrastive: 0.05 is gone", "docs/experiments.md", "leave the field out"]),
        ("objective.times=mixed", ["objective.times: 'mixed' is gone", "choose another value"]),
        ("objective.coupling=ot", ["objective.coupling: 'ot' is gone"]),
        ("objective={contrastive: 0.0, coupling: independent, coupling_condition_weight: 2.0, time_uniform_share: 0.3}", None),
        ("finisher={}", None),
        ("finisher=null", None),
        ("finisher.widht=32", ["finisher.widht: unknown field", "known: width, blocks"]),
        ("finisher.width=20", ["finisher.width", "multiple of 8", "got 20"]),
        ("finisher.scale=4", ["finisher.scale", "got 4"]),
        ("training.steps.x=1", ["'steps' is a value, not a section"]),
    ],
)
def test_a_wrong_field_is_named_in_one_line(override, words):
    if words is None:
        assert load_recipe("from_scratch", [override])
        return
    with pytest.raises(FlowmodelError) as caught:
        load_recipe("from_scratch", [override])
    assert "\n" not in str(caught.value)
    for word in words:
        assert word in str(caught.value)


def test_a_recipe_file_of_one_s_own(tmp_path):
    path = tmp_path / "mine.yaml"
    path.write_text(yaml.safe_dump({"name": "mine", "training": {"steps": 3}}))
    assert load_recipe(str(path)).training.steps == 3
    path.write_text("training: [1, 2")
    with pytest.raises(FlowmodelError, match=r"mine\.yaml: not valid YAML"):
        load_recipe(str(path))


def test_the_quickstart_s_icons_are_spread_over_all_groups(prepared, tiny_recipe):
    icons = prepared.dataset.icons.set_index("id")["group"]
    trained = prepared.dataset.ids_of_split("train", tiny_recipe.data)
    assert 180 <= len(trained) <= 220
    assert set(icons[trained]) == set(icons) - {"component"} and "noto/2764" in trained and "noto/1f355" in trained


def test_selections_are_checked(tmp_path):
    empty = tmp_path / "empty.txt"
    empty.write_text("# nothing\n")
    with pytest.raises(FlowmodelError, match=r"empty\.txt: the list is empty"):
        load_selection(str(empty))
    with pytest.raises(FlowmodelError, match="no such list; there are well_known"):
        load_selection("unknown")
