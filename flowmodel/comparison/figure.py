"""The image of a comparison: real icons, with the samples of each network below them."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from PIL import Image

from flowmodel.comparison.row import Row
from flowmodel.data.dataset import IconDataset
from flowmodel.evaluation.sample_grid import over_groups
from flowmodel.evaluation.samples import load_samples
from flowmodel.images.grid import labeled_rows
from flowmodel.images.rgba import to_image
from flowmodel.recipes.split import Split

SHOWN = 9


def comparison_figure(
    rows: Sequence[Row], samples: Mapping[str, Path], settings: Mapping[str, Any], dataset: IconDataset
) -> Image.Image:
    """Draw the comparison for captions of training icons from all groups, with the first seed.

    `samples` maps the slug of each row to its file of samples.
    """
    drawn = {slug: load_samples(path) for slug, path in samples.items()}
    first = drawn[rows[0].slug]
    group_of = dict(zip(dataset.ids, dataset.icons["group"], strict=True))
    numbers = over_groups(first.of_split(Split.TRAIN), first, group_of, SHOWN)
    ids = [first.ids[number] for number in numbers]
    real = [to_image(dataset.rgba_N4HW[dataset.row_of[icon_id]]) for icon_id in ids]
    lines = [("Real icons", [f"{len(dataset.ids)} in the data set"], real)]
    for row in rows:
        own = drawn[row.slug]
        number_of = {icon_id: number for number, icon_id in enumerate(own.ids)}
        images = [to_image(own.rgba_SN4HW[0, number_of[icon]]) for icon in ids]
        lines.append((row.network, _facts(row), images))
    title = f"Samples of five networks after {settings['steps']} steps of {settings['batch_size']} icons"
    subtitle = (
        f"recipe {settings['recipe']}, {settings['size']} x {settings['size']} pixels, captions of trained icons, seed "
        f"{settings['seeds'][0]}, {settings['solver']} with {settings['solver_steps']} steps, guidance {settings['guidance']:g}"
    )
    return labeled_rows(lines, [first.prompts[number] for number in numbers], title, subtitle)


def _facts(row: Row) -> list[str]:
    alpha = "no transparency" if row.alpha_iou is None else f"alpha IoU {row.alpha_iou:.2f}"
    return [
        f"{row.parameters / 1e6:.2f} M parameters, {row.forward_flops / 1e9:.2g} GFLOP",
        f"right icon nearest: {row.top1:.0%}",
        f"KID {row.kid:.3f}, {alpha}",
    ]
