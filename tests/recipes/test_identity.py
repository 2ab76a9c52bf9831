"""The parts of a recipe that name data sets and trainings."""

import pytest
from pydantic import Field, create_model

from flowmodel.files import sha256_json
from flowmodel.recipes.identity import DEFAULTS, identity
from flowmodel.recipes.networks import DiTConfig, GrayscaleCnnConfig, UNetConfig
from flowmodel.recipes.renamed import with_former_names
from flowmodel.recipes.schema import DataConfig, ObjectiveConfig, SplitConfig, TrainingConfig


def test_only_what_differs_from_the_defaults_and_a_network_s_kind_count():
    assert identity(DataConfig()) == {}
    assert identity(DataConfig(size=32, split=SplitConfig(seed=1))) == {"size": 32, "split": {"seed": 1}}
    assert identity(UNetConfig()) == {"kind": "unet"}
    assert identity(DiTConfig(depth=2)) == {"kind": "dit", "depth": 2}
    assert identity(DataConfig(size=32, encoder="x"), ignore={"encoder"}) == {"size": 32}
    networks = [UNetConfig(), DiTConfig(), GrayscaleCnnConfig()]
    assert len({str(identity(network)) for network in networks}) == 3


def test_a_new_field_with_its_default_renames_nothing_and_another_value_does():
    larger = create_model("Larger", __base__=DataConfig, trim_alpha=(bool, Field(False)))
    assert identity(larger(size=32)) == identity(DataConfig(size=32))
    assert identity(larger(size=32, trim_alpha=True)) != identity(DataConfig(size=32))


def test_a_renamed_field_renames_nothing():
    narrow = UNetConfig(patch_size=4, channels=(32,), blocks_per_level=1)
    assert identity(narrow) == {"kind": "unet", "stem": 4, "widths": [32], "blocks": 1}
    assert identity(GrayscaleCnnConfig(channels=8)) == {"kind": "greyscale_cnn", "width": 8}
    assert identity(DataConfig(color="grayscale")) == {"colour": "greyscale"}
    assert identity(TrainingConfig(grad_clip_norm=2.0, final_lr_frac=0.1)) == {"gradient_clip": 2.0, "final_learning_rate": 0.1}


def _defaults() -> dict:
    sections = (DataConfig, UNetConfig, DiTConfig, GrayscaleCnnConfig, ObjectiveConfig, TrainingConfig)
    names = (section.__name__.replace("Grayscale", "Greyscale") for section in sections)
    former = (with_former_names(s().model_dump(mode="json"), s.renamed, s.renamed_values) for s in sections)
    return dict(zip(names, former, strict=True))


def test_a_default_that_changes_must_rename_what_was_made_with_the_old_one():
    """If this changes, a recipe without the field has another meaning: increment DEFAULTS, and write the new digest here.

    A new or removed field whose default keeps the behavior needs only the new digest.
    """
    assert (DEFAULTS, sha256_json(_defaults())) == (1, "1215d4cc4236bcf1b3c2ded19dbc64f37aff70e8ca2436a40806ff82a64bd496")


def test_an_ignored_field_has_to_exist():
    with pytest.raises(ValueError, match="TrainingConfig has no field init to ignore"):
        identity(TrainingConfig(), {"init"})
