"""The five compared networks, each with its recipe.

All are derived from one recipe with a U-Net and share its icons, captions, objective, optimizer, steps and batch size.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch

from flowmodel.errors import FlowmodelError
from flowmodel.images.tensors import CHANNELS
from flowmodel.nets import Cost, build_network, count_parameters, network_cost
from flowmodel.recipes import Recipe, parse_recipe
from flowmodel.recipes.networks import DiTConfig, GrayscaleCnnConfig, UNetConfig

_DIT_DEPTH = 6
_DIT_PATCHES = 8  # along an edge: 64 tokens, about as many positions as the U-Net attends to
_MOST_HEADS = 64
_VALIDATIONS = 4  # over a training


@dataclass(frozen=True)
class Variant:
    """A network to compare. `words` is its display name; `slug` is used in file names."""

    slug: str
    words: str
    recipe: Recipe

    def cost(self, text_width: int) -> Cost:
        data = self.recipe.data
        network = build_network(self.recipe.network, text_width, CHANNELS[data.color])
        return network_cost(network, CHANNELS[data.color], data.size, text_width)


def variants(recipe: Recipe, steps: int, seeds: int, text_width: int) -> tuple[Variant, ...]:
    """The variants, from the project's first network to the current one, then a transformer with as many parameters.

    Args:
        steps: training steps of each network.
        seeds: number of the recipe's evaluation seeds to use.
        text_width: width of the caption encoder.

    Raises:
        FlowmodelError: the recipe's network is not a U-Net.
    """
    unet = recipe.network
    if not isinstance(unet, UNetConfig):
        raise FlowmodelError(
            f"recipe '{recipe.name}': its network is {unet.kind}; the comparison takes one with network.kind unet, "
            "for example from_scratch or laptop, and derives the other networks from it"
        )
    without_attention = unet.model_copy(update={"attention_levels": 0})
    networks: tuple[tuple[str, str, Any, str], ...] = (
        ("grayscale-cnn", "Grayscale CNN, 3 layers", GrayscaleCnnConfig(), "grayscale"),
        ("unet-rgb", "U-Net in RGB, no alpha", unet, "rgb"),
        ("unet-rgba", "U-Net in RGBA", unet, "rgba"),
        ("unet-no-attention", "U-Net without attention", without_attention, "rgba"),
        ("dit", "DiT, a transformer", _dit_like(unet, recipe.data.size, text_width), "rgba"),
    )
    return tuple(
        Variant(slug, words, _with_network(recipe, slug, network.model_dump(mode="json"), color, steps, seeds))
        for slug, words, network, color in networks
    )


def _with_network(recipe: Recipe, slug: str, network: Mapping[str, Any], color: str, steps: int, seeds: int) -> Recipe:
    values = recipe.model_dump(mode="json")
    training = values["training"]
    values |= {"name": f"{recipe.name}-{slug}", "description": "", "network": network}
    values["data"]["color"] = color
    values["training"] = training | {
        "steps": steps,
        "warmup_steps": min(training["warmup_steps"], steps // 10),
        "log_every": min(training["log_every"], max(1, steps // 10)),
        "checkpoint_every": min(training["checkpoint_every"], max(1, steps // 4)),
        "sample_every": steps,
        "init_from": None,  # weights fit one network only
        "validation": training["validation"] | {"every": max(1, steps // _VALIDATIONS), "patience": 0},
    }
    # No variant is registered, so no gate rules apply.
    values["evaluation"] = values["evaluation"] | {"gate": {}, "seeds": values["evaluation"]["seeds"][:seeds]}
    return parse_recipe(values, where=f"{slug} derived from recipe '{recipe.name}'")


def _dit_like(unet: UNetConfig, size: int, text_width: int) -> DiTConfig:
    """The DiT whose parameter count is closest to the U-Net's, with the same number of tokens at every image size."""

    def parameters(config: UNetConfig | DiTConfig) -> int:
        with torch.device("meta"):  # counted, not allocated
            return count_parameters(build_network(config, text_width))

    wanted = parameters(unet)
    common = {
        "patch_size": max(1, size // _DIT_PATCHES),
        "depth": _DIT_DEPTH,
        "head_dim": unet.head_dim,
        "embedding_dim": unet.embedding_dim,
    }
    widths = (heads * unet.head_dim for heads in range(1, _MOST_HEADS + 1) if heads * unet.head_dim % 4 == 0)
    candidates = [DiTConfig.model_validate(common | {"width": width}) for width in widths]
    return min(candidates, key=lambda config: abs(parameters(config) - wanted))
