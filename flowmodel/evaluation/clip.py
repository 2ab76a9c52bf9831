"""Similarity of images and captions by a CLIP model of open_clip (CLIPScore, Hessel et al. 2104.08718), if one is available.

Shape suffixes: N images, B batch, D width of the joint space, H/W height and width.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from flowmodel.errors import FlowmodelError
from flowmodel.evaluation.features import BACKGROUNDS
from flowmodel.text.clip_tower import ClipTower, load_clip_tower

AUTO, OFF = "auto", "off"
_BATCH = 32


class Clip:
    """Attributes:
    name, digest: name of the model and digest of its weights.
    """

    def __init__(self, tower: ClipTower, device: str = "cpu") -> None:
        """Load the model; raises FlowmodelError when the weights do not fit or there is no image tower."""
        self.name, self.digest = tower.name, tower.digest
        self._tower, self._device = tower, device
        model, _ = tower.load_model()
        visual: Any = getattr(model, "visual", None)
        if visual is None:
            raise FlowmodelError(f"encoder '{tower.name}': has no image tower")
        settings, self._visual = visual.preprocess_cfg, visual.to(device)
        size = settings["size"]
        self._size: tuple[int, int] = (size, size) if isinstance(size, int) else (int(size[0]), int(size[1]))
        self._mean, self._std = (torch.tensor(settings[name]).view(3, 1, 1) for name in ("mean", "std"))
        self._captions: dict[str, NDArray[np.float32]] = {}

    def similarity(self, rgba_N4HW: Tensor, prompts: Sequence[str]) -> NDArray[np.float64]:
        """max(0, cosine) of each premultiplied uint8 image and its prompt, averaged over white, black and gray backgrounds.

        In [0, 1]. CLIPScore is 2.5 times the value for one background.
        """
        captions_ND = self._encoded(prompts)
        on_each = [(self._images(rgba_N4HW, background) * captions_ND).sum(axis=1) for background in BACKGROUNDS]
        return np.maximum(np.array(on_each, dtype=np.float64), 0).mean(axis=0)

    def _encoded(self, prompts: Sequence[str]) -> NDArray[np.float32]:
        new = [prompt for prompt in dict.fromkeys(prompts) if prompt not in self._captions]
        self._captions |= zip(new, self._tower.encode(new).pooled_BD, strict=True)
        return np.array([self._captions[prompt] for prompt in prompts]).reshape(len(prompts), self._tower.width)

    @torch.inference_mode()
    def _images(self, rgba_N4HW: Tensor, background: float) -> NDArray[np.float32]:
        vectors_ND = torch.empty(len(rgba_N4HW), self._tower.width)
        for first in range(0, len(rgba_N4HW), _BATCH):
            unit_B4HW = rgba_N4HW[first : first + _BATCH].float() / 255
            rgb_B3HW = unit_B4HW[:, :3] + (1 - unit_B4HW[:, 3:]) * background
            sized_B3HW = F.interpolate(rgb_B3HW, size=self._size, mode="bicubic", antialias=True).clamp(0, 1)
            found_BD = self._visual(((sized_B3HW - self._mean) / self._std).to(self._device))
            vectors_ND[first : first + _BATCH] = F.normalize(found_BD, dim=-1).cpu()
        return vectors_ND.numpy()


def load_clip(wanted: str, encoder: str, device: str = "cpu") -> tuple[Clip | None, str]:
    """The model of `evaluation.clip`, or a line that explains why there is none. The similarity is optional, so an evaluation
    continues without it. `encoder` is the caption encoder.
    """
    if wanted == OFF:
        return None, "evaluation.clip is off in the recipe"
    if wanted == AUTO and encoder == "minilm":
        return None, (
            f"the caption encoder {encoder} has no image tower; name a CLIP model of open_clip in "
            "evaluation.clip, such as ViT-B-32/laion2b_s34b_b79k"
        )
    try:
        return Clip(load_clip_tower(encoder if wanted == AUTO else wanted), device), ""
    except FlowmodelError as error:
        return None, str(error)
