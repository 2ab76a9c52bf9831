"""The caption probe measures whether an image shows what its caption says.

It consists of two linear projections, of images and of captions, that are trained contrastively (Radford et al. 2103.00020) on
all real icons of the split `train`, regardless of the recipe's selection, and never on samples. The inputs are features of a
frozen network and the data set's caption vectors, so the probe is small. It is trained once per data set, in seconds, and
stored in a file.

Shape suffixes: M real icons, N images, T captions, B batch, F feature width, D width of the joint space.
"""

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from flowmodel.data.dataset import IconDataset
from flowmodel.errors import FlowmodelError
from flowmodel.evaluation.features import FeatureExtractor, Features, load_extractor
from flowmodel.evaluation.metrics.retrieval import ranks
from flowmodel.evaluation.real_icons import RealIcons
from flowmodel.evaluation.report import ProbeQuality
from flowmodel.files import Artifact, atomic_path, require_readable, sha256_json
from flowmodel.flow.seeds import mixed_seed
from flowmodel.recipes.schema import Color
from flowmodel.recipes.split import Split


@dataclass(frozen=True)
class ProbeRecipe:
    width: int = 256
    steps: int = 250
    batch_size: int = 256
    learning_rate: float = 1e-3
    weight_decay: float = 0.1
    dropout: float = 0.5  # for features and caption vectors
    seed: int = 0


class _Pair(nn.Module):
    """Both projections. `mean_F` and `std_F` are statistics of the training icons' features."""

    mean_F: Tensor
    std_F: Tensor

    def __init__(self, features: int, captions: int, width: int) -> None:
        super().__init__()
        self.image, self.text = nn.Linear(features, width), nn.Linear(captions, width)
        self.scale = nn.Parameter(torch.tensor(np.log(1 / 0.07), dtype=torch.float32))
        self.register_buffer("mean_F", torch.zeros(features))
        self.register_buffer("std_F", torch.ones(features))

    def standardized(self, features_BF: Tensor) -> Tensor:
        return (features_BF - self.mean_F) / self.std_F

    def images(self, standard_BF: Tensor, dropout: float = 0.0) -> Tensor:
        return F.normalize(self.image(F.dropout(standard_BF, dropout, training=dropout > 0)), dim=-1)

    def captions(self, pooled_BD: Tensor, dropout: float = 0.0) -> Tensor:
        return F.normalize(self.text(F.dropout(pooled_BD, dropout, training=dropout > 0)), dim=-1)


@dataclass(frozen=True)
class CaptionProbe:
    """Maps images and captions to unit vectors in a joint space.

    Attributes:
        artifact: the file of its weights.
        quality: for each held-out split, how often the caption of a real icon ranks first, or among the first five, for its
            image, among
            the captions of the split and of all icons.
    """

    artifact: Artifact
    quality: dict[Split, ProbeQuality]
    _pair: _Pair

    @torch.inference_mode()
    def images(self, features: Features) -> NDArray[np.float32]:
        return self._pair.images(self._pair.standardized(_seen(features))).numpy()

    @torch.inference_mode()
    def captions(self, pooled_TD: NDArray[np.float32]) -> NDArray[np.float32]:
        return self._pair.captions(torch.from_numpy(pooled_TD)).numpy()


def load_caption_probe(
    dataset: IconDataset,
    real: RealIcons,
    extractor: FeatureExtractor,
    cache: Path,
    recipe: ProbeRecipe | None = None,
    log: Callable[[str], None] = lambda _: None,
) -> CaptionProbe:
    """Load the caption probe of this data set from `cache`; it is trained on first use.

    Raises FlowmodelError when the split `train` is empty, or the file in `cache` is damaged.
    """
    recipe = recipe or ProbeRecipe()
    path = cache / _file_name(dataset, real, extractor, recipe)
    if not path.exists():
        log("training the caption probe on the real icons of the split 'train'")
        pair = _train(real, recipe)
        quality = {split: of_split.model_dump() for split, of_split in _quality(pair, real).items()}
        description = {"recipe": asdict(recipe), "quality": quality}
        with atomic_path(path) as temporary:
            save_file(pair.state_dict(), temporary, metadata={"caption_probe": json.dumps(description, sort_keys=True)})
    return _read(path)


def read_caption_probe(path: Path, dataset: IconDataset, real: RealIcons, extractor: FeatureExtractor) -> CaptionProbe:
    """Read the caption probe in `path`, which :func:`load_caption_probe` created from the same data set.

    Raises FlowmodelError when it is missing, damaged, or belongs to other icons, colors or features.
    """
    if path.name != _file_name(dataset, real, extractor, ProbeRecipe()):
        raise FlowmodelError(f"{path}: not the caption probe of {dataset.folder} in {real.color}; make that one first")
    return _read(path)


def _file_name(dataset: IconDataset, real: RealIcons, extractor: FeatureExtractor, recipe: ProbeRecipe) -> str:
    name = sha256_json([dataset.digest, extractor.digest, real.color, asdict(recipe)])
    return f"caption-probe-{name[:16]}.safetensors"


def caption_probe_of(
    dataset: IconDataset, cache: Path, color: Color, log: Callable[[str], None] = lambda _: None
) -> CaptionProbe:
    """Call :func:`load_caption_probe` and load its inputs too; `color` is the color mode of the images to score."""
    extractor = load_extractor()
    return load_caption_probe(dataset, RealIcons.load(dataset, extractor, cache, color), extractor, cache, log=log)


def _read(path: Path) -> CaptionProbe:
    require_readable(path)
    try:
        with safe_open(path, framework="pt") as file:
            description = json.loads(file.metadata()["caption_probe"])
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        pair = _Pair(tensors["image.weight"].shape[1], tensors["text.weight"].shape[1], len(tensors["image.weight"]))
        pair.load_state_dict(tensors)
        quality = {Split(split): ProbeQuality.model_validate(of) for split, of in description["quality"].items()}
    except (SafetensorError, OSError, KeyError, TypeError, ValueError, RuntimeError):
        raise FlowmodelError(f"{path}: not the caption probe of an evaluation; remove it, and evaluate again") from None
    return CaptionProbe(Artifact.of(path), quality, pair.eval().requires_grad_(False))


def _seen(features: Features) -> Tensor:
    """Both layers, for content and layout. With the last layer alone, rough texture hides what a sample shows."""
    return torch.from_numpy(np.concatenate([features.semantic_ND, features.layout_ND], axis=1))


def _contrastive_loss(images_BD: Tensor, captions_BD: Tensor, scale: Tensor) -> Tensor:
    """The mean of both directions' cross-entropies, image to caption and caption to image."""
    own_B = torch.arange(len(images_BD))
    to_captions_BB, to_images_BB = scale * images_BD @ captions_BD.T, scale * captions_BD @ images_BD.T
    return (F.cross_entropy(to_captions_BB, own_B) + F.cross_entropy(to_images_BB, own_B)) / 2


def _train(real: RealIcons, recipe: ProbeRecipe) -> _Pair:
    rows = np.array([row for row, split in enumerate(real.splits) if split == Split.TRAIN], dtype=int)
    if len(rows) < 2:
        raise FlowmodelError("caption probe: fewer than two icons are in the split 'train'; nothing to learn from")
    features_MF = _seen(real.features)[rows]
    captions_of = real.captions.rows_of([real.ids[row] for row in rows])
    pooled_TD = torch.from_numpy(real.captions.pooled_TD)
    random = np.random.default_rng(recipe.seed)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(mixed_seed(recipe.seed))
        pair = _Pair(features_MF.shape[1], pooled_TD.shape[1], recipe.width)
        pair.mean_F.copy_(features_MF.mean(dim=0))
        pair.std_F.copy_(features_MF.std(dim=0).clamp(min=1e-3))
        standard_MF = pair.standardized(features_MF)
        # Of few icons, most of a step is the optimizer's, which takes a quarter of the time when fused.
        optimizer = torch.optim.AdamW(pair.parameters(), recipe.learning_rate, weight_decay=recipe.weight_decay, fused=True)
        schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, recipe.learning_rate, total_steps=recipe.steps)
        for _ in range(recipe.steps):
            batch = random.choice(len(rows), min(recipe.batch_size, len(rows)), replace=False)
            chosen = [random.choice(captions_of[number]) for number in batch]
            images_BD = pair.images(standard_MF[batch], recipe.dropout)
            captions_BD = pair.captions(pooled_TD[chosen], recipe.dropout)
            loss = _contrastive_loss(images_BD, captions_BD, pair.scale.clamp(max=np.log(100.0)).exp())
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
    return pair.eval().requires_grad_(False)


@torch.inference_mode()
def _quality(pair: _Pair, real: RealIcons) -> dict[Split, ProbeQuality]:
    captions_MD = pair.captions(torch.from_numpy(real.prompts_MD)).numpy()
    images_MD = pair.images(pair.standardized(_seen(real.features))).numpy()
    table = {}
    for split in (Split.VALIDATION, Split.UNSEEN_CONCEPT):
        rows = real.rows(real.of_split(split))
        if not len(rows):
            continue
        labels = real.labels_M[rows]
        of_own_N = ranks(images_MD[rows], captions_MD[rows], labels, labels)
        of_all_N = ranks(images_MD[rows], captions_MD, real.labels_M, labels)
        table[split] = ProbeQuality(
            count=len(rows),
            retrieval_top1_split=float((of_own_N < 1).mean()),
            retrieval_top5_split=float((of_own_N < 5).mean()),
            retrieval_top1_all=float((of_all_N < 1).mean()),
            retrieval_top5_all=float((of_all_N < 5).mean()),
        )
    return table
