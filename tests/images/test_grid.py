import time

import numpy as np
import pytest
from PIL import Image

from flowmodel.images.grid import comparison_grid, image_grid, labeled_rows
from tests.data.helpers import plain

RED = Image.fromarray(plain((255, 0, 0, 255)))
CLEAR = Image.fromarray(plain((255, 0, 0, 0)))


def test_images_are_placed_row_by_row_on_a_light_ground() -> None:
    grid = image_grid([RED, CLEAR, RED], columns=2, cell=40)
    assert grid.mode == "RGB"
    pixels = np.asarray(grid)
    height, width = pixels.shape[:2]
    quarters = [pixels[y : y + height // 2, x : x + width // 2] for y in (0, height // 2) for x in (0, width // 2)]
    red = [(quarter == (255, 0, 0)).all(axis=-1).sum() for quarter in quarters]
    assert red == [1600, 0, 1600, 0]
    assert pixels[quarters[1][..., 0].shape[0] // 2, width * 3 // 4].min() > 220, "nothing but checkerboard shows"


def test_a_wide_image_keeps_its_shape() -> None:
    grid = image_grid([Image.new("RGBA", (60, 20), (255, 0, 0, 255))], 1, cell=48)
    pixels = np.asarray(grid).reshape(-1, 3)
    assert (pixels == (255, 0, 0)).all(axis=1).sum() == 48 * 16


def test_fewer_images_than_columns_leave_no_empty_columns() -> None:
    assert image_grid([RED], columns=8, cell=40).width < 80


def test_labels_take_room_and_long_ones_stay_inside() -> None:
    plain_grid, labeled = (
        image_grid([RED], 1, cell=60),
        image_grid([RED], 1, ["a very long caption indeed, with keywords"], cell=60),
    )
    assert labeled.height > plain_grid.height
    assert labeled.width == plain_grid.width
    assert labeled.height > image_grid([RED], 1, ["a short one"], cell=60).height, "it has several lines"
    below = np.asarray(labeled)[72:]
    assert below.min() < 200
    assert below[:, :8].min() == 255
    assert below[:, -8:].min() == 255


def test_a_label_of_thousands_of_words_takes_no_longer_than_another() -> None:
    began = time.process_time()
    image_grid([RED], 1, ["word " * 5000], cell=60)
    assert time.process_time() - began < 5  # minutes, when it was cut letter by letter


def test_letters_that_the_font_lacks_are_written_plainly_or_left_out() -> None:
    def labeled(text: str) -> bytes:
        return image_grid([RED], 1, [text], cell=120).tobytes()

    assert labeled("cœur") == labeled("coeur") and labeled("naïve café") == labeled("naive cafe")
    assert labeled("兔子 rabbit") == labeled("rabbit") and labeled("兔子") == labeled("no. 1")


def test_a_long_label_has_the_lines_that_it_needs_and_a_row_is_as_high_as_its_longest_label() -> None:
    one, two = (image_grid([RED], 1, [label], cell=96).height for label in ("red heart", "red heart, fluent flat style"))
    assert two > one
    both = image_grid([RED, RED], 1, ["red heart", "red heart, fluent flat style"], cell=96).height
    assert both == one + two - 10, "the margin above is there once"


def test_a_comparison_shows_the_real_one_left_and_the_sample_right() -> None:
    pixels = np.asarray(comparison_grid([(RED, CLEAR)], 1, ["x"], cell=40))
    left, right = np.array_split(pixels[:48], 2, axis=1)
    assert (left == (255, 0, 0)).all(axis=-1).sum() > 0.9 * 40 * 40
    assert not (right[:, 2:] == (255, 0, 0)).all(axis=-1).any()


@pytest.mark.parametrize(("images", "columns", "labels"), [([], 1, None), ([RED], 0, None), ([RED], 1, ["a", "b"])])
def test_wrong_calls_are_refused(images: list[Image.Image], columns: int, labels: list[str] | None) -> None:
    with pytest.raises(ValueError, match="image"):
        image_grid(images, columns, labels)


def test_letters_that_the_font_lacks_lose_their_accents_beside_and_above_rows_too() -> None:
    accented, plain_ones = (labeled_rows([(word, [word], [RED])], [word], "flags", "") for word in ("Barthélemy", "Barthelemy"))
    assert np.array_equal(np.asarray(accented), np.asarray(plain_ones))
