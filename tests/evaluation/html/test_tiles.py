"""The images of a report."""

import base64
import io

import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from flowmodel.evaluation.html.tiles import image_tag, spread


@given(st.lists(st.sampled_from("abcd"), max_size=40), st.integers(0, 50))
def test_a_choice_is_of_the_asked_size_and_without_repetition(groups, count):
    numbers = list(range(len(groups)))
    chosen = spread(numbers, groups, count)
    assert chosen == sorted(set(chosen)) and len(chosen) == min(count, len(groups))
    # Every group appears before one appears more often than necessary.
    if count >= len(set(groups)):
        assert {groups[n] for n in chosen} == set(groups)


def test_within_a_group_the_choice_is_even():
    assert spread(list(range(9)), ["a"] * 9, 3) == [0, 4, 8]


def test_an_image_is_a_png_with_its_transparency():
    rgba_4HW = torch.zeros(4, 2, 2, dtype=torch.uint8)
    rgba_4HW[:, 0] = torch.tensor([100, 0, 0, 200], dtype=torch.uint8)[:, None]
    shown = image_tag(rgba_4HW, "a <thing>")
    kind, _, data = shown.uri.partition(",")
    assert kind == "data:image/png;base64" and shown.alt == "a <thing>"
    with Image.open(io.BytesIO(base64.b64decode(data))) as image:
        pixels = np.asarray(image.convert("RGBA"))
    assert pixels[0, 0].tolist() == [128, 0, 0, 200] and pixels[1, 1, 3] == 0
