from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from flowmodel.data.duplicates import find_duplicates, load_clusters, load_links, members_of
from flowmodel.data.groups import groups
from flowmodel.data.look_alikes import (
    MAX_HASH_DISTANCE,
    MAX_PIXEL_DISTANCE,
    hash_distances,
    perceptual_hash,
    pixel_distances,
    reduce_images,
)
from flowmodel.data.normalize import normalize_icons
from flowmodel.files import read_parquet
from flowmodel.images.rgba import encode_png, pixels
from flowmodel.shipped import shipped
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


def found(tmp_path: Path, images: dict[str, NDArray[np.uint8]], size: int = 64) -> pd.DataFrame:
    rows = [icon_row(key, png=encode_png(image)) for key, image in images.items()]
    return read_parquet(find_duplicates(normalized(tmp_path, rows, size), tmp_path / "d.parquet").path).to_pandas()


def normalized(tmp_path: Path, rows: list[dict], size: int = 64) -> Path:
    return normalize_icons({"test": write_icons(tmp_path / "i.parquet", rows)}, size, tmp_path / "n.parquet").path


def test_copies_are_identical_and_redrawn_ones_similar(tmp_path: Path) -> None:
    hidden = face()
    hidden[hidden[..., 3] == 0] = (9, 9, 9, 0)  # another file of the same image
    pairs = found(tmp_path, {"a": face(), "b": hidden, "c": face(skin=(246, 196, 54)), "d": face(size=96), "e": 255 - face()})
    assert pairs.loc[pairs["identical"], ["icon_a", "icon_b"]].to_numpy().tolist() == [["test/a", "test/b"]]
    assert len(pairs) == 3, "as many links as it takes to connect four icons"
    assert set(pairs["icon_a"]) | set(pairs["icon_b"]) == {"test/a", "test/b", "test/c", "test/d"}
    assert set(pairs["cluster"]) == {"test/a"}
    assert (pairs.loc[pairs["identical"], "pixel_distance"] == 0).all()


def test_other_skin_other_expression_and_other_plain_colors_are_not_alike(tmp_path: Path) -> None:
    images = {"a": face(), "b": face(skin=(120, 80, 50)), "c": face(mouth=4)}
    images |= {"red": plain(), "blue": plain((20, 20, 220, 255)), "gray": plain((128, 128, 128, 255))}
    assert found(tmp_path, images).empty


def test_small_images_and_an_empty_table_work_too(tmp_path: Path) -> None:
    assert len(found(tmp_path, {"a": face(), "b": face()}, size=16)) == 1
    only_bad = normalized(tmp_path, [icon_row("q", status="quarantined", reason="x")])
    assert load_links(find_duplicates(only_bad, tmp_path / "none.parquet").path) == []


def test_images_that_differ_in_fine_detail_only_are_similar_and_not_identical(tmp_path: Path) -> None:
    checks = face()
    checks[16:48, 16:48][::2, ::2, :3] //= 2
    moved = face()
    moved[16:48, 16:48][1::2, 1::2, :3] //= 2  # the same on average
    pairs = found(tmp_path, {"a": checks, "b": moved})
    assert pairs["identical"].tolist() == [False]


def ring(color: tuple[int, int, int], alpha: int = 255, width: float = 6, size: int = 64) -> NDArray[np.uint8]:
    """A ring of one color and opacity, with soft edges."""
    large = Image.new("L", (4 * size, 4 * size))
    ImageDraw.Draw(large).ellipse([4 * v for v in (8, 8, 56, 56)], outline=255, width=round(4 * width))
    shape = np.array(large.resize((size, size), Image.Resampling.BOX), np.float32) * alpha / 255
    return np.dstack([np.full((size, size, 3), color, np.uint8), shape.round().astype(np.uint8)])


@pytest.mark.parametrize("color", [(0, 0, 0), (255, 255, 255), (128, 128, 128), (200, 30, 30), (250, 240, 10)])
@pytest.mark.parametrize("alpha", [255, 60])
def test_what_is_alike_does_not_depend_on_color_and_opacity(tmp_path: Path, color: tuple[int, int, int], alpha: int) -> None:
    drawn = {f"w{10 * width:.0f}": ring(color, alpha, width) for width in (6, 6.25, 7, 12)}
    pairs = found(tmp_path, drawn)
    assert pairs[["icon_a", "icon_b"]].to_numpy().tolist() == [["test/w60", "test/w62"]]


def test_a_faint_icon_is_like_its_opaque_self_and_not_like_every_faint_one(tmp_path: Path) -> None:
    images = {"a": ring((0, 0, 0)), "b": ring((0, 0, 0), alpha=50), "c": face(), "d": face(mouth=4)}
    images |= {key + "-faint": (images[key] * np.array([1, 1, 1, 0.1])).astype(np.uint8) for key in "cd"}
    pairs = found(tmp_path, images)
    assert sorted(zip(pairs["icon_a"], pairs["icon_b"], strict=True)) == [
        ("test/a", "test/b"),
        ("test/c", "test/c-faint"),
        ("test/d", "test/d-faint"),
    ]


def test_thousands_of_copies_are_one_cluster_with_few_links(tmp_path: Path) -> None:
    base = face().astype(int)
    generator = np.random.default_rng(0)
    images = {f"same-{number}": face() for number in range(300)}
    for number in range(300):
        noisy = base + generator.integers(-3, 4, base.shape) * (base[..., 3:] == 255)
        images[f"like-{number}"] = np.clip(noisy, 0, 255).astype(np.uint8)
    images["other"] = face(mouth=4)
    rows = [icon_row(key, png=encode_png(image)) for key, image in images.items()]
    path = find_duplicates(normalized(tmp_path, rows), tmp_path / "d.parquet").path
    assert len(load_links(path)) == 599
    (members,) = members_of(load_clusters(path)).values()
    assert len(members) == 600 and "test/other" not in members


def test_the_links_among_the_first_sources_do_not_depend_on_later_ones(tmp_path: Path) -> None:
    steps = [face(skin=(250 - 9 * number, 200, 50)) for number in range(5)]  # each like its neighbors only
    z = write_icons(
        tmp_path / "z.parquet", [icon_row(key, source="z", png=encode_png(steps[n])) for key, n in (("p", 0), ("q", 4))]
    )
    a = write_icons(tmp_path / "a.parquet", [icon_row(f"m{n}", source="a", png=encode_png(steps[n])) for n in (1, 2, 3)])
    for tables, among_z in (({"z": z}, 0), ({"z": z, "a": a}, 0)):
        table = normalize_icons(tables, 64, tmp_path / "n.parquet").path
        links = load_links(find_duplicates(table, tmp_path / "d.parquet").path)
        assert len([pair for pair in links if all(icon.startswith("z/") for icon in pair)]) == among_z
    assert len(links) == 4 and len(members_of(load_clusters(tmp_path / "d.parquet"))) == 1


def test_the_clusters_of_the_bundled_set_are_those_of_comparing_each_with_each(tmp_path: Path) -> None:
    normal = normalize_icons({"noto": shipped("bundled/noto.parquet")}, 64, tmp_path / "n.parquet").path
    table = read_parquet(normal, ["id", "rgba"])
    ids, reduced_NSS4 = table["id"].to_pylist(), reduce_images(pixels(table["rgba"], 64))
    hashes_NW = perceptual_hash(reduced_NSS4)
    pairs = []
    for a in range(len(ids)):
        near_P = a + 1 + np.flatnonzero(hash_distances(hashes_NW[a], hashes_NW[a + 1 :]) <= MAX_HASH_DISTANCE)
        alike_P = near_P[pixel_distances(reduced_NSS4[a], reduced_NSS4[near_P]) <= MAX_PIXEL_DISTANCE]
        pairs += [(ids[a], ids[b]) for b in alike_P]
    expected = {icon: cluster for icon, cluster in groups(ids, pairs).items() if icon in {i for pair in pairs for i in pair}}
    assert len(pairs) > 10 and load_clusters(find_duplicates(normal, tmp_path / "d.parquet").path) == expected
