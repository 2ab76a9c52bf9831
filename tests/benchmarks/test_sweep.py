"""The sweep's variants and the icons that they see."""

import pytest

from benchmarks.sweep import BASE, VARIANTS, _recipe, _select
from flowmodel.data.keys import base_key


@pytest.mark.parametrize("variant", VARIANTS)
def test_a_variant_changes_what_it_says_and_sees_as_many_pictures(variant, tmp_path):
    recipe, base = (_recipe(name, 10_000, tmp_path / "selection.txt") for name in (variant, BASE))
    assert recipe.training.steps * recipe.training.batch_size == pytest.approx(10_000, rel=0.01)
    changed = {
        f"{section}.{field}"
        for section in ("data", "network", "training", "sampling")
        for field, value in getattr(recipe, section)
        if field != "steps" and value != getattr(getattr(base, section), field)
    }
    named = {setting.split("=")[0].removesuffix(".probability") for setting in VARIANTS[variant]}
    assert changed == named


def test_one_in_so_many_concepts_is_chosen_with_all_its_skin_tones(prepared, tmp_path):
    chosen = set(_select(prepared.dataset, 16, tmp_path / "selection.txt").read_text().splitlines())
    keys = {icon_id.partition("/")[2] for icon_id in prepared.dataset.ids}
    concepts = {base_key(key) for key in chosen}
    assert chosen == {key for key in keys if base_key(key) in concepts}
    assert 1 / 32 < len(concepts) / len({base_key(key) for key in keys}) < 1 / 8
