"""The sample grid: an image with samples next to real icons."""

from itertools import zip_longest
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

from flowmodel.data.dataset import IconDataset
from flowmodel.evaluation.samples import Samples, load_samples
from flowmodel.files import Artifact
from flowmodel.images.grid import comparison_grid
from flowmodel.images.rgba import to_image
from flowmodel.images.save import save_image
from flowmodel.recipes.split import Split

SHOWN_TRAINED, SHOWN_UNSEEN, COLUMNS = 32, 8, 4
_MARGIN, _HEADING = 10, 34


def sample_grid(samples_path: Path, dataset: IconDataset, out: Path) -> Artifact:
    """Draw training icons from all groups, then held-out captions, each with the real icon and the sample of the first seed.

    Raises FlowmodelError when the samples or the icons can't be read.
    """
    samples = load_samples(samples_path)
    group_of = dict(zip(dataset.ids, dataset.icons["group"], strict=True))
    trained = over_groups(samples.of_split(Split.TRAIN), samples, group_of, SHOWN_TRAINED)
    unseen = over_groups(samples.of_split(Split.UNSEEN_CONCEPT), samples, group_of, SHOWN_UNSEEN)
    sections = [("Training icons: real icon, sample", _pairs(trained, samples, dataset))]
    if unseen:
        heading = "Held-out concepts: real icon, sample"
        sections.append((heading, _pairs(unseen, samples, dataset)))
    return Artifact.of(save_image(_stack(sections), out))


def over_groups(indices: list[int], samples: Samples, group_of: dict[str, str], count: int) -> list[int]:
    """`count` of the indices, taken from the groups in turn, so that every group is included."""
    by_group: dict[str, list[int]] = {}
    for index in indices:
        by_group.setdefault(group_of.get(samples.ids[index], ""), []).append(index)
    spread = [members[:: max(1, len(members) * len(by_group) // count)] for members in by_group.values()]
    in_turn = [index for round_ in zip_longest(*spread) for index in round_ if index is not None]
    return sorted(in_turn[:count])


def _pairs(indices: list[int], samples: Samples, dataset: IconDataset) -> Image.Image:
    real_N4HW, row_of = dataset.rgba_N4HW, dataset.row_of
    pairs = [(to_image(real_N4HW[row_of[samples.ids[i]]]), to_image(samples.rgba_SN4HW[0, i])) for i in indices]
    return comparison_grid(pairs, COLUMNS, [samples.prompts[i] for i in indices])


def _stack(sections: list[tuple[str, Image.Image]]) -> Image.Image:
    width = max(grid.width for _, grid in sections)
    height = sum(grid.height + _HEADING for _, grid in sections)
    page = Image.new("RGB", (width, height), "white")
    draw, top = ImageDraw.Draw(page), 0
    for heading, grid in sections:
        draw.text((_MARGIN, top + 12), heading, fill=(30, 33, 40), font=ImageFont.load_default(14))
        page.paste(grid, (0, top + _HEADING))
        top += _HEADING + grid.height
    return page
