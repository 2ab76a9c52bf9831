"""The pictures that an evaluation drew, kept so that a grid or another metric need not draw them again."""

import json
from dataclasses import dataclass
from pathlib import Path

from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from flowmodel.errors import FlowmodelError
from flowmodel.files import atomic_path


@dataclass(frozen=True)
class Samples:
    """Sample i was drawn for the real icon `ids[i]` from `prompts[i]`; the first `trained` of them were trained on.

    `rgba_N4HW` is uint8, premultiplied.
    """

    ids: tuple[str, ...]
    trained: int
    prompts: tuple[str, ...]
    rgba_N4HW: Tensor


def save_samples(path: Path, samples: Samples) -> Path:
    description = json.dumps({"ids": samples.ids, "trained": samples.trained, "prompts": samples.prompts})
    with atomic_path(path) as temporary:
        save_file({"rgba": samples.rgba_N4HW.contiguous()}, temporary, metadata={"samples": description})
    return path


def load_samples(path: Path) -> Samples:
    """Raises FlowmodelError when the file is missing or is something else."""
    try:
        with safe_open(path, framework="pt") as file:
            description = json.loads(file.metadata()["samples"])
            rgba_N4HW = file.get_tensor("rgba")
    except (FileNotFoundError, SafetensorError, OSError, KeyError, TypeError, ValueError):
        raise FlowmodelError(f"{path}: missing, or not the samples of an evaluation; evaluate again") from None
    return Samples(tuple(description["ids"]), description["trained"], tuple(description["prompts"]), rgba_N4HW)
