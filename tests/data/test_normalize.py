import contextlib
from pathlib import Path

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from flowmodel.data.normalize import OPTICAL_SIZE, normalize_icons, normalize_image, source_order
from flowmodel.errors import FlowmodelError
from flowmodel.files import parquet_metadata, read_parquet
from flowmodel.images.rgba import encode_png, pixels, premultiply, unpremultiply
from flowmodel.tables import NORMALIZED_ICONS
from tests.data.helpers import RED, icon_row, plain, write_icons


def straight(png: bytes, size: int, trim: bool = False) -> np.ndarray:
    return unpremultiply(normalize_image(png, size, trim).premultiplied_NN4)


IMAGES = hnp.arrays(np.uint8, st.tuples(st.integers(1, 24), st.integers(1, 24), st.just(4)))
SIZES = st.sampled_from([4, 8, 16])


@given(IMAGES, SIZES, st.integers(0, 2**32 - 1))
def test_color_under_transparent_pixels_does_not_matter(rgba_HW4: np.ndarray, size: int, seed: int) -> None:
    rgba_HW4[::2, :, 3] = 0
    rgba_HW4[-1, -1, 3] = 255
    other_HW4 = rgba_HW4.copy()
    hidden = other_HW4[..., 3] == 0
    other_HW4[hidden, :3] = np.random.default_rng(seed).integers(0, 256, (hidden.sum(), 3))
    one, other = (straight(encode_png(image), size) for image in (rgba_HW4, other_HW4))
    assert np.array_equal(one, other)


@given(IMAGES, SIZES)
def test_the_result_is_square_valid_and_stays_the_same_when_normalized_again(rgba_HW4: np.ndarray, size: int) -> None:
    rgba_HW4[..., 3] |= 128
    normalized = straight(encode_png(rgba_HW4), size)
    assert normalized.shape == (size, size, 4)
    premultiplied = premultiply(normalized)
    assert (premultiplied[..., :3] <= premultiplied[..., 3:]).all()
    assert np.array_equal(unpremultiply(premultiplied), normalized)
    assert np.array_equal(straight(encode_png(normalized), size), normalized)


@given(hnp.arrays(np.uint8, (16, 16, 4)))
def test_halving_is_the_mean_of_premultiplied_pixels(rgba_HW4: np.ndarray) -> None:
    assume(rgba_HW4[..., 3].min() > 8)
    mean = premultiply(rgba_HW4).astype(float).reshape(8, 2, 8, 2, 4).mean(axis=(1, 3))
    assert np.abs(premultiply(straight(encode_png(rgba_HW4), 8)) - mean).max() <= 1


def test_a_wide_image_is_centerd_not_stretched() -> None:
    normalized = straight(encode_png(plain(height=8, width=16)), 8)
    assert np.array_equal(np.unique(np.nonzero(normalized[..., 3])[0]), [2, 3, 4, 5])
    assert (normalized[2:6] == RED).all()
    assert not normalized[[0, 1, 6, 7]].any()


def test_a_sliver_keeps_at_least_one_pixel() -> None:
    normalized = straight(encode_png(plain(height=1, width=64)), 16)
    assert (normalized[..., 3] == 255).sum() == 16


def test_enlarging_does_not_bleed_or_overshoot() -> None:
    image = plain((0, 255, 0, 0))
    image[2:6, 2:6] = RED
    normalized = straight(encode_png(image), 32)
    visible = normalized[..., 3] > 32
    assert (np.abs(normalized[visible][:, :3].astype(int) - RED[:3]) <= 4).all()


def test_an_image_that_shows_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="every pixel is transparent"):
        straight(encode_png(plain((255, 0, 0, 0))), 8)


def test_tables_are_joined_sorted_and_quarantined(tmp_path: Path) -> None:
    one = write_icons(tmp_path / "1.parquet", [icon_row("b", source="z"), icon_row("a", source="z", png=b"broken")])
    two = write_icons(
        tmp_path / "2.parquet", [icon_row("c", source="y"), icon_row("d", source="y", status="quarantined", reason="why")]
    )
    artifact = normalize_icons({"z": one, "y": two}, 16, tmp_path / "n.parquet")
    icons = NORMALIZED_ICONS.read(artifact.path)
    assert icons["id"].tolist() == ["y/c", "y/d", "z/a", "z/b"]
    assert icons["status"].tolist() == ["ok", "quarantined", "quarantined", "ok"]
    assert icons["reason"].tolist() == ["", "why", "not a PNG image", ""]
    assert icons["width"].tolist() == [16, 0, 0, 16]
    assert [len(rgba) for rgba in icons["rgba"]] == [4 * 16 * 16, 0, 0, 4 * 16 * 16]
    assert parquet_metadata(artifact.path)["size"] == "16"
    assert source_order(artifact.path) == ["z", "y"]
    assert normalize_icons({"z": one, "y": two}, 16, tmp_path / "again.parquet").digest == artifact.digest
    other_order = NORMALIZED_ICONS.read(normalize_icons({"y": two, "z": one}, 16, tmp_path / "other.parquet").path)
    assert other_order["id"].tolist() == icons["id"].tolist()


def test_the_same_id_twice_is_refused(tmp_path: Path) -> None:
    path = write_icons(tmp_path / "1.parquet", [icon_row("a")])
    with pytest.raises(FlowmodelError, match="icon 'test/a' comes from more than one source"):
        normalize_icons({"one": path, "two": path}, 16, tmp_path / "n.parquet")


def test_a_missing_table_is_named(tmp_path: Path) -> None:
    with pytest.raises(FlowmodelError, match=r"nowhere\.parquet: no such file"):
        normalize_icons({"test": tmp_path / "nowhere.parquet"}, 16, tmp_path / "n.parquet")


@given(hnp.arrays(np.uint8, st.tuples(st.integers(1, 24), st.integers(1, 24), st.just(4))), st.integers(0, 9), SIZES)
def test_trimming_brings_every_icon_to_one_optical_size_and_stays(rgba_HW4: np.ndarray, margin: int, size: int) -> None:
    rgba_HW4[..., 3] |= 128
    png = encode_png(np.pad(rgba_HW4, ((margin, 0), (0, margin), (0, 0))))
    trimmed = straight(png, size, trim=True)
    longest = max(np.ptp(axis) + 1 for axis in np.nonzero(trimmed[..., 3]))
    assert abs(longest - round(size * OPTICAL_SIZE)) <= 1  # a soft edge may gain or lose a pixel
    assert np.array_equal(straight(encode_png(trimmed), size, trim=True), trimmed)


FAINT = st.sampled_from([0, 0, 0, 1, 2, 5, 60, 255])
SPECKS = hnp.arrays(np.uint8, st.tuples(st.integers(1, 90), st.integers(1, 90), st.just(4)), elements=FAINT, fill=st.just(0))


@settings(max_examples=300, deadline=None)
@given(SPECKS, st.sampled_from([4, 8, 16, 64]), st.booleans())
def test_specks_that_fade_away_do_not_make_normalizing_twice_another_thing(rgba_HW4: np.ndarray, size: int, trim: bool) -> None:
    with contextlib.suppress(ValueError):  # nothing is seen of it
        normalized = straight(encode_png(rgba_HW4), size, trim)
        assert np.array_equal(straight(encode_png(normalized), size, trim), normalized)


def test_a_speck_in_the_corner_does_not_make_the_icon_small() -> None:
    image = np.zeros((512, 512, 4), np.uint8)
    image[200:300, 200:300] = RED
    image[0, 0] = (0, 0, 0, 1)
    assert (straight(encode_png(image), 64, trim=True)[..., 3] > 0).sum() >= 55 * 55
    assert (straight(encode_png(image), 64)[..., 3] > 0).sum() < 15 * 15


def test_the_margin_does_not_matter_when_trimming() -> None:
    wide, tight = np.zeros((40, 60, 4), np.uint8), plain(height=10, width=20)
    wide[5:15, 33:53] = tight
    assert np.array_equal(straight(encode_png(wide), 16, trim=True), straight(encode_png(tight), 16, trim=True))
    assert not np.array_equal(straight(encode_png(wide), 16), straight(encode_png(tight), 16))


def test_an_image_of_the_right_size_keeps_its_pixels_and_enlarging_is_noted(tmp_path: Path) -> None:
    half = plain((255, 0, 0, 128), height=16, width=16)
    half[0, 0] = (0, 0, 255, 255)
    path = write_icons(
        tmp_path / "1.parquet", [icon_row("a", png=encode_png(half)), icon_row("b", png=encode_png(plain(width=4)))]
    )
    table = normalize_icons({"test": path}, 16, tmp_path / "n.parquet").path
    icons = NORMALIZED_ICONS.read(table)
    rgba_N4HW = pixels(read_parquet(table)["rgba"], 16)
    assert np.array_equal(rgba_N4HW[0], premultiply(half).transpose(2, 0, 1))
    assert rgba_N4HW[0, :, 0, 0].tolist() == [0, 0, 255, 255] and rgba_N4HW[0, :, 1, 1].tolist() == [128, 0, 0, 128]
    assert icons["notes"].tolist() == ["", "enlarged from 4 x 8"]


def test_the_same_pixels_have_the_same_digest_whatever_the_encoder(tmp_path: Path) -> None:
    hidden = plain(height=16, width=16)
    hidden[:4, :, 3] = 0
    shown = hidden.copy()
    shown[:4, :, :3] = 0
    rows = [icon_row("a", png=encode_png(hidden, 1)), icon_row("b", png=encode_png(shown, 9))]
    path = write_icons(tmp_path / "1.parquet", rows)
    icons = NORMALIZED_ICONS.read(normalize_icons({"test": path}, 16, tmp_path / "n.parquet").path)
    assert rows[0]["png"] != rows[1]["png"] and icons["sha256"].nunique() == icons["rgba"].nunique() == 1


@pytest.mark.parametrize("height", [16, 8, 40])
@pytest.mark.parametrize("trim", [False, True])
def test_an_icon_that_is_hardly_seen_is_noted(height: int, trim: bool) -> None:
    faint, seen = (normalize_image(encode_png(plain((0, 0, 0, alpha), height, height)), 16, trim).notes for alpha in (20, 30))
    assert "nearly transparent" in faint and "nearly transparent" not in seen
