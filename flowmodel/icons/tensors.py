"""All icons as one uint8 tensor: small enough to lie on the training device as a whole.

Shape suffixes: N icons, 4 channels (premultiplied RGBA), H = W = size.
"""

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from flowmodel.errors import FlowmodelError
from flowmodel.files import Artifact, atomic_path
from flowmodel.icons.decode import decode_png
from flowmodel.icons.rgba import premultiply
from flowmodel.icons.table import read_ok_icons


@dataclass(frozen=True)
class IconTensors:
    """Icon i is `ids[i]` and `rgba_N4HW[i]`."""

    ids: tuple[str, ...]
    rgba_N4HW: torch.Tensor  # uint8, premultiplied

    @property
    def size(self) -> int:
        return self.rgba_N4HW.shape[-1]


def pack_tensors(normalised: Path, out: Path) -> Artifact:
    """Pack the usable icons of a normalised table, in its order, into a safetensors file.

    Raises FlowmodelError when the table is unreadable, holds no usable icon, or its pictures differ in size.
    """
    icons = read_ok_icons(normalised, ["id", "png"])
    if icons.empty:
        raise FlowmodelError(f"{normalised}: no usable icon (every one is quarantined); see the column 'reason'")
    pictures = [premultiply(decode_png(png)) for png in icons["png"]]
    if len(shapes := {picture.shape for picture in pictures}) > 1:
        raise FlowmodelError(f"{normalised}: pictures differ in size ({sorted(shapes)}); normalise them first")
    rgba_N4HW = torch.from_numpy(np.ascontiguousarray(np.stack(pictures).transpose(0, 3, 1, 2)))
    # One metadata entry only: safetensors writes several in random order, and the file's digest must name its content.
    with atomic_path(out) as temporary:
        save_file({"rgba": rgba_N4HW}, temporary, metadata={"ids": json.dumps(icons["id"].tolist())})
    return Artifact.of(out)


def load_tensors(path: Path) -> IconTensors:
    """Raises FlowmodelError when the file is missing or was not written by :func:`pack_tensors`."""
    try:
        with safe_open(path, framework="pt") as file:
            ids = tuple(json.loads(file.metadata()["ids"]))
            rgba_N4HW = file.get_tensor("rgba")
    except FileNotFoundError:
        raise FlowmodelError(f"{path}: no such file") from None
    except (SafetensorError, KeyError, TypeError, ValueError, OSError) as error:
        raise FlowmodelError(f"{path}: not an icon tensor file ({error}); remove it and make it again") from None
    if len(ids) != len(rgba_N4HW):
        raise FlowmodelError(f"{path}: {len(ids)} ids for {len(rgba_N4HW)} pictures; remove it and make it again")
    return IconTensors(ids, rgba_N4HW)


def to_unit(rgba_N4HW: torch.Tensor) -> torch.Tensor:
    """Premultiplied uint8 to the model's float32 in [-1, 1]; any shape, any device."""
    return rgba_N4HW.to(torch.float32) / 127.5 - 1.0


def from_unit(x_N4HW: torch.Tensor) -> torch.Tensor:
    """The model's floats to premultiplied uint8 (N, 4, H, W): rounded, clamped, and no colour above its alpha.

    A network may put out any colour; above its alpha a premultiplied one has no meaning.
    """
    rgba_N4HW = ((x_N4HW.float() + 1.0) * 127.5).round().clamp(0, 255).to(torch.uint8)
    alpha_N1HW = rgba_N4HW[:, 3:]
    return torch.cat([torch.minimum(rgba_N4HW[:, :3], alpha_N1HW), alpha_N1HW], dim=1)
