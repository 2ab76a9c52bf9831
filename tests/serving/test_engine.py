"""Batches of images across clients."""

import threading
import time

import numpy as np
import pytest

from flowmodel.serving import models
from flowmodel.serving.engine import Engine, ImageRequest


@pytest.fixture
def other(tiny_export):
    """The same model once more."""
    return models.ready(models.ModelFolder.open(tiny_export))


@pytest.fixture
def held(tiny_generator, other, monkeypatch):
    """Blocks sampling until it is set, so that images wait."""
    go = threading.Event()
    draw_from = type(tiny_generator).draw_from

    def waits(self, *arguments):
        assert go.wait(60)
        return draw_from(self, *arguments)

    monkeypatch.setattr(type(tiny_generator), "draw_from", waits)
    return go


def occupied(engine, workers=1):
    """Give every worker an image, so that the next images wait."""
    for _ in range(workers):
        first = engine.submit(ImageRequest("sun", 0))
        while not first.running():
            time.sleep(0.001)


def test_an_image_depends_only_on_its_prompt_and_seed_in_any_batch(tiny_generator, held):
    batches = []
    engine = Engine(tiny_generator, 1, 4, batches.append)
    prompts = [("pizza", 3, 0), ("red heart", 5, 1), ("a cat with a long name", 5, 0), ("pizza", 3, 2)]
    asked = [ImageRequest(*prompt) for prompt in prompts]
    occupied(engine)
    drawn = [engine.submit(each) for each in asked]
    held.set()
    for image, found in zip(asked, drawn, strict=True):
        alone = tiny_generator.sample([image.prompt] * (image.number + 1), image.seed)[image.number]
        assert np.abs(found.result(60).astype(int) - alone).max() <= 1
    engine.close()
    assert batches == [1, 4]


def test_only_images_of_equal_settings_are_drawn_together(tiny_generator, held):
    batches = []
    engine = Engine(tiny_generator, 1, 8, batches.append)
    occupied(engine)
    asked = [ImageRequest("sun", number, steps=1 + number % 2) for number in range(6)]
    drawn = [engine.submit(each) for each in asked]
    held.set()
    engine.close()
    assert batches == [1, 3, 3]
    assert np.array_equal(drawn[0].result(), tiny_generator.sample(["sun"], seed=0, steps=1)[0])


def test_workers_share_the_queue(tiny_generator, held):
    batches = []
    engine = Engine(tiny_generator, 2, 8, batches.append)
    occupied(engine, 2)
    for number in range(6):
        engine.submit(ImageRequest("sun", number))
    held.set()
    engine.close()
    assert sum(batches) == 8 and max(batches) <= 6


def test_accepted_images_are_sampled_by_the_model_that_accepted_them(tiny_generator, other, held, monkeypatch):
    used = []
    for generator in (tiny_generator, other):

        def encode(prompts, own=generator, encode=generator.encode):
            used.append(own)
            return encode(prompts)

        monkeypatch.setattr(generator, "encode", encode)
    engine = Engine(tiny_generator, 1, 8)
    occupied(engine)
    before = [engine.submit(ImageRequest("sun", number)) for number in range(3)]
    engine.use(other)
    after = engine.submit(ImageRequest("sun", 0))
    held.set()
    engine.close()
    assert used == [tiny_generator, tiny_generator, other] and all(each.done() for each in (*before, after))


def test_a_canceled_image_is_not_sampled(tiny_generator, held):
    batches = []
    engine = Engine(tiny_generator, 1, 8, batches.append)
    occupied(engine)
    left, kept = engine.submit(ImageRequest("sun", 1)), engine.submit(ImageRequest("sun", 2))
    assert left.cancel()
    held.set()
    assert kept.result(60).shape == (4, 16, 16)
    engine.close()
    assert batches == [1, 1]


def test_a_failure_affects_only_its_batch(tiny_generator):
    engine = Engine(tiny_generator, 1, 8)
    with pytest.raises(Exception, match="steps"):
        engine.submit(ImageRequest("sun", 0, steps=-1)).result(60)
    assert engine.submit(ImageRequest("sun", 0)).result(60).shape == (4, 16, 16)
    engine.close()
    with pytest.raises(RuntimeError, match="closed"):
        engine.submit(ImageRequest("sun", 0))
