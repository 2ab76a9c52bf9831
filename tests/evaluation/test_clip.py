"""CLIP similarity by a real, tiny CLIP of open_clip with saved random weights."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from flowmodel.evaluation.clip import AUTO, OFF, load_clip
from flowmodel.evaluation.features import BACKGROUNDS
from flowmodel.files import sha256_file
from tests.tiny_clip import WEIGHTS_FILE, save_clip, tiny_clip

PROMPTS = ["red heart", "pizza", "red heart", "a person riding a bicycle"]


@pytest.fixture(scope="module")
def model():
    return tiny_clip(seed=6)  # one of several that find some image and caption similar


@pytest.fixture(scope="module")
def name(model, tmp_path_factory) -> str:
    return save_clip(model, tmp_path_factory.mktemp("clip"))


def _opaque(count: int = 4) -> torch.Tensor:
    rgba_N4HW = torch.randint(0, 256, (count, 4, 32, 32), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)
    rgba_N4HW[:, 3] = 255
    return rgba_N4HW


def test_opaque_images_score_what_open_clip_says_of_them(name, model):
    import open_clip

    clip, why_not = load_clip(name, "minilm")
    assert why_not == "" and (clip.name, clip.digest) == (name, sha256_file(Path(name.removeprefix("local-dir:")) / WEIGHTS_FILE))
    preprocess = open_clip.image_transform(32, is_train=False)
    opaque_N4HW = _opaque()
    images = torch.stack([preprocess(Image.fromarray(p[:3].permute(1, 2, 0).numpy())) for p in opaque_N4HW])
    with torch.inference_mode():
        captions = open_clip.get_tokenizer(name)(PROMPTS)
        expected = torch.nn.functional.cosine_similarity(model.encode_image(images), model.encode_text(captions)).numpy()
    assert (expected > 0).any()
    np.testing.assert_allclose(clip.similarity(opaque_N4HW, PROMPTS), np.maximum(expected, 0), atol=1e-5)


def test_what_is_transparent_is_seen_on_white_black_and_gray(name):
    clip, _ = load_clip(name, "minilm")
    clear = torch.zeros(1, 4, 32, 32, dtype=torch.uint8)
    on_each = []
    for background in BACKGROUNDS:
        flat = torch.full((1, 4, 32, 32), round(255 * background), dtype=torch.uint8)
        flat[:, 3] = 255
        on_each.append(clip.similarity(flat, PROMPTS[:1])[0])
    assert clip.similarity(clear, PROMPTS[:1])[0] == pytest.approx(np.mean(on_each), abs=1e-3)  # gray is 127.5


def test_a_data_set_encoded_by_a_clip_is_judged_by_it(name):
    clip, _ = load_clip(AUTO, name)
    assert clip.name == name


@pytest.mark.parametrize(
    ("wanted", "reason"),
    [
        (AUTO, "the caption encoder minilm has no image tower; name a CLIP model of open_clip in evaluation.clip"),
        (OFF, "evaluation.clip is off"),
        ("nonsense", "encoder 'nonsense': no such caption encoder"),
        ("local-dir:/nowhere", "encoder 'local-dir:/nowhere': /nowhere/open_clip_config.json can't be read"),
    ],
)
def test_why_there_is_none_gives_one_line(wanted, reason):
    clip, why_not = load_clip(wanted, "minilm")
    assert clip is None and why_not.startswith(reason) and "\n" not in why_not
