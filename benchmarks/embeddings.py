"""MiniLM through open_clip against sentence-transformers, on the captions of the bundled icons."""

import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np

from benchmarks.measure import Comparison, compare
from flowmodel.data.captions import build_captions
from flowmodel.files import read_parquet
from flowmodel.store import PROJECT_ROOT
from flowmodel.text.minilm import load_minilm
from flowmodel.text.torchvision_shim import let_torchvision_import


def compare_embeddings(quick: bool) -> Comparison:
    """Names, and names with keywords. Raises ImportError if sentence-transformers is not installed."""
    let_torchvision_import()
    import sentence_transformers

    with tempfile.TemporaryDirectory() as folder:
        icons = PROJECT_ROOT / "data" / "bundled" / "noto.parquet"
        captions = build_captions(icons, Path(folder) / "captions.parquet", templates=["name_keywords"])
        texts = sorted(set(read_parquet(captions.path, ["text"])["text"].to_pylist()))
    texts = texts[:: 8 if quick else 1]
    encoder = load_minilm()
    ours_BD = encoder.encode(texts[:64]).pooled_BD
    peer = sentence_transformers.SentenceTransformer(str(encoder.folder), device="cpu")
    difference = float(np.abs(peer.encode(texts[:64]) - ours_BD).max())
    result = compare(
        "embed captions, MiniLM",
        lambda: encoder.encode(texts),
        "sentence-transformers",
        lambda: peer.encode(texts, batch_size=64),
        len(texts),
        repeats=3 if quick else 5,
        limit=1.3,
    )
    remark = f"largest difference of a pooled vector's element: {difference:.1e}; ours gives every token's vector as well"
    return replace(result, remark=remark)
