"""Noise becoming icons."""

import io

import numpy as np
from PIL import Image

from flowmodel.images.animation import PAUSE_MILLISECONDS, animated_png, between, write_animation
from flowmodel.images.rgba import to_image
from flowmodel.model.generator import Generator


def test_states_between_two_steps_lie_on_a_line():
    states = np.array([0, 100, 40], np.uint8).reshape(3, 1, 1, 1, 1)
    assert between(states, frames=4).flatten().tolist() == [0, 50, 100, 70, 40]
    assert between(states, frames=1).flatten().tolist() == [0, 100, 40]


def test_an_animation_keeps_transparency_and_every_frame():
    colors = [(255, 0, 0, 255), (0, 255, 0, 0), (0, 0, 255, 128)]
    with Image.open(io.BytesIO(animated_png([Image.new("RGBA", (4, 4), color) for color in colors]))) as frames:
        assert frames.n_frames == 3 and frames.info["loop"] == 0
        for number, color in enumerate(colors):
            frames.seek(number)
            assert frames.convert("RGBA").getpixel((0, 0)) == color  # nothing of the previous frame is left
        assert frames.info["duration"] == PAUSE_MILLISECONDS


def test_the_last_frame_is_what_the_model_draws_and_the_first_is_noise(tiny_training, tmp_path):
    generator, prompts = Generator.load(tiny_training.checkpoint), ["red heart", "pizza"]
    states_SN4HW = generator.trajectory(prompts, seed=3).states_SBCHW.numpy()
    artifact = write_animation(states_SN4HW, tmp_path / "a.png", columns=1)
    drawn = generator.sample(prompts, seed=3)
    with Image.open(artifact.path) as frames:
        assert frames.n_frames > 24 and frames.size == (16, 33)
        first = np.asarray(frames.convert("RGBA")).copy()
        frames.seek(frames.n_frames - 1)
        last = np.asarray(frames.convert("RGBA"))
    np.testing.assert_array_equal(last[17:], np.asarray(to_image(drawn[1])))
    assert (first != last).mean() > 0.5
