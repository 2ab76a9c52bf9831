"""What a training reads, and the batches it makes of it.

Shape suffixes: N icons, T captions, B batch, C channels, H/W height and width.
"""

from dataclasses import asdict, dataclass

import numpy as np
import torch
from torch import Tensor

from flowmodel.errors import FlowmodelError
from flowmodel.files import Artifact, read_parquet, sha256_json
from flowmodel.icons.splits import load_splits
from flowmodel.icons.tensors import load_tensors, to_unit
from flowmodel.nets.text_condition import TextCondition
from flowmodel.recipes import load_selection
from flowmodel.recipes.schema import DataConfig
from flowmodel.store import Store
from flowmodel.text.embeddings import load_embeddings
from flowmodel.training.device import DevicePolicy


@dataclass(frozen=True)
class TrainingInputs:
    """The prepared files, each with the digest of its content."""

    normalised: Artifact
    tensors: Artifact
    captions: Artifact
    embeddings: Artifact
    splits: Artifact

    @classmethod
    def of(cls, store: Store, size: int) -> "TrainingInputs":
        """The files as they lie in `store`, for pictures of `size` pixels."""
        paths = (store.normalised(size), store.tensors(size), store.captions, store.embeddings, store.splits)
        return cls(*(Artifact.of(path) for path in paths))

    @property
    def digest(self) -> str:
        """Names the data set: the same pictures, captions, embeddings and splits have the same digest."""
        return sha256_json({name: artifact["digest"] for name, artifact in asdict(self).items()})


def icons_of_split(inputs: TrainingInputs, data: DataConfig, split: str) -> list[str]:
    """Ids of the icons of `split` that the recipe selects, sorted. The whole split where the recipe selects all."""
    keys = set(load_selection(data.selection)) if data.selection else None
    return sorted(
        icon_id
        for icon_id, assigned in load_splits(inputs.splits.path).items()
        if assigned == split and (keys is None or icon_id.partition("/")[2] in keys)
    )


@dataclass(frozen=True)
class TrainingSet:
    """Every training icon with its captions, on the device as a whole: there is no loader process to wait for.

    Attributes:
        ids: icon ids, in the order of the pictures.
        rgba_NCHW: uint8, premultiplied.
        text: features of every caption of every icon (T of them).
        captions_of: for each icon, the rows of `text` that are its captions.
    """

    ids: tuple[str, ...]
    rgba_NCHW: Tensor
    text: TextCondition
    captions_of: tuple[tuple[int, ...], ...]

    def batch(self, icons_B: Tensor, generator: torch.Generator) -> tuple[Tensor, TextCondition]:
        """Pictures in [-1, 1] and, for each, one of its captions drawn at random."""
        choices_B = torch.rand(len(icons_B), generator=generator, device=generator.device).tolist()
        rows = []
        for icon, choice in zip(icons_B.tolist(), choices_B, strict=True):
            captions = self.captions_of[icon]
            rows.append(captions[int(choice * len(captions))])
        device = self.rgba_NCHW.device
        return to_unit(self.rgba_NCHW[icons_B.to(device)]), self.text[torch.tensor(rows, device=device)]


def load_training_set(inputs: TrainingInputs, data: DataConfig, policy: DevicePolicy) -> TrainingSet:
    """Read the training icons of a recipe and put them on the device.

    Raises FlowmodelError when no icon is left to train on, or an icon lacks a caption of the recipe's templates.
    """
    tensors = load_tensors(inputs.tensors.path)
    position = {icon_id: index for index, icon_id in enumerate(tensors.ids)}
    ids = tuple(icon_id for icon_id in icons_of_split(inputs, data, "train") if icon_id in position)
    if not ids:
        raise FlowmodelError(
            f"{inputs.splits.path}: no icon to train on; data.selection '{data.selection}' leaves none of {len(position)} icons"
        )
    embeddings = load_embeddings(inputs.embeddings.path)
    row_of_caption = {caption_id: row for row, caption_id in enumerate(embeddings.caption_ids)}
    captions = read_parquet(inputs.captions.path, columns=["caption_id", "icon_id", "template", "language"]).to_pandas()
    captions = captions[captions["template"].isin(data.captions) & captions["language"].isin(data.languages)]
    captions_of_icon = captions.groupby("icon_id")["caption_id"].apply(list).to_dict()
    wanted: list[str] = []
    captions_of = []
    for icon_id in ids:
        own = captions_of_icon.get(icon_id, [])
        if not own or any(caption_id not in row_of_caption for caption_id in own):
            raise FlowmodelError(
                f"{inputs.embeddings.path}: no embedded caption of icon '{icon_id}'; materialise caption_embeddings again"
            )
        captions_of.append(tuple(range(len(wanted), len(wanted) + len(own))))
        wanted += own
    rows = [row_of_caption[caption_id] for caption_id in wanted]
    text = TextCondition.from_features(embeddings.pooled_ND[rows], [embeddings.tokens[row] for row in rows])
    rgba_NCHW = tensors.rgba_N4HW[[position[icon_id] for icon_id in ids]]
    return TrainingSet(
        ids=ids,
        rgba_NCHW=rgba_NCHW.to(policy.device).contiguous(memory_format=policy.memory_format),
        text=text.to(policy.device),
        captions_of=tuple(captions_of),
    )


class EpochOrder:
    """Which icons a step looks at: every epoch is one random permutation, a function of seed and epoch alone.

    As nothing has to be remembered, a resumed training sees exactly the batches of one that was never interrupted.
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
