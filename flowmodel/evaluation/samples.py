"""The samples of an evaluation, stored so that a grid, a report or another metric need not sample again."""

import json
from dataclasses import dataclass
from pathlib import Path
from zipfile import BadZipFile

import numpy as np
import torch
from torch import Tensor

from flowmodel.errors import FlowmodelError
from flowmodel.files import atomic_path, require_readable


@dataclass(frozen=True)
class Samples:
    """Samples of N icons for each of S seeds. Sample i belongs to the real icon `ids[i]` in the split `splits[i]` and has the
    prompt `prompts[i]`. `rgba_SN4HW` is uint8, premultiplied.
    """

    seeds: tuple[int, ...]
    ids: tuple[str, ...]
    splits: tuple[str, ...]
    prompts: tuple[str, ...]
    rgba_SN4HW: Tensor

    def of_split(self, split: str) -> list[int]:
        """Indices of the icons of `split`."""
        return [number for number, own in enumerate(self.splits) if own == split]


_TEXTS = ("seeds", "ids", "splits", "prompts")


def save_samples(path: Path, samples: Samples) -> Path:
    description = json.dumps({name: getattr(samples, name) for name in _TEXTS})
    with atomic_path(path) as temporary, temporary.open("wb") as file:
        # Compression halves the size; safetensors has none.
        np.savez_compressed(file, rgba=samples.rgba_SN4HW.numpy(), samples=np.array(description))
    return path


def load_samples(path: Path) -> Samples:
    """Read samples; raises FlowmodelError when the file is missing, not readable or something else."""
    require_readable(path)
    try:
        with np.load(path) as file:
            description = json.loads(str(file["samples"]))
            texts = {name: tuple(description[name]) for name in _TEXTS}
            return Samples(**texts, rgba_SN4HW=torch.from_numpy(file["rgba"]))
    except (BadZipFile, OSError, EOFError, KeyError, TypeError, ValueError):
        raise FlowmodelError(f"{path}: not the samples of an evaluation; evaluate again") from None
