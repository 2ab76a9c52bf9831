"""The trajectories of a teacher: the states that its sampling passes at the few times at which a student will be evaluated.

Shape suffixes: N trajectories, B some of them, K + 1 times, C channels, H/W height and width.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from flowmodel.data.dataset import IconDataset
from flowmodel.errors import Resumable
from flowmodel.files import atomic_path, sha256_json
from flowmodel.flow.sampler import seeded_noise
from flowmodel.flow.seeds import mixed_seed
from flowmodel.flow.solvers import time_grid
from flowmodel.images.tensors import CHANNELS
from flowmodel.model.device import DevicePolicy
from flowmodel.model.generator import Generator
from flowmodel.nets.text_condition import PackedCaptions, TextCondition
from flowmodel.recipes import Recipe
from flowmodel.recipes.split import Split
from flowmodel.training.initial import initial_checkpoint
from flowmodel.training.interruption import Interruption

Log = Callable[[str], None]

CHUNK, CHUNK_ON_GPU = 64, 512  # trajectories that are computed at once, and kept as a file
_PROMPTS, _NOISE = range(2)  # random streams


@dataclass(frozen=True)
class Trajectories:
    """Attributes:
    prompts: N prompts.
    text: the encoded prompts, on the device.
    times: K + 1 times from 0 to 1.
    states_NKCHW: the teacher's states at these times, float16 on the CPU. The first is noise, the last the teacher's image.
    """

    prompts: tuple[str, ...]
    text: PackedCaptions
    times: tuple[float, ...]
    states_NKCHW: Tensor

    def __len__(self) -> int:
        return len(self.prompts)

    def batch(self, rows_B: Tensor) -> tuple[Tensor, TextCondition]:
        """States (B, K + 1, C, H, W) in float32 and prompts of the trajectories `rows_B`, on the device."""
        return self.states_NKCHW[rows_B].to(self.text.pooled_TD.device).float(), self.text[rows_B]


def teacher_prompts(recipe: Recipe, dataset: IconDataset) -> tuple[str, ...]:
    """Captions of training icons, each once before any is repeated. `distillation.blends` of them get the name of another
    training icon in front, for which the teacher has to invent something; no caption of a held-out icon is among these.

    They are a function of the recipe's seed.
    """
    config, table = recipe.training.distillation, dataset.captions.table
    is_trained = table["icon_id"].isin(dataset.ids_of_split(Split.TRAIN, recipe.data))
    trained = table[is_trained]
    captions = trained.loc[trained["template"].isin(recipe.data.captions), "text"].unique()
    names = trained.loc[trained["template"] == "name", "text"].unique()
    held_out = set(table.loc[~is_trained, "text"])
    # A stream for each, so that more trajectories begin with the same ones.
    order, choice, share = (np.random.default_rng([recipe.training.seed, _PROMPTS, stream]) for stream in range(3))
    chosen = np.resize(order.permutation(captions), config.trajectories)
    others = names[choice.integers(len(names), size=config.trajectories)]
    is_blend = share.random(config.trajectories) < config.blends
    blends = [f"{other} {caption}" for other, caption in zip(others, chosen, strict=True)]
    return tuple(
        blend if wanted and blend not in held_out else caption
        for caption, blend, wanted in zip(chosen, blends, is_blend, strict=True)
    )


def draw_trajectories(
    recipe: Recipe, dataset: IconDataset, policy: DevicePolicy, folder: Path | None, log: Log = lambda line: None
) -> Trajectories:
    """Sample the initial weights of `recipe` as their own recipe says, guidance included, and keep the states at the times of
    `recipe.sampling`.

    Prompts and noise are functions of `recipe.training.seed`. Finished samples are kept in `folder`, if any, so that an
    interrupted call continues.

    Raises:
        Resumable: Ctrl-C or SIGTERM stopped it.
        FlowmodelError: the initial weights or their caption encoder are missing.
    """
    seed, size, channels = mixed_seed(recipe.training.seed, _NOISE), recipe.data.size, CHANNELS[recipe.data.color]
    teacher = Generator.load(initial_checkpoint(str(recipe.training.init_from)), policy.device)
    times = tuple(time_grid(recipe.sampling.steps, recipe.sampling.time_shift))
    prompts, states = teacher_prompts(recipe, dataset), []
    pooled, tokens = [], []
    chunk = CHUNK if policy.device == "cpu" else CHUNK_ON_GPU
    origin = [teacher.checkpoint.digest, teacher.sampling().model_dump(mode="json"), times, seed]
    with Interruption() as interruption:
        for first in range(0, len(prompts), chunk):
            own = prompts[first : first + chunk]
            text = teacher.encode(own)
            pooled.append(text.pooled_BD)
            tokens += [
                token_LD[:length].half() for token_LD, length in zip(text.tokens_BLD, text.lengths_B.tolist(), strict=True)
            ]
            noise_BCHW = seeded_noise(len(own), size, seed, first, channels)
            file = folder / f"{first:06d}.safetensors" if folder else None
            digest = sha256_json([*origin, first, own])
            if (drawn_BKCHW := _kept(file, digest)) is None:
                drawn_BKCHW = teacher.states(text, noise_BCHW, teacher.sampling(), times[1:]).half()
                if file:
                    with atomic_path(file) as temporary:
                        save_file({"states": drawn_BKCHW.contiguous()}, temporary, metadata={"digest": digest})
                log(f"distillation: sampled {first + len(own):,} of {len(prompts):,} trajectories")
            states.append(torch.cat([noise_BCHW.half()[:, None], drawn_BKCHW], dim=1))
            if interruption.signal:
                raise Resumable(
                    f"{folder}: {interruption.signal.name} while sampling the teacher's trajectories; the same command continues",
                    interruption.signal,
                    where=f"trajectory {first + len(own)} of {len(prompts)}",
                )
    packed = PackedCaptions.from_features(torch.cat(pooled), tokens, policy.device)
    return Trajectories(prompts, packed, times, torch.cat(states))


def _kept(file: Path | None, digest: str) -> Tensor | None:
    """Earlier trajectories of the same training; None if there are none, or others."""
    if file is None:
        return None
    try:
        with safe_open(file, framework="pt") as opened:
            return opened.get_tensor("states") if (opened.metadata() or {}).get("digest") == digest else None
    except (OSError, SafetensorError):
        return None
