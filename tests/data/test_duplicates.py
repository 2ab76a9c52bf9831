from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from flowmodel.data.duplicates import find_duplicates, load_pairs
from flowmodel.data.normalize import normalize_icons
from flowmodel.files import read_parquet
from flowmodel.images.rgba import encode_png
from tests.data.helpers import icon_row, plain, write_icons


def face(skin: tuple[int, int, int] = (250, 200, 50), mouth: int = 0, size: int = 64) -> NDArray[np.uint8]:
    """A face drawn four times as large and reduced, so that it has soft edges; `mouth` moves it up."""
    large = Image.new("RGBA", (4 * size, 4 * size))
    draw = ImageDraw.Draw(large)
    unit = size / 16
    draw.ellipse([4 * unit * v for v in (1, 1, 15, 15)], fill=(*skin, 255))
    for eye in (5, 10):
        draw.ellipse([4 * unit * v for v in (eye, 5, eye + 1.5, 7)], fill=(60, 40, 20, 255))
    draw.arc([4 * unit * v for v in (5, 7 - mouth, 11, 12 - mouth)], 20, 160, fill=(60, 40, 20, 255), width=int(2 * unit))
    return np.array(large.resize((size, size), Image.Resampling.BOX))


def found(tmp_path: Path, pictures: dict[str, NDArray[np.uint8]], size: int = 64) -> pd.DataFrame:
    rows = [icon_row(key, png=encode_png(picture)) for key, picture in pictures.items()]
    return read_parquet(find_duplicates(normalized(tmp_path, rows, size), tmp_path / "d.parquet").path).to_pandas()


def normalized(tmp_path: Path, rows: list[dict], size: int = 64) -> Path:
    return normalize_icons({"test": write_icons(tmp_path / "i.parquet", rows)}, size, tmp_path / "n.parquet").path


def test_copies_are_identical_and_redrawn_ones_similar(tmp_path: Path) -> None:
    hidden = face()
    hidden[hidden[..., 3] == 0] = (9, 9, 9, 0)  # another file of the same picture
    pairs = found(tmp_path, {"a": face(), "b": hidden, "c": face(skin=(246, 196, 54)), "d": face(size=96), "e": 255 - face()})
    by_pair = {
        (a[5:], b[5:]): identical for a, b, identical in zip(pairs["icon_a"], pairs["icon_b"], pairs["identical"], strict=True)
    }
    assert by_pair == {("a", "b"): True} | dict.fromkeys([("a", "c"), ("a", "d"), ("b", "c"), ("b", "d"), ("c", "d")], False)
    assert set(pairs["cluster"]) == {"test/a"}
    assert (pairs.loc[pairs["identical"], "pixel_distance"] == 0).all()


def test_other_skin_other_expression_and_other_plain_colors_are_not_alike(tmp_path: Path) -> None:
    pictures = {"a": face(), "b": face(skin=(120, 80, 50)), "c": face(mouth=4)}
    pictures |= {"red": plain(), "blue": plain((20, 20, 220, 255)), "gray": plain((128, 128, 128, 255))}
    assert found(tmp_path, pictures).empty


def test_small_pictures_and_an_empty_table_work_too(tmp_path: Path) -> None:
    assert len(found(tmp_path, {"a": face(), "b": face()}, size=16)) == 1
    only_bad = normalized(tmp_path, [icon_row("q", status="quarantined", reason="x")])
    assert load_pairs(find_duplicates(only_bad, tmp_path / "none.parquet").path) == []


def test_pictures_that_differ_in_fine_detail_only_are_similar_and_not_identical(tmp_path: Path) -> None:
    checks = face()
    checks[16:48, 16:48][::2, ::2, :3] //= 2
    moved = face()
    moved[16:48, 16:48][1::2, 1::2, :3] //= 2  # the same on average
    pairs = found(tmp_path, {"a": checks, "b": moved})
    assert pairs["identical"].tolist() == [False]
