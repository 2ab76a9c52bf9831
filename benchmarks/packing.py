"""Packs a prepared data set and its caption encoder into a few dozen megabytes, for a machine without network access.

Images are stacked in lossless WebP strips, which exploit their similarity. The encoder is MiniLM's transformer with the rows of
its vocabulary that the captions use, and with weights of eight mantissa bits, so caption vectors are off by less than a
percent. Unpack into a separate store, so that these vectors are not mistaken for the encoder's. Every digest of the data set is
checked.

Shape suffixes: N icons, 4 channels, H = W = size, S icons of one strip, L tokens, D the encoder's width.
"""

import io
import json
import lzma
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import torch
from numpy.typing import NDArray
from PIL import Image

from flowmodel.data.dataset import DESCRIPTION, FILES, IconDataset
from flowmodel.errors import FlowmodelError
from flowmodel.files import read_parquet, write_json, write_parquet
from flowmodel.images.rgba import pixels
from flowmodel.store import Store
from flowmodel.text.encoded import EncodedText, TokenizedText
from flowmodel.text.minilm import MAX_TOKENS, MiniLm, load_minilm
from flowmodel.text.torchvision_shim import let_torchvision_import
from flowmodel.text.vectors import CaptionVectors

STRIP = 127  # images: WebP's edges end at 16,383 pixels, and icons at 128
_DROPPED_BITS = 2  # of the ten mantissa bits of float16; with three some vectors are off by 1.2 percent
_BATCH = 512
_ZSTD = pa.Codec("zstd", 3)


@dataclass
class PackedEncoder:
    """MiniLM for texts with known tokens; replaces flowmodel.text.minilm.MiniLm.

    Attributes:
        name, digest, width: those of the original encoder.
        ids: tokens of every text that it can encode, numbered in the reduced vocabulary.
    """

    name: str
    digest: str
    width: int
    ids: dict[str, list[int]]
    model: torch.nn.Module

    def tokenize(self, texts: Sequence[str]) -> list[TokenizedText]:
        """The packed tokens of `texts`. Unknown and truncated parts are not recorded."""
        return [TokenizedText(tuple(self.ids[text]), 0, len(self.ids[text]) - 2, False) for text in texts]

    @torch.inference_mode()
    def encode(self, texts: Sequence[str]) -> EncodedText:
        """Raises FlowmodelError for a text that was not packed."""
        if unknown := [text for text in texts if text not in self.ids]:
            raise FlowmodelError(f"'{unknown[0]}': not among the packed texts; pack again with it")
        device = next(self.model.parameters()).device
        pooled_BD = np.zeros((len(texts), self.width), np.float32)
        tokens: list[NDArray[np.float16]] = [np.zeros((0, 0), np.float16)] * len(texts)
        by_length = sorted(range(len(texts)), key=lambda i: len(self.ids[texts[i]]))
        for start in range(0, len(texts), _BATCH):
            batch = by_length[start : start + _BATCH]
            lengths = [len(self.ids[texts[i]]) for i in batch]
            ids_BL = torch.zeros((len(batch), max(lengths)), dtype=torch.long)
            for row, i in enumerate(batch):
                ids_BL[row, : lengths[row]] = torch.tensor(self.ids[texts[i]])
            mask_BL = (torch.arange(max(lengths))[None] < torch.tensor(lengths)[:, None]).to(device)
            tokens_BLD = self.model(input_ids=ids_BL.to(device), attention_mask=mask_BL.long()).last_hidden_state
            mean_BD = (tokens_BLD * mask_BL[..., None]).sum(1) / mask_BL.sum(1, keepdim=True)
            mean_BD = torch.nn.functional.normalize(mean_BD, dim=-1)
            pooled_BD[batch] = mean_BD.cpu().numpy()
            # One copy from the device for the batch: a copy for each text would take longer than the encoder.
            for i, length, tokens_LD in zip(batch, lengths, tokens_BLD.half().cpu().numpy(), strict=True):
                tokens[i] = tokens_LD[:length].copy()
        return EncodedText(pooled_BD, tokens)


def pack(dataset: IconDataset, out: Path, texts: Sequence[str] = ()) -> None:
    """Write `dataset`, and the encoder for its captions and `texts`, to the file `out`.

    Raises FlowmodelError when its encoder is not MiniLM.
    """
    encoder = load_minilm()
    if dataset.encoder_digest != encoder.digest:
        raise FlowmodelError(f"{dataset.folder}: has vectors of '{dataset.encoder}', and only minilm can be packed")
    icons = read_parquet(dataset.folder / FILES["icons"])
    icons = icons.filter(pc.equal(icons["status"], "ok"))  # the others have no image, and no part in the data set
    every_text = sorted({*read_parquet(dataset.folder / FILES["captions"], ["text"])["text"].to_pylist(), *texts})
    with zipfile.ZipFile(out, "w") as file:
        file.write(dataset.folder / DESCRIPTION, DESCRIPTION)
        for name in FILES:
            table = icons.drop_columns("rgba") if name == "icons" else read_parquet(dataset.folder / FILES[name])
            buffer = io.BytesIO()
            pq.write_table(table, buffer, compression="zstd", compression_level=19)
            file.writestr(FILES[name], buffer.getvalue())
        rgba_N4HW = pixels(icons["rgba"], dataset.data.size)
        for first in range(0, len(rgba_N4HW), STRIP):
            file.writestr(f"icons/{first:06d}.webp", strip(rgba_N4HW[first : first + STRIP]))
        for name, content in _packed_encoder(encoder, every_text).items():
            file.writestr(f"encoder/{name}", content)


def strip(rgba_S4HW: NDArray[np.uint8]) -> bytes:
    """At most STRIP premultiplied images, stacked as lossless WebP."""
    size = rgba_S4HW.shape[-1]
    image = Image.fromarray(np.ascontiguousarray(rgba_S4HW.transpose(0, 2, 3, 1)).reshape(-1, size, 4))
    buffer = io.BytesIO()
    image.save(buffer, "WEBP", lossless=True, exact=True, quality=90, method=5)
    return buffer.getvalue()


def _packed_encoder(encoder: MiniLm, texts: Sequence[str]) -> dict[str, bytes]:
    let_torchvision_import()
    from safetensors.torch import load_file
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(str(encoder.folder))
    ids = tokenizer(list(texts), truncation=True, max_length=MAX_TOKENS)["input_ids"]
    used = sorted({0, *(token for each in ids for token in each)})
    number = {token: row for row, token in enumerate(used)}
    weights = load_file(encoder.folder / "model.safetensors")
    config = json.loads((encoder.folder / "config.json").read_text()) | {"vocab_size": len(used), "pad_token_id": 0}
    shapes, halves = {}, []
    for name, tensor in sorted(weights.items()):
        if "pooler" in name or not tensor.is_floating_point():
            continue
        rows = tensor[used] if name == "embeddings.word_embeddings.weight" else tensor
        shapes[name] = list(rows.shape)
        bits = rows.half().numpy().view(np.uint16).astype(np.uint32).ravel()
        rounding = 1 << (_DROPPED_BITS - 1)
        halves.append((((bits + rounding) >> _DROPPED_BITS) << _DROPPED_BITS).astype(np.uint16))
    every = np.concatenate(halves)
    # High and low bytes are stored separately: high bytes are similar, and low bytes are six bits of noise, which cannot be
    # compressed. Of the high bytes, LZMA makes no fewer bytes than Zstandard, in a hundred times the time.
    high, low = (every >> 8).astype(np.uint8).tobytes(), _packed_low_bytes((every & 0xFF).astype(np.uint8))
    description = {
        "name": encoder.name,
        "digest": encoder.digest,
        "width": encoder.width,
        "config": config,
        "shapes": shapes,
        "texts": list(texts),
        "ids": [[number[token] for token in each] for each in ids],
    }
    return {
        "high.zst": _ZSTD.compress(high, asbytes=True),
        "low": low,
        "encoder.json.xz": lzma.compress(json.dumps(description).encode()),
    }


def _packed_low_bytes(low: NDArray[np.uint8]) -> bytes:
    return np.packbits(np.unpackbits(low[:, None], axis=1)[:, : 8 - _DROPPED_BITS].ravel()).tobytes()


def _unpacked_low_bytes(packed: bytes, count: int) -> NDArray[np.uint16]:
    bits = np.unpackbits(np.frombuffer(packed, np.uint8))[: count * (8 - _DROPPED_BITS)].reshape(count, -1)
    return np.packbits(bits, axis=1)[:, 0].astype(np.uint16)


def unpack(packed: Path, store: Store, device: str) -> tuple[IconDataset, PackedEncoder]:
    """Put the data set into `store`, with the vectors of its captions, which are computed on `device`; existing files are kept.

    Raises FlowmodelError when a table's content has changed, or an earlier version has packed it.
    """
    with zipfile.ZipFile(packed) as file:
        if "encoder/low" not in file.namelist():
            raise FlowmodelError(f"{packed}: packed by an earlier version; pack it again")
        description = json.loads(file.read(DESCRIPTION))
        folder = store.datasets / description["digest"][:16]
        encoder = _unpacked_encoder(file, device)
        if not (folder / DESCRIPTION).is_file():
            _unpack_tables(file, description, folder)
    dataset = IconDataset.open(folder)
    CaptionVectors(dataset.vectors).fill(encoder, read_parquet(folder / FILES["captions"], ["text"])["text"].to_pylist())
    _ = dataset.icons, dataset.splits, dataset.captions  # compares their content with its digest
    return dataset, encoder


def _unpack_tables(file: zipfile.ZipFile, description: dict[str, Any], folder: Path) -> None:
    strips = [np.asarray(Image.open(io.BytesIO(file.read(n)))) for n in sorted(file.namelist()) if n.startswith("icons/")]
    size = description["data"]["size"]
    rgba_N4HW = np.concatenate(strips).reshape(-1, size, size, 4).transpose(0, 3, 1, 2)
    for name in FILES:
        table = pq.read_table(io.BytesIO(file.read(FILES[name])))
        if name == "icons":
            rows = pa.array([np.ascontiguousarray(each).tobytes() for each in rgba_N4HW], pa.large_binary())
            table = table.add_column(table.schema.get_field_index("sha256"), "rgba", rows)
        metadata = {key.decode(): text.decode() for key, text in (table.schema.metadata or {}).items()}
        write_parquet(folder / FILES[name], table, metadata)
    write_json(folder / DESCRIPTION, description)


def _unpacked_encoder(file: zipfile.ZipFile, device: str) -> PackedEncoder:
    let_torchvision_import()
    from transformers import BertConfig, BertModel

    described = json.loads(lzma.decompress(file.read("encoder/encoder.json.xz")))
    sizes = {name: int(np.prod(shape)) for name, shape in described["shapes"].items()}
    count = sum(sizes.values())
    high = np.frombuffer(_ZSTD.decompress(file.read("encoder/high.zst"), count, asbytes=True), np.uint8)
    bits = (high.astype(np.uint16) << 8) | _unpacked_low_bytes(file.read("encoder/low"), count)
    values = torch.from_numpy(bits.view(np.float16).copy()).float()
    split = dict(zip(sizes, values.split(list(sizes.values())), strict=True))
    weights = {name: split[name].view(described["shapes"][name]) for name in sizes}
    model = BertModel(BertConfig(**described["config"]), add_pooling_layer=False)
    model.load_state_dict(weights)
    ids = dict(zip(described["texts"], described["ids"], strict=True))
    return PackedEncoder(described["name"], described["digest"], described["width"], ids, model.eval().to(device))
