"""The pictures that an evaluation drew, kept so that a grid, a report or another metric need not draw them again."""

import json
from dataclasses import dataclass
from pathlib import Path

from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from flowmodel.errors import FlowmodelError
from flowmodel.files import atomic_path, require_readable


@dataclass(frozen=True)
class Samples:
    """For each of S seeds the same N icons: number i was drawn for the real icon `ids[i]`, of the split `splits[i]`, from
    `prompts[i]`. `rgba_SN4HW` is uint8, premultiplied.
    """

    seeds: tuple[int, ...]
    ids: tuple[str, ...]
    splits: tuple[str, ...]
    prompts: tuple[str, ...]
    rgba_SN4HW: Tensor

    def of_split(self, split: str) -> list[int]:
        """Numbers of the icons of `split`."""
        return [number for number, own in enumerate(self.splits) if own == split]


_TEXTS = ("seeds", "ids", "splits", "prompts")


def save_samples(path: Path, samples: Samples) -> Path:
    description = json.dumps({name: getattr(samples, name) for name in _TEXTS})
    with atomic_path(path) as temporary:
        save_file({"rgba": samples.rgba_SN4HW.contiguous()}, temporary, metadata={"samples": description})
    return path


def load_samples(path: Path) -> Samples:
    """Raises FlowmodelError when the file is missing, may not be read or is something else."""
    require_readable(path)
    try:
        with safe_open(path, framework="pt") as file:
            description = json.loads(file.metadata()["samples"])
            texts = {name: tuple(description[name]) for name in _TEXTS}
            return Samples(**texts, rgba_SN4HW=file.get_tensor("rgba"))
    except (SafetensorError, OSError, KeyError, TypeError, ValueError):
        raise FlowmodelError(f"{path}: not the samples of an evaluation; evaluate again") from None
