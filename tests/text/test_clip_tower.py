"""A real, tiny CLIP with saved random weights takes the place of a downloaded one: what is loaded must be exactly that."""

import shutil
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from flowmodel.errors import FlowmodelError
from flowmodel.files import parquet_metadata, sha256_file
from flowmodel.store import Store
from flowmodel.tables import CAPTIONS
from flowmodel.text.embeddings import embed_captions
from flowmodel.text.encoders import load_encoder
from flowmodel.text.vectors import CaptionVectors
from tests.tiny_clip import WEIGHTS_FILE, save_clip, tiny_clip

TEXTS = ["red heart", "a", "person riding a bicycle up a mountain! bike, cyclist", ""]


@pytest.fixture(scope="module")
def model() -> torch.nn.Module:
    return tiny_clip(seed=3)


@pytest.fixture
def folder(model: torch.nn.Module, tmp_path: Path) -> Path:
    save_clip(model, tmp_path)
    return tmp_path


def test_pooled_vectors_are_what_open_clip_encodes(folder: Path, model: torch.nn.Module) -> None:
    import open_clip

    tower = load_encoder(f"local-dir:{folder}")
    assert (tower.name, tower.width) == (f"local-dir:{folder}", 24)
    assert tower.digest == sha256_file(folder / WEIGHTS_FILE)
    with torch.inference_mode():
        ids_BL = open_clip.get_tokenizer(f"local-dir:{folder}")(TEXTS)
        expected_BD = torch.nn.functional.normalize(model.encode_text(ids_BL), dim=-1).numpy()
    assert np.allclose(tower.encode(TEXTS).pooled_BD, expected_BD, atol=1e-6)


def test_tokens_reach_from_start_to_end_marker_and_the_last_one_is_the_pooled_vector(folder: Path) -> None:
    encoded = load_encoder(f"local-dir:{folder}").encode([*TEXTS, "word " * 100])
    assert [len(tokens) for tokens in encoded.tokens][:2] == [4, 3]  # start, red, heart, end
    assert [len(tokens) for tokens in encoded.tokens][3:] == [2, 20]
    for pooled, tokens in zip(encoded.pooled_BD, encoded.tokens, strict=True):
        assert tokens.dtype == np.float16 and tokens.shape[1] == 24
        last = tokens[-1].astype(np.float32)
        assert np.allclose(pooled, last / np.linalg.norm(last), atol=2e-3)


def test_a_text_does_not_depend_on_its_batch(folder: Path) -> None:
    tower = load_encoder(f"local-dir:{folder}")
    texts = [f"icon number {i}" + ", word" * (i % 7) for i in range(100)]
    together = tower.encode(texts)
    for i in (0, 6, 99):
        alone = tower.encode([texts[i]])
        assert np.allclose(alone.pooled_BD[0], together.pooled_BD[i], atol=1e-6)
        assert np.array_equal(alone.tokens[0].shape, together.tokens[i].shape)
    assert tower.encode([]).tokens == []


def test_it_embeds_a_table_and_other_weights_embed_it_anew(folder: Path, tmp_path: Path) -> None:
    rows = [("a#name", "a/a", "red heart", "name", "en"), ("b#name", "a/b", "star", "name", "en")]
    captions = CAPTIONS.write(tmp_path / "c.parquet", rows).path
    store, out, name = Store(tmp_path), tmp_path / "e.parquet", f"local-dir:{folder}"
    assert embed_captions(captions, name, store, out).encoded == 2
    assert embed_captions(captions, name, store, out).reused == 2

    def vectors() -> np.ndarray:
        return CaptionVectors(store.caption_vectors(load_encoder(name).digest)).read(["red heart", "star"])[0]

    before = vectors()
    assert before.shape == (2, 24) and parquet_metadata(out)["encoder"] == name
    weights = load_file(folder / WEIGHTS_FILE)
    weights["text_projection"] = -weights["text_projection"]
    save_file(weights, folder / WEIGHTS_FILE)
    assert embed_captions(captions, name, store, out).encoded == 2
    assert np.allclose(vectors(), -before)


def test_weights_that_do_not_fit_are_never_filled_up_with_random_ones(folder: Path) -> None:
    weights = load_file(folder / WEIGHTS_FILE)
    del weights["transformer.resblocks.1.mlp.c_fc.weight"]
    save_file(weights, folder / WEIGHTS_FILE)
    with pytest.raises(
        FlowmodelError, match=r"these weights don't fit the model's configuration .*; encoder 'minilm' works offline"
    ):
        load_encoder(f"local-dir:{folder}").encode(["red heart"])


def _with_two_other_files_of_weights(folder: Path) -> None:
    shutil.copy(folder / WEIGHTS_FILE, folder / "one.safetensors")
    (folder / WEIGHTS_FILE).rename(folder / "two.safetensors")


@pytest.mark.parametrize("file", ["open_clip_pytorch_model.safetensors", "mine.safetensors"])
def test_weights_of_another_name_are_found_and_are_those_that_are_loaded(folder: Path, file: str) -> None:
    expected = load_encoder(f"local-dir:{folder}").encode(TEXTS)
    (folder / WEIGHTS_FILE).rename(folder / file)
    if file != "mine.safetensors":
        save_file({"other": torch.zeros(1)}, folder / "mine.safetensors")
    tower = load_encoder(f"local-dir:{folder}")
    assert tower.digest == sha256_file(folder / file)
    assert np.array_equal(tower.encode(TEXTS).pooled_BD, expected.pooled_BD)


@pytest.mark.parametrize(
    ("spoil", "complaint"),
    [
        (lambda folder: (folder / WEIGHTS_FILE).unlink(), r"no weights in .*looked for open_clip_model"),
        (_with_two_other_files_of_weights, r"several files of weights in .*looked for open_clip_model"),
        (lambda folder: (folder / "open_clip_config.json").unlink(), r"open_clip_config\.json can't be read \(No such file"),
        (lambda folder: (folder / "open_clip_config.json").write_text("{"), "is not a model configuration of open_clip"),
        (lambda folder: (folder / "open_clip_config.json").write_text('{"model_cfg": {}}'), "is not a model configuration"),
    ],
)
def test_an_incomplete_folder_gives_one_clear_line(folder: Path, spoil, complaint: str) -> None:
    spoil(folder)
    with pytest.raises(FlowmodelError, match=complaint) as caught:
        load_encoder(f"local-dir:{folder}")
    assert "\n" not in str(caught.value) and "'minilm' works offline" in str(caught.value)


@pytest.mark.parametrize("name", ["ViT-B-32/laion2b_s34b_b79k", "hf-hub:timm/ViT-B-16-SigLIP"])
def test_weights_that_cannot_be_had_say_where_they_were_looked_for(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    started = time.monotonic()
    with pytest.raises(
        FlowmodelError, match=r"can't be loaded; looked in .*hub and nowhere else, because HF_HUB_OFFLINE is set"
    ) as caught:
        load_encoder(name)
    assert "\n" not in str(caught.value) and "'minilm' works offline" in str(caught.value)
    assert time.monotonic() - started < 120, "attempts to reach the network take minutes"


def test_a_name_that_is_nearly_right_gets_suggestions() -> None:
    with pytest.raises(FlowmodelError, match=r"no such caption encoder; .*for example .*ViT-B-32/laion2b_s34b_b79k"):
        load_encoder("ViT-B-32/laion2b_s34b_b79")
