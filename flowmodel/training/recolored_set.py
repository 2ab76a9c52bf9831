"""Recolored copies of training icons, held on the device.

Shape suffixes: N icons that have copies, M copies of one color, 4 channels (premultiplied RGBA), H/W height and width.
"""

from collections.abc import Iterator

import torch
from torch import Tensor

from flowmodel.data.color_captions import color_of
from flowmodel.data.dataset import IconDataset
from flowmodel.errors import FlowmodelError
from flowmodel.images.recolor import ColorStatistics, color_statistics, nearest_colors, recolored
from flowmodel.model.device import DevicePolicy
from flowmodel.recipes.schema import DataConfig
from flowmodel.recipes.split import Split
from flowmodel.training.icon_set import IconSet, packed_captions

_CHUNK = 512  # images recolored at once, because float32 takes much more memory


def load_recolored_set(dataset: IconDataset, data: DataConfig, policy: DevicePolicy) -> IconSet:
    """Make a copy of each suitable training icon in each color that has a caption. Held-out icons have no copies.

    An icon that already has the color stays as it is, with the color word. Raises FlowmodelError when there are no copies.
    """
    captions = dataset.color_captions
    trained = set(dataset.ids_of_split(Split.TRAIN, data))
    rows_of: dict[tuple[str, str], list[int]] = {}  # caption rows of each copy, by color and icon
    for row, (caption_id, icon_id) in enumerate(zip(captions.table["caption_id"], captions.table["icon_id"], strict=True)):
        if icon_id in trained:
            rows_of.setdefault((color_of(caption_id), icon_id), []).append(row)
    if not rows_of:
        raise FlowmodelError(
            f"{dataset.folder}: data.recolored is {data.recolored:g}, but no training icon has captions with color words: "
            "omit the field if no icon has a single color, or prepare the data set that the recipe needs"
        )
    copies = sorted(rows_of)
    icon_ids = sorted({icon_id for _, icon_id in copies})
    number_of = {icon_id: number for number, icon_id in enumerate(icon_ids)}
    numbers_of: dict[str, list[int]] = {}
    for color, icon_id in copies:
        numbers_of.setdefault(color, []).append(number_of[icon_id])
    rgba_N4HW = dataset.rgba_N4HW[[dataset.row_of[icon_id] for icon_id in icon_ids]].to(policy.device)
    captions_N = torch.tensor([len(rows_of[copy]) for copy in copies])
    return IconSet(
        ids=tuple(f"{icon_id} in {color}" for color, icon_id in copies),
        rgba_N4HW=torch.cat(list(_copies(rgba_N4HW, numbers_of))).contiguous(memory_format=policy.memory_format),
        color=data.color,
        text=packed_captions(captions, [row for copy in copies for row in rows_of[copy]], policy.device),
        first_caption_N=captions_N.cumsum(0) - captions_N,
        captions_N=captions_N,
    )


def _copies(rgba_N4HW: Tensor, numbers_of: dict[str, list[int]]) -> Iterator[Tensor]:
    """Yields uint8 (M, 4, H, W) for each color and the icons given by index, in chunks."""
    statistics = _statistics(rgba_N4HW)
    own_colors = nearest_colors(statistics)
    for color, numbers in numbers_of.items():
        has_it_M = torch.tensor([own_colors[number] == color for number in numbers], device=rgba_N4HW.device)
        numbers_M = torch.tensor(numbers, device=rgba_N4HW.device)
        for chunk_M, keeps_M in zip(numbers_M.split(_CHUNK), has_it_M.split(_CHUNK), strict=True):
            icons_M4HW = rgba_N4HW[chunk_M]
            turned_M4HW = recolored(icons_M4HW, statistics[chunk_M], [color] * len(chunk_M))
            yield torch.where(keeps_M[:, None, None, None], icons_M4HW, turned_M4HW)


def _statistics(rgba_N4HW: Tensor) -> ColorStatistics:
    parts = [color_statistics(chunk_M4HW) for chunk_M4HW in rgba_N4HW.split(_CHUNK)]
    fields = ("hue_N", "lightness_N", "chromatic_N", "concentration_N")
    return ColorStatistics(*(torch.cat([getattr(part, field) for part in parts]) for field in fields))
