"""Measures whether a model generates things in the prompted color: `python -m benchmarks.colors [--model PATH|pretrained]`.

There are two lists of prompts. HELD_OUT are pairs of thing and color that no training with `data.recolored` uses, of things
that no set has in that color. For each sample the mean hue is measured, and the thing is retrieved, in gray, among all real
icons in gray. EVERYDAY are ten things in six colors, held out or not. Baselines are the real icons, unchanged and recolored.

Shape suffixes: N images, M candidates, H/W height and width.
"""

import argparse
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from benchmarks.measure import EMOJI_SETS, print_rows, write_json
from flowmodel.data.color_captions import without_color_words
from flowmodel.data.dataset import IconDataset
from flowmodel.data.prepare import prepare
from flowmodel.errors import FlowmodelError
from flowmodel.evaluation.features import FeatureExtractor, cached_features, load_extractor
from flowmodel.evaluation.metrics.retrieval import ranks
from flowmodel.files import sha256_json
from flowmodel.images.grid import image_grid
from flowmodel.images.recolor import CHROMATIC, OPAQUE, PROTOTYPES, angle, color_statistics, lightness_chroma_hue, recolored
from flowmodel.images.rgba import to_image
from flowmodel.images.save import save_image
from flowmodel.images.tensors import from_unit, to_unit
from flowmodel.model.generator import Generator
from flowmodel.registry.references import resolve_model
from flowmodel.store import Store

HELD_OUT_THINGS = {
    "red": ("banana", "beer mug", "fish", "gem stone", "star"),
    "orange": ("four leaf clover", "grapes", "parrot", "running shirt", "unicorn"),
    "yellow": ("closed book", "dragon", "kick scooter", "kimono", "strawberry"),
    "green": ("chair", "doughnut", "mushroom", "octopus", "telephone"),
    "blue": ("apple", "bell", "crown", "snail", "tomato"),
    "purple": ("cucumber", "lobster", "scarf", "tiger", "turtle"),
    "pink": ("crescent moon", "credit card", "handbag", "puzzle piece", "trumpet"),
    "brown": ("bell pepper", "bug", "ferry", "palm tree", "snowflake"),
}
Pair = tuple[str, str]  # color and thing
HELD_OUT: tuple[Pair, ...] = tuple((color, thing) for color, things in HELD_OUT_THINGS.items() for thing in things)
_THINGS = ("apple", "car", "heart", "umbrella", "balloon", "house", "key", "mushroom", "fish", "bicycle")
_COLORS = ("red", "orange", "yellow", "green", "blue", "purple")
EVERYDAY: tuple[Pair, ...] = tuple((color, thing) for color in _COLORS for thing in _THINGS)
WITHIN = np.radians(30)


def mean_hues_are_right(rgba_N4HW: Tensor, colors: Sequence[str]) -> Tensor:
    """For each image, whether the mean hue lies within 30 degrees of the color's; bool (N,).

    The mean is over opaque pixels whose eight neighbors are opaque too, so that an outline doesn't count, and that have a color
    at all; each counts by its chroma. An image without any is wrong.
    """
    _, chroma_NHW, hue_NHW = lightness_chroma_hue(rgba_N4HW)
    see_through_N1HW = (rgba_N4HW[:, 3:] <= OPAQUE * 255).float()
    is_inside_NHW = F.max_pool2d(see_through_N1HW, 3, stride=1, padding=1)[:, 0] == 0
    weight_NHW = chroma_NHW * (is_inside_NHW & (chroma_NHW > CHROMATIC))
    mean_N = torch.atan2((weight_NHW * hue_NHW.sin()).sum((1, 2)), (weight_NHW * hue_NHW.cos()).sum((1, 2)))
    return (angle(mean_N - _asked(colors)).abs() < WITHIN) & (weight_NHW.sum((1, 2)) > 0)


def most_pixels_are_right(rgba_N4HW: Tensor, colors: Sequence[str]) -> Tensor:
    """For each image, whether more than half of the opaque pixels with a color are within 30 degrees of the asked one; (N,)."""
    _, chroma_NHW, hue_NHW = lightness_chroma_hue(rgba_N4HW)
    is_colored_NHW = (rgba_N4HW[:, 3] > OPAQUE * 255) & (chroma_NHW > CHROMATIC)
    is_right_NHW = is_colored_NHW & (angle(hue_NHW - _asked(colors)[:, None, None]).abs() < WITHIN)
    return is_right_NHW.sum((1, 2)) > is_colored_NHW.sum((1, 2)) / 2


def _asked(colors: Sequence[str]) -> Tensor:
    return torch.tensor([PROTOTYPES[color].hue for color in colors]).deg2rad()


@dataclass(frozen=True)
class Things:
    """Real icons in gray, to retrieve a thing regardless of color. Names that differ in color words only are the same thing."""

    dataset: IconDataset
    names_M: np.ndarray
    layout_MD: np.ndarray
    extractor: FeatureExtractor

    @classmethod
    def load(cls, dataset: IconDataset, extractor: FeatureExtractor, cache: Path) -> "Things":
        """Raises FlowmodelError when a prepared file can't be read."""
        content = sha256_json([dataset.pixels_digest, "grayscale"])
        features = cached_features(content, _in_gray(dataset.rgba_N4HW), extractor, cache)
        names = [without_color_words(name) for name in dataset.icons["name"]]
        return cls(dataset, np.array(names), features.layout_ND, extractor)

    def real(self, pairs: Sequence[Pair], source: str) -> Tensor:
        """That source's first icon of each thing, uint8 (N, 4, H, W). Raises FlowmodelError when it has none."""
        is_of_source_M = (self.dataset.icons["source"] == source).to_numpy()
        rows = []
        for _, thing in pairs:
            found = np.flatnonzero((self.names_M == thing) & is_of_source_M)
            if not len(found):
                raise FlowmodelError(
                    f"{self.dataset.folder}: '{source}' has no icon of the thing '{thing}'; choose another --source"
                )
            rows.append(int(found[0]))
        return self.dataset.rgba_N4HW[rows]

    def ranks(self, rgba_N4HW: Tensor, pairs: Sequence[Pair]) -> np.ndarray:
        """The number of other things that are more similar to each image, in gray, than the right thing."""
        layout_ND = self.extractor(_in_gray(rgba_N4HW)).layout_ND
        return ranks(layout_ND, self.layout_MD, self.names_M, np.array([thing for _, thing in pairs]))


def _in_gray(rgba_N4HW: Tensor) -> Tensor:
    return torch.cat([from_unit(to_unit(part_N4HW, "grayscale")) for part_N4HW in rgba_N4HW.split(512)])


@dataclass(frozen=True)
class Images:
    """`rgba_N4HW[n]`, premultiplied uint8, stands for `pairs[n]`."""

    rgba_N4HW: Tensor
    pairs: Sequence[Pair]

    @property
    def colors(self) -> list[str]:
        return [color for color, _ in self.pairs]


def scores(images: Images, things: Things) -> dict[str, Any]:
    """Scores of the images of held-out pairs: shares from 0 to 1."""
    is_right_N = mean_hues_are_right(images.rgba_N4HW, images.colors).numpy()
    ranks_N = things.ranks(images.rgba_N4HW, images.pairs)
    return {
        "images": len(images.pairs),
        "color": float(is_right_N.mean()),
        "thing, top 1": float((ranks_N < 1).mean()),
        "thing, top 5": float((ranks_N < 5).mean()),
        "color and thing, top 5": float((is_right_N & (ranks_N < 5)).mean()),
    }


def by_color(is_right_N: Tensor, colors: Sequence[str]) -> dict[str, float]:
    """The fraction that is right, overall and by color."""
    of_each = {color: is_right_N[torch.tensor([own == color for own in colors])] for color in dict.fromkeys(colors)}
    return {name: float(part_N.float().mean()) for name, part_N in ({"all": is_right_N} | of_each).items()}


def draw(generator: Generator, pairs: Sequence[Pair], style: str, seeds: int, says_color: bool = True) -> Images:
    """Every pair from `seeds` seeds."""
    prompts = [f"{color} {thing}, {style} style" if says_color else f"{thing}, {style} style" for color, thing in pairs]
    return Images(torch.cat([generator.sample(prompts, seed=seed) for seed in range(seeds)]), [*pairs] * seeds)


def measure(generator: Generator, things: Things, style: str, source: str, seeds: int) -> list[list[dict[str, Any]]]:
    """Three tables: held-out pairs, beside `source`'s real icons and samples without the color word; both lists by color."""
    real_N4HW = things.real(HELD_OUT, source)
    turned_N4HW = recolored(real_N4HW, color_statistics(real_N4HW), [color for color, _ in HELD_OUT])
    drawn, everyday = draw(generator, HELD_OUT, style, seeds), draw(generator, EVERYDAY, style, seeds)
    kinds = {
        "drawn": drawn,
        "drawn without the word of color": draw(generator, HELD_OUT, style, seeds, says_color=False),
        "real icons, turned": Images(turned_N4HW, HELD_OUT),
        "real icons as they are": Images(real_N4HW, HELD_OUT),
    }
    of_held_out = by_color(mean_hues_are_right(drawn.rgba_N4HW, drawn.colors), drawn.colors)
    of_everyday = by_color(most_pixels_are_right(everyday.rgba_N4HW, everyday.colors), everyday.colors)
    return [
        [{"held-out pairs": kind} | scores(images, things) for kind, images in kinds.items()],
        [{"held-out pairs": "mean hue is right"} | of_held_out],
        [{"everyday things": "most pixels are right"} | of_everyday],
    ]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="pretrained")
    parser.add_argument("--style", default="noto", help="as the prompts call it")
    parser.add_argument("--source", default="noto", help="of the real icons that stand beside")
    parser.add_argument("--seeds", type=int, default=3, help="samples of each pair")
    parser.add_argument("--sources", type=Path, default=EMOJI_SETS, help="the icons among which things are looked for")
    parser.add_argument("--image", type=Path, metavar="FILE", help="also draw the held-out pairs there, from one seed")
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write the numbers there")
    options = parser.parse_args()
    store = Store.from_environment()
    generator = Generator.load(resolve_model(store, options.model))
    # The captions of copies are not needed to look for an icon.
    data = generator.recipe.data.model_copy(update={"size": generator.size, "recolored": 0.0})
    recipe = generator.recipe.model_copy(update={"data": data})
    dataset = prepare(recipe, store, options.sources, log=lambda line: print(line, file=sys.stderr))
    things = Things.load(dataset, load_extractor(), store.root / "features")
    tables = measure(generator, things, options.style, options.source, options.seeds)
    for rows in tables:
        print_rows(rows, width=140)
    if options.image:
        drawn = draw(generator, HELD_OUT, options.style, seeds=1)
        images, labels = [to_image(rgba_4HW) for rgba_4HW in drawn.rgba_N4HW], [" ".join(pair) for pair in drawn.pairs]
        save_image(image_grid(images, columns=10, labels=labels), options.image)
    write_json(options.json, tables)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
