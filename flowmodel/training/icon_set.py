"""The icons of a split with their captions, held on the device as a whole, so that no data loader is needed.

Shape suffixes: N icons, T captions, B batch, C channels, H/W height and width.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from flowmodel.data.captions import UNDETERMINED
from flowmodel.data.dataset import Captions, IconDataset
from flowmodel.errors import FlowmodelError
from flowmodel.images.tensors import to_unit
from flowmodel.model.device import DevicePolicy
from flowmodel.nets.text_condition import PackedCaptions, TextCondition
from flowmodel.recipes.schema import Color, DataConfig
from flowmodel.recipes.split import Split


@dataclass(frozen=True)
class IconSet:
    """Icons with their captions.

    Attributes:
        ids: icon ids, in the order of the images.
        rgba_N4HW: uint8, premultiplied, on the device.
        color: color mode of the batches.
        text: features of every caption of every icon (T of them), on the device.
        first_caption_N, captions_N: an icon's captions are the rows from `first` to `first + captions` of `text`; on the CPU,
            so that choosing
            one does not synchronize with the device.
    """

    ids: tuple[str, ...]
    rgba_N4HW: Tensor
    color: Color
    text: PackedCaptions
    first_caption_N: Tensor
    captions_N: Tensor

    def __len__(self) -> int:
        return len(self.ids)

    def images(self, icons_B: Tensor) -> Tensor:
        """The icons number `icons_B`, float32 (B, C, H, W) in [-1, 1]."""
        rgba_N4HW = self.rgba_N4HW
        x_BCHW = to_unit(rgba_N4HW[icons_B.to(rgba_N4HW.device)], self.color)
        return x_BCHW.contiguous(memory_format=_memory_format(rgba_N4HW))

    def first_captions(self, icons_B: Tensor) -> TextCondition:
        """The caption of each icon for the recipe's first template."""
        return self.text[self.first_caption_N[icons_B]]

    def batch(self, icons_B: Tensor, generator: torch.Generator) -> tuple[Tensor, TextCondition]:
        """Images and, for each, a random caption, drawn with `generator` on the CPU."""
        share_B = torch.rand(len(icons_B), generator=generator)
        chosen_B = (share_B * self.captions_N[icons_B]).long()
        return self.images(icons_B), self.text[self.first_caption_N[icons_B] + chosen_B]


def _memory_format(x_NCHW: Tensor) -> torch.memory_format:
    is_channels_last = x_NCHW.is_contiguous(memory_format=torch.channels_last)
    return torch.channels_last if is_channels_last else torch.contiguous_format


def load_icon_set(dataset: IconDataset, data: DataConfig, policy: DevicePolicy, ids: Sequence[str]) -> IconSet:
    """Read these icons with the captions of the recipe's templates and languages, and move them to the device.

    Raises FlowmodelError when there are no icons, or the data set lacks one.
    """
    if not ids:
        raise FlowmodelError(_none_left(dataset, data))
    if missing := [icon_id for icon_id in ids if icon_id not in dataset.row_of]:
        raise FlowmodelError(f"{dataset.folder}: has no icon '{missing[0]}'; prepare the data set that the recipe needs")
    captions = dataset.captions.table
    wanted = captions["template"].isin(data.captions) & captions["language"].isin([*data.languages, UNDETERMINED])
    # An icon without such captions is trained on with its English name. Only emoji have a German name, for example.
    wanted |= ~captions["icon_id"].isin(captions.loc[wanted, "icon_id"]) & (captions["template"] == "name")
    captions_of = captions[wanted].groupby("icon_id").indices
    rows_T = np.flatnonzero(wanted)
    rows: list[int] = []
    first, count = [], []
    for icon_id in ids:
        own = captions_of[icon_id]  # every icon has at least its name
        first.append(len(rows))
        count.append(len(own))
        rows += rows_T[own].tolist()
    rgba_N4HW = dataset.rgba_N4HW[[dataset.row_of[icon_id] for icon_id in ids]]
    return IconSet(
        ids=tuple(ids),
        rgba_N4HW=rgba_N4HW.to(policy.device).contiguous(memory_format=policy.memory_format),
        color=data.color,
        text=packed_captions(dataset.captions, rows, policy.device),
        first_caption_N=torch.tensor(first),
        captions_N=torch.tensor(count),
    )


def _none_left(dataset: IconDataset, data: DataConfig) -> str:
    splits = Counter(dataset.splits.values())
    if trained := splits[Split.TRAIN]:
        return f"data.selection '{data.selection}' names none of the {trained:,} icons to train on; correct it or leave it out"
    counts = ", ".join(f"{count:,} {split}" for split, count in sorted(splits.items()))
    return (
        f"no icon to train on: the split holds out all of them ({counts}); add icons, or set data.split.validation=0 and "
        "data.split.unseen_concept=0"
    )


def packed_captions(captions: Captions, rows: Sequence[int], device: str) -> PackedCaptions:
    """The captions at `rows`, in order, on the device."""
    tokens = [torch.from_numpy(captions.tokens[row]) for row in rows]
    return PackedCaptions.from_features(torch.from_numpy(captions.pooled_TD[list(rows)]), tokens, device)


def load_training_set(dataset: IconDataset, data: DataConfig, policy: DevicePolicy) -> IconSet:
    """The icons that the recipe trains on; raises FlowmodelError as :func:`load_icon_set` does."""
    return load_icon_set(dataset, data, policy, dataset.ids_of_split(Split.TRAIN, data))


class EpochOrder:
    """The icons of each step. Every epoch is a random permutation, which is a function of seed and epoch.

    There is no state, so a resumed training sees exactly the same batches as an uninterrupted one.
    """

    def __init__(self, icons: int, batch_size: int, seed: int) -> None:
        self._icons, self._batch_size, self._seed = icons, batch_size, seed
        self._permutations: dict[int, np.ndarray] = {}

    def _permutation(self, epoch: int) -> np.ndarray:
        if epoch not in self._permutations:
            self._permutations = {e: p for e, p in self._permutations.items() if e == epoch - 1}
            self._permutations[epoch] = np.random.default_rng([self._seed, epoch]).permutation(self._icons)
        return self._permutations[epoch]

    def __call__(self, step: int) -> Tensor:
        """Indices (B,) of the icons of step number `step`, counted from 0."""
        positions = np.arange(step * self._batch_size, (step + 1) * self._batch_size)
        return torch.tensor([int(self._permutation(int(p) // self._icons)[int(p) % self._icons]) for p in positions])
