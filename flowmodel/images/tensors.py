"""All icons as one uint8 tensor: small enough to lie on the training device as a whole.

Shape suffixes: N icons, 4 channels (premultiplied RGBA), C channels in the model, H = W = size.
"""

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from flowmodel.data.tables import read_ok_icons
from flowmodel.errors import FlowmodelError
from flowmodel.files import Artifact, atomic_path
from flowmodel.images.decode import decode_png
from flowmodel.images.rgba import premultiply
from flowmodel.recipes.schema import Colour

# Of a picture in the model, by the recipe's data.colour.
CHANNELS: dict[Colour, int] = {"rgba": 4, "rgb": 3, "greyscale": 1}

_LUMA = (0.2126, 0.7152, 0.0722)  # of red, green and blue, ITU-R BT.709


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


def to_unit(rgba_N4HW: torch.Tensor, colour: Colour = "rgba") -> torch.Tensor:
    """Premultiplied uint8 to the model's float32 in [-1, 1], (N, C, H, W); any device.

    C is 4 for "rgba", 3 for "rgb" and 1 for "greyscale"; the latter two lie on white, and grey is the luma of Rec. 709.
    """
    x_N4HW = rgba_N4HW.to(torch.float32) / 127.5 - 1.0
    if colour == "rgba":
        return x_N4HW
    rgb_N3HW = x_N4HW[:, :3] - x_N4HW[:, 3:] + 1.0  # premultiplied colour plus what of the white ground shows through
    return rgb_N3HW if colour == "rgb" else torch.einsum("nchw,c->nhw", rgb_N3HW, rgb_N3HW.new_tensor(_LUMA))[:, None]


def from_unit(x_NCHW: torch.Tensor) -> torch.Tensor:
    """The model's floats, of any colour, to premultiplied uint8 (N, 4, H, W): rounded, clamped, and no colour above its alpha.

    A network may put out any colour; above its alpha a premultiplied one has no meaning. Three channels, and one, are opaque.
    """
    bytes_NCHW = ((x_NCHW.float() + 1.0) * 127.5).round().clamp(0, 255).to(torch.uint8)
    if bytes_NCHW.shape[1] == CHANNELS["rgba"]:
        colour_N3HW, alpha_N1HW = bytes_NCHW[:, :3], bytes_NCHW[:, 3:]
        return torch.cat([torch.minimum(colour_N3HW, alpha_N1HW), alpha_N1HW], dim=1)
    colour_N3HW = bytes_NCHW.expand(-1, 3, -1, -1)
    return torch.cat([colour_N3HW, torch.full_like(colour_N3HW[:, :1], 255)], dim=1)
