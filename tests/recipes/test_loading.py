"""Recipes and selections: errors name the field and valid values."""

import re
import warnings

import pytest
import yaml

from flowmodel.errors import FlowmodelError
from flowmodel.recipes import load_recipe, load_selection, parse_recipe, recipe_names
from flowmodel.recipes.gate import GateRule
from flowmodel.recipes.networks import GrayscaleCnnConfig


@pytest.mark.parametrize("name", recipe_names())
def test_every_recipe_loads_under_its_own_name(name):
    assert load_recipe(name).name == name


def test_overrides_reach_nested_fields():
    recipe = load_recipe("from_scratch", ["training.steps=7", "network.channels=[16, 32]", "data.selection=null"])
    assert recipe.training.steps == 7 and recipe.network.channels == (16, 32) and recipe.data.selection is None


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
        ("network.channels=[48, 65]", ["network.channels: 65 is not a multiple of head_dim"]),
        ("network.channels=[48, 48, 48, 48, 48, 48]", ["can't be divided by 128", "fewer network.channels"]),
        ("network.width=[48]", ["network.width: unknown field", "patch_size, channels"]),
        ("network.kind=resnet", ["network.kind: unknown network 'resnet'", "'unet', 'grayscale_cnn', 'dit'"]),
        ("network={kind: dit, depth: 0}", ["network.depth", "got 0"]),
        ("network={kind: grayscale_cnn}", ["set data.color to grayscale"]),
        ("training={keep: best}", ["training.keep: 'best' is gone", "docs/decisions/removed-options.md", "leave the field out"]),
        ("training={keep: last}", None),
        ("sampling.guidance_interval=[0.5, 0.2]", ["sampling.guidance_interval: the first time"]),
        ("data.split.validation=0.97", ["validation + unseen_concept must stay below 1"]),
        (
            "sampling.solver=dopri5",
            ["sampling.solver: 'dopri5' is gone", "docs/decisions/removed-options.md", "choose another value"],
        ),
        ("sampling.cfg_zero_star=true", ["sampling.cfg_zero_star: True is gone", "leave the field out"]),
        ("sampling={tolerance: 0.01, cfg_zero_star: false}", None),
        (
            "objective.contrastive=0.05",
            ["objective.contrastive: 0.05 is gone", "docs/decisions/removed-options.md", "leave the field out"],
        ),
        ("objective.time_distribution=mixed", ["objective.time_distribution: 'mixed' is gone", "choose another value"]),
        ("objective.coupling=ot", ["objective.coupling: 'ot' is gone"]),
        ("objective={contrastive: 0.0, coupling: independent, coupling_condition_weight: 2.0, time_uniform_share: 0.3}", None),
        ("finisher={}", None),
        ("finisher=null", None),
        ("finisher.widht=32", ["finisher.widht: unknown field", "known: channels, blocks"]),
        ("finisher.channels=20", ["finisher.channels", "multiple of 8", "got 20"]),
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


def test_a_recipe_may_be_a_file(tmp_path):
    path = tmp_path / "mine.yaml"
    path.write_text(yaml.safe_dump({"name": "mine", "training": {"steps": 3}}))
    assert load_recipe(str(path)).training.steps == 3
    path.write_text("training: [1, 2")
    with pytest.raises(FlowmodelError, match=r"mine\.yaml: not valid YAML"):
        load_recipe(str(path))


OLD_FIELDS = [
    ("from_scratch", "training.accumulate=2", "training.grad_accum_steps", 2),
    ("from_scratch", "training.final_learning_rate=0.1", "training.final_lr_frac", 0.1),
    ("from_scratch", "training.gradient_clip=2.0", "training.grad_clip_norm", 2.0),
    ("quickstart", "training.init=null", "training.init_from", None),
    ("from_scratch", "training.grid_every=7", "training.sample_every", 7),
    ("from_scratch", "objective.times=uniform", "objective.time_distribution", "uniform"),
    ("from_scratch", "objective.time_mean=0.5", "objective.logit_mean", 0.5),
    ("from_scratch", "objective.time_std=2.0", "objective.logit_std", 2.0),
    ("from_scratch", "objective.condition_dropout=0.2", "objective.cond_dropout", 0.2),
    ("from_scratch", "network.stem=2", "network.patch_size", 2),
    ("from_scratch", "network.widths=[32, 64]", "network.channels", (32, 64)),
    ("from_scratch", "network.blocks=2", "network.blocks_per_level", 2),
    ("from_scratch", "network.head_width=8", "network.head_dim", 8),
    ("from_scratch", "network.embedding_width=64", "network.embedding_dim", 64),
    ("dit", "network.patch=4", "network.patch_size", 4),
    ("grayscale_cnn", "network.width=32", "network.channels", 32),
    ("grayscale_cnn", "data.colour=greyscale", "data.color", "grayscale"),
    ("quickstart", "finisher.width=32", "finisher.channels", 32),
    ("quickstart", "finisher={width: 32}", "finisher.channels", 32),
    ("quickstart", "finisher.init=null", "finisher.init_from", None),
]


@pytest.mark.parametrize(("recipe", "override", "field", "value"), OLD_FIELDS)
def test_an_old_field_is_read_with_a_warning_that_names_the_new_one(recipe, override, field, value):
    old = override.partition("=")[0] if "{" not in override else "finisher.width"
    with pytest.warns(FutureWarning, match=rf"{re.escape(old)} is now called {re.escape(field)}; "):
        found = load_recipe(recipe, [override])
    for name in field.split("."):
        found = getattr(found, name)
    assert found == value


def test_a_file_of_an_earlier_release_is_read_and_its_header_without_a_word(tmp_path):
    values = {
        "name": "mine",
        "data": {"size": 32, "colour": "greyscale"},
        "network": {"kind": "greyscale_cnn", "width": 8},
        "evaluation": {"gate": {"rules": [{"metric": "auth_pct", "split": "train", "min": 50}]}},
    }
    path = tmp_path / "mine.yaml"
    path.write_text(yaml.safe_dump(values))
    with pytest.warns(FutureWarning) as told:
        recipe = load_recipe(str(path))
    lines = [str(warning.message) for warning in told]
    assert len(lines) == 3 and all(line.startswith(f"{path}: ") and "\n" not in line for line in lines)
    assert recipe.network == GrayscaleCnnConfig(channels=8) and recipe.data.color == "grayscale"
    assert recipe.evaluation.gate.rules == (GateRule(metric="authentic_rate", split="train", min=0.5),)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert parse_recipe(values, "header") == recipe


def test_an_old_name_beside_the_new_one_is_refused(tmp_path):
    path = tmp_path / "mine.yaml"
    path.write_text(yaml.safe_dump({"name": "mine", "training": {"accumulate": 2, "grad_accum_steps": 2}}))
    with pytest.warns(FutureWarning), pytest.raises(FlowmodelError, match=r"training\.accumulate: .*grad_accum_steps"):
        load_recipe(str(path))


def test_a_renamed_recipe_is_found_by_its_old_name():
    with pytest.warns(FutureWarning, match="'greyscale_cnn' is now called 'grayscale_cnn'"):
        assert load_recipe("greyscale_cnn").name == "grayscale_cnn"


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
