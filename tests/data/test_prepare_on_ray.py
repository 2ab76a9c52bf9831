"""Preparing on Ray writes the same files as the ordinary path."""

from pathlib import Path

import pytest
import torch

from flowmodel.data.prepare import prepare
from flowmodel.errors import FlowmodelError
from flowmodel.images.rgba import encode_png
from flowmodel.recipes import load_recipe
from flowmodel.store import Store
from flowmodel.tables import read_ok_icons
from tests.data.helpers import RED, plain, write_folder

pytest.importorskip("ray", reason="Ray is not installed: pip install -c constraints.txt -e '.[ray]'")
pytestmark = [pytest.mark.slow, pytest.mark.ray]

RECIPE = load_recipe("from_scratch", ["data.size=16", "data.selection=null"])
STEPS = (
    "icons/*",
    "normalized_icons",
    "captions",
    "caption_embeddings",
    "caption_vectors/*",
    "duplicates",
    "splits",
    "datasets/*",
)


@pytest.fixture(scope="module")
def ray_with_two_cores():
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RAY_USAGE_STATS_ENABLED", "0")
        patch.setenv("FLOWMODEL_PREPARE", "ray")
        import ray

        ray.init(address="local", num_cpus=2, include_dashboard=False, logging_level="error")
        yield patch
        ray.shutdown()


def _write_sources(root: Path) -> Path:
    """Bundled icons and unusable ones, in sources whose names don't sort as their ids do."""
    icons = read_ok_icons(Path("data/bundled/noto.parquet"), ["key", "name", "png"]).head(600)
    for number, name in enumerate(("b", "a", "a-b")):
        chosen = icons.iloc[number::3]
        lines = "".join(f"{icon.key}.png,{icon.name}\n" for icon in chosen.itertuples())
        files = {f"{icon.key}.png": icon.png for icon in chosen.itertuples()} | {
            "red.png": encode_png(plain(RED)),
            "z.png": b"hello",
        }
        write_folder(root / name, f"file,name\nred.png,{name}\nz.png,broken\ngone.png,gone\n" + lines, files)
    path = root / "sources.yaml"
    entries = [f"{{name: {name}, kind: folder, path: {name}, trim: {str(name == 'a').lower()}}}" for name in ("b", "a", "a-b")]
    path.write_text(f"sources: [{', '.join(entries)}]")
    return path


def test_ray_writes_the_same_tables_under_the_same_digests(tmp_path, ray_with_two_cores):
    sources = _write_sources(tmp_path)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # as a task of Ray has, because sums depend on it
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("FLOWMODEL_PREPARE")
        ordinary = prepare(RECIPE, Store(tmp_path / "ordinary"), sources)
    torch.set_num_threads(threads)
    said: list[str] = []
    on_ray = prepare(RECIPE, Store(tmp_path / "ray"), sources, said.append)
    assert on_ray.digest == ordinary.digest
    for step in STEPS:
        written = {path.relative_to(tmp_path / "ordinary") for path in (tmp_path / "ordinary").glob(f"{step}/[!.]*.*")}
        assert (
            written == {path.relative_to(tmp_path / "ray") for path in (tmp_path / "ray").glob(f"{step}/[!.]*.*")} and written
        ), step
    assert len(list((tmp_path / "ray").glob("caption_vectors/*/*.parquet"))) > 2
    assert "read the icons of 'a-b'" in said and any(line.startswith("  3 x not a PNG image") for line in said)


def test_an_error_in_a_task_is_one_line(tmp_path, ray_with_two_cores):
    (tmp_path / "sources.yaml").write_text("sources: [{name: mine, kind: folder, path: nowhere}]")
    with pytest.raises(FlowmodelError, match="nowhere") as error:
        prepare(RECIPE, Store(tmp_path / "store"), tmp_path / "sources.yaml")
    assert "\n" not in str(error.value)


def test_another_way_to_prepare_is_refused(tmp_path, monkeypatch):
    monkeypatch.setenv("FLOWMODEL_PREPARE", "spark")
    with pytest.raises(FlowmodelError, match="FLOWMODEL_PREPARE: 'spark'"):
        prepare(RECIPE, Store(tmp_path), _write_sources(tmp_path))
