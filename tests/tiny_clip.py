"""A real CLIP of open_clip, tiny and with random weights, in the place of a downloaded one."""

import json
from pathlib import Path

import torch
from safetensors.torch import save_file

from flowmodel.text.torchvision_shim import let_torchvision_import

CONFIG = {
    "embed_dim": 24,
    "vision_cfg": {"image_size": 32, "layers": 1, "width": 32, "head_width": 16, "patch_size": 16},
    "text_cfg": {"context_length": 20, "vocab_size": 49408, "width": 32, "heads": 2, "layers": 2},
}
WEIGHTS_FILE = "open_clip_model.safetensors"


def tiny_clip(seed: int) -> torch.nn.Module:
    let_torchvision_import()
    import open_clip

    torch.manual_seed(seed)
    return open_clip.model.CLIP(**CONFIG).eval()


def save_clip(model: torch.nn.Module, folder: Path) -> str:
    """Write `model` in open_clip's `local-dir` format; returns the encoder's name."""
    (folder / "open_clip_config.json").write_text(json.dumps({"model_cfg": CONFIG, "preprocess_cfg": {}}))
    save_file({name: value.contiguous() for name, value in model.state_dict().items()}, folder / WEIGHTS_FILE)
    return f"local-dir:{folder}"
