"""The training pairs of a finisher: samples of training icons, and the icons themselves.

Shape suffixes: S samples of each icon, N icons, B some of them, 4 channels (premultiplied RGBA), H/W height and width.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from flowmodel.content import tensors_digest
from flowmodel.data.dataset import IconDataset
from flowmodel.errors import FlowmodelError, Resumable
from flowmodel.files import atomic_path, sha256_json
from flowmodel.flow.seeds import mixed_seed
from flowmodel.model.generator import Generator
from flowmodel.recipes import Recipe
from flowmodel.training.icon_set import load_training_set
from flowmodel.training.interruption import Interruption

BATCH = 128  # images per batch and per file


@dataclass(frozen=True)
class Pairs:
    """`drawn_SN4HW[s, n]` is sample s of the icon `real_N4HW[n]`; uint8, on the CPU. The real images may be larger."""

    drawn_SN4HW: Tensor
    real_N4HW: Tensor

    @property
    def digest(self) -> str:
        """SHA-256 of all pixels."""
        return tensors_digest({"drawn": self.drawn_SN4HW, "real": self.real_N4HW})


def draw_pairs(
    generator: Generator,
    dataset: IconDataset,
    recipe: Recipe,
    folder: Path,
    targets: IconDataset | None = None,
    log: Callable[[str], None] = lambda line: None,
) -> Pairs:
    """Sample each training icon of `recipe` `recipe.finisher.drawings` times, and no held-out icons.

    Each sample starts at time `recipe.finisher.start` with its own noise and one of the icon's captions, drawn by the recipe's
    template weights; both are functions of `recipe.training.seed`. The other sampling settings are the recipe's. Samples are
    stored in `folder`, so that an interrupted call resumes; remove the folder when the pairs are no longer needed.

    Args:
        targets: the same icons at `recipe.finisher.scale` times the size, required if that is not 1. Missing icons are omitted.

    Raises:
        Resumable: Ctrl-C or SIGTERM stopped it; finished samples are kept.
        FlowmodelError: the recipe has no finisher, or there is no icon to sample, or none of the finisher's output size.
    """
    if recipe.finisher is None:
        raise FlowmodelError(f"recipe '{recipe.name}': has no section finisher; add one")
    size, larger = generator.recipe.data.size, generator.recipe.data.size * recipe.finisher.scale
    targets = targets or dataset
    if (dataset.data.size, targets.data.size) != (size, larger):
        wrong = dataset if dataset.data.size != size else targets
        raise FlowmodelError(
            f"{wrong.folder}: icons of {wrong.data.size} pixels; the generator samples {size}, and a finisher of scale "
            f"{recipe.finisher.scale} makes {larger}: prepare the icons at that size"
        )
    icons = load_training_set(dataset, recipe.data, generator.policy)
    there_N = [number for number, icon_id in enumerate(icons.ids) if icon_id in targets.row_of]
    if not there_N:
        raise FlowmodelError(f"{targets.folder}: has none of the training icons; prepare it from the same sources")
    real_N4HW = targets.rgba_N4HW[[targets.row_of[icons.ids[number]] for number in there_N]]

    drawings, start, seed = recipe.finisher.drawings, recipe.finisher.start, recipe.training.seed
    origin = [
        generator.checkpoint.digest,
        dataset.digest,
        icons.ids,
        generator.recipe.sampling.model_dump(mode="json"),
        seed,
        start,
    ]
    drawn: list[Tensor] = []
    with Interruption() as interruption:
        for drawing in range(drawings):
            own_seed = mixed_seed(seed, drawing)
            for first in range(0, len(there_N), BATCH):
                numbers_B = torch.tensor(there_N[first : first + BATCH])
                digest = sha256_json([*origin, drawing, numbers_B.tolist()])
                file = folder / f"drawing-{drawing}-{first:06d}.safetensors"
                if (kept_B4HW := _kept(file, digest)) is None:
                    choice = torch.Generator().manual_seed(mixed_seed(own_seed, first))
                    x_BCHW, text = icons.batch(numbers_B, choice)
                    kept_B4HW = generator.redraw(x_BCHW, text, generator.sampling(), start, own_seed, first)
                    with atomic_path(file) as temporary:
                        save_file({"drawn": kept_B4HW.contiguous()}, temporary, metadata={"digest": digest})
                    done = drawing * len(there_N) + first + len(numbers_B)
                    log(f"finisher: sampled {done:,} of {drawings * len(there_N):,} training images")
                drawn.append(kept_B4HW)
                if interruption.signal:
                    raise Resumable(
                        f"{folder}: {interruption.signal.name} while sampling for the finisher; the same command continues",
                        interruption.signal,
                        where="the finisher's training images",
                    )
    return Pairs(torch.cat(drawn).unflatten(0, (drawings, len(there_N))), real_N4HW)


def _kept(file: Path, digest: str) -> Tensor | None:
    """Earlier samples of the same images; None if there are none, or they are of other images."""
    try:
        with safe_open(file, framework="pt") as opened:
            return opened.get_tensor("drawn") if (opened.metadata() or {}).get("digest") == digest else None
    except (OSError, SafetensorError):
        return None
