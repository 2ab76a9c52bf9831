"""The five networks that are compared."""

import pytest

from flowmodel.comparison.variants import variants
from flowmodel.errors import FlowmodelError
from flowmodel.nets import build_network, count_parameters
from flowmodel.recipes import load_recipe

TEXT_WIDTH = 384


@pytest.fixture(scope="module", params=["from_scratch", "laptop"])
def recipe(request):
    return load_recipe(request.param)


@pytest.fixture(scope="module")
def chosen(recipe):
    return {variant.slug: variant for variant in variants(recipe, steps=40, seeds=1, text_width=TEXT_WIDTH)}


def test_there_are_five_variants_in_order(chosen):
    assert list(chosen) == ["grayscale-cnn", "unet-rgb", "unet-rgba", "unet-no-attention", "dit"]
    assert [v.recipe.data.color for v in chosen.values()] == ["grayscale", "rgb", "rgba", "rgba", "rgba"]
    assert chosen["unet-no-attention"].recipe.network.attention_levels == 0
    assert chosen["grayscale-cnn"].recipe.network.layers == 3 and chosen["dit"].recipe.network.kind == "dit"


def test_variants_differ_only_in_network_and_color(chosen):
    def rest(variant):
        values = variant.recipe.model_dump(exclude={"name", "network"})
        del values["data"]["color"]
        return values

    first, *others = (rest(variant) for variant in chosen.values())
    assert all(other == first for other in others)
    assert first["training"]["steps"] == 40 and len(first["evaluation"]["seeds"]) == 1


def test_the_recipe_s_own_network_is_one_of_them(chosen, recipe):
    assert chosen["unet-rgba"].recipe.network == recipe.network
    assert chosen["unet-rgba"].recipe.objective == recipe.objective
    assert chosen["unet-rgba"].recipe.training.learning_rate == recipe.training.learning_rate


def test_the_transformer_is_as_large_as_the_unet(chosen):
    sizes = {slug: variant.cost(TEXT_WIDTH).parameters for slug, variant in chosen.items()}
    assert sizes["dit"] == pytest.approx(sizes["unet-rgba"], rel=0.15)
    assert sizes["unet-no-attention"] < sizes["unet-rgba"]
    assert sizes["unet-rgba"] == count_parameters(build_network(chosen["unet-rgba"].recipe.network, TEXT_WIDTH))


def test_a_recipe_without_unet_gives_one_clear_line():
    with pytest.raises(FlowmodelError, match="recipe 'dit': its network is dit; the comparison takes one with"):
        variants(load_recipe("dit"), 40, 1, TEXT_WIDTH)
